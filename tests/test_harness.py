"""The harness itself: a receiver that loses spans or an upstream that alters bytes would make every test a lie."""

from __future__ import annotations

import json
import subprocess

import pytest

from harness import apps, client, tls
from harness.apps import Site
from harness.assertions import ANY_PORT, Expect, assert_child, assert_exactly, assert_spans, route_of
from harness.collector import Collector
from harness.parents import Counts, count_parents, misled, strays
from harness.processes import BASE_ENV, NONE, PYTHON, Launcher
from harness.receiver import Fault, Receiver
from harness.spans import Span, trees
from harness.tls import ConnectProxy, TlsUpstream, certificates
from harness.upstream import Seen, Upstream

pytestmark = pytest.mark.harness

SDK_PROGRAM = """
import os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("harness", "1")
for name in sys.argv[1:]:
    with tracer.start_as_current_span(name, kind=trace.SpanKind.SERVER, attributes={"n": 1, "url.path": name}):
        with tracer.start_as_current_span("inner", kind=trace.SpanKind.CLIENT):
            pass
provider.shutdown()
"""


def send(endpoint: str, *names: str, protocol: str = "http/protobuf", **env: str) -> None:
    """Spans by the official SDK: a SERVER span a name, each with a CLIENT child."""
    subprocess.run(
        [PYTHON, "-c", SDK_PROGRAM, *names], check=True, timeout=60,
        env={**BASE_ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "sdk",
             "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **env},
    )


def check_pair(receiver: Receiver) -> None:
    outer, inner = assert_spans(
        receiver.wait_for(2),
        Expect("SERVER", "one", {"n": 1, "url.path": "one"}),
        Expect("CLIENT", "inner", {}),
    )
    assert outer.parent_id == ""
    assert_child(inner, outer)
    assert outer.service == "sdk" and outer.scope == "harness"
    assert [root.shape() for root in trees(receiver.spans)] == [("sdk", "SERVER", ("sdk", "CLIENT"))]


def test_http_with_gzip_and_headers(receiver: Receiver) -> None:
    send(receiver.http_endpoint, "one", OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_EXPORTER_OTLP_HEADERS="k=v%201")
    check_pair(receiver)
    export = receiver.exports[0]
    assert (export.path, export.gzip, export.headers["k"]) == ("/v1/traces", True, "v 1")


def test_grpc(receiver: Receiver) -> None:
    send(receiver.grpc_endpoint, "one", protocol="grpc", OTEL_EXPORTER_OTLP_HEADERS="k=v")
    check_pair(receiver)
    assert receiver.exports[0].headers["k"] == "v"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_through_the_collector(receiver: Receiver, collector: Collector, protocol: str) -> None:
    port = collector.grpc_port if protocol == "grpc" else collector.http_port
    send(f"http://127.0.0.1:{port}", "one", protocol=protocol, OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    check_pair(receiver)
    assert "url.path: Str(one)" in collector.text + collector.program.out.decode()


def test_a_refused_export_counts_when_it_is_repeated(receiver: Receiver) -> None:
    receiver.fail_next(Fault(status=503, retry_after="0"))
    send(receiver.http_endpoint, "one")
    receiver.wait_for(2)
    assert len(receiver.exports) == 3 and receiver.exports[0].fault is not None


def test_exactly_fails_on_a_span_too_many(receiver: Receiver) -> None:
    send(receiver.http_endpoint, "one")
    assert len(assert_exactly(receiver, 2, lambda path: send(receiver.http_endpoint, path))) == 2
    with pytest.raises(AssertionError, match="wanted exactly 2 spans, got 4"):
        assert_exactly(receiver, 2, lambda path: send(receiver.http_endpoint, "stray", path))


def test_differences_are_found() -> None:
    assert route_of("/users/42/posts") == "/users/{id}/posts"
    assert ANY_PORT == 80 and ANY_PORT != "80" and ANY_PORT != 0


def test_upstream_keeps_every_byte(upstream: Upstream) -> None:
    request = b"POST /echo?id=7 HTTP/1.1\r\nhOST:  x \r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n"
    with client.Raw(upstream.port) as raw:
        raw.send(request)
        assert json.loads(raw.response().split(b"\r\n\r\n")[1])["id"] == "7"
        raw.send(b"GET /truncate HTTP/1.1\r\n\r\n")
        assert raw.reader.rest().endswith(b"x" * 50)
    seen, _ = upstream.wait_seen(2)
    assert seen.head + seen.body == seen.without_context() == request
    assert (seen.id, seen.value("host")) == ("7", "x")


@pytest.mark.parametrize("app", apps.COMMANDS)
def test_demo_app_without_the_agent(launcher: Launcher, upstream: Upstream, app: str) -> None:
    port = apps.start(launcher, app, upstream.url, how=NONE).port
    assert client.get(port, "/").body.startswith(b"hello from ")
    reply = client.get(port, "/fetch?id=7&delay=5")
    assert reply.json["id"] == reply.json["upstream"]["id"] == "7"
    assert client.get(port, "/echo?id=9", {"X-Mark": "m"}).json["headers"]["x-mark"] == "m"
    assert [seen.target for seen in upstream.seen] == ["/echo?id=7&delay=5"]


def test_nginx_without_the_agent(site: Site, upstream: Upstream) -> None:
    site.add_file("page.html", b"<p>static</p>")
    nginx = site.start_nginx(upstream.port, keepalive=2, how=NONE)
    assert client.get(nginx.port, "/static/page.html").body == b"<p>static</p>"
    assert client.get(nginx.port, "/echo?id=7").json["id"] == "7"


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_apache_without_the_agent(site: Site, upstream: Upstream, mpm: str) -> None:
    site.add_file("page.html", b"<p>static</p>")
    apache = site.start_apache(mpm, upstream.port, how=NONE)
    assert client.get(apache.port, "/static/page.html").body == b"<p>static</p>"
    assert client.get(apache.port, "/app/echo?id=7").json["id"] == "7"


def test_tls_upstream_keeps_every_byte() -> None:
    """Directly and through a tunnel."""
    upstream, proxy = TlsUpstream(), ConnectProxy()
    body = bytes(range(256)) * 1000
    sent = tls.get(upstream.port, "/echo?id=1", {"traceparent": "00-1-2-01"}, "POST", body)
    command = ["curl", "-sS", "--cacert", certificates().ca, "-x", proxy.url, f"{upstream.url}/close"]
    done = subprocess.run(command, env=BASE_ENV, capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (b"until close\n", b"")
    first, second = upstream.seen
    assert sent.status == 200 and first.body == body and first.value("traceparent") == "00-1-2-01"
    assert second.target == "/close" and proxy.heads[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % upstream.port)
    upstream.close()
    proxy.close()


def test_parents_are_counted() -> None:
    """Each thing that can be wrong with a call's parent, among calls that are right."""

    def span(kind: str, own: str, parent: str, url: str, trace: str = "t") -> Span:
        shown = {"url.path": url.partition("?")[0], "url.query": url.partition("?")[2]} if kind == "SERVER" else {"url.full": url}
        return Span(trace, own, parent, "", kind, 0, 0, "UNSET", "", 0, "", shown, {}, "", "", "", 0, 0)

    right = [span("SERVER", "s1", "", "/x?id=1"), span("CLIENT", "c1", "s1", "http://u/echo?id=1&delay=1"),
             span("CLIENT", "d1", "s1", "http://u/echo?id=b1")]
    assert count_parents(right) == Counts(2, 0, 0)
    another = span("CLIENT", "c2", "s1", "http://u/echo?id=2")
    other_trace = span("CLIENT", "c3", "s1", "http://u/echo?id=1", trace="other")
    unknown, root = span("CLIENT", "c4", "gone", "http://u/echo?id=1"), span("CLIENT", "c5", "", "http://u/echo?id=1")
    under_a_call = span("CLIENT", "c6", "c1", "http://u/echo?id=1")
    assert count_parents([*right, another, other_trace, unknown, root, under_a_call]) == Counts(2, 4, 1)

    def seen(target: str, *contexts: str) -> Seen:
        lines = "".join(f"traceparent: {context}\r\n" for context in contexts)
        return Seen(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode(), b"", 1)

    assert misled(right, [seen("/echo?id=1", "00-t-c1-01"), seen("/echo?id=b1", "00-t-d1-03"), seen("/echo?id=beat")]) == 0
    assert misled(right, [seen("/echo?id=1"), seen("/echo?id=2", "00-t-c1-01"), seen("/echo?id=1", "00-t-c1-01", "00-t-c1-01")]) == 3
    assert strays([span("CLIENT", "b", "", "http://u/echo?id=beat"), span("CLIENT", "b", "s1", "http://u/echo?id=beat")]) == 1
