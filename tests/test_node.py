"""Node over plain HTTP. Without a bridge into its event loop: the right parent or none, never a wrong one."""

from __future__ import annotations

import pytest

from harness import apps, client
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_no_wrong_parent,
    assert_root,
    assert_separate_traces,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.processes import Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream

APPS = ["node", "express"]


@pytest.mark.parametrize("app", APPS)
def test_one_after_the_other(launcher: Launcher, receiver: Receiver, upstream: Upstream, app: str) -> None:
    """While one request is active in the process, there is no doubt whose call it is."""
    program = apps.start(launcher, app, upstream.url)
    for number in range(5):
        assert client.get(program.port, f"/fetch?id={number}").json["upstream"]["id"] == str(number)
    spans = assert_exactly(receiver, 10, program.port)
    for number in range(5):
        served, called = assert_spans(
            [span for span in spans if f"id={number}" in span.url],
            server("/fetch", program.port, query=f"id={number}"),
            call(f"{upstream.url}/echo?id={number}"),
        )
        assert_root(served)
        assert_child(called, served)
        assert upstream.by_id()[str(number)].value("traceparent") == traceparent_of(called)


@pytest.mark.parametrize("app", APPS)
def test_twenty_at_once(launcher: Launcher, receiver: Receiver, upstream: Upstream, app: str) -> None:
    program = apps.start(launcher, app, upstream.url)
    ids = [str(number) for number in range(60)]
    replies = client.get_many(program.port, [f"/fetch?id={n}&delay={30 + int(n) % 7 * 20}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    spans = assert_exactly(receiver, 120, program.port)
    assert_separate_traces(span for span in spans if span.kind == "SERVER")
    assert_no_wrong_parent(spans)
    calls = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    assert len(calls) == 60
    for seen in upstream.seen:  # with or without a parent: the context that went out is that of its own span
        span = calls[seen.value("traceparent").split("-")[2]]
        assert f"id={seen.id}&" in span.url and seen.value("traceparent") == traceparent_of(span)


def test_two_nodes_are_one_trace(launcher: Launcher, receiver: Receiver) -> None:
    back = apps.start(launcher, "node", service="back")
    front = apps.start(launcher, "node", back.url, service="front")
    client.get(front.port, "/fetch?id=7")
    root, called, continued = assert_spans(
        assert_exactly(receiver, 3, front.port),
        server("/fetch", front.port, query="id=7"),
        call(f"{back.url}/echo?id=7"),
        server("/echo", back.port, query="id=7", user_agent=None),
    )
    assert_child(called, root)
    assert_child(continued, called)


def test_refused(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A non-blocking connect that fails later."""
    upstream.close()
    program = apps.start(launcher, "node", upstream.url)
    assert client.get(program.port, "/fetch?id=7").body == b"ECONNREFUSED\n"
    spans = assert_exactly(receiver, 2, program.port)
    refused = next(span for span in spans if span.kind == "CLIENT")
    assert refused.attributes["error.type"] == "connection_refused"
    assert refused.attributes["server.port"] == upstream.port


def test_keep_alive(launcher: Launcher, receiver: Receiver) -> None:
    """1,000 requests on one connection are 1,000 traces; sockets are closed by syscall() afterwards."""
    program = apps.start(launcher, "node")
    with client.Raw(program.port) as raw:
        for _ in range(1000):
            raw.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            raw.response()
    assert_separate_traces(assert_exactly(receiver, 1000, program.port))


def test_many_short_connections(launcher: Launcher, receiver: Receiver) -> None:
    """The same descriptor number again and again: no state survives."""
    program = apps.start(launcher, "node")
    for _ in range(300):
        client.get(program.port, "/")
    spans = assert_exactly(receiver, 300, program.port)
    assert_separate_traces(spans)
    assert_spans(spans[-5:], *[server("/", program.port)] * 5)
