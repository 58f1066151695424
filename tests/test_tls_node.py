"""HTTPS in Node, whose OpenSSL is part of the executable: the spans of plain HTTP, with `https` for a scheme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import tls
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_no_wrong_parent,
    assert_root,
    assert_separate_traces,
    assert_span,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.blobs import assert_blob_spans, exchange_blobs
from harness.ports import free_port
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.tls import TlsUpstream, certificates

PROGRAMS = Path(__file__).parent / "programs"
WAYS = [("node", "https"), ("node", "fetch"), ("express", "https"), ("express", "fetch")]


def start(launcher: Launcher, framework: str = "node", upstream: str = "", program: str = "tls_server.js",
          **options: Any) -> Program:
    env = {**certificates().env, "FRAMEWORK": framework, "UPSTREAM": upstream}
    return launcher.start("node", PROGRAMS / program, port=free_port(), env=env, **options)


@pytest.mark.parametrize("framework, how", WAYS)
def test_one_after_the_other(
    launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, framework: str, how: str
) -> None:
    """While one request is active in the process, there is no doubt whose call it is."""
    program = start(launcher, framework, tls_upstream.url)
    for number in range(5):
        answer = tls.get(program.port, f"/fetch?with={how}&id={number}").json
        assert answer["upstream"]["id"] == str(number)
    spans = assert_exactly(receiver, 10, tls.control(program.port))
    for number in range(5):
        served, called = assert_spans(
            [span for span in spans if f"id={number}" in span.url],
            server("/fetch", program.port, query=f"with={how}&id={number}", scheme="https", host=tls.HOST),
            call(f"{tls_upstream.url}/echo?with={how}&id={number}"),
        )
        assert_root(served)
        assert_child(called, served)
        assert tls_upstream.by_id()[str(number)].value("traceparent") == traceparent_of(called)
    assert tls_upstream.connections == 1, "the agent keeps its connection"


@pytest.mark.parametrize("framework, how", WAYS)
def test_twenty_at_once(
    launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, framework: str, how: str
) -> None:
    program = start(launcher, framework, tls_upstream.url)
    ids = [str(number) for number in range(60)]
    replies = tls.get_many(program.port, [f"/fetch?with={how}&id={n}&delay={30 + int(n) % 7 * 20}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    spans = assert_exactly(receiver, 120, tls.control(program.port))
    assert_separate_traces(span for span in spans if span.kind == "SERVER")
    assert_no_wrong_parent(spans)
    calls = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    for seen in tls_upstream.by_id().values():  # with or without a parent: the context is that of its own span
        span = calls.pop(seen.value("traceparent").split("-")[2])
        assert f"id={seen.id}&" in span.url and seen.value("traceparent") == traceparent_of(span)
    assert not calls


@pytest.mark.parametrize("how", ["https", "fetch"])
def test_many_peers(launcher: Launcher, receiver: Receiver, how: str) -> None:
    """Memory BIOs: no call names a socket. Forty connections in, forty out to four upstreams, each span has its own peer."""
    upstreams = [TlsUpstream() for _ in range(4)]
    program = start(launcher, upstream=",".join(upstream.url for upstream in upstreams))
    queries = [f"id={n}&with={how}&delay={n % 7 * 10}" for n in range(120)]
    replies = tls.get_many(program.port, [f"/fetch?{query}" for query in queries], at_once=40)
    spans = assert_exactly(receiver, 240, tls.control(program.port))
    by_url = {span.url: span for span in spans}
    for number, (query, reply) in enumerate(zip(queries, replies, strict=True)):
        assert_span(by_url[f"/fetch?{query}"], server("/fetch", program.port, query=query, scheme="https", host=tls.HOST,
                                                      network__peer__port=reply.local_port))
        url = f"{upstreams[number % 4].url}/echo?{query}"
        assert_span(by_url[url], call(url))
    for upstream in upstreams:
        upstream.close()


@pytest.mark.parametrize("how", ["https", "fetch"])
def test_two_nodes_are_one_trace(launcher: Launcher, receiver: Receiver, how: str) -> None:
    back = start(launcher, service="back")
    front = start(launcher, "express", f"https://{tls.HOST}:{back.port}", service="front")
    received = tls.get(front.port, f"/fetch?with={how}&id=7").json["upstream"]["headers"]
    query = f"with={how}&id=7"
    root, called, continued = assert_spans(
        assert_exactly(receiver, 3, tls.control(front.port)),
        server("/fetch", front.port, query=query, scheme="https", host=tls.HOST),
        call(f"https://{tls.HOST}:{back.port}/echo?{query}"),
        server("/echo", back.port, query=query, scheme="https", host=tls.HOST, user_agent=received.get("user-agent")),
    )
    assert_root(root)
    assert_child(called, root)
    assert_child(continued, called)
    assert received["traceparent"] == traceparent_of(called)


def test_what_the_upstream_gets(launcher: Launcher, tls_upstream: TlsUpstream) -> None:
    """With and without the agent the same bytes but for the context."""
    for how in ("", NONE):
        program = start(launcher, upstream=tls_upstream.url, how=how)
        for way in ("https", "fetch"):
            tls.get(program.port, f"/fetch?with={way}&id=7")
    traced, bare = tls_upstream.seen[:2], tls_upstream.seen[2:]
    assert [seen.without_context() for seen in traced] == [seen.head for seen in bare]
    assert all(seen.value("traceparent") for seen in traced)


def test_keep_alive(launcher: Launcher, receiver: Receiver) -> None:
    program = start(launcher)
    with tls.Connection(program.port) as connection:
        for number in range(300):
            connection.exchange(f"/echo?id={number}")
    spans = assert_exactly(receiver, 300, tls.control(program.port))
    assert_separate_traces(spans)
    assert {span.url for span in spans} == {f"/echo?id={number}" for number in range(300)}
    assert {span.attributes["network.peer.port"] for span in spans} == {connection.local_port}


def test_many_short_connections(launcher: Launcher, receiver: Receiver) -> None:
    """Descriptor numbers and TLS objects are used again and again: no state survives."""
    program = start(launcher)
    peers = {}
    for number in range(150):
        peers[f"/echo?id={number}"] = tls.get(program.port, f"/echo?id={number}").local_port
    spans = assert_exactly(receiver, 150, tls.control(program.port))
    assert_separate_traces(spans)
    assert {span.url: span.attributes["network.peer.port"] for span in spans} == peers


def test_two_hundred_connections(launcher: Launcher, receiver: Receiver) -> None:
    """No request is lost, no peer is another's, no byte is changed."""
    program = start(launcher)
    sources = exchange_blobs(program.port, connections=200, each=4)
    spans = assert_exactly(receiver, len(sources), tls.control(program.port))
    assert_blob_spans(spans, program.port, sources)


def test_worker_threads(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """Five threads in one executable's OpenSSL at the same time."""
    turns = 20
    done = launcher.run("node", PROGRAMS / "tls_workers.js", str(turns),
                        env={**certificates().env, "UPSTREAM": tls_upstream.url})
    assert (done.code, done.out, done.err) == (0, b"done\n", b"")
    ids = [f"{way}{thread}-{turn}" for way in "hf" for thread in range(5) for turn in range(turns)]
    received = tls_upstream.by_id()
    assert received.keys() == set(ids)
    spans = assert_spans(receiver.wait_for(len(ids)), *[call(f"{tls_upstream.url}/echo?id={name}") for name in ids])
    assert_separate_traces(spans)
    for span, name in zip(spans, ids, strict=True):
        assert_root(span)
        assert received[name].value("traceparent") == traceparent_of(span)
    assert len(receiver.spans) == len(ids)


@pytest.mark.timeout(600)
def test_cluster(launcher: Launcher, receiver: Receiver) -> None:
    """Four workers that get their connections from the primary, started and stopped again and again."""
    count = 0
    for _ in rounds(3, all=50):
        program = start(launcher, program="tls_cluster.js")
        program.wait_output(b"ready")
        before, count = count, count + 8
        replies = tls.get_many(program.port, [f"/echo?id={n}" for n in range(before, count)], at_once=8)
        assert [reply.status for reply in replies] == [200] * 8
        assert (program.stop(), program.out, program.err) == (0, b"ready\n", b"")
        spans = receiver.wait_for(count)[before:]
        assert_spans(spans, *[server("/echo", program.port, query=f"id={n}", scheme="https", host=tls.HOST)
                              for n in range(before, count)])
        assert len({span.pid for span in spans} - {program.pid}) == 4, "every worker served, the primary did not"
    assert len(receiver.spans) == count
