"""Through the OpenTelemetry Collector: the protocols, and a trace across three languages."""

from __future__ import annotations

import socket
import threading

import pytest

from harness import apps, client
from harness.assertions import assert_child, assert_root, assert_spans, call, server
from harness.collector import Collector
from harness.processes import Launcher, wait_until
from harness.receiver import Receiver
from harness.spans import trees
from harness.upstream import Upstream


class Tap:
    """Passes bytes on to a port and keeps what the client sent."""

    def __init__(self, to: int) -> None:
        self.to, self.sent = to, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        try:
            while data := source.recv(65536):
                if keep:
                    self.sent += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.parametrize("compression", ["gzip", "none", ""], ids=lambda name: name or "default")
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_protocols(launcher: Launcher, collector: Collector, receiver: Receiver, upstream: Upstream, protocol: str,
                   compression: str) -> None:
    tap = Tap(collector.grpc_port if protocol == "grpc" else collector.http_port)
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{tap.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
        "OTEL_RESOURCE_ATTRIBUTES": "marker=uncompressed-marker",
    }
    url = f"{upstream.url}/echo?id=7"
    assert launcher.run("curl", "-sS", url, env=env).code == 0
    (span,) = assert_spans(receiver.wait_for(1), call(url))
    assert span.resource["marker"] == "uncompressed-marker"
    assert span.resource["telemetry.sdk.name"] != "opentelemetry", "reserved for official SDKs"
    assert (b"uncompressed-marker" in tap.sent) == (compression != "gzip")
    text = collector.text
    assert text.count("Span #") == 1 and f"url.full: Str({url})" in text and f"ID             : {span.span_id}" in text


@pytest.mark.parametrize("env, path", [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{http}"}, "/v1/traces"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{http}/base/"}, "/base/v1/traces"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{http}/base"}, "/base/v1/traces"),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{http}/as/is"}, "/as/is"),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{http}"}, "/"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:{http}"}, "/v1/traces"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:{grpc}",
      "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, ""),
], ids=["base", "base-slash", "base-path", "signal", "signal-root", "host-name", "signal-grpc"])
def test_endpoints(launcher: Launcher, receiver: Receiver, upstream: Upstream, env: dict[str, str], path: str) -> None:
    filled = {name: value.format(http=receiver.http_port, grpc=receiver.grpc_port) for name, value in env.items()}
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=v%201%2C2, x-other=a=b"}
    assert launcher.run("curl", "-sS", f"{upstream.url}/echo", env={**filled, **headers}).code == 0
    receiver.wait_for(1)
    (export,) = receiver.exports
    assert (export.path, export.headers["x-key"], export.headers["x-other"]) == (path, "v 1,2", "a=b")
    assert "OTel-OTLP-Exporter" in export.headers["user-agent"]


@pytest.mark.parametrize("last", ["java", "php"])
def test_three_languages_one_trace(launcher: Launcher, collector: Collector, receiver: Receiver, last: str) -> None:
    """Flask calls Node, Node calls Java or PHP; half of them speak gRPC to the Collector."""
    back = apps.start(launcher, last, service=last, env=collector.env)
    middle = apps.start(launcher, "node", back.url, service="node", env=collector.grpc_env)
    front = apps.start(launcher, "flask", middle.url, service="flask", env=collector.env)
    assert client.get(front.port, "/chain?id=7&path=/fetch").json["upstream"]["upstream"]["id"] == "7"
    spans = receiver.wait_for(5)
    assert len(spans) == 5 and len({span.trace_id for span in spans}) == 1
    (root,) = trees(spans)
    assert root.shape() == (
        "flask", "SERVER", ("flask", "CLIENT", ("node", "SERVER", ("node", "CLIENT", (last, "SERVER"))))
    )
    chain, node = [], root
    while True:
        chain.append(node.span)
        if not node.children:
            break
        (node,) = node.children
    assert_root(chain[0])
    for parent, child in zip(chain, chain[1:]):
        assert_child(child, parent)
    assert_spans(chain[:1], server("/chain", front.port, query="id=7&path=/fetch"))
    assert [span.attributes["http.response.status_code"] for span in chain] == [200] * 5
    # The debug exporter writes its lines on its own time.
    wait_until(lambda: collector.text.count("Trace ID       : " + root.span.trace_id) >= 5, 20)
    assert collector.text.count("Trace ID       : " + root.span.trace_id) == 5
