"""What is expected of spans, exactly: their number, names, kinds, every attribute, and who is whose parent."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable
from urllib.parse import urlsplit

from harness import client
from harness.receiver import Receiver
from harness.spans import FLAG_REMOTE, FLAG_REMOTE_KNOWN, FLAG_SAMPLED, Span, draw


class Any_:
    """Equals whatever passes its check; shows its name in failure messages."""

    def __init__(self, name: str, check: Callable[[Any], bool]) -> None:
        self.name, self.check = name, check

    def __eq__(self, other: object) -> bool:
        return self.check(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.name}>"


ANY_PORT = Any_("a port", lambda v: isinstance(v, int) and 0 < v < 65536)
ANY_IP = Any_("a loopback address", lambda v: v in ("127.0.0.1", "::1"))
ANY_TEXT = Any_("some text", lambda v: isinstance(v, str) and v != "")


def matching(pattern: str) -> Any_:
    return Any_(f"text like {pattern}", lambda v: isinstance(v, str) and re.fullmatch(pattern, v) is not None)


@dataclass(frozen=True)
class Expect:
    """One span. `attributes` is the complete set."""

    kind: str
    name: str
    attributes: dict[str, Any] = field(hash=False)
    status: str = "UNSET"

    def differences(self, span: Span) -> list[str]:
        found = []
        for what, want, got in (("kind", self.kind, span.kind), ("name", self.name, span.name),
                                ("status", self.status, span.status)):
            if want != got:
                found.append(f"{what}: wanted {want!r}, got {got!r}")
        for key in sorted(self.attributes.keys() | span.attributes.keys()):
            if key not in span.attributes:
                found.append(f"{key}: missing, wanted {self.attributes[key]!r}")
            elif key not in self.attributes:
                found.append(f"{key}: not wanted, got {span.attributes[key]!r}")
            elif self.attributes[key] != span.attributes[key]:
                found.append(f"{key}: wanted {self.attributes[key]!r}, got {span.attributes[key]!r}")
            elif type(span.attributes[key]) is bool and not isinstance(self.attributes[key], bool):
                found.append(f"{key}: a boolean")
        if span.status_message and span.status != "ERROR":
            found.append(f"status message without error: {span.status_message!r}")
        return found


def route_of(path: str) -> str | None:
    """The route that the agent's heuristic makes of the few plain paths the tests use (docs/coverage.md)."""
    if path == "*":
        return None
    return "/".join("{id}" if re.search(r"\d", part) else part for part in path.split("/"))


def server(path: str, port: int, *, query: str = "", method: str = "GET", status: int | None = 200,
           version: str = "1.1", user_agent: str | None = client.USER_AGENT, host: str = "127.0.0.1",
           host_port: int | None = None, scheme: str = "http", client_address: str = "127.0.0.1",
           error: str | None = None, **extra: Any) -> Expect:
    """The SERVER span of a request to a program on `port`. Keyword arguments with `__` for dots add attributes."""
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.path": path,
        "url.scheme": scheme,
        "server.address": host,
        "server.port": host_port or port,
        "client.address": client_address,
        "network.peer.address": ANY_IP,
        "network.peer.port": ANY_PORT,
        "network.protocol.version": version,
    }
    route = route_of(path)
    if route:
        attributes["http.route"] = route
    if query:
        attributes["url.query"] = query
    if user_agent:
        attributes["user_agent.original"] = user_agent
    if status is not None:
        attributes["http.response.status_code"] = status
    failed = error or (str(status) if status is not None and status >= 500 else None)
    if failed:
        attributes["error.type"] = failed
    _apply(attributes, extra)
    name = attributes["http.request.method"].replace("_OTHER", "HTTP")
    if "http.route" in attributes:
        name += f" {attributes['http.route']}"
    return Expect("SERVER", name, attributes, "ERROR" if failed else "UNSET")


def call(url: str, *, method: str = "GET", status: int | None = 200, version: str | None = "1.1",
         error: str | None = None, peer_port: int | None = None, **extra: Any) -> Expect:
    """The CLIENT span of a request for `url`."""
    parts = urlsplit(url)
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.full": url,
        "server.address": parts.hostname,
        "server.port": parts.port or 80,
        "network.peer.address": ANY_IP,
        "network.peer.port": peer_port or parts.port or 80,
    }
    if version:
        attributes["network.protocol.version"] = version
    if status is not None:
        attributes["http.response.status_code"] = status
    failed = error or (str(status) if status is not None and status >= 400 else None)
    if failed:
        attributes["error.type"] = failed
    _apply(attributes, extra)
    return Expect("CLIENT", attributes["http.request.method"].replace("_OTHER", "HTTP"), attributes,
                  "ERROR" if failed else "UNSET")


def _apply(attributes: dict[str, Any], extra: dict[str, Any]) -> None:
    for key, value in extra.items():
        name = key.replace("__", ".")
        if value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value


def assert_span(span: Span, expected: Expect) -> None:
    differences = expected.differences(span)
    assert not differences, f"{span}\n  " + "\n  ".join(differences)


def assert_spans(spans: Iterable[Span], *expected: Expect) -> list[Span]:
    """The spans are exactly the expected ones, in any order. Gives them in the order of `expected`."""
    left = list(spans)
    assert len(left) == len(expected), f"wanted {len(expected)} spans, got {len(left)}:\n{draw(left)}"
    result = []
    for want in expected:
        best = min(left, key=lambda span: len(want.differences(span)))
        assert_span(best, want)
        left.remove(best)
        result.append(best)
    return result


def assert_root(span: Span) -> None:
    assert span.parent_id == "", f"not a root: {span}"
    assert span.flags & FLAG_SAMPLED, f"exported but not sampled: {span}"


def assert_child(child: Span, parent: Span, remote: bool | None = None) -> None:
    """`child` is in the trace of `parent` and directly under it."""
    assert child.trace_id == parent.trace_id, f"another trace:\n{draw([child, parent])}"
    assert child.parent_id == parent.span_id, f"not its child:\n{draw([child, parent])}"
    assert child.start >= parent.start, f"started before its parent:\n{draw([child, parent])}"
    if remote is None:
        remote = child.resource.get("service.instance.id") != parent.resource.get("service.instance.id")
    if child.flags & FLAG_REMOTE_KNOWN:
        assert bool(child.flags & FLAG_REMOTE) == remote, f"remote flag {child.flags:#x}: {child}"


def assert_separate_traces(spans: Iterable[Span]) -> None:
    spans = list(spans)
    assert len({span.trace_id for span in spans}) == len(spans), f"traces shared:\n{draw(spans)}"


def traceparent_of(span: Span) -> Any_:
    """The header value that the request of this CLIENT span must have carried."""
    return matching(f"00-{span.trace_id}-{span.span_id}-(01|03)")


_controls = itertools.count(1)


def assert_exactly(receiver: Receiver, count: int, control: int | Callable[[str], object]) -> list[Span]:
    """Waits for `count` spans, then proves that no further one comes: one more request, sent after them, must
    arrive (the positive control), and nothing else with it. `control` is the port of a server under the agent, or
    sends a request whose path is its argument. Gives the spans without the control's."""
    receiver.wait_for(count)
    prefix = f"/control/{os.getpid()}/"
    path = f"{prefix}{next(_controls)}"
    if isinstance(control, int):
        client.get(control, path)
    else:
        control(path)
    spans = receiver.wait_for(lambda spans: any(path in span.url for span in spans))
    controls = {span.trace_id for span in spans if prefix in span.url}  # earlier ones too
    rest = [span for span in spans if span.trace_id not in controls]
    assert len(rest) == count, f"wanted exactly {count} spans, got {len(rest)}:\n{draw(rest)}"
    return rest


def assert_pairs(spans: Iterable[Span], ids: Iterable[str]) -> dict[str, tuple[Span, Span]]:
    """For each id exactly one SERVER span and one CLIENT span under it, both carrying the id in their URL."""
    spans = list(spans)
    pairs = {}
    for wanted in ids:
        mine = [span for span in spans if re.search(rf"[?&]id={re.escape(wanted)}(&|$)", span.url)]
        kinds = sorted(span.kind for span in mine)
        assert kinds == ["CLIENT", "SERVER"], f"id {wanted}: {kinds}\n{draw(mine)}"
        client_span, server_span = sorted(mine, key=lambda span: span.kind)
        assert_child(client_span, server_span, remote=False)
        pairs[wanted] = (server_span, client_span)
    assert_separate_traces(server_span for server_span, _ in pairs.values())
    return pairs


def assert_no_wrong_parent(spans: Iterable[Span]) -> int:
    """Where the agent says nothing rather than guess: each CLIENT span is a root or under the SERVER span with the
    same id. Gives how many have a parent."""
    spans = list(spans)
    by_id = {span.span_id: span for span in spans}
    number = 0
    for span in spans:
        if span.kind != "CLIENT" or not span.parent_id:
            continue
        parent = by_id.get(span.parent_id)
        assert parent is not None, f"parent was never sent: {span}"
        assert _id(span) == _id(parent), f"wrong parent:\n{draw([span, parent])}"
        number += 1
    return number


def _id(span: Span) -> str:
    found = re.search(r"[?&]id=([^&]+)", span.url)
    return found[1] if found else ""
