"""HTTPS in Python: every usual server and client gives the spans of plain HTTP, with `https` for a scheme."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import tls
from harness.apps import GUNICORN
from harness.assertions import (
    Expect,
    assert_child,
    assert_exactly,
    assert_no_wrong_parent,
    assert_pairs,
    assert_root,
    assert_separate_traces,
    assert_span,
    assert_spans,
    call,
    matching,
    server,
    traceparent_of,
)
from harness.blobs import assert_blob_spans, exchange_blobs
from harness.ports import free_port
from harness.databases.postgresql import Postgres
from harness.processes import APPS, NONE, OTEL_RUN, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.tls import ConnectProxy, TlsUpstream, certificates
from harness.upstream import Seen, Upstream
from harness.upstream import reply as answer_with

PROGRAMS = Path(__file__).parent / "programs"
sys.path.insert(0, str(PROGRAMS))

from tls_clients import LIBRARIES, blob  # noqa: E402

CERT, KEY = certificates().cert, certificates().key
WSGI = [GUNICORN, "app:app", "--chdir", APPS / "python", "-b", "127.0.0.1:{port}", "--certfile", CERT, "--keyfile", KEY]
ASGI = [PYTHON, "-m", "uvicorn", "tls_asgi:app", "--app-dir", PROGRAMS, "--host", "127.0.0.1", "--port", "{port}",
        "--ssl-certfile", CERT, "--ssl-keyfile", KEY, "--log-level", "warning"]
SERVERS: dict[str, list[str | Path]] = {
    "http.server": [PYTHON, PROGRAMS / "tls_server.py"],
    "flask": [PYTHON, "-m", "flask", "--app", APPS / "python/app.py", "run", "--port", "{port}", "--cert", CERT, "--key", KEY],
    "gunicorn-sync": [*WSGI, "-w", "4"],
    "gunicorn-gthread": [*WSGI, "-w", "2", "-k", "gthread", "--threads", "10"],
    "gunicorn-gevent": [*WSGI, "-w", "1", "-k", "gevent"],
    "uvicorn-asyncio": [*ASGI, "--loop", "asyncio"],
    "uvicorn-uvloop": [*ASGI, "--loop", "uvloop"],
    "aiohttp": [PYTHON, PROGRAMS / "tls_aiohttp.py"],
    "asyncio": [PYTHON, PROGRAMS / "tls_asyncio.py"],
}
THREADED = ["http.server", "flask", "gunicorn-sync", "gunicorn-gthread"]


def start(launcher: Launcher, name: str, upstream: str = "", **options: Any) -> Program:
    port = free_port()
    env = {**certificates().env, "UPSTREAM": upstream, **options.pop("env", {})}
    return launcher.start(*(str(word).format(port=port) for word in SERVERS[name]), port=port, env=env, **options)


def served(path: str, port: int, **extra: Any) -> Expect:
    return server(path, port, **{"scheme": "https", "host": tls.HOST, **extra})


def check_pairs(spans: list, upstream: Upstream, ids: list[str]) -> None:
    """Every call under its own request, and the upstream got the context of exactly that call."""
    pairs = assert_pairs(spans, ids)
    for wanted, seen in upstream.by_id().items():
        assert seen.value("traceparent") == traceparent_of(pairs[wanted][1])
    for outer, _ in pairs.values():
        assert_root(outer)


@pytest.mark.parametrize("name", SERVERS)
def test_one_after_the_other(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, name: str) -> None:
    """While one request is active in the process, there is no doubt whose call it is."""
    program = start(launcher, name, tls_upstream.url)
    for number in range(4):
        answer = tls.get(program.port, f"/fetch?id={number}").json
        assert answer["upstream"]["id"] == str(number)
    spans = assert_exactly(receiver, 8, tls.control(program.port))
    for number in range(4):
        outer, called = assert_spans(
            [span for span in spans if f"id={number}" in span.url],
            served("/fetch", program.port, query=f"id={number}"),
            call(f"{tls_upstream.url}/echo?id={number}"),
        )
        assert_root(outer)
        assert_child(called, outer)
        assert tls_upstream.by_id()[str(number)].value("traceparent") == traceparent_of(called)


@pytest.mark.parametrize("name", SERVERS)
def test_twenty_at_once(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, name: str) -> None:
    program = start(launcher, name, tls_upstream.url)
    ids = [str(number) for number in range(20)]
    replies = tls.get_many(program.port, [f"/fetch?id={n}&delay={30 + int(n) % 7 * 20}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    spans = assert_exactly(receiver, 40, tls.control(program.port))
    if name in THREADED:
        check_pairs(spans, tls_upstream, ids)
        return
    assert_separate_traces(span for span in spans if span.kind == "SERVER")
    assert_no_wrong_parent(spans)
    calls = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    for seen in tls_upstream.by_id().values():  # with or without a parent: the context is that of its own span
        span = calls.pop(seen.value("traceparent").split("-")[2])
        assert f"id={seen.id}&" in span.url and seen.value("traceparent") == traceparent_of(span)
    assert not calls


@pytest.mark.parametrize("name", ["uvicorn-asyncio", "uvicorn-uvloop"])
def test_many_peers(launcher: Launcher, receiver: Receiver, name: str) -> None:
    """Memory BIOs: no call names a socket. Forty connections in, forty out to four upstreams, each span has its own peer."""
    upstreams = [TlsUpstream() for _ in range(4)]
    program = start(launcher, name, ",".join(upstream.url for upstream in upstreams))
    queries = [f"id={n}&delay={n % 7 * 10}" for n in range(120)]
    replies = tls.get_many(program.port, [f"/fetch?{query}" for query in queries], at_once=40)
    spans = assert_exactly(receiver, 240, tls.control(program.port))
    by_url = {span.url: span for span in spans}
    for number, (query, reply) in enumerate(zip(queries, replies, strict=True)):
        assert_span(by_url[f"/fetch?{query}"],
                    served("/fetch", program.port, query=query, network__peer__port=reply.local_port))
        url = f"{upstreams[number % 4].url}/echo?{query}"
        assert_span(by_url[url], call(url))
    for upstream in upstreams:
        upstream.close()


@pytest.mark.parametrize("name", ["http.server", "uvicorn-uvloop"])
def test_keep_alive(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, name: str) -> None:
    """Requests of one connection are a trace each, with the peer of that connection."""
    program = start(launcher, name, tls_upstream.url)
    with tls.Connection(program.port) as connection:
        for number in range(50):
            connection.exchange(f"/echo?id={number}")
    spans = assert_exactly(receiver, 50, tls.control(program.port))
    assert_separate_traces(spans)
    peer = connection.local_port
    assert_spans(spans, *[served("/echo", program.port, query=f"id={n}", network__peer__port=peer) for n in range(50)])


def test_two_hundred_connections(launcher: Launcher, receiver: Receiver) -> None:
    """No request is lost, no peer is another's, no byte is changed."""
    program = start(launcher, "http.server")
    sources = exchange_blobs(program.port, connections=200, each=4)
    spans = assert_exactly(receiver, len(sources), tls.control(program.port))
    assert_blob_spans(spans, program.port, sources)


@pytest.mark.parametrize("library", LIBRARIES)
def test_client(both_ways: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, library: str) -> None:
    """A program that only calls: its spans are roots, and what the upstream got is otherwise what it gets without agent."""
    urls = [f"{tls_upstream.url}/echo?id={n}" for n in range(3)]
    command = [PYTHON, PROGRAMS / "tls_clients.py", library, *urls]
    assert both_ways.run(*command, env=certificates().env).code == 0
    spans = assert_spans(receiver.wait_for(3), *[call(url) for url in urls])
    assert_separate_traces(spans)
    traced = list(tls_upstream.seen)
    for span, seen in zip(spans, traced, strict=True):
        assert_root(span)
        assert seen.value("traceparent") == traceparent_of(span)
    assert both_ways.run(*command, env=certificates().env, how=NONE).code == 0
    bare = tls_upstream.seen[3:]
    assert [seen.without_context() for seen in traced] == [seen.head for seen in bare]
    assert [seen.connection - traced[0].connection for seen in traced] == [
        seen.connection - bare[0].connection for seen in bare]
    assert len(receiver.spans) == 3


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_trace_across_two_processes(launcher: Launcher, receiver: Receiver, library: str) -> None:
    back = start(launcher, "http.server", service="back")
    front = start(launcher, "http.server", f"https://{tls.HOST}:{back.port}", service="front", env={"LIBRARY": library})
    received = tls.get(front.port, "/fetch?id=7").json["upstream"]["headers"]
    agent = received.get("user-agent") or None
    root, called, continued = assert_spans(
        assert_exactly(receiver, 3, tls.control(front.port)),
        served("/fetch", front.port, query="id=7"),
        call(f"https://{tls.HOST}:{back.port}/echo?id=7"),
        served("/echo", back.port, query="id=7", user_agent=agent),
    )
    assert_root(root)
    assert_child(called, root)
    assert_child(continued, called)
    assert received["traceparent"] == traceparent_of(called)
    assert [root.service, called.service, continued.service] == ["front", "front", "back"]


def mirror(sock: Any, seen: Seen) -> bool:
    """Answers with the body backwards, and its own head."""
    sock.sendall(answer_with(200, seen.body[::-1]))
    return True


@pytest.mark.parametrize("library", ["requests", "httpx-async", "aiohttp"])
def test_bodies(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, library: str) -> None:
    """Both ways, by a socket BIO and by memory BIOs, around the sizes of a record and of a read."""
    tls_upstream.handler = mirror
    sizes = [1, 2, 1023, 16_383, 16_384, 16_385, 65_537, 262_145, 1_048_576, 8_388_608]
    urls = [f"{tls_upstream.url}/blob?size={size}" for size in sizes]
    done = launcher.run(PYTHON, PROGRAMS / "tls_clients.py", library, *urls, env=certificates().env)
    assert done.code == 0, done.err
    assert done.out.decode().split() == [hashlib.sha256(blob(size)[::-1]).hexdigest() for size in sizes]
    assert [seen.body for seen in tls_upstream.seen] == [blob(size) for size in sizes]
    spans = assert_spans(receiver.wait_for(len(urls)), *[call(url, method="POST") for url in urls])
    for span, seen in zip(spans, tls_upstream.seen, strict=True):
        assert seen.value("traceparent") == traceparent_of(span)
    assert len(receiver.spans) == len(urls)


def test_two_copies_of_libssl(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """psycopg2-binary brings a libssl of its own. Its connection works and is not taken for HTTP; that of requests is seen."""
    database = Postgres()
    try:
        for first in ("psycopg2", "requests"):
            before, seen_before = len(receiver.spans), len(tls_upstream.seen)
            urls = [f"{tls_upstream.url}/echo?id={first}{number}" for number in range(4)]
            done = launcher.run(PYTHON, PROGRAMS / "tls_database.py", first, *urls,
                                env={**certificates().env, "DATABASE": database.address,
                                     "OTEL_INSTRUMENTATION_POSTGRESQL_ENABLED": "false"})
            assert done.code == 0, done.err
            assert done.out.decode().split() == [*(f"{first}{n}" for n in range(4)), "copies", "2"]
            spans = assert_spans(receiver.wait_for(before + 4)[before:], *[call(url) for url in urls])
            for span, seen in zip(spans, tls_upstream.seen[seen_before:], strict=True):
                assert_root(span)
                assert seen.value("traceparent") == traceparent_of(span)
    finally:
        database.close()
    assert len(receiver.spans) == 8


def test_through_a_proxy(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """CONNECT in the clear, then TLS on the same socket: a span for each, and the peer of both is the proxy."""
    proxy = ConnectProxy()
    urls = [f"{tls_upstream.url}/echo?id={n}" for n in range(3)]
    command = [PYTHON, PROGRAMS / "tls_clients.py", "requests", *urls]
    env = {**certificates().env, "HTTPS_PROXY": proxy.url}
    try:
        done = launcher.run(*command, env=env)
        assert done.code == 0, done.err
        assert launcher.run(*command, env=env, how=NONE).code == 0
    finally:
        proxy.close()
    connect, *calls = assert_spans(
        receiver.wait_for(4),
        call(f"http://{tls.HOST}:{tls_upstream.port}", method="CONNECT", peer_port=proxy.port,
             version=matching("1.[01]"), url__full=f"{tls.HOST}:{tls_upstream.port}"),
        *[call(url, peer_port=proxy.port) for url in urls],
    )
    assert_separate_traces([connect, *calls])
    for span, seen in zip(calls, tls_upstream.seen, strict=False):
        assert seen.value("traceparent") == traceparent_of(span)
    traced, bare = proxy.heads
    assert traced.startswith(bare.split(b"\r\n")[0]) and traced.count(b"traceparent: ") == 1
    assert [seen.without_context() for seen in tls_upstream.seen[:3]] == [seen.head for seen in tls_upstream.seen[3:]]
    assert len(receiver.spans) == 4


@pytest.mark.timeout(600)
def test_ssl_imported_while_threads_run(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream
) -> None:
    """libssl is loaded, and patched, while three other threads are in the hooks."""
    expected = 0
    for _ in rounds(5, all=30):
        upstream.seen.clear()
        tls_upstream.seen.clear()
        done = launcher.run(PYTHON, PROGRAMS / "tls_late.py", env={
            **certificates().env, "PLAIN": str(upstream.port), "SECURE": str(tls_upstream.port)})
        assert (done.code, done.err) == (0, b"")
        ids = {f"p{thread}-{n}" for thread, count in enumerate(map(int, done.out.split()), 1) for n in range(count)}
        ids |= {f"s{thread}-{n}" for thread in range(4) for n in range(5)}
        spans = receiver.wait_for(expected + len(ids))[expected:]
        expected += len(ids)
        received = {**upstream.by_id(), **tls_upstream.by_id()}
        assert received.keys() == ids
        by_id = {span.url.rpartition("=")[2]: span for span in spans}
        assert by_id.keys() == ids and len(spans) == len(ids)
        for name, span in by_id.items():
            site = tls_upstream.url if name.startswith("s") else f"http://{tls.HOST}:{upstream.port}"
            assert_span(span, call(f"{site}/echo?id={name}"))
            assert received[name].value("traceparent") == traceparent_of(span)
    assert len(receiver.spans) == expected


@pytest.mark.parametrize("policy", ["mdwe", "seccomp"])
def test_no_memory_becomes_executable(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream, policy: str
) -> None:
    """No patch is possible: HTTPS works and is not seen, plain HTTP is seen, and the log says it once."""
    urls = [f"{upstream.url}/echo?id=1", f"{tls_upstream.url}/echo?id=2", f"{tls_upstream.url}/x?size=100000",
            f"{upstream.url}/echo?id=3"]
    done = launcher.run(
        PYTHON, PROGRAMS / "hardened.py", policy, OTEL_RUN, "--", PYTHON, PROGRAMS / "tls_clients.py", "requests", *urls,
        how=NONE, env={**certificates().env, **launcher.otel_env, "OTEL_LOG_LEVEL": "info"},
    )
    assert done.code == 0, done.err
    assert len(done.out.split()) == 4
    spans = assert_spans(receiver.wait_for(2), call(urls[0]), call(urls[3]))
    for span, seen in zip(spans, upstream.seen, strict=True):
        assert seen.value("traceparent") == traceparent_of(span)
    assert [seen.values("traceparent") for seen in tls_upstream.seen] == [[], []]
    assert tls_upstream.seen[1].body == blob(100_000)
    assert len([line for line in done.err.splitlines() if b"executable" in line]) == 1, done.err
    assert len(receiver.spans) == 2
