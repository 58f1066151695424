"""A server that no agent is in: it keeps every byte of the requests it gets and answers as the path says."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

EVENT_PAUSE = 0.05  # seconds between two server-sent events
CONTEXT_HEADERS = ("traceparent", "tracestate", "baggage")


@dataclass(frozen=True)
class Seen:
    """One request, byte for byte."""

    head: bytes  # request line to blank line, inclusive
    body: bytes  # as on the wire, chunk framing included
    connection: int

    @property
    def lines(self) -> list[bytes]:
        return self.head.split(b"\r\n")[:-2]

    @property
    def method(self) -> str:
        return self.lines[0].split(b" ")[0].decode()

    @property
    def target(self) -> str:
        return self.lines[0].split(b" ")[1].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        pairs = (line.decode("latin-1").partition(":") for line in self.lines[1:])
        return [(name, value.strip()) for name, _, value in pairs]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def value(self, name: str) -> str:
        """The one value of a header that must be there exactly once."""
        values = self.values(name)
        assert len(values) == 1, f"{name} {len(values)} times in {self.head!r}"
        return values[0]

    @property
    def id(self) -> str:
        return parse_qs(urlsplit(self.target).query).get("id", [""])[0]

    def without_context(self) -> bytes:
        """The bytes without the header lines that the agent may add."""
        kept = [
            line for line in self.head.split(b"\r\n")
            if line.partition(b":")[0].strip().lower().decode("latin-1") not in CONTEXT_HEADERS
        ]
        return b"\r\n".join(kept) + self.body


class Reader:
    """Buffered reading of HTTP messages from a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""

    def more(self) -> bool:
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self.more():
                raise EOFError
        at = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.more():
                raise EOFError
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def rest(self) -> bytes:
        while self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def body(self, head: bytes) -> bytes:
        """The body as it is on the wire."""
        headers = {
            line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip().lower()
            for line in head.split(b"\r\n")[1:]
        }
        if headers.get(b"transfer-encoding") == b"chunked":
            parts = []
            while True:
                line = self.until(b"\r\n")
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    parts.append(line)
                    while (trailer := self.until(b"\r\n")) != b"\r\n":
                        parts.append(trailer)
                    return b"".join([*parts, b"\r\n"])
                parts.append(line + self.exactly(size + 2))
        return self.exactly(int(headers.get(b"content-length", b"0")))


Answer = Callable[[socket.socket, Seen], bool]


@dataclass
class Upstream:
    """A thread per connection, keep-alive, HTTP/1.1. Paths: see `answer`."""

    seen: list[Seen] = field(default_factory=list)
    handler: Answer | None = None
    port: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._connections = 0
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return self._connections

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_seen(self, count: int, deadline: float = 20) -> list[Seen]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, deadline), (
                f"waited {deadline} s for {count} requests, got {len(self.seen)}"
            )
            return list(self.seen)

    def by_id(self) -> dict[str, Seen]:
        """The requests that have an `id` parameter, by it; each id exactly once."""
        with self._changed:
            mine = [seen for seen in self.seen if seen.id]
        result = {seen.id: seen for seen in mine}
        assert len(result) == len(mine), "an id twice"
        return result

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            threading.Thread(target=self._serve, args=(sock, self._connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with sock, contextlib.suppress(EOFError, OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for seen in self._requests(sock, number):
                with self._changed:
                    self.seen.append(seen)
                    self._changed.notify_all()
                if not (self.handler or answer)(sock, seen):
                    return

    def _requests(self, sock: socket.socket, number: int) -> Iterator[Seen]:
        reader = Reader(sock)
        while True:
            head = reader.until(b"\r\n\r\n")
            if b"expect: 100-continue" in head.lower():
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b"" if b" /early " in head else reader.body(head)
            yield Seen(head, body, number)


def reply(status: int, body: bytes, headers: str = "", version: str = "1.1") -> bytes:
    return (
        f"HTTP/{version} {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
    )


def answer(sock: socket.socket, seen: Seen) -> bool:
    """Answers by path; whether the connection stays open.

    /echo?id=&delay=   JSON of the request's headers        /status/N   that status
    /reset             reset without an answer              /truncate   half of the announced body, then close
    /chunked           three chunks and a trailer           /close      body until close, HTTP/1.0
    /moved             302 to /echo                         /early      413 before the body was read, then close
    /events            three server-sent events, chunked    /upgrade    101, then every byte comes back
    /wait              no answer until the client is gone   else        200 "ok"
    """
    url = urlsplit(seen.target)
    query = parse_qs(url.query)
    time.sleep(int(query.get("delay", ["0"])[0]) / 1000)
    match url.path.split("/")[1:]:
        case ["echo"]:
            body = json.dumps(
                {"id": query.get("id", [None])[0], "headers": {k.lower(): v for k, v in seen.headers}}
            ).encode()
            payload = reply(200, b"" if seen.method == "HEAD" else body, "Content-Type: application/json\r\n")
        case ["status", code]:
            payload = reply(int(code), b"" if code in ("204", "304") else f"status {code}\n".encode())
            if code in ("204", "304"):
                payload = f"HTTP/1.1 {code} Whatever\r\n\r\n".encode()
        case ["reset"]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        case ["truncate"]:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
            return False
        case ["chunked"]:
            payload = (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                b"5\r\nhello\r\n6;ext=1\r\n world\r\n1\r\n\n\r\n0\r\nX-Sum: 12\r\n\r\n"
            )
        case ["close"]:
            sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nuntil close\n")
            return False
        case ["moved"]:
            payload = reply(302, b"", "Location: /echo?id=moved\r\n")
        case ["early"]:
            sock.sendall(reply(413, b"too large\n", "Connection: close\r\n"))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
            return False
        case ["events"]:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(3):
                sock.sendall(b"9\r\ndata: %d\n\n\r\n" % number)
                time.sleep(EVENT_PAUSE)
            payload = b"0\r\n\r\n"
        case ["upgrade"]:
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
            while data := sock.recv(65536):
                sock.sendall(data)
            return False
        case ["wait"]:
            sock.recv(1)
            return False
        case _:
            payload = reply(200, b"" if seen.method == "HEAD" else b"ok\n")
    sock.sendall(payload)
    return b"connection: close" not in seen.head.lower()
