"""Byte for byte: the peer gets what it would get without the agent, plus exactly the context headers."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.assertions import assert_exactly, assert_separate_traces
from harness.processes import NONE, PYTHON, Finished, Launcher
from harness.receiver import Receiver
from harness.upstream import Seen, Upstream

PROGRAMS = Path(__file__).parent / "programs"
CALLS = ["write", "send", "sendto", "writev", "sendmsg", "sendmmsg", "syscall"]

GET = b"GET /echo?id=7 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" + b"b" * 5000
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"
LAST = b"GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """programs/socket_client.c, compiled."""
    path = tmp_path_factory.mktemp("driver") / "socket_client"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path, PROGRAMS / "socket_client.c"], check=True)
    return path


@dataclass
class Sink:
    """Takes the bytes of one connection, slowly if asked to, until the client's side ends; then answers."""

    answer: bytes
    step: int = 65536
    buffer: int = 0
    received: bytes = b""
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.listener = socket.socket()
        if self.buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        parts = []
        with connection:
            if self.buffer:
                self._wait_until_full(connection)
            while data := connection.recv(self.step):
                parts.append(data)
            connection.sendall(self.answer)
        self.received = b"".join(parts)
        self.done.set()

    def _wait_until_full(self, connection: socket.socket) -> None:
        """Returns when nothing more fits: then the sender has met a full buffer at least once."""
        waiting, unchanged = 0, 0
        while unchanged < 5:
            time.sleep(0.01)
            now = int.from_bytes(fcntl.ioctl(connection, termios.FIONREAD, bytes(4)), sys.byteorder)
            unchanged = unchanged + 1 if now == waiting > 0 else 0
            waiting = now

    def bytes(self) -> bytes:
        assert self.done.wait(20)
        return self.received


def send(launcher: Launcher, driver: Path, port: int, data: bytes, call: str = "write", piece: int = 0, sndbuf: int = 0,
         nonblock: bool = False, how: str = "") -> Finished:
    done = launcher.run(driver, str(port), call, str(piece), str(sndbuf), str(int(nonblock)), stdin=data, how=how)
    assert done.code == 0, done.err
    return done


def control(launcher: Launcher, upstream: Upstream):
    return lambda path: launcher.run("curl", "-sS", upstream.url + path)


def check(original: bytes, received: bytes, requests: int, at_least: int) -> None:
    """Right after each request line, at most one traceparent line of the right form, and nothing else anywhere."""
    without, added = [], 0
    for line in received.split(b"\r\n"):
        if line.startswith(b"traceparent: "):
            assert len(line) == len("traceparent: ") + 55, line
            assert without[-1].endswith(b" HTTP/1.1"), "not right after the request line"
            added += 1
        else:
            without.append(line)
    assert b"\r\n".join(without) == original
    assert at_least <= added <= requests


@pytest.mark.parametrize("call", CALLS)
def test_each_call(launcher: Launcher, driver: Path, receiver: Receiver, upstream: Upstream, call: str) -> None:
    """Every way to write, one request with a body and two without, each offered whole."""
    sink = Sink(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 3)
    with_agent = send(launcher, driver, sink.port, POST + GET + LAST, call)
    check(POST + GET + LAST, sink.bytes(), requests=3, at_least=3)
    bare = Sink(sink.answer)
    without = send(launcher, driver, bare.port, POST + GET + LAST, call, how=NONE)
    assert bare.bytes() == POST + GET + LAST
    assert (with_agent.out, with_agent.err) == (without.out, without.err)
    assert_separate_traces(assert_exactly(receiver, 3, control(launcher, upstream)))


@pytest.mark.parametrize("call", ["write", "writev", "sendmsg"])
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 16, 25, 26, 27, 45, 48, 49, 50, 64, 100, 4096])
def test_pieces(launcher: Launcher, driver: Path, receiver: Receiver, upstream: Upstream, call: str, piece: int) -> None:
    """Whatever the program's pieces are: the header goes in whole or not at all, and the spans are there."""
    data = CHUNKED + GET + POST + LAST
    sink = Sink(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 4)
    send(launcher, driver, sink.port, data, call, piece)
    check(data, sink.bytes(), requests=4, at_least=4 if piece >= 4096 else 0)
    assert_separate_traces(assert_exactly(receiver, 4, control(launcher, upstream)))


@pytest.mark.parametrize("call", ["write", "send", "writev", "sendmsg"])
@pytest.mark.parametrize("nonblock", [False, True], ids=["blocking", "nonblocking"])
@pytest.mark.parametrize("body", [0, 300, 20_000])
def test_short_writes(launcher: Launcher, driver: Path, receiver: Receiver, upstream: Upstream, call: str, nonblock: bool,
                      body: int) -> None:
    """A peer that reads slowly and the smallest send buffer: short counts and EAGAIN in the middle of anything, the
    inserted header included. The program's own byte count always adds up (the driver checks it)."""
    requests = {0: 60, 300: 60, 20_000: 20}[body]  # the agent follows at most 64 unanswered requests of a connection
    filler = b"Cookie: " + b"c" * (400 if body == 0 else 0) + b"\r\n"
    one = b"POST /echo?id=%d HTTP/1.1\r\nHost: h\r\n" + filler + b"Content-Length: %d\r\n\r\n" + b"z" * body
    data = b"".join(one % (number, body) for number in range(requests))
    sink = Sink(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * requests, step=613, buffer=2048)
    done = send(launcher, driver, sink.port, data, call, sndbuf=2048, nonblock=nonblock)
    if nonblock:
        assert int(done.err.split()[1]) > 0, "no EAGAIN: the test would prove nothing"
    check(data, sink.bytes(), requests=requests, at_least=1)
    spans = assert_exactly(receiver, requests, control(launcher, upstream))
    assert_separate_traces(spans)


@pytest.mark.parametrize("size", [0, 1, 100, 1000, 1020, 1024, 1030, 4090, 4096, 8190, 9000, 16_384, 60_000])
def test_head_sizes(launcher: Launcher, driver: Path, receiver: Receiver, upstream: Upstream, size: int) -> None:
    data = b"GET /echo?id=7 HTTP/1.1\r\nHost: h\r\nCookie: " + b"c" * size + b"\r\nConnection: close\r\n\r\n"
    send(launcher, driver, upstream.port, data)
    (seen,) = upstream.wait_seen(1)
    check(data, seen.head, requests=1, at_least=1)
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert seen.value("traceparent").split("-")[1:3] == [span.trace_id, span.span_id]


UNTOUCHED = {
    "signed by AWS": b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\nConnection: close\r\n\r\n",
    "carries a context": b"GET / HTTP/1.1\r\nHost: h\r\ntRaCePaReNt: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                         b"Connection: close\r\n\r\n",
    "not HTTP": b"GET / SPDY/1.1\r\n\r\n" + bytes(range(256)),
    "binary": bytes(range(256)) * 20,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "TLS": b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03GET / HTTP/1.1\r\n\r\n" + bytes(40),
}


@pytest.mark.parametrize("data", UNTOUCHED.values(), ids=UNTOUCHED)
@pytest.mark.parametrize("piece", [0, 5])
def test_left_alone(launcher: Launcher, driver: Path, data: bytes, piece: int) -> None:
    sink = Sink(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    send(launcher, driver, sink.port, data, piece=piece)
    assert sink.bytes() == data


def test_after_an_upgrade(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The client side of a WebSocket-like connection: what looks like a request in the tunnel is not one."""
    program = """import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"GET /upgrade HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n")
f = s.makefile("rb")
while f.readline() != b"\\r\\n": pass
data = b"GET /x HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n" + bytes(range(256)) * 200
s.sendall(data)
assert f.read(len(data)) == data
"""
    done = launcher.run(PYTHON, "-c", program, str(upstream.port))
    assert done.code == 0, done.err
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert (span.attributes["http.response.status_code"], span.status) == (101, "UNSET")
    assert upstream.seen[0].value("traceparent").split("-")[2] == span.span_id


def test_real_clients(launcher: Launcher, upstream: Upstream) -> None:
    """requests, urllib, httpx, curl and wget: with and without the agent the same bytes but for the context."""
    script = """import sys, urllib.request, httpx, requests
url = sys.argv[1]
requests.get(url + "/echo", params={"id": "1"})
requests.post(url + "/echo", data=b"x" * 100000)
requests.post(url + "/echo", data=(part for part in [b"abc", b"", b"d" * 9000]))
urllib.request.urlopen(url + "/chunked").read()
with httpx.Client() as c:
    c.get(url + "/echo"); c.post(url + "/echo", json={"a": 1}); c.request("OPTIONS", url + "/")
"""
    seen: dict[str, list[Seen]] = {}
    for how in ("", NONE):
        upstream.seen.clear()
        assert launcher.run(PYTHON, "-c", script, upstream.url, how=how).code == 0
        assert launcher.run("curl", "-sS", "-d", "a=b", f"{upstream.url}/echo", how=how).code == 0
        assert launcher.run("wget", "-qO-", f"{upstream.url}/echo", how=how).code == 0
        seen[how] = list(upstream.seen)
    assert len(seen[""]) == len(seen[NONE]) == 9
    for ours, bare in zip(seen[""], seen[NONE]):
        assert ours.without_context() == bare.head + bare.body
        assert len(ours.values("traceparent")) == 1 and not bare.values("traceparent")
