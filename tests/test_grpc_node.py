"""@grpc/grpc-js on node's HTTP/2: every call a span of its own on both sides, under the request that it was made for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.assertions import ANY_IP, ANY_PORT, Expect, assert_child, assert_root, assert_span, matching, traceparent_of
from harness.parents import id_of
from harness.ports import free_port
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES, VERSIONS
from harness.spans import Span
from harness.tls import certificates
from harness.upstream import Upstream

WITH_IDS = {f"OTEL_INSTRUMENTATION_HTTP_{side}_CAPTURE_REQUEST_HEADERS": "x-id" for side in ("SERVER", "CLIENT")}
KINDS = ["Unary", "ClientStream", "ServerStream", "Both"]
# Every status by its number, and whether it is an error of the server's too: for a client all are but the first.
STATUSES = [
    ("OK", False), ("CANCELLED", False), ("UNKNOWN", True), ("INVALID_ARGUMENT", False), ("DEADLINE_EXCEEDED", True),
    ("NOT_FOUND", False), ("ALREADY_EXISTS", False), ("PERMISSION_DENIED", False), ("RESOURCE_EXHAUSTED", False),
    ("FAILED_PRECONDITION", False), ("ABORTED", False), ("OUT_OF_RANGE", False), ("UNIMPLEMENTED", True), ("INTERNAL", True),
    ("UNAVAILABLE", True), ("DATA_LOSS", True), ("UNAUTHENTICATED", False),
]
OF_SERVER = dict(STATUSES)
GRPC_JS = {"user-agent": matching("grpc-node-js/.*")}  # what the library adds, and shows
TRACE = "0af7651916cd43dd8448eb211c80319c"


def environment(secure: bool = False, **env: str) -> dict[str, str]:
    return {"NODE_PATH": str(MODULES), **WITH_IDS, **certificates().env, **({"TLS": "1"} if secure else {}), **env}


def serve(launcher: Launcher, version: str = "20", secure: bool = False, how: str = "", env: dict[str, str] | None = None,
          service: str = "server") -> Program:
    return launcher.start(VERSIONS[version], PROGRAMS / "grpc.js", env=environment(secure, **(env or {})), port=free_port(),
                          how=how, service=service)


def make(launcher: Launcher, program: Program, calls: list[dict[str, Any]], version: str = "20", secure: bool = False,
         how: str = "") -> list[dict[str, Any]]:
    """All calls at once, on one channel; `x-id` tells them apart."""
    calls = [{**call, "metadata": {"x-id": call["request"]["id"], **call.get("metadata", {})}} for call in calls]
    done = launcher.run(VERSIONS[version], PROGRAMS / "grpc.js", f"localhost:{program.port}", json.dumps(calls),
                        env=environment(secure), how=how, service="client")
    assert done.code == 0, done.err.decode()
    return json.loads(done.out)


def own_of(span: Span) -> str:
    """The call's id; `7` for what the request 7 called, too."""
    return next(iter(span.attributes.get("rpc.request.metadata.x-id", [])), "") or id_of(span)


def rpc(side: str, port: int, own: str, kind: str, status: str | None, *, error: str | None = None, method: str = "",
        host: str = "localhost") -> Expect:
    name = method or f"demo.Calls/{kind}"
    known = status != "UNIMPLEMENTED"
    attributes: dict[str, Any] = {
        "rpc.system.name": "grpc",
        "rpc.method": name if known else "_OTHER",
        "server.address": host,
        "server.port": port,
        "network.peer.address": ANY_IP,
        "network.peer.port": port if side == "CLIENT" else ANY_PORT,
        "rpc.request.metadata.x-id": [own],
    }
    if not known:
        attributes["rpc.method_original"] = name
    if status:
        attributes["rpc.response.status_code"] = status
        error = status if (OF_SERVER[status] if side == "SERVER" else status != "OK") else None
    if error:
        attributes["error.type"] = error
    return Expect(side, name if known else "grpc", attributes, "ERROR" if error else "UNSET")


def pairs(spans: list[Span]) -> dict[str, tuple[Span, Span]]:
    """By id the CLIENT span and the SERVER span under it, exactly one of each."""
    found: dict[str, tuple[Span, Span]] = {}
    for own in {own_of(span) for span in spans}:
        mine = sorted((span for span in spans if own_of(span) == own), key=lambda span: span.kind)
        assert [span.kind for span in mine] == ["CLIENT", "SERVER"], mine
        assert_child(mine[1], mine[0])
        found[own] = (mine[0], mine[1])
    return found


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_call(launcher: Launcher, receiver: Receiver, version: str, secure: bool) -> None:
    """Twenty at once on one connection; and the server's program sees of the metadata what was on the wire."""
    program = serve(launcher, version, secure)
    calls = [{"method": KINDS[n % 4], "request": {"id": str(n), "wait": n % 7 * 5}} for n in range(20)]
    answers = make(launcher, program, calls, version, secure)
    spans = receiver.wait_for(40)
    assert len(spans) == 40
    found = pairs(spans)
    assert len({called.trace_id for called, _ in found.values()}) == 20
    for n, answer in enumerate(answers):
        kind, own = KINDS[n % 4], str(n)
        called, served = found[own]
        assert_root(called)
        assert_span(called, rpc("CLIENT", program.port, own, kind, "OK"))
        assert_span(served, rpc("SERVER", program.port, own, kind, "OK"))
        assert (answer["code"], len(answer["answers"])) == (0, 2 if kind in ("ServerStream", "Both") else 1)
        told = answer["answers"][0]
        assert told["id"] == own
        assert told["metadata"] == {"x-id": own, "traceparent": traceparent_of(called), **GRPC_JS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_status(launcher: Launcher, receiver: Receiver, kind: str) -> None:
    program = serve(launcher)
    calls = [{"method": kind, "request": {"id": str(code), "code": code}} for code in range(17)]
    answers = make(launcher, program, calls)
    assert [answer["code"] for answer in answers] == list(range(17))
    spans = receiver.wait_for(34)
    assert len(spans) == 34
    for own, (called, served) in pairs(spans).items():
        name, _ = STATUSES[int(own)]
        assert_span(called, rpc("CLIENT", program.port, own, kind, name))
        assert_span(served, rpc("SERVER", program.port, own, kind, name))


def test_deadline_and_cancel(launcher: Launcher, receiver: Receiver) -> None:
    program = serve(launcher)
    calls = [{"method": "Unary", "request": {"id": "late", "wait": 2000}, "deadline": 100},
             {"method": "Both", "request": {"id": "gone", "wait": 2000}, "cancel": 100},
             {"method": "Unary", "request": {"id": "fine"}, "deadline": 30000}]
    answers = make(launcher, program, calls)
    assert [answer["code"] for answer in answers] == [4, 1, 0]
    spans = receiver.wait_for(6)
    assert len(spans) == 6
    found = pairs(spans)
    for own, kind, of_client in (("late", "Unary", "DEADLINE_EXCEEDED"), ("gone", "Both", "CANCELLED"), ("fine", "Unary", "OK")):
        called, served = found[own]
        assert_span(called, rpc("CLIENT", program.port, own, kind, of_client))
        print(served, served.attributes)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("version", VERSIONS)
def test_parents(launcher: Launcher, receiver: Receiver, upstream: Upstream, version: str, secure: bool) -> None:
    """Each request calls once, by gRPC or HTTP; callers with a context and without, none of them with the agent."""
    peer = serve(launcher, how=NONE, secure=secure)
    program = serve(launcher, version, secure, env={"UPSTREAM": upstream.url, "UPSTREAM_GRPC": f"localhost:{peer.port}"})
    kinds = [(kind, client, after) for kind in KINDS for client in ("grpc", "http") for after in ("none", "timer")] * 3
    context = lambda n: f"00-{TRACE}-{n + 1:016x}-01"
    calls = [{"method": kind, "request": {"id": str(n), "with": client, "after": after, "wait": n % 3 * 7},
              "metadata": {"traceparent": context(n)} if n % 2 else {}} for n, (kind, client, after) in enumerate(kinds)]
    answers = make(launcher, program, calls, secure=secure, how=NONE)
    spans = receiver.wait_for(2 * len(calls))
    assert len(spans) == 2 * len(calls)
    check_parents(spans, kinds, answers, context)


def check_parents(spans: list[Span], kinds: list[tuple[str, str, str]], answers: list[dict[str, Any]], context: Any) -> None:
    for n, (kind, client, _) in enumerate(kinds):
        mine = {span.kind: span for span in spans if own_of(span) == str(n)}
        assert mine.keys() == {"CLIENT", "SERVER"}
        assert_child(mine["CLIENT"], mine["SERVER"], remote=False)
        assert mine["SERVER"].name == f"demo.Calls/{kind}"
        assert mine["CLIENT"].name == ("GET" if client == "http" else "demo.Calls/Unary")
        if n % 2:
            assert (mine["SERVER"].trace_id, mine["SERVER"].parent_id) == (TRACE, f"{n + 1:016x}")
        else:
            assert_root(mine["SERVER"])
        told = answers[n]["answers"][0]
        assert told["upstream"]["traceparent"] == traceparent_of(mine["CLIENT"])
        assert told["metadata"].get("traceparent") == (context(n) if n % 2 else None)


@pytest.mark.parametrize("version", VERSIONS)
def test_channels_that_wait_for_a_name(launcher: Launcher, receiver: Receiver, version: str) -> None:
    """Two calls on a new channel: the first asks for the name, and what comes back starts both. Twenty such at once."""
    peer = serve(launcher, how=NONE)
    program = serve(launcher, version, env={"UPSTREAM_GRPC": f"localhost:{peer.port}"})
    calls = [{"method": "Unary", "request": {"id": str(n), "with": "fresh", "after": ["none", "timer"][n % 2]}} for n in range(20)]
    assert {answer["code"] for answer in make(launcher, program, calls, how=NONE)} == {0}
    spans = receiver.wait_for(60)
    assert len(spans) == 60
    served = {own_of(span): span for span in spans if span.kind == "SERVER"}
    for span in spans:
        if span.kind == "CLIENT":
            assert_child(span, served[own_of(span).removeprefix("b")], remote=False)


def test_without_the_bridge(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The same spans; who is whose parent is said of none."""
    peer = serve(launcher, how=NONE)
    program = serve(launcher, env={"UPSTREAM": upstream.url, "UPSTREAM_GRPC": f"localhost:{peer.port}",
                                   "OTEL_INSTRUMENTATION_NODE_ENABLED": "false"})
    calls = [{"method": "Unary", "request": {"id": str(n), "with": "grpc", "after": "timer", "wait": n % 3 * 7}} for n in range(20)]
    make(launcher, program, calls, how=NONE)
    spans = receiver.wait_for(40)
    assert len(spans) == 40
    by_id = {span.span_id: span for span in spans}
    assert {own_of(by_id[span.parent_id]) == own_of(span) for span in spans if span.parent_id} <= {True}
