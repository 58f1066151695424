"""A program that is instrumented already keeps its own spans: ours step aside."""

from __future__ import annotations

from harness.assertions import assert_exactly
from harness.processes import PYTHON, Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream

# A client with the official SDK: it exports OTLP by itself and puts its context on the request.
SDK_CLIENT = """
import sys, urllib.request
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("sdk")
for number in range(5):
    with tracer.start_as_current_span(f"own {number}", kind=trace.SpanKind.CLIENT):
        headers = {}
        if sys.argv[2] == "inject":
            inject(headers)
        urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/echo", headers=headers)).read()
provider.shutdown()
"""


def control(launcher: Launcher, upstream: Upstream):
    return lambda path: launcher.run("curl", "-sS", upstream.url + path)


def test_sdk_that_injects(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Only the SDK's five spans; one traceparent a request, the SDK's; none about its exports."""
    done = launcher.run(PYTHON, "-c", SDK_CLIENT, upstream.url, "inject")
    assert done.code == 0, done.err
    spans = assert_exactly(receiver, 5, control(launcher, upstream))
    assert {span.scope for span in spans} == {"sdk"}
    sent = [seen.value("traceparent").split("-")[2] for seen in upstream.seen[:5]]
    assert sent == [span.span_id for span in sorted(spans, key=lambda span: span.start)]


def test_sdk_that_exports(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """It is known by its exports: after the first one, our spans step aside for the whole process."""
    done = launcher.run(PYTHON, "-c", SDK_CLIENT, upstream.url, "plain")
    assert done.code == 0, done.err
    receiver.wait_for(lambda spans: sum(span.scope == "sdk" for span in spans) == 5)
    launcher.run("curl", "-sS", f"{upstream.url}/control")
    spans = receiver.wait_for(lambda spans: any("/control" in span.url for span in spans))
    ours = [span for span in spans if span.scope != "sdk" and "/control" not in span.url]
    assert len(ours) <= 1, "only what was seen before the first export can be ours"
    assert not any("/v1/traces" in span.url for span in ours)


def test_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """OTEL_RUN_COEXIST=always: the user wants both."""
    done = launcher.run(PYTHON, "-c", SDK_CLIENT, upstream.url, "plain", env={"OTEL_RUN_COEXIST": "always"})
    assert done.code == 0, done.err
    spans = receiver.wait_for(lambda spans: sum("/echo" in span.url for span in spans) >= 5)
    assert sum(span.scope == "sdk" for span in spans) == 5
