"""The span model of the tests, decoded from OTLP with the official protobuf package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

KINDS = {0: "UNSPECIFIED", 1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}

FLAG_SAMPLED = 0x01
FLAG_REMOTE_KNOWN = 0x100
FLAG_REMOTE = 0x200


@dataclass(frozen=True)
class Span:
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    end: int
    status: str
    status_message: str
    flags: int
    trace_state: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    scope_version: str
    schema_url: str
    events: int
    links: int

    @property
    def service(self) -> str:
        return self.resource.get("service.name", "")

    @property
    def pid(self) -> int:
        return self.resource.get("process.pid", 0)

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9

    @property
    def url(self) -> str:
        """What tells requests apart: the full URL of a client span, path and query of a server span."""
        full = self.attributes.get("url.full")
        if full is not None:
            return full
        query = self.attributes.get("url.query")
        return self.attributes.get("url.path", "") + (f"?{query}" if query else "")

    @property
    def traceparent(self) -> str:
        """The header that a request made by this span carries, as far as this span can know (sampled)."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 0xFF:02x}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} {self.url} {self.status} [{self.service}] {self.span_id}<-{self.parent_id or 'root'}"


@dataclass
class Node:
    span: Span
    children: list[Node] = field(default_factory=list)

    def shape(self) -> tuple:
        """(service, kind, children...) without ids and times: what two equal traces have in common."""
        return (self.span.service, self.span.kind, *sorted(child.shape() for child in self.children))


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case which:
            return getattr(value, which)


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for pair in pairs:
        assert pair.key not in result, f"attribute {pair.key} twice"
        result[pair.key] = _value(pair.value)
    return result


def decode(message: ExportTraceServiceRequest) -> list[Span]:
    """All spans of one export. What OTLP forbids in every case is refused here, for every test at once."""
    spans = []
    for resource_spans in message.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        assert resource_spans.scope_spans, "empty ResourceSpans"
        for scope_spans in resource_spans.scope_spans:
            assert scope_spans.spans, "empty ScopeSpans"
            for span in scope_spans.spans:
                assert len(span.trace_id) == 16 and any(span.trace_id), "bad trace id"
                assert len(span.span_id) == 8 and any(span.span_id), "bad span id"
                assert len(span.parent_span_id) in (0, 8), "bad parent id"
                assert span.name, "span without a name"
                assert span.end_time_unix_nano >= span.start_time_unix_nano > 0, "bad times"
                spans.append(
                    Span(
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        name=span.name,
                        kind=KINDS[span.kind],
                        start=span.start_time_unix_nano,
                        end=span.end_time_unix_nano,
                        status=STATUSES[span.status.code],
                        status_message=span.status.message,
                        flags=span.flags,
                        trace_state=span.trace_state,
                        attributes=_attributes(span.attributes),
                        resource=resource,
                        scope=scope_spans.scope.name,
                        scope_version=scope_spans.scope.version,
                        schema_url=scope_spans.schema_url,
                        events=len(span.events),
                        links=len(span.links),
                    )
                )
    return spans


def trees(spans: Iterable[Span]) -> list[Node]:
    """The spans as trees, roots in order of start. A span whose parent was not received is a root."""
    nodes = {span.span_id: Node(span) for span in sorted(spans, key=lambda span: span.start)}
    roots = []
    for node in nodes.values():
        parent = nodes.get(node.span.parent_id)
        (parent.children if parent else roots).append(node)
    return roots


def draw(spans: Iterable[Span]) -> str:
    """For failure messages: every trace as an indented tree."""

    def lines(node: Node, depth: int) -> Iterable[str]:
        yield f"{'  ' * depth}{node.span}"
        for child in node.children:
            yield from lines(child, depth + 1)

    return "\n".join(line for root in trees(spans) for line in lines(root, 0)) or "(no spans)"
