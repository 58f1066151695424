"""HTTP/2 by hand: frames as bytes, in the manner of h2spec, and what a server makes of them."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Iterator

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
LAST_PING = b"lastping"
DEADLINE = 10.0


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">I", len(payload) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


@dataclass(frozen=True)
class Seen:
    """What a server answered, without what depends on time: who came first, and how bodies were cut."""

    statuses: dict[int, list[str]]
    bodies: dict[int, bytes]
    ended: set[int]
    resets: dict[int, int]
    goaways: list[tuple[int, int]]
    pings: list[bytes]
    settings_acks: int
    end: str  # how it went on: open, closed, error


@dataclass
class _Answers:
    decoder: hpack.Decoder = field(default_factory=hpack.Decoder)
    statuses: dict[int, list[str]] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    resets: dict[int, int] = field(default_factory=dict)
    goaways: list[tuple[int, int]] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    settings_acks: int = 0

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        match kind:
            case 1:
                assert flags & END_HEADERS and not flags & (PADDED | PRIORITIZED), "a form that these servers do not use"
                self.statuses.setdefault(stream, []).append(dict(self.decoder.decode(payload)).get(":status", "trailers"))
            case 0:
                self.bodies[stream] = self.bodies.get(stream, b"") + payload
            case 3:
                self.resets[stream] = struct.unpack(">I", payload)[0]
            case 4:
                self.settings_acks += flags & ACK
            case 6:
                self.pings += [payload] if flags & ACK else []
            case 7:
                self.goaways.append(struct.unpack(">II", payload[:8]))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)

    def complete(self, streams: set[int]) -> bool:
        return LAST_PING in self.pings and streams <= self.ended | self.resets.keys()


def exchange(port: int, pieces: list[bytes], streams: set[int]) -> Seen:
    """Sends the pieces, each in a segment of its own, and a PING; reads until that is answered and so are the streams, or
    the connection is given up."""
    answers, end = _Answers(), "closed"
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # what the server said before is still to be read
            for piece in [*pieces, frame(PING, payload=LAST_PING)]:
                sock.sendall(piece)
        for read in _frames(sock):
            answers.take(*read)
            if answers.complete(streams):
                end = "open"
                break
            if answers.goaways and answers.goaways[-1][1]:
                end = "error"  # some close the connection with it, and some wait for the client to do that
                break
    return Seen(**{name: value for name, value in vars(answers).items() if name != "decoder"}, end=end)


def _frames(sock: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    buffer = b""
    while True:
        while len(buffer) >= 9 and len(buffer) >= 9 + (length := int.from_bytes(buffer[:3], "big")):
            kind, flags, stream = struct.unpack(">BBI", buffer[3:9])
            yield kind, flags, stream, buffer[9:9 + length]
            buffer = buffer[9 + length:]
        data = sock.recv(65536)
        if not data:
            return
        buffer += data
