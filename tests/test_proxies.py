"""nginx and Apache: static files, and as a reverse proxy that continues the trace."""

from __future__ import annotations

import pytest

from harness import apps, client
from harness.apps import Site
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_pairs,
    assert_root,
    assert_separate_traces,
    assert_spans,
    server,
    traceparent_of,
)
from harness.processes import Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream

SERVERS = ["nginx", "apache-event", "apache-prefork"]


def start(site: Site, which: str, upstream_port: int = 9, **options):
    """The server, and the path prefix under which it proxies."""
    name, _, mpm = which.partition("-")
    if name == "nginx":
        return site.start_nginx(upstream_port, **options), ""
    return site.start_apache(mpm, upstream_port, **options), "/app"


@pytest.mark.parametrize("which", SERVERS)
def test_static_file(site: Site, receiver: Receiver, which: str) -> None:
    """The body leaves by sendfile: more than a socket buffer holds, so that it takes several calls."""
    site.add_file("large.html", b"L" * 3_000_000)
    program, _ = start(site, which)
    assert client.get(program.port, "/static/large.html").body == b"L" * 3_000_000
    assert client.get(program.port, "/static/none.html").status == 404
    assert client.get(program.port, "/static/large.html", method="HEAD").body == b""
    assert_spans(
        assert_exactly(receiver, 3, program.port),
        server("/static/large.html", program.port),
        server("/static/none.html", program.port, status=404),
        server("/static/large.html", program.port, method="HEAD"),
    )


@pytest.mark.parametrize("which", SERVERS)
def test_reverse_proxy_to_flask_is_one_trace(site: Site, launcher: Launcher, receiver: Receiver, which: str) -> None:
    flask = apps.start(launcher, "flask", service="flask")
    proxy, prefix = start(site, which, flask.port, service="proxy")
    assert client.get(proxy.port, f"{prefix}/echo?id=7").json["id"] == "7"
    spans = assert_exactly(receiver, 3, flask.port)
    by = {(span.service, span.kind): span for span in spans}
    front, called, back = by["proxy", "SERVER"], by["proxy", "CLIENT"], by["flask", "SERVER"]
    assert_root(front)
    assert_child(called, front)
    assert_child(back, called)
    assert_spans([front], server(f"{prefix}/echo", proxy.port, query="id=7"))
    assert back.attributes["url.path"] == "/echo" and called.attributes["network.peer.port"] == flask.port
    assert called.attributes["http.response.status_code"] == back.attributes["http.response.status_code"] == 200


@pytest.mark.parametrize("keepalive", [0, 8], ids=["close", "keepalive"])
def test_nginx_twenty_at_once(site: Site, receiver: Receiver, upstream: Upstream, keepalive: int) -> None:
    """One worker, one thread, one event loop: requests of all clients interleave."""
    nginx = site.start_nginx(upstream.port, keepalive=keepalive)
    ids = [str(number) for number in range(60)]
    paths = [f"/echo?id={n}&delay={30 + int(n) % 7 * 20}" for n in ids]
    assert [reply.json["id"] for reply in client.get_many(nginx.port, paths)] == ids
    pairs = assert_pairs(assert_exactly(receiver, 120, nginx.port), ids)
    for wanted, seen in upstream.by_id().items():
        assert seen.value("traceparent") == traceparent_of(pairs[wanted][1])
    if keepalive:
        assert upstream.connections < 60, "upstream connections were not reused: the test would prove nothing"


def test_nginx_post_in_two_parts(site: Site, receiver: Receiver, upstream: Upstream) -> None:
    """The upstream call follows the last part of the body, while other requests began meanwhile."""
    nginx = site.start_nginx(upstream.port)
    clients = [client.Raw(nginx.port) for _ in range(10)]
    for number, raw in enumerate(clients):
        raw.send(f"POST /echo?id={number} HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n1234567890".encode())
    for raw in reversed(clients):
        raw.send(b"1234567890")
    for raw in clients:
        assert b" 200 " in raw.response()
        raw.sock.close()
    assert_pairs(assert_exactly(receiver, 20, nginx.port), map(str, range(10)))
    assert all(seen.body == b"12345678901234567890" for seen in upstream.by_id().values())


@pytest.mark.parametrize("which", ["apache-event", "apache-prefork"])
def test_apache_twenty_at_once(site: Site, receiver: Receiver, upstream: Upstream, which: str) -> None:
    program, prefix = start(site, which, upstream.port)
    ids = [str(number) for number in range(20)]
    replies = client.get_many(program.port, [f"{prefix}/echo?id={n}&delay={30 + int(n) * 5}" for n in ids])
    assert [reply.json["id"] for reply in replies] == ids
    receiver.wait_for(lambda spans: sum("id=" in span.url for span in spans) >= 40)
    spans = [span for span in receiver.spans if span.url != "*"]  # prefork wakes its children by OPTIONS *
    assert len(spans) == 40
    assert_pairs(spans, ids)
    assert len(upstream.by_id()) == 20


def test_nginx_keeps_a_connection(site: Site, receiver: Receiver) -> None:
    """1,000 requests on one connection are 1,000 traces."""
    site.add_file("page.html", b"p")
    nginx = site.start_nginx()
    with client.Raw(nginx.port) as raw:
        for _ in range(1000):
            raw.exchange("/static/page.html")
    spans = assert_exactly(receiver, 1000, nginx.port)
    assert_spans([spans[0], spans[-1]], *[server("/static/page.html", nginx.port, user_agent=None, host="h", server__port=80)] * 2)
    assert_separate_traces(spans)


def test_nginx_upstream_is_down(site: Site, receiver: Receiver, upstream: Upstream) -> None:
    upstream.close()
    nginx = site.start_nginx(upstream.port)
    assert client.get(nginx.port, "/echo?id=7").status == 502
    spans = assert_exactly(receiver, 2, nginx.port)
    served = next(span for span in spans if span.kind == "SERVER")
    refused = next(span for span in spans if span.kind == "CLIENT")
    assert_spans([served], server("/echo", nginx.port, query="id=7", status=502))
    assert_child(refused, served)
    assert refused.attributes["error.type"] == "connection_refused"


def test_nginx_stop_flushes_its_workers(site: Site, receiver: Receiver) -> None:
    site.add_file("page.html", b"p")
    nginx = site.start_nginx(workers=2, env={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    for _ in range(10):
        client.get(nginx.port, "/static/page.html")
    assert nginx.stop() == 0
    assert len(receiver.wait_for(10)) == 10
