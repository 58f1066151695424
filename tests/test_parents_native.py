"""Counts where no runtime tells: proxies, event loops of C, C++ and Rust programs, and threads that hand requests over.

Every program is asked by 20 clients at once (proxies also by 200), each request with an id that the upstream call carries on.
"""

from __future__ import annotations

import fcntl
import socket
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import client, tls
from harness.parents import AT_ONCE, Counts, count_parents
from harness.apps import Site
from harness.ports import free_port
from harness.processes import Launcher, Program, wait_until
from harness.receiver import Receiver
from harness.scenarios.native import (
    DELAYED,
    INBOUND,
    LIBEVENT_WAYS,
    LOOP_WAYS,
    LOOPS,
    PROXIES,
    PROXIES_MANY,
    PROXIES_TLS,
    TOKIO_THREADS,
    TOKIO_WAYS,
    compile_all,
    refusing,
    start_libevent,
    start_loop,
    start_pool,
    start_tokio,
)
from harness.spans import Span
from harness.tls import TlsUpstream
from harness.upstream import Upstream


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C programs, compiled."""
    return compile_all(tmp_path_factory.mktemp("native"))


def with_id(spans: list[Span]) -> list[Span]:
    return [span for span in spans if "id=" in span.url]


def ask(receiver: Receiver, program: Program, path: str, rounds: int = 3, at_once: int = AT_ONCE) -> Counts:
    """So many clients at once ask for `path` with an id each; counts the parents of the calls upstream."""
    ids = range(rounds * at_once)
    replies = client.get_many(program.port, [f"{path}?id={number}" for number in ids], at_once)
    assert all(reply.status == 200 for reply in replies)
    spans = receiver.wait_for(lambda spans: sum(is_own(span) for span in spans) >= 2 * len(ids))
    return count_parents(with_id(spans))


def is_own(span: Span) -> bool:
    return "id=" in span.url and "id=beat" not in span.url


# Event loops: nothing tells whose a call is, so none has a parent.


@pytest.mark.parametrize("path", LOOP_WAYS)
@pytest.mark.parametrize("how", LOOPS)
def test_a_loop_of_its_own(built: Path, launcher: Launcher, receiver: Receiver, upstream: Upstream, how: str, path: str) -> None:
    program = start_loop(launcher, built, upstream, how)
    parents = ask(receiver, program, path, rounds=1)
    assert parents.wrong == 0 and parents.none >= AT_ONCE, parents


@pytest.mark.parametrize("path", ["/after", "/timer"])
def test_a_loop_with_one_client(built: Path, launcher: Launcher, receiver: Receiver, upstream: Upstream, path: str) -> None:
    """Only one request is open at a time, and yet a call may be another's: an answered one's, or nobody's."""
    program = start_loop(launcher, built, upstream, "epoll")
    parents = ask(receiver, program, path, rounds=20, at_once=1)
    assert parents.wrong == 0 and parents.none >= 20, parents


@pytest.mark.parametrize("path", LIBEVENT_WAYS)
def test_libevent(built: Path, launcher: Launcher, receiver: Receiver, upstream: Upstream, path: str) -> None:
    program = start_libevent(launcher, built, upstream)
    assert ask(receiver, program, path) == Counts(right=0, wrong=0, none=60)


@pytest.mark.parametrize("path", TOKIO_WAYS)
@pytest.mark.parametrize("threads", TOKIO_THREADS.values(), ids=TOKIO_THREADS)
def test_tokio(launcher: Launcher, receiver: Receiver, upstream: Upstream, threads: str, path: str) -> None:
    program = start_tokio(launcher, upstream, threads)
    replies = client.get_many(program.port, [f"/call?id={number}&how={path}" for number in range(AT_ONCE)])
    assert all(reply.status == 200 for reply in replies)
    spans = receiver.wait_for(lambda spans: sum(is_own(span) for span in spans) >= 2 * AT_ONCE)
    parents = count_parents(with_id(spans))
    assert (parents.right, parents.wrong) == (0, 0) and parents.none >= AT_ONCE, parents


# Threads that wait in one set and serve what they have read: as in any pool, once a thread has shown that it is no loop.


def test_threads_around_one_set(built: Path, launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start_pool(launcher, built, upstream, "own")
    parents = ask(receiver, program, "/call", rounds=4)
    assert parents.wrong == 0 and 0 < parents.none <= 8 and parents.right == 80 - parents.none, parents


def test_threads_that_do_not_read(built: Path, launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Nothing tells across a queue: no parent."""
    program = start_pool(launcher, built, upstream, "split")
    assert ask(receiver, program, "/call") == Counts(right=0, wrong=0, none=60)


# Proxies: what is sent carries the context of what came in.


def ask_kept(receiver: Receiver, port: int, path: str, *, rounds: int, at_once: int = AT_ONCE, secure: bool = False,
             traceparent: str = "") -> Counts:
    """As `ask`, on connections that are kept; the header's `{n}` is the number of the request."""

    def one(number: int) -> None:
        with tls.Connection(port) if secure else client.Raw(port) as connection:
            for turn in range(rounds):
                own = turn * at_once + number
                headers = {"traceparent": traceparent.format(n=own + 1)} if traceparent else {}
                target = f"{path}?id={own}&delay={30 + own % 7 * 20}"
                if secure:
                    assert connection.exchange(target, headers).status == 200
                else:
                    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                    assert b" 200 " in connection.exchange(target, lines)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(at_once)))
    return count_parents(receiver.wait_for(lambda spans: len(with_id(spans)) >= 2 * rounds * at_once))


@pytest.mark.parametrize("inbound", INBOUND.values(), ids=INBOUND)
@pytest.mark.parametrize("which", PROXIES)
def test_proxy(site: Site, receiver: Receiver, upstream: Upstream, which: str, inbound: str) -> None:
    """Without a context, with one of their own, and all with the same one."""
    program = PROXIES[which](site, upstream.port)
    prefix = "/app" if which.startswith("apache") else ""
    found = ask_kept(receiver, program.port, f"{prefix}/echo", rounds=2, traceparent=inbound)
    assert found == Counts(right=40, wrong=0, none=0)


@pytest.mark.parametrize("which", PROXIES_MANY)
def test_two_hundred_at_once(site: Site, receiver: Receiver, upstream: Upstream, which: str) -> None:
    program = PROXIES[which](site, upstream.port)
    assert ask_kept(receiver, program.port, "/echo", rounds=2, at_once=200) == Counts(right=400, wrong=0, none=0)


@pytest.mark.parametrize("inbound", [INBOUND["none"], INBOUND["each"]], ids=["none", "each"])
@pytest.mark.parametrize("which", PROXIES_TLS)
def test_tls_on_both_sides(site: Site, receiver: Receiver, tls_upstream: TlsUpstream, which: str, inbound: str) -> None:
    program = PROXIES[which](site, tls_upstream.port, tls=True, upstream_tls=True)
    prefix = "/app" if which.startswith("apache") else ""
    found = ask_kept(receiver, program.port, f"{prefix}/echo", rounds=2, secure=True, traceparent=inbound)
    assert found == Counts(right=40, wrong=0, none=0)


@pytest.mark.parametrize("size", [0, 1500, 6000], ids=["small", "large", "very-large"])
@pytest.mark.parametrize("how", ["delayed", "next-server"])
def test_nginx_sends_in_a_later_turn(site: Site, receiver: Receiver, upstream: Upstream, how: str, size: int) -> None:
    """From a timer, or because another server refused: the order of what it reads tells nothing then. A head of more than
    1 kB takes it more than one read."""
    options = DELAYED if how == "delayed" else refusing(free_port())
    program = site.start_nginx(upstream.port, keepalive=16, **options)
    lines = f"Cookie: {'c' * size}\r\n"

    def one(number: int) -> None:
        with client.Raw(program.port) as connection:
            for turn in range(4):
                assert b" 200 " in connection.exchange(f"/echo?id={turn * AT_ONCE + number}&delay=5", lines)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
    parents = count_parents(receiver.wait_for(lambda spans: len(with_id(spans)) >= 160))
    assert parents == Counts(right=80, wrong=0, none=0)


@pytest.mark.parametrize("env", [{"OTEL_INSTRUMENTATION_HAPROXY_ENABLED": "false"}, {"OTEL_PROPAGATORS": "none"}], ids=["off", "propagators"])
def test_haproxy_with_nothing_to_pass_on(site: Site, receiver: Receiver, upstream: Upstream, env: dict[str, str]) -> None:
    """Two threads, each a loop: none rather than wrong."""
    program = site.start_haproxy(upstream.port, env=env)
    assert ask_kept(receiver, program.port, "/echo", rounds=2) == Counts(right=0, wrong=0, none=40)


def test_haproxy_checks_are_nobodys(site: Site, receiver: Receiver, upstream: Upstream) -> None:
    program = site.start_haproxy(upstream.port, server="check inter 20", backend="option httpchk GET /echo?id=beat")
    assert ask_kept(receiver, program.port, "/echo", rounds=2).wrong == 0
    receiver.wait_for(lambda spans: any("id=beat" in span.url for span in spans))
    assert count_parents(receiver.spans).wrong == 0


# What the proxies get more than the client sent is one header line, and nothing else is different.


def variants() -> dict[str, list[bytes]]:
    """Requests in the pieces in which they are sent."""
    head = b"GET /echo?id=v HTTP/1.1\r\nHost: h\r\n"
    post = b"POST /echo?id=v HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n"
    body = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n" + b"b" * 32  # a body that looks like a request
    return {
        "whole": [head + b"\r\n"],
        "split": [head[:20], head[20:] + b"\r\n"],
        "split at the end": [head + b"\r", b"\n"],
        "body with it": [post + body],
        "body later": [post, body],
        "body in two": [post + body[:10], body[10:]],
        "chunked": [head.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n"],
        "two": [head + b"\r\n" + head + b"\r\n"],
        "sixty lines": [head + b"".join(b"X-%d: y\r\n" % n for n in range(60)) + b"\r\n"],
        "all lines that haproxy takes": [head + b"".join(b"X-%d: y\r\n" % n for n in range(98)) + b"\r\n"],
        "1 kB": [head + b"X: " + b"x" * 930 + b"\r\n\r\n"],
        "7 kB": [head + b"X: " + b"x" * 7000 + b"\r\n\r\n"],
        "8 kB": [head + b"X: " + b"x" * 8050 + b"\r\n\r\n"],
        "15 kB": [head + b"X: " + b"x" * 15200 + b"\r\n\r\n"],
        "too large": [head + b"X: " + b"x" * 40000 + b"\r\n\r\n"],
        "bare line feeds": [head.replace(b"\r\n", b"\n") + b"\n"],
        "context": [head + b"traceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\r\n\r\n"],
        "context that is none": [head + b"traceparent: 7\r\n\r\n"],
        "two contexts": [head + (b"traceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\r\n") * 2 + b"\r\n"],
        "signed": [head + b"Signature-Input: a=()\r\nSignature: a=:YQ==:\r\n\r\n"],
        "upgrade": [head + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n"],
        "no request": [b"\x00\x01\x02\r\n\r\n"],
    }


def through(port: int, pieces: list[bytes], answers: int) -> list[bytes]:
    """The status lines of what comes back."""
    with client.Raw(port) as connection:
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, piece in enumerate(pieces):
            if number:
                wait_until(lambda: unread(connection) == 0, 5)
            connection.send(piece)
        found = []
        try:
            for _ in range(answers):
                found.append(connection.response(head_only=answers == 1).split(b"\r\n")[0])
        except (EOFError, ConnectionError):
            found.append(b"closed")
        return found


def unread(connection: client.Raw) -> int:
    """Bytes that the other side's kernel has not acknowledged yet."""
    return int.from_bytes(fcntl.ioctl(connection.sock, termios.TIOCOUTQ, bytes(4)), "little")


@pytest.mark.parametrize("which", ["haproxy", "nginx"])
def test_nothing_else_is_different(site: Site, launcher: Launcher, receiver: Receiver, which: str) -> None:
    """The same requests by the same proxy with the agent, switched off, and without it."""
    results = {}
    for how, env in (("none", {}), ("otel-run", {}), ("otel-run", {"OTEL_INSTRUMENTATION_PROXY_ENABLED": "false"})):
        upstream = Upstream()
        launcher.how = how
        program = PROXIES[which](site, upstream.port, env=env)
        seen = {}
        for name, pieces in variants().items():
            before = len(upstream.seen)
            status = through(program.port, pieces, 2 if name == "two" else 1)
            wanted = [bytes_without_port(one.without_context(), upstream.port, program.port) for one in upstream.seen[before:]]
            seen[name] = (status, wanted)
        results[how, *env] = seen
        program.stop()
        upstream.close()
    bare, *others = results.values()
    assert sum(len(requests) for _, requests in bare.values()) >= 18
    for name, (status, requests) in bare.items():
        for other in others:
            if name.startswith(("context", "two contexts")):
                assert other[name][0] == status and len(other[name][1]) == len(requests), name
            else:
                assert other[name] == (status, requests), name


def bytes_without_port(data: bytes, *ports: int) -> bytes:
    for port in ports:
        data = data.replace(b":%d" % port, b":PORT")
    return data
