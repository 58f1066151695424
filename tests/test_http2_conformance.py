"""HTTP/2 by the frame, in the manner of h2spec: what servers answer to good and bad frames is the same with the agent, and
each request that was answered is one span."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

import hpack
import pytest

from harness.apps import Site
from harness.h2 import control
from harness.h2frames import (
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITIZED, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Seen, exchange, frame, settings,
)
from harness.ports import free_port
from harness.processes import NONE, Launcher
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS

START = PREFACE + settings()
WHOLE = END_STREAM | END_HEADERS


@dataclass(frozen=True)
class Asker:
    """Makes header blocks of requests whose target names the case and the stream."""

    path: str
    case: str

    def fields(self, stream: int, method: str = "GET") -> list[tuple[str, str]]:
        return [(":method", method), (":scheme", "http"), (":authority", "localhost"),
                (":path", f"{self.path}?id={self.case}-{stream}")]

    def block(self, stream: int, *more: tuple[str, str], method: str = "GET", huffman: bool = False) -> bytes:
        encoder = hpack.Encoder()
        encoder.header_table_size = 0  # nothing is indexed, so that every block stands for itself
        return encoder.encode([*self.fields(stream, method), *more], huffman=huffman)

    def get(self, stream: int = 1, *more: tuple[str, str]) -> bytes:
        return frame(HEADERS, WHOLE, stream, self.block(stream, *more))

    def post(self, stream: int = 1, *more: tuple[str, str]) -> bytes:
        return frame(HEADERS, END_HEADERS, stream, self.block(stream, *more, method="POST"))


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def shared_table(ask: Asker) -> list[bytes]:
    encoder = hpack.Encoder()
    blocks = [encoder.encode(ask.fields(stream) + [("x-same", "value")]) for stream in (1, 3)]
    return [START + b"".join(frame(HEADERS, WHOLE, stream, block) for stream, block in zip((1, 3), blocks))]


def in_three(ask: Asker) -> list[bytes]:
    block = ask.block(1)
    return [START + frame(HEADERS, END_STREAM, 1, block[:5]) + frame(CONTINUATION, 0, 1, block[5:20])
            + frame(CONTINUATION, END_HEADERS, 1, block[20:])]


def by_the_byte(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


Make = Callable[[Asker], bytes | list[bytes]]
# What is sent after the preface and SETTINGS (or, a list, all of it by segments), and the streams that are to be answered.
GOOD: dict[str, tuple[Make, set[int]]] = {
    "get": (lambda ask: ask.get(), {1}),
    "post": (lambda ask: ask.post() + frame(DATA, END_STREAM, 1, b"hello"), {1}),
    "padded-headers": (lambda ask: frame(HEADERS, WHOLE | PADDED, 1, b"\x07" + ask.block(1) + bytes(7)), {1}),
    "padded-data": (lambda ask: ask.post() + frame(DATA, END_STREAM | PADDED, 1, b"\x03hello" + bytes(3)), {1}),
    "only-padding": (lambda ask: ask.post() + frame(DATA, END_STREAM | PADDED, 1, b"\x00"), {1}),
    "priority-in-headers": (lambda ask: frame(HEADERS, WHOLE | PRIORITIZED, 1, number(0x80000000) + b"\x10" + ask.block(1)), {1}),
    "padded-and-priority": (
        lambda ask: frame(HEADERS, WHOLE | PADDED | PRIORITIZED, 1, b"\x02" + number(0) + b"\x10" + ask.block(1) + bytes(2)), {1}),
    "priority-first": (lambda ask: frame(PRIORITY, 0, 1, number(0) + b"\x10") + ask.get(), {1}),
    "priority-of-idle-stream": (lambda ask: frame(PRIORITY, 0, 9, number(0) + b"\x10") + ask.get(), {1}),
    "continuation": (in_three, {1}),
    "empty-continuation": (lambda ask: frame(HEADERS, END_STREAM, 1, ask.block(1)) + frame(CONTINUATION, END_HEADERS, 1), {1}),
    "unknown-frames": (lambda ask: frame(0xEE, 0xFF, 0, b"what") + ask.post() + frame(0xEE, 0, 1, b"is this")
                       + frame(DATA, END_STREAM, 1, b"x"), {1}),
    "unknown-flags": (lambda ask: frame(HEADERS, WHOLE | 0x52, 1, ask.block(1)), {1}),
    "unknown-setting": (lambda ask: settings((0xF0F0, 7)) + ask.get(), {1}),
    "reserved-bit": (lambda ask: frame(HEADERS, WHOLE, 0x80000001, ask.block(1)), {1}),
    "empty-data": (lambda ask: ask.post() + frame(DATA, 0, 1) * 3 + frame(DATA, END_STREAM, 1), {1}),
    "trailers": (lambda ask: ask.post() + frame(DATA, 0, 1, b"hello")
                 + frame(HEADERS, WHOLE, 1, hpack.Encoder().encode([("x-sum", "12")])), {1}),
    "two-streams": (lambda ask: ask.post(1) + ask.get(3) + frame(DATA, END_STREAM, 1, b"x"), {1, 3}),
    "twenty-streams": (lambda ask: b"".join(ask.get(stream) for stream in range(1, 41, 2)), set(range(1, 41, 2))),
    "skipped-ids": (lambda ask: ask.get(5) + ask.get(101), {5, 101}),
    "dynamic-table": (shared_table, {1, 3}),
    "huffman": (lambda ask: frame(HEADERS, WHOLE, 1, ask.block(1, huffman=True)), {1}),
    "size-update": (lambda ask: frame(HEADERS, WHOLE, 1, b"\x20" + b"\x3f\xe1\x1f" + ask.block(1)), {1}),
    "ping": (lambda ask: frame(PING, 0, 0, b"01234567") + ask.get(), {1}),
    "window-updates": (lambda ask: frame(WINDOW_UPDATE, 0, 0, number(1000)) + ask.post() + frame(WINDOW_UPDATE, 0, 1, number(1000))
                       + frame(DATA, END_STREAM, 1, b"x"), {1}),
    "preface-by-the-byte": (lambda ask: [*by_the_byte(START), ask.get()], {1}),
    "all-by-the-byte": (lambda ask: by_the_byte(START + ask.post() + frame(DATA, END_STREAM, 1, b"x")), {1}),
    "settings-acknowledged": (lambda ask: frame(SETTINGS, ACK) + ask.get(), {1}),
}
BAD: dict[str, tuple[Make, set[int]]] = {
    "ping-nobody-asked-for": (lambda ask: frame(PING, ACK, 0, b"01234567") + ask.get(), {1}),
    "window-overflow": (lambda ask: frame(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)), set()),
    "window-overflow-of-stream": (lambda ask: ask.post() + frame(WINDOW_UPDATE, 0, 1, number(0x7FFFFFFF)), {1}),
    "window-by-nothing": (lambda ask: frame(WINDOW_UPDATE, 0, 0, number(0)), set()),
    "window-of-wrong-size": (lambda ask: frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), set()),
    "window-of-idle-stream": (lambda ask: frame(WINDOW_UPDATE, 0, 1, number(1)), set()),
    "headers-on-stream-0": (lambda ask: frame(HEADERS, WHOLE, 0, ask.block(1)), set()),
    "even-stream": (lambda ask: ask.get(2), set()),
    "settings-ack-with-payload": (lambda ask: frame(SETTINGS, ACK, 0, bytes(6)), set()),
    "settings-of-wrong-size": (lambda ask: frame(SETTINGS, 0, 0, bytes(5)), set()),
    "settings-of-a-stream": (lambda ask: frame(SETTINGS, 0, 1, bytes(6)), set()),
    "window-too-large": (lambda ask: settings((4, 0x80000000)), set()),
    "frame-size-too-small": (lambda ask: settings((5, 100)), set()),
    "push-neither-on-nor-off": (lambda ask: settings((2, 2)), set()),
    "reset-of-idle-stream": (lambda ask: frame(RST_STREAM, 0, 1, number(8)), set()),
    "reset-of-stream-0": (lambda ask: frame(RST_STREAM, 0, 0, number(8)), set()),
    "reset-of-wrong-size": (lambda ask: ask.post() + frame(RST_STREAM, 0, 1, b"\0\0\1"), set()),
    "ping-of-wrong-size": (lambda ask: frame(PING, 0, 0, b"0123456"), set()),
    "ping-of-a-stream": (lambda ask: frame(PING, 0, 1, b"01234567"), set()),
    "goaway": (lambda ask: frame(GOAWAY, 0, 0, number(0) + number(0)), set()),
    "goaway-of-a-stream": (lambda ask: frame(GOAWAY, 0, 1, number(0) + number(0)), set()),
    "frame-too-large": (lambda ask: ask.post() + frame(DATA, 0, 1, bytes(16385)), set()),
    "index-0": (lambda ask: frame(HEADERS, WHOLE, 1, b"\x80"), set()),
    "index-of-nothing": (lambda ask: frame(HEADERS, WHOLE, 1, b"\xff\x20"), set()),
    "late-size-update": (lambda ask: frame(HEADERS, WHOLE, 1, ask.block(1) + b"\x20"), set()),
    "table-too-large": (lambda ask: frame(HEADERS, WHOLE, 1, b"\x3f\xff\xff\x7f" + ask.block(1)), set()),
    "bad-huffman": (lambda ask: frame(HEADERS, WHOLE, 1, ask.block(1) + b"\x00\x01a\x84\xff\xff\xff\xff"), set()),
    "continuation-of-nothing": (lambda ask: frame(CONTINUATION, END_HEADERS, 1, ask.block(1)), set()),
    "data-within-headers": (lambda ask: frame(HEADERS, 0, 1, ask.block(1)) + frame(DATA, 0, 1, b"x"), set()),
    "headers-within-headers": (lambda ask: frame(HEADERS, END_STREAM, 1, ask.block(1)[:5]) + ask.get(3), set()),
    "continuation-of-another": (lambda ask: frame(HEADERS, 0, 1, ask.block(1)) + frame(CONTINUATION, END_HEADERS, 3), set()),
    "data-on-stream-0": (lambda ask: frame(DATA, 0, 0, b"x"), set()),
    "data-on-idle-stream": (lambda ask: frame(DATA, 0, 1, b"x"), set()),
    "older-stream": (lambda ask: ask.get(5) + ask.get(3), set()),
    "more-padding-than-payload": (lambda ask: frame(HEADERS, WHOLE | PADDED, 1, b"\xff" + ask.block(1)), set()),
    "more-padding-than-data": (lambda ask: ask.post() + frame(DATA, END_STREAM | PADDED, 1, b"\x09hello"), set()),
    "pushed-by-a-client": (lambda ask: ask.post() + frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + ask.block(2)), set()),
    "capital-letters": (lambda ask: frame(HEADERS, WHOLE, 1, ask.block(1) + b"\x00\x01X\x01y"), {1}),
    "field-of-a-connection": (lambda ask: ask.get(1, ("connection", "keep-alive")), {1}),
    "no-path": (lambda ask: frame(HEADERS, WHOLE, 1, hpack.Encoder().encode(ask.fields(1)[:3])), {1}),
    "no-method": (lambda ask: frame(HEADERS, WHOLE, 1, hpack.Encoder().encode(ask.fields(1)[1:])), {1}),
    "path-twice": (lambda ask: ask.get(1, (":path", "/other")), {1}),
    "unknown-pseudo-field": (lambda ask: ask.get(1, (":what", "x")), {1}),
    "pseudo-field-last": (
        lambda ask: frame(HEADERS, WHOLE, 1, hpack.Encoder().encode([("x-a", "b"), *ask.fields(1)])), {1}),
    "stream-of-itself": (lambda ask: frame(HEADERS, WHOLE | PRIORITIZED, 1, number(1) + b"\x10" + ask.block(1)), {1}),
    "cancelled": (lambda ask: ask.post() + frame(RST_STREAM, 0, 1, number(8)) + ask.get(3), {3}),
    "no-settings": (lambda ask: [PREFACE + ask.get()], set()),
    "no-preface": (lambda ask: [settings() + ask.get()], set()),
    "another-preface": (lambda ask: [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings() + ask.get()], set()),
    "half-a-preface": (lambda ask: [PREFACE[:10] + ask.get()], set()),
}
CASES = GOOD | BAD
REFUSED = {"node": set[str](), "nginx": {"trailers"}}  # good frames that a server takes for bad ones


def run_all(port: int, path: str) -> dict[str, Seen]:
    def one(name: str) -> tuple[str, Seen]:
        make, streams = CASES[name]
        made = make(Asker(path, name))
        return name, exchange(port, [START + made] if isinstance(made, bytes) else made, streams)

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(one, CASES))


@pytest.mark.parametrize("server", ["node", "nginx"])
def test_the_answers_are_the_same(launcher: Launcher, site: Site, receiver: Receiver, server: str) -> None:
    if server == "node":
        path = "/echo"
        ports = {how: launcher.start("node", PROGRAMS / "http2.js", port=free_port(), how=how).port for how in (NONE, "")}
    else:
        path = "/static/page.html"
        site.add_file("page.html", b"page")
        ports = {how: site.start_nginx(listen="http2", how=how).port for how in (NONE, "")}
    bare, traced = (run_all(ports[how], path) for how in (NONE, ""))
    assert {name: seen for name, seen in traced.items() if seen != bare[name]} == {
        name: bare[name] for name, seen in traced.items() if seen != bare[name]}
    for name in GOOD.keys() - REFUSED[server]:
        assert bare[name].ended == GOOD[name][1] and bare[name].end == "open", (name, bare[name])
    assert sum(seen.end != "open" for seen in bare.values()) > 20

    # Each answer to good frames is a span with its status. After bad ones the agent may have stopped following a connection
    # which the server answers once more, or the test have stopped reading: but nothing is told twice, or wrongly.
    answered = {f"{name}-{stream}": int(statuses[0]) for name, seen in traced.items() for stream, statuses in seen.statuses.items()}
    control(f"http://localhost:{ports['']}")("/control/last")
    spans = receiver.wait_for(lambda spans: any(span.url == "/control/last" for span in spans))
    told = [(span.attributes["url.query"].removeprefix("id="), span.attributes.get("http.response.status_code"))
            for span in spans if span.kind == "SERVER" and span.url != "/control/last"]
    assert len(dict(told)) == len(told)
    of_good = lambda pairs: {own: status for own, status in pairs if own.rpartition("-")[0] in GOOD}
    assert of_good(told) == of_good(answered.items())
    assert all(answered.get(own, status) == status for own, status in told if status)
