"""The story: an unmodified Flask app under the agent gives the right trace."""

from __future__ import annotations

from harness import apps, client
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_pairs,
    assert_root,
    assert_separate_traces,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.ports import free_port
from harness.processes import Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream


def test_one_hit_on_fetch(both_ways: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """debug=True: the reloader's child inherits the listener and serves."""
    app = apps.start(both_ways, "flask", upstream.url, service="shop")
    assert client.get(app.port, "/fetch?id=7").json["upstream"]["id"] == "7"
    served, called = assert_spans(
        assert_exactly(receiver, 2, app.port),
        server("/fetch", app.port, query="id=7"),
        call(f"{upstream.url}/echo?id=7"),
    )
    assert_root(served)
    assert_child(called, served)
    assert served.service == called.service == "shop"
    assert served.pid == called.pid != app.pid, "the reloader's child serves, not its parent"
    assert upstream.seen[0].value("traceparent") == traceparent_of(called)
    assert upstream.seen[0].values("tracestate") == upstream.seen[0].values("baggage") == []


def test_a_page_that_calls_nobody(launcher: Launcher, receiver: Receiver) -> None:
    app = apps.start(launcher, "flask")
    for _ in range(3):
        assert client.get(app.port, "/").status == 200
    spans = assert_spans(assert_exactly(receiver, 3, app.port), *[server("/", app.port)] * 3)
    assert_separate_traces(spans)


def test_the_called_server_continues_the_trace(launcher: Launcher, receiver: Receiver) -> None:
    back = apps.start(launcher, "flask", service="back")
    front = apps.start(launcher, "flask", back.url, service="front")
    assert client.get(front.port, "/fetch?id=7").status == 200
    spans = assert_exactly(receiver, 3, front.port)
    agent = next(span.attributes["user_agent.original"] for span in spans if span.service == "back")
    assert agent.startswith("python-requests/")
    root, called, continued = assert_spans(
        spans,
        server("/fetch", front.port, query="id=7"),
        call(f"{back.url}/echo?id=7"),
        server("/echo", back.port, query="id=7", user_agent=agent),
    )
    assert_root(root)
    assert_child(called, root)
    assert_child(continued, called)
    assert [root.service, called.service, continued.service] == ["front", "front", "back"]
    assert called.start <= continued.start and continued.end <= called.end + 50_000_000


def test_twenty_at_once(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    app = apps.start(launcher, "flask", upstream.url)
    ids = [str(number) for number in range(20)]
    replies = client.get_many(app.port, [f"/fetch?id={n}&delay={30 + int(n) * 5}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    pairs = assert_pairs(assert_exactly(receiver, 40, app.port), ids)
    for wanted, seen in upstream.by_id().items():
        assert seen.value("traceparent") == traceparent_of(pairs[wanted][1])


def test_upstream_that_is_not_there(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The refused connect is a CLIENT span under the request; the app answers 500 by its debugger page."""
    upstream.close()
    app = apps.start(launcher, "flask", upstream.url)
    assert client.get(app.port, "/fetch?id=7").status == 500
    spans = assert_exactly(receiver, 2, app.port)
    served = next(span for span in spans if span.kind == "SERVER")
    refused = next(span for span in spans if span.kind == "CLIENT")
    assert_spans([served], server("/fetch", app.port, query="id=7", status=500))
    assert_child(refused, served)
    assert refused.status == "ERROR"
    assert refused.attributes["error.type"] == "connection_refused"
    assert refused.attributes["server.port"] == upstream.port


def test_an_app_that_calls_itself(launcher: Launcher, receiver: Receiver) -> None:
    """Both ends in one process: the inner request hangs under the call, and nothing under itself."""
    port = free_port()
    apps.start(launcher, "flask", f"http://127.0.0.1:{port}", port=port)
    assert client.get(port, "/fetch?id=7").status == 200
    spans = assert_exactly(receiver, 3, port)
    outer = next(span for span in spans if span.url == "/fetch?id=7")
    called = next(span for span in spans if span.kind == "CLIENT")
    inner = next(span for span in spans if span.url == "/echo?id=7")
    assert_root(outer)
    assert_child(called, outer, remote=False)
    assert_child(inner, called, remote=True)
