"""PHP-FPM behind nginx and Apache: the FastCGI request is the SERVER span, and the web server's trace goes on in it."""

from __future__ import annotations

import re
import socket
from typing import Callable, Iterator

import pytest

from harness import client, fastcgi
from harness.apps import Site
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_root,
    assert_spans,
    call,
    matching,
    server,
    traceparent_of,
)
from harness.fastcgi import BEGIN, END, PARAMS, STDIN, FastCgiUpstream, params
from harness.ports import free_port
from harness.processes import NONE, Program
from harness.receiver import Receiver
from harness.spans import Span, draw
from harness.upstream import Upstream

WAYS = ["unix", "tcp"]
Front = Callable[..., Program]
FRONTS: dict[str, Front] = {
    "nginx": fastcgi.start_nginx,
    "nginx-keep": lambda *args, **options: fastcgi.start_nginx(*args, keep=True, **options),
    "apache": fastcgi.start_apache,
}


def address(site: Site, way: str = "unix") -> str:
    return str(site.directory / "fpm.sock") if way == "unix" else str(free_port())


@pytest.fixture
def application() -> Iterator[FastCgiUpstream]:
    application = FastCgiUpstream()
    yield application
    application.close()


def asked(path: str, web: Program, front: str, way: str, address: str, **options) -> list:
    """The three spans of one request: web server, its call, FPM."""
    # nginx's parameters name the host without the port of the Host header.
    port = web.port if front == "apache" else 80
    url = f"http://127.0.0.1:{port}{path}" if port != 80 else f"http://127.0.0.1{path}"
    path, _, query = path.partition("?")
    status = {key: options[key] for key in ("status", "method") if key in options}
    peer = {"peer_port": int(address)} if way == "tcp" else {"network__peer__address": None, "network__peer__port": None}
    return [
        server(path, web.port, query=query, **options),
        call(url, version=None, network__protocol__name="fastcgi", **status, **peer),
        server(path, web.port, query=query, host_port=port, **options),
    ]


def assert_chain(web: Span, called: Span, fpm: Span) -> None:
    assert (web.service, called.service, fpm.service) == ("web", "web", "fpm")
    assert_child(called, web, remote=False)
    assert_child(fpm, called, remote=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("front", FRONTS)
def test_one_trace(site: Site, receiver: Receiver, front: str, way: str) -> None:
    at = address(site, way)
    fastcgi.start_fpm(site, at)
    web = FRONTS[front](site, at)
    variables = client.get(web.port, "/params?a=1").json
    spans = assert_exactly(receiver, 3, lambda path: client.get(web.port, path))
    assert_spans(spans, *asked("/params?a=1", web, front, way, at))
    by = {(span.service, span.kind): span for span in spans}
    assert_root(by["web", "SERVER"])
    assert_chain(by["web", "SERVER"], by["web", "CLIENT"], by["fpm", "SERVER"])
    assert variables["HTTP_TRACEPARENT"] == traceparent_of(by["web", "CLIENT"])


@pytest.mark.parametrize("front", FRONTS)
def test_statuses_and_bodies(site: Site, receiver: Receiver, front: str) -> None:
    at = address(site)
    fastcgi.start_fpm(site, at, env={"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "x-reply"})
    web = FRONTS[front](site, at)
    small, large = b"b" * 1000, b"l" * 3_000_000
    assert client.get(web.port, "/status/404").status == 404
    assert client.get(web.port, "/status/500").status == 500
    assert client.get(web.port, "/post?n=1", method="POST", body=small).body == b"1000"
    assert client.get(web.port, "/post?n=2", method="POST", body=large).body == b"3000000"
    assert client.get(web.port, "/noise").body == b"heard"
    spans = assert_exactly(receiver, 15, lambda path: client.get(web.port, path))
    expected = [
        *asked("/status/404", web, front, "unix", at, status=404),
        *asked("/status/500", web, front, "unix", at, status=500),
        *asked("/post?n=1", web, front, "unix", at, method="POST"),
        *asked("/post?n=2", web, front, "unix", at, method="POST"),
        *asked("/noise", web, front, "unix", at),
    ]
    for span in spans:  # captured headers have their own test
        span.attributes.pop("http.response.header.x-reply", None)
    ordered = assert_spans(spans, *expected)
    for at in range(0, 15, 3):
        trace = {(span.service, span.kind): span for span in spans if span.trace_id == ordered[at].trace_id}
        assert_chain(trace["web", "SERVER"], trace["web", "CLIENT"], trace["fpm", "SERVER"])


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ["fetch", "fetch-curl"])
def test_twenty_at_once(site: Site, receiver: Receiver, upstream: Upstream, front: str, how: str) -> None:
    """Web server, its call, FPM, PHP's call: every parent, by the id that all URLs carry."""
    at = address(site)
    fastcgi.start_fpm(site, at, children=10, env={"UPSTREAM": upstream.url})
    web = FRONTS[front](site, at)
    ids = [str(number) for number in range(60)]
    replies = client.get_many(web.port, [f"/{how}?id={n}&delay={20 + int(n) % 7 * 10}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    spans = assert_exactly(receiver, 240, lambda path: client.get(web.port, path))
    seen = upstream.by_id()
    for wanted in ids:
        mine = [span for span in spans if re.search(rf"[?&]id={wanted}(&|$)", span.url)]
        chain = {(span.service, span.kind): span for span in mine}
        assert len(mine) == len(chain) == 4, draw(mine)
        assert_root(chain["web", "SERVER"])
        assert_chain(chain["web", "SERVER"], chain["web", "CLIENT"], chain["fpm", "SERVER"])
        assert_child(chain["fpm", "CLIENT"], chain["fpm", "SERVER"], remote=False)
        assert seen[wanted].value("traceparent") == traceparent_of(chain["fpm", "CLIENT"])


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INCOMING = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1", "baggage": "k=v"}


@pytest.mark.parametrize("front", FRONTS)
def test_an_incoming_context_is_passed_on(site: Site, receiver: Receiver, front: str) -> None:
    """The web server hands all headers on: the parent's id is replaced where it stands."""
    at = address(site)
    fastcgi.start_fpm(site, at)
    web = FRONTS[front](site, at)
    variables = client.get(web.port, "/params", headers=INCOMING).json
    spans = assert_exactly(receiver, 3, lambda path: client.get(web.port, path))
    by = {(span.service, span.kind): span for span in spans}
    assert (by["web", "SERVER"].trace_id, by["web", "SERVER"].parent_id) == (TRACE, PARENT)
    assert_chain(by["web", "SERVER"], by["web", "CLIENT"], by["fpm", "SERVER"])
    assert variables["HTTP_TRACEPARENT"] == f"00-{TRACE}-{by['web', 'CLIENT'].span_id}-01"
    assert (variables["HTTP_TRACESTATE"], variables["HTTP_BAGGAGE"]) == ("a=1", "k=v")
    assert {span.trace_state for span in spans} == {"a=1"}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("way", WAYS)
def test_large_parameters(site: Site, receiver: Receiver, front: str, way: str) -> None:
    at = address(site, way)
    fastcgi.start_fpm(site, at)
    web = FRONTS[front](site, at)
    # Apache leaves out a parameter that does not fit its buffer of 8 KB.
    names = ["Cookie"] if front != "apache" else ["Cookie", "X-More", "X-Most"]
    value = "c" * (20_000 // len(names))
    variables = client.get(web.port, "/params", headers=dict.fromkeys(names, value)).json
    assert all(variables["HTTP_" + name.upper().replace("-", "_")] == value for name in names)
    spans = assert_exactly(receiver, 3, lambda path: client.get(web.port, path))
    by = {(span.service, span.kind): span for span in spans}
    assert_chain(by["web", "SERVER"], by["web", "CLIENT"], by["fpm", "SERVER"])
    assert variables["HTTP_TRACEPARENT"] == traceparent_of(by["web", "CLIENT"])


@pytest.mark.parametrize("front", FRONTS)
def test_the_application_gets_one_more_record(site: Site, application: FastCgiUpstream, front: str) -> None:
    """Byte for byte what it gets without the agent, and in front of the empty record one with the context. (nginx and haproxy
    would pass one on in a parameter of their own.)"""
    env = {"OTEL_INSTRUMENTATION_PROXY_ENABLED": "false"}

    def records(how: str, method: str, body: bytes | None, headers: dict[str, str]) -> list[bytes]:
        web = FRONTS[front](site, application.address, how=how, env=env)
        application.seen.clear()
        assert client.get(web.port, "/a?b=c", method=method, body=body, headers=headers).body == b"ok\n"
        client.get(web.port, "/second")
        web.stop()
        assert len(application.seen) == 2
        found = []
        for request in application.seen:
            added = [at for at, record in enumerate(request) if record.kind == PARAMS and b"TRACEPARENT" in record.content]
            if how != NONE:
                (at,) = added
                assert params([request.pop(at)]) == [("HTTP_TRACEPARENT", matching("00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]"))]
                assert (request[at].kind, request[at].content) == (PARAMS, b"")
            else:
                assert not added
            found += [normal(record.raw, web.port) for record in request]
        return found

    def normal(raw: bytes, port: int) -> bytes:
        """Ports differ from run to run, all of five digits."""
        raw = raw.replace(str(port).encode(), b"<web>")
        return re.sub(rb"(REMOTE_PORT)\d{5}", rb"\1<...>", raw)

    for method, body, headers in [("GET", None, {}), ("POST", b"x" * 100_000, {"Cookie": "c" * 8000})]:
        bare = records(NONE, method, body, headers)
        assert len(bare) > 6
        assert records("", method, body, headers) == bare


@pytest.mark.parametrize("way", WAYS)
def test_haproxy(site: Site, receiver: Receiver, way: str) -> None:
    """An event loop: with one request at a time the parent is certain."""
    at = address(site, way)
    fastcgi.start_fpm(site, at, children=3)  # haproxy keeps connections, and each holds a child
    web = fastcgi.start_haproxy(site, at)
    for number in range(3):
        variables = client.get(web.port, f"/params?n={number}").json
        spans = [span for span in receiver.wait_for(3 * number + 3) if span.url.endswith(f"n={number}")]
        by = {(span.service, span.kind): span for span in spans}
        assert_chain(by["web", "SERVER"], by["web", "CLIENT"], by["fpm", "SERVER"])
        assert variables["HTTP_TRACEPARENT"] == traceparent_of(by["web", "CLIENT"])


def test_agent_only_on_fpm(site: Site, receiver: Receiver) -> None:
    at = address(site, "tcp")
    fastcgi.start_fpm(site, at)
    web = fastcgi.start_nginx(site, at, how=NONE)
    assert "HTTP_TRACEPARENT" not in client.get(web.port, "/params").json
    assert client.get(web.port, "/params?n=2", headers=INCOMING).json["HTTP_TRACEPARENT"] == INCOMING["traceparent"]
    first, second = assert_spans(
        assert_exactly(receiver, 2, lambda path: client.get(web.port, path)),
        server("/params", web.port, host_port=80),
        server("/params", web.port, host_port=80, query="n=2"),
    )
    assert_root(first)
    assert (second.trace_id, second.parent_id) == (TRACE, PARENT)


def test_agent_only_on_nginx(site: Site, receiver: Receiver) -> None:
    at = address(site)
    fastcgi.start_fpm(site, at, how=NONE)
    web = fastcgi.start_nginx(site, at)
    variables = client.get(web.port, "/params").json
    served, called = assert_spans(
        assert_exactly(receiver, 2, lambda path: client.get(web.port, path)), *asked("/params", web, "nginx", "unix", at)[:2]
    )
    assert_child(called, served, remote=False)
    assert variables["HTTP_TRACEPARENT"] == traceparent_of(called)


def test_headers_are_captured(site: Site, receiver: Receiver) -> None:
    at = address(site)
    fastcgi.start_fpm(site, at, env={
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-request-id,content-length",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "x-reply",
    })
    web = fastcgi.start_nginx(site, at, how=NONE)
    client.get(web.port, "/post", method="POST", body=b"four", headers={"X-Request-Id": "r7"})
    (span,) = assert_exactly(receiver, 1, lambda path: client.get(web.port, path))
    assert span.attributes["http.request.header.x-request-id"] == ["r7"]
    assert span.attributes["http.request.header.content-length"] == ["4"]
    assert span.attributes["http.response.header.x-reply"] == ["yes"]


def test_fpm_pages_and_a_bare_client(site: Site, receiver: Receiver) -> None:
    """FPM answers its ping page itself. Tools that ask for it send a few parameters only."""
    at = address(site, "tcp")
    fastcgi.start_fpm(site, at)
    web = fastcgi.start_nginx(site, at, how=NONE)
    assert client.get(web.port, "/fpm-ping").body == b"pong"
    few = b"".join(
        bytes([len(name), len(value)]) + name.encode() + value.encode()
        for name, value in [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/fpm-ping"), ("SCRIPT_FILENAME", "/fpm-ping")]
    )
    with socket.create_connection(("127.0.0.1", int(at))) as sock:
        sock.sendall(fastcgi.record(BEGIN, 1, bytes([0, 1, 0, 0, 0, 0, 0, 0])) + fastcgi.record(PARAMS, 1, few))
        sock.sendall(fastcgi.record(PARAMS, 1) + fastcgi.record(STDIN, 1))
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
        mine = sock.getsockname()[1] if answer.endswith(fastcgi.record(END, 1, bytes(8))) else 0
    assert b"pong" in answer
    spans = assert_exactly(receiver, 2, lambda path: client.get(web.port, path))
    assert_spans(
        spans,
        server("/fpm-ping", web.port, host_port=80),
        server("/fpm-ping", web.port, user_agent=None, server__address=None, server__port=None,
               network__protocol__version=None, network__peer__port=mine),
    )


def test_fpm_is_down(site: Site, receiver: Receiver) -> None:
    web = fastcgi.start_nginx(site, str(free_port()))
    assert client.get(web.port, "/params").status == 502
    spans = receiver.wait_for(2)
    served = next(span for span in spans if span.kind == "SERVER")
    refused = next(span for span in spans if span.kind == "CLIENT")
    assert_child(refused, served, remote=False)
    assert refused.attributes["error.type"] == "connection_refused"
