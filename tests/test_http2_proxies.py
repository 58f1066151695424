"""Proxies that speak HTTP/2: towards their clients, towards servers, and for gRPC."""

from __future__ import annotations

import re

import pytest

from harness import client, grpc
from harness.apps import APACHE_MODULES, Site
from harness.assertions import assert_child, assert_root, assert_span, assert_spans, call, server
from harness.grpc import CODES, ENV, GRPCIO, KINDS, NAMES, TONIC, expected
from harness.parents import id_of
from harness.ports import free_port
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.spans import Span, draw
from harness.tls import certificates

CURL = ["curl", "-sS", "--fail", "-A", client.USER_AGENT, "-k"]
ROOM = {"OTEL_BSP_MAX_QUEUE_SIZE": "20000"}  # as many spans as come in a moment
AT_ONCE = 20


# nginx gives the name of its upstream, without a port.
PASSED = {"server__address": "calls"}
SERVED = {**PASSED, "server__port": None}


def grpc_proxy(site: Site, service: Program, secure: bool = False) -> int:
    """nginx as a proxy of gRPC: its port."""
    port, files = free_port(), certificates()
    tls = f"ssl_certificate {files.cert}; ssl_certificate_key {files.key};" if secure else ""
    site.start_nginx(env=ENV, service="proxy", http=(
        f"upstream calls {{ server 127.0.0.1:{service.port}; keepalive 4; }} server {{ listen 127.0.0.1:{port} {'ssl ' if secure else ''}http2; {tls} "
        "location / { grpc_pass grpc://calls; } }"))
    return port


def chains(spans: list[Span], length: int) -> dict[str, list[Span]]:
    """By the id of a call: its spans, each under the one before it, and no others in its trace."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(grpc.id_of(span), []).append(span)
    for id, mine in found.items():
        assert len(mine) == length, f"{id}:\n{draw(mine)}"
        (first,) = (span for span in mine if not span.parent_id)
        chain = [first]
        while len(chain) < length:
            (below,) = (span for span in mine if span.parent_id == chain[-1].span_id)
            assert_child(below, chain[-1])
            chain.append(below)
        found[id] = chain
    assert len({chain[0].trace_id for chain in found.values()}) == len(found)
    return found


@pytest.mark.parametrize("caller", [GRPCIO, TONIC], ids=NAMES.get)
@pytest.mark.parametrize("callee", [GRPCIO, TONIC], ids=NAMES.get)
def test_grpc_through_nginx(launcher: Launcher, site: Site, receiver: Receiver, caller: tuple, callee: tuple) -> None:
    """Every kind and two statuses at once: the caller, both sides of nginx, the service."""
    service = grpc.serve(launcher, callee)
    port = grpc_proxy(site, service)
    calls = {f"{kind}-{code}": (kind, code) for kind in KINDS for code in (0, 5)}
    answers = grpc.call(launcher, caller, f"http://127.0.0.1:{port}", [f"{kind}?id={id}&code={code}" for id, (kind, code) in calls.items()])
    found = chains(receiver.wait_for(4 * len(calls)), 4)
    assert found.keys() == calls.keys()
    for id, (kind, code) in calls.items():
        assert [span.service for span in found[id]] == ["client", "proxy", "proxy", "server"]
        for span, side, at, extra in zip(found[id], ("CLIENT", "SERVER") * 2, (port, port, service.port, service.port), ({}, {}, PASSED, SERVED)):
            assert_span(span, expected(side, f"tests.Calls/{kind}", CODES[code], at, id=id, **extra))
        assert answers[id].code == code
        if answers[id].answers:
            assert re.fullmatch(f"{found[id][2].traceparent[:-2]}0[13]", answers[id].traceparent)


def test_grpc_through_nginx_without_a_context(launcher: Launcher, site: Site, receiver: Receiver) -> None:
    """20 at once from a caller that has no agent: each call upstream is under the request that it passes on."""
    service = grpc.serve(launcher, TONIC)
    port = grpc_proxy(site, service)
    calls = [f"{KINDS[n % 4]}?id={n}&delay={1 + n % 5 * 10}" for n in range(AT_ONCE)]
    answers = grpc.call(launcher, TONIC, f"http://127.0.0.1:{port}", calls, how=NONE)
    found = chains(receiver.wait_for(3 * AT_ONCE), 3)
    assert found.keys() == {str(n) for n in range(AT_ONCE)}
    for id, (outer, through, inner) in found.items():
        assert [(span.kind, span.service) for span in (outer, through, inner)] == [("SERVER", "proxy"), ("CLIENT", "proxy"), ("SERVER", "server")]
        assert answers[id].traceparent.split("-")[1:3] == [through.trace_id, through.span_id]


def test_grpc_behind_tls(launcher: Launcher, site: Site, receiver: Receiver) -> None:
    """nginx ends TLS; curl is the caller, because tonic's and grpcio's TLS is not seen."""
    service = grpc.serve(launcher, GRPCIO)
    port = grpc_proxy(site, service, secure=True)
    message = b"id=1&code=7"
    (launcher.directory / "message").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    done = launcher.run("curl", "-sSk", "-H", "te: trailers", "-H", "content-type: application/grpc", "-H", "x-id: 1", "--data-binary", "@message",
                        "-o", "/dev/null", "-w", "%{http_code} %{http_version}", f"https://127.0.0.1:{port}/tests.Calls/Unary", env=ENV, service="client")
    assert done.out == b"200 2", done
    chain = chains(receiver.wait_for(4), 4)["1"]
    for span, side, at, extra in zip(chain, ("CLIENT", "SERVER") * 2, (port, port, service.port, service.port), ({}, {}, PASSED, SERVED)):
        assert_span(span, expected(side, "tests.Calls/Unary", "PERMISSION_DENIED", at, id="1", **extra))


def start_apache(site: Site, backend: int) -> Program:
    modules = [f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in ("http2", "proxy_http2")]
    return site.start_apache("event", tls=True, upstream_port=backend, scheme="h2c", service="proxy", env=ROOM,
                             directives=[*modules, "Protocols h2 h2c http/1.1"])


def start_haproxy(site: Site, backend: int) -> Program:
    return site.start_haproxy(backend, tls=True, bind="alpn h2", server="proto h2", service="proxy", env=ROOM)


PROXIES = {"apache": (start_apache, "/app"), "haproxy": (start_haproxy, "")}


def ask(launcher: Launcher, site: Site, receiver: Receiver, name: str, how: str, length: int) -> list[list[Span]]:
    """20 at once through a proxy with HTTP/2 on both sides: of each request so many spans, in the order of who is asked."""
    service = grpc.serve(launcher, TONIC)
    start, prefix = PROXIES[name]
    proxy = start(site, service.port)
    urls = [f"https://127.0.0.1:{proxy.port}{prefix}/echo?id={n}&delay={n % 5 * 10}" for n in range(AT_ONCE)]
    done = launcher.run(*CURL, "-Z", "--parallel-max", str(AT_ONCE), "-w", "\n%{http_code} %{http_version}\n", *urls, service="client", how=how)
    assert done.code == 0 and done.out.count(b"\n200 2\n") == AT_ONCE, done
    spans = receiver.wait_for(length * AT_ONCE)
    assert len(spans) == length * AT_ONCE
    path = f"{prefix}/echo"
    named = service.port if name == "apache" else proxy.port  # haproxy passes the name on, Apache in `x-forwarded-host`
    all_expected = [
        lambda query: call(f"https://127.0.0.1:{proxy.port}{path}?{query}", version="2"),
        lambda query: server(path, proxy.port, query=query, version="2", scheme="https"),
        lambda query: call(f"http://127.0.0.1:{named}/echo?{query}", version="2", peer_port=service.port),
        lambda query: server("/echo", service.port, query=query, version="2", host_port=proxy.port),
    ][-length:]
    return [assert_spans([span for span in spans if id_of(span) == str(n)], *(expect(url.partition("?")[2]) for expect in all_expected))
            for n, url in enumerate(urls)]


@pytest.mark.parametrize("name", PROXIES)
def test_http2_on_both_sides(launcher: Launcher, site: Site, receiver: Receiver, name: str) -> None:
    """Each call upstream is under the request that it passes on."""
    for called, outer, passed, inner in ask(launcher, site, receiver, name, "", 4):
        assert_root(called)
        assert_child(outer, called)
        assert_child(passed, outer)
        assert_child(inner, passed)


@pytest.mark.parametrize("name", PROXIES)
def test_http2_on_both_sides_without_a_context(launcher: Launcher, site: Site, receiver: Receiver, name: str) -> None:
    """No call is under a request that it does not pass on."""
    for outer, passed, inner in ask(launcher, site, receiver, name, NONE, 3):
        assert_root(outer)
        assert passed.parent_id in ("", outer.span_id)
        assert_child(inner, passed)
