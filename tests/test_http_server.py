"""What a server does with HTTP/1: statuses, aborts, streams, upgrades, pipelines. The server is a plain program."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from harness import client
from harness.assertions import assert_exactly, assert_separate_traces, assert_spans, server
from harness.ports import free_port
from harness.processes import PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.upstream import EVENT_PAUSE, Upstream

PROGRAMS = Path(__file__).parent / "programs"
PLAIN = {"user_agent": None, "host": "h", "host_port": 80}  # of requests written by hand


@pytest.fixture
def app(launcher: Launcher) -> Program:
    return launcher.start(PYTHON, PROGRAMS / "server.py", port=free_port())


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("code", [200, 201, 204, 301, 304, 400, 404, 499, 500, 503, 599])
def test_status(app: Program, receiver: Receiver, code: int) -> None:
    """A server's 4xx is not its error, a 5xx is. 204 and 304 have no body: the next exchange follows at once."""
    with client.Raw(app.port) as raw:
        raw.send(f"GET /status/{code} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        raw.response(head_only=code in (204, 304))
        if code not in (204, 304):
            raw.reader.buffer = b""
        with client.Raw(app.port) as other:
            other.exchange("/echo")
    assert_spans(assert_exactly(receiver, 2, app.port), server(f"/status/{code}", app.port, status=code, **PLAIN),
                 server("/echo", app.port, **PLAIN))


@pytest.mark.parametrize("method, name", [("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("PUT", "PUT"), ("QUERY", "QUERY"),
                                          ("PROPFIND", "_OTHER"), ("gEt", "_OTHER")])
def test_methods(app: Program, receiver: Receiver, method: str, name: str) -> None:
    with client.Raw(app.port) as raw:
        raw.send(f"{method} /echo HTTP/1.1\r\nHost: h:8080\r\nContent-Length: 0\r\n\r\n".encode())
        raw.response(head_only=method == "HEAD")
    original = {} if name == method else {"http__request__method_original": method}
    assert_spans(assert_exactly(receiver, 1, app.port),
                 server("/echo", app.port, method=name, user_agent=None, host="h", host_port=8080, **original))


TARGETS = {
    "absolute": ("GET http://shop.example:81/echo?a=b", {"host": "shop.example", "host_port": 81, "query": "a=b"}, "/echo"),
    "asterisk": ("OPTIONS *", {"method": "OPTIONS", **PLAIN}, "*"),
    "secrets": ("GET /echo?a=1&sig=s&AWSAccessKeyId=k&b", {"query": "a=1&sig=REDACTED&AWSAccessKeyId=REDACTED&b", **PLAIN}, "/echo"),
    "empty query": ("GET /echo?", PLAIN, "/echo"),
}


@pytest.mark.parametrize("line, expected, path", TARGETS.values(), ids=TARGETS)
def test_targets(app: Program, receiver: Receiver, line: str, expected: dict, path: str) -> None:
    with client.Raw(app.port) as raw:
        raw.send(f"{line} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        raw.response()
    expected = {"user_agent": None, **expected}
    assert_spans(assert_exactly(receiver, 1, app.port), server(path, app.port, **expected))


def test_forwarded(app: Program, receiver: Receiver) -> None:
    """The original client and its scheme; the peer stays true to the socket."""
    with client.Raw(app.port) as raw:
        raw.exchange("/echo?id=1", 'Forwarded: for="[2001:db8::1]:4711";proto=https;host=shop.example, for=10.0.0.1\r\n')
        raw.exchange("/echo?id=2", "X-Forwarded-For: 192.0.2.60, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n"
                                   "X-Forwarded-Host: shop.example:8443\r\n")
    spans = assert_exactly(receiver, 2, app.port)
    for span, address, port in zip(sorted(spans, key=lambda span: span.url), ("2001:db8::1", "192.0.2.60"), (443, 8443)):
        assert span.attributes["client.address"] == address
        assert span.attributes["url.scheme"] == "https"
        assert span.attributes["server.address"] == "shop.example"
        assert span.attributes["server.port"] == port
        assert span.attributes["network.peer.address"] == "127.0.0.1"


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("step", [0, 7, 1], ids=["at-once", "by-7", "by-1"])
def test_pipelining(app: Program, receiver: Receiver, count: int, step: int) -> None:
    """Answers in order, a trace each, however the bytes are cut."""
    data = b"".join(f"GET /echo?id={n} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for n in range(count))
    with client.Raw(app.port) as raw:
        raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), step or len(data)):
            raw.send(data[at:at + (step or len(data))])
        for number in range(count):
            assert f'"id": "{number}"'.encode() in raw.response()
    spans = assert_exactly(receiver, count, app.port)
    assert_spans(spans, *[server("/echo", app.port, query=f"id={n}", **PLAIN) for n in range(count)])
    assert_separate_traces(spans)


def test_server_sent_events(app: Program, receiver: Receiver) -> None:
    """The span lasts as long as the stream."""
    with client.Raw(app.port) as raw:
        assert raw.exchange("/events").count(b"data: ") == 3
        raw.exchange("/echo")
    streamed, _ = assert_spans(assert_exactly(receiver, 2, app.port), server("/events", app.port, **PLAIN),
                               server("/echo", app.port, **PLAIN))
    assert streamed.seconds >= 3 * EVENT_PAUSE


def test_upgrade(app: Program, receiver: Receiver) -> None:
    """After 101 the connection is not HTTP any more: its bytes are neither altered nor looked at."""
    tunnel = b"GET /not-a-request HTTP/1.1\r\nHost: h\r\n\r\n" + bytes(range(256)) * 300
    with client.Raw(app.port) as raw:
        raw.send(b"GET /upgrade HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        assert b" 101 " in raw.response(head_only=True)
        raw.send(tunnel)
        assert raw.reader.exactly(len(tunnel)) == tunnel
    assert_spans(assert_exactly(receiver, 1, app.port), server("/upgrade", app.port, status=101, **PLAIN))


def test_expect_continue_and_chunks(app: Program, receiver: Receiver) -> None:
    with client.Raw(app.port) as raw:
        raw.send(b"POST /post HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 100 " in raw.response(head_only=True)
        raw.send(b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n")
        assert b" 200 " in raw.response()
        raw.exchange("/chunked")
        raw.exchange("/echo")
    assert_spans(assert_exactly(receiver, 3, app.port), server("/post", app.port, method="POST", **PLAIN),
                 server("/chunked", app.port, **PLAIN), server("/echo", app.port, **PLAIN))


def test_early_answer(app: Program, receiver: Receiver) -> None:
    """413 before the body was read."""
    with client.Raw(app.port) as raw:
        raw.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        assert b" 413 " in raw.response()
        raw.send(b"x" * 1000)
    assert_spans(assert_exactly(receiver, 1, app.port), server("/early", app.port, method="POST", status=413, **PLAIN))


@pytest.mark.parametrize("path, status, error", [
    ("/close", 200, None),
    ("/truncate", 200, "response_truncated"),
    ("/reset", None, None),  # by the program itself, before any response: nothing failed that it did not want
])
def test_server_ends_the_connection(app: Program, receiver: Receiver, path: str, status: int | None, error: str | None) -> None:
    with client.Raw(app.port) as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        try:
            raw.reader.rest()
        except ConnectionResetError:
            assert path == "/reset"
    (span,) = assert_exactly(receiver, 1, app.port)
    assert_spans([span], server(path, app.port, status=status, error=error, **PLAIN))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_goes_away(app: Program, receiver: Receiver, how: str) -> None:
    """No answer was sent: no status code is invented (no 499), and the request still makes exactly one span."""
    with client.Raw(app.port) as raw:
        raw.send(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
        reset(raw.sock) if how == "reset" else raw.sock.close()
    (span,) = assert_exactly(receiver, 1, app.port)
    assert span.attributes["url.path"] == "/wait" and "http.response.status_code" not in span.attributes


def test_half_a_request_is_no_span(app: Program, receiver: Receiver) -> None:
    with client.Raw(app.port) as raw:
        raw.send(b"GET /echo HTTP/1.1\r\nHost:")
    with client.Raw(app.port):
        pass
    assert_exactly(receiver, 0, app.port)


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"*1\r\n$4\r\nPING\r\n", b"\x00\x00\x00\x08\x04\xd2\x16/",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GETX", b"get / http/1.1\n\n", b"SSH-2.0-x\r\n", b"\xff" * 4096,
], ids=["tls", "redis", "postgres", "http2", "prefix", "lower-case", "ssh", "binary"])
def test_other_protocols(launcher: Launcher, receiver: Receiver, upstream: Upstream, data: bytes) -> None:
    """An echo server: not HTTP in either direction, so nothing is made of it and not a byte changes."""
    program = """import socket, os
l = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    s, _ = l.accept()
    while d := s.recv(65536): s.sendall(d)
    s.close()
"""
    app = launcher.start(PYTHON, "-c", program, port=free_port())
    with client.Raw(app.port) as raw:
        raw.send(data)
        raw.sock.shutdown(socket.SHUT_WR)
        assert raw.reader.rest() == data
    assert_exactly(receiver, 0, lambda path: launcher.run("curl", "-sS", upstream.url + path))
