"""HTTP/2: every stream a span of its own, one trace across both ends, plain and inside TLS."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable

import pytest

from harness import client
from harness.apps import Site
from harness.assertions import assert_child, assert_root, assert_spans, call, server, traceparent_of
from harness.listener import Listener
from harness.parents import Counts, count_parents, id_of
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.tls import certificates
from harness.upstream import Upstream

CURL = ["curl", "-sS", "--fail", "-A", client.USER_AGENT]
STREAMS = 100


def start_node(launcher: Launcher, secure: bool, **options) -> Program:
    env = {"TLS_CERT": str(certificates().cert), "TLS_KEY": str(certificates().key)} if secure else {}
    return launcher.start("node", PROGRAMS / "http2.js", port=free_port(), env=env, **options)


def address(program: Program, secure: bool) -> str:
    return f"{'https' if secure else 'http'}://localhost:{program.port}"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_hundred_streams_of_one_connection(launcher: Launcher, receiver: Receiver, secure: bool) -> None:
    """All at once: as many spans as requests on both sides, none merged, none twice, each answer for its own call."""
    program = start_node(launcher, secure, service="server")
    url = address(program, secure)
    env = {"NODE_EXTRA_CA_CERTS": str(certificates().ca), "BODIES": "1"}
    bare = launcher.run("node", PROGRAMS / "http2.js", url, "1", env=env, how=NONE)
    assert bare.code == 0 and "traceparent" not in json.loads(bare.out)[0]["headers"]
    (alone,) = receiver.wait_for(1)
    assert_root(alone)
    receiver.clear()

    done = launcher.run("node", PROGRAMS / "http2.js", url, str(STREAMS), env=env, service="client")
    assert done.code == 0, done.err
    answers = json.loads(done.out)
    spans = receiver.wait_for(2 * STREAMS)
    assert len(spans) == 2 * STREAMS
    calls = {id_of(span): span for span in spans if span.kind == "CLIENT"}
    served = {id_of(span): span for span in spans if span.kind == "SERVER"}
    assert calls.keys() == served.keys() == {str(n) for n in range(STREAMS)}
    for n, answer in enumerate(answers):
        body = 0 if n % 3 else n * 100 + 1
        assert (answer["id"], answer["body"]) == (str(n), body)
        mine, other = calls[str(n)], served[str(n)]
        assert answer["headers"]["traceparent"] == traceparent_of(mine)
        assert_root(mine)
        assert_child(other, mine)
        method = "GET" if n % 3 else "POST"
        target = f"id={n}&delay={n * 7 % 30}"
        assert_spans([mine, other],
                     call(f"{url}/echo?{target}", method=method, version="2"),
                     server("/echo", program.port, query=target, method=method, version="2", host="localhost",
                            scheme="https" if secure else "http", user_agent=None))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_nginx_and_curl(launcher: Launcher, site: Site, receiver: Receiver, secure: bool) -> None:
    site.add_file("page.html", b"p" * 100_000)
    nginx = site.start_nginx(tls=secure, listen="http2", service="server")
    page = f"{'https' if secure else 'http'}://127.0.0.1:{nginx.port}/static/page.html"
    how = ["-k"] if secure else ["--http2-prior-knowledge"]
    count = 2 if secure else 1  # Debian's curl cannot use a connection twice that began without TLS
    done = launcher.run(*CURL, *how, "-w", "%{http_version}", *[page] * count, service="client")
    assert done.code == 0 and done.out == (b"p" * 100_000 + b"2") * count
    expected = [
        call(page, version="2"),
        server("/static/page.html", nginx.port, version="2", scheme="https" if secure else "http"),
    ]
    spans = assert_spans(receiver.wait_for(2 * count), *expected * count)
    served_of = {span.parent_id: span for span in spans if span.kind == "SERVER"}
    assert len(served_of) == count
    for called in spans[::2]:
        assert_root(called)
        assert_child(served_of[called.span_id], called)


def test_a_proxy_that_is_asked_in_http2(launcher: Launcher, site: Site, receiver: Receiver, upstream: Upstream) -> None:
    """nginx speaks HTTP/1 upstream; the context that comes with a request is passed on under nginx's own spans."""
    nginx = site.start_nginx(upstream.port, tls=True, listen="http2")
    url = f"https://127.0.0.1:{nginx.port}/echo?id=7"
    done = launcher.run(*CURL, "-k", "-w", "%{http_version}", url, service="client")
    assert done.code == 0 and done.out.endswith(b"2")
    called, served, passed = assert_spans(
        receiver.wait_for(3),
        call(url, version="2"),
        server("/echo", nginx.port, query="id=7", version="2", scheme="https"),
        call(f"{upstream.url}/echo?id=7", url__full=f"http://127.0.0.1:{nginx.port}/echo?id=7", server__port=nginx.port,
             peer_port=upstream.port),
    )
    assert_child(served, called)
    assert_child(passed, served)
    assert upstream.wait_seen(1)[0].value("traceparent") == traceparent_of(passed)


def test_an_upgrade_from_http1(launcher: Launcher, receiver: Receiver) -> None:
    """hypercorn takes `Upgrade: h2c`: the request in HTTP/1 is answered on stream 1."""
    port = free_port()
    launcher.start(PYTHON, "-m", "hypercorn", "routes_asgi:app", "-b", f"127.0.0.1:{port}", port=port, cwd=PROGRAMS, service="server")
    done = launcher.run(*CURL, "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"http://127.0.0.1:{port}/nowhere",
                        service="client")
    assert done.out == b"" or done.code in (0, 22)
    spans = receiver.wait_for(2)
    assert sorted((span.kind, span.attributes["http.response.status_code"]) for span in spans) == [("CLIENT", 404), ("SERVER", 404)]
    by_kind = {span.kind: span for span in spans}
    assert_child(by_kind["SERVER"], by_kind["CLIENT"])


def nginx(site: Site, upstream: Upstream, secure: bool) -> Program:
    return site.start_nginx(upstream.port, tls=secure, listen="http2", keepalive=8)


def haproxy(site: Site, upstream: Upstream, secure: bool) -> Program:
    return site.start_haproxy(upstream.port, tls=secure, bind="alpn h2" if secure else "proto h2")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("start", [nginx, haproxy])
def test_streams_through_a_proxy(launcher: Launcher, site: Site, receiver: Receiver, upstream: Upstream, start: Callable[..., Program],
                                 secure: bool) -> None:
    """Requests without a context, all on one connection: what goes upstream is each one's own."""
    program = start(site, upstream, secure)
    env = {"NODE_EXTRA_CA_CERTS": str(certificates().ca)}
    done = launcher.run("node", PROGRAMS / "http2.js", address(program, secure), str(STREAMS), env=env, how=NONE)
    assert done.code == 0, done.err
    assert [answer["id"] for answer in json.loads(done.out)] == [str(n) for n in range(STREAMS)]
    spans = receiver.wait_for(2 * STREAMS)
    assert len(spans) == 2 * STREAMS
    assert count_parents(spans) == Counts(right=STREAMS, wrong=0, none=0)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, stream and payload of each."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((data[3], int.from_bytes(data[5:9], "big"), data[9:9 + length]))
        data = data[9 + length:]
    return found


def block(**fields: str) -> bytes:
    """A header block of literals."""
    pairs = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "h"), *fields.items()]
    return b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in pairs)


def test_heads_behind_one_that_is_left_alone(launcher: Launcher) -> None:
    """All in one write: what has a context of its own, or no room in its first frame, hides none of those that follow."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    own = block(traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    sent = [
        frame(4, 0, 0, b""), frame(1, 5, 1, block()), frame(1, 1, 3, block()[:20]), frame(9, 4, 3, block()[20:]), frame(1, 5, 5, block()),
        frame(1, 5, 7, own), frame(1, 5, 9, block()),
    ]
    seen, ended = b"", threading.Event()

    def take(sock: socket.socket) -> None:
        nonlocal seen
        sock.sendall(frame(4, 0, 0, b""))
        while part := sock.recv(65536):
            seen += part
        ended.set()

    listener = Listener(take)
    # What was not read when a socket is closed makes a reset of the end.
    send = (
        "import socket, sys\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "s.sendall(sys.stdin.buffer.read())\n"
        "s.shutdown(socket.SHUT_WR)\n"
        "while s.recv(65536): pass"
    )
    done = launcher.run(PYTHON, "-c", send, str(listener.port), stdin=preface + b"".join(sent))
    assert done.code == 0, done.err
    assert ended.wait(10)
    listener.close()
    got, plain = frames(seen.removeprefix(preface)), frames(b"".join(sent))
    assert [(kind, stream) for kind, stream, _ in got] == [(kind, stream) for kind, stream, _ in plain]
    changed = [(stream, len(new) - len(old)) for (_, stream, new), (_, _, old) in zip(got, plain) if new != old]
    assert changed == [(stream, len(b"\x10\x0btraceparent\x37") + 55) for stream in (1, 5, 9)]
