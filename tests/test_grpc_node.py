"""@grpc/grpc-js on node's HTTP/2: every call a span of its own on both sides, under the request that it was made for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.assertions import Expect, assert_child, assert_root, assert_span, matching, traceparent_of
from harness.assertions import call as http_call
from harness.assertions import server as http_server
from harness.grpc import CODES, ENV, expected
from harness.parents import id_of
from harness.ports import free_port
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES, VERSIONS
from harness.spans import Span
from harness.tls import certificates
from harness.upstream import Upstream

KINDS = ["Unary", "ClientStream", "ServerStream", "Both"]
GRPC_JS = {"user-agent": matching("grpc-node-js/.*")}  # what the library adds, and shows
TRACE = "0af7651916cd43dd8448eb211c80319c"


def environment(secure: bool = False, **env: str) -> dict[str, str]:
    return {"NODE_PATH": str(MODULES), **ENV, **certificates().env, **({"TLS": "1"} if secure else {}), **env}


def serve(launcher: Launcher, version: str = "20", secure: bool = False, how: str = "", env: dict[str, str] | None = None,
          service: str = "server") -> Program:
    return launcher.start(VERSIONS[version], PROGRAMS / "grpc.js", env=environment(secure, **(env or {})), port=free_port(),
                          how=how, service=service)


def make(launcher: Launcher, program: Program, calls: list[dict[str, Any]], version: str = "20", secure: bool = False,
         how: str = "", **env: str) -> list[dict[str, Any]]:
    """All calls at once, on one channel; `x-id` tells them apart."""
    calls = [{**call, "metadata": {"x-id": call["request"]["id"], **call.get("metadata", {})}} for call in calls]
    done = launcher.run(VERSIONS[version], PROGRAMS / "grpc.js", f"localhost:{program.port}", json.dumps(calls),
                        env=environment(secure, **env), how=how, service="client")
    assert done.code == 0, done.err.decode()
    return json.loads(done.out)


def own_of(span: Span) -> str:
    """The call's id; `7` for what the request 7 called, too."""
    return next(iter(span.attributes.get("rpc.request.metadata.x-id", [])), "") or id_of(span)


def rpc(side: str, port: int, own: str, kind: str, status: str | None, *, error: str | None = None, method: str = "",
        host: str = "localhost") -> Expect:
    return expected(side, method or f"demo.Calls/{kind}", status, port, id=own, error=error, host=host)


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
        name = CODES[int(own)]
        assert_span(called, rpc("CLIENT", program.port, own, kind, name))
        assert_span(served, rpc("SERVER", program.port, own, kind, name))


def test_deadline_and_cancel(launcher: Launcher, receiver: Receiver) -> None:
    program = serve(launcher)
    calls = [{"method": "Unary", "request": {"id": "late", "wait": 20000}, "deadline": 2000},
             {"method": "Both", "request": {"id": "gone", "wait": 20000}, "cancel": 100},
             {"method": "Unary", "request": {"id": "fine"}, "deadline": 30000}]
    # The time that a call waits for its connection is in its deadline, but not on the wire; and so is what it waits to be written,
    # for which the agent allows one in fifty.
    answers = make(launcher, program, calls, READY="1")
    assert [answer["code"] for answer in answers] == [4, 1, 0]
    spans = receiver.wait_for(6)
    assert len(spans) == 6
    found = pairs(spans)
    for own, kind, of_client in (("late", "Unary", "DEADLINE_EXCEEDED"), ("gone", "Both", "CANCELLED"), ("fine", "Unary", "OK")):
        called, served = found[own]
        assert_span(called, rpc("CLIENT", program.port, own, kind, of_client))
        # The client's reset and the server's own clock come at the same moment.
        seen = served.attributes["rpc.response.status_code"] if own == "late" else of_client
        assert seen in (of_client, "CANCELLED")
        assert_span(served, rpc("SERVER", program.port, own, kind, seen))


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


@pytest.mark.parametrize("protocol, http", [("connect", "1.1"), ("connect", "2"), ("web", "1.1"), ("web", "2"), ("grpc", "2")])
def test_connect_and_grpc_web(launcher: Launcher, receiver: Receiver, upstream: Upstream, protocol: str, http: str) -> None:
    """connect-rpc: its own protocol and gRPC-Web are HTTP, whatever the version, and gRPC is gRPC. An error of Connect is a status."""
    env = environment(HTTP=http[0], UPSTREAM=upstream.url)
    program = launcher.start("node", PROGRAMS / "connect.js", env=env, port=free_port(), service="server")
    url = f"http://localhost:{program.port}"
    done = launcher.run("node", PROGRAMS / "connect.js", url, protocol, http, "20", env=env, service="client")
    assert done.code == 0, done.err.decode()
    assert json.loads(done.out) == {"answers": [str(n) for n in range(20)], "refused": 5}
    spans = receiver.wait_for(62)
    assert len(spans) == 62
    ids = lambda span: next(iter(span.attributes.get("http.request.header.x-id", [])), "") or own_of(span)
    upstreams = {ids(span): span for span in spans if span.kind == "CLIENT" and span.service == "server"}
    assert upstreams.keys() == {str(n) for n in range(20)}
    for own in [*upstreams, "missing"]:
        mine = [span for span in spans if ids(span) == own and span is not upstreams.get(own)]
        called, served = sorted(mine, key=lambda span: span.kind)
        assert_root(called)
        assert_child(served, called)
        if own in upstreams:
            assert_child(upstreams[own], served, remote=False)
        kind = "Unary" if own == "missing" or int(own) % 2 == 0 else "Stream"
        if protocol == "grpc":
            status = "NOT_FOUND" if own == "missing" else "OK"
            assert_span(called, rpc("CLIENT", program.port, own, "", status, method=f"demo.Echo/{kind}"))
            assert_span(served, rpc("SERVER", program.port, own, "", status, method=f"demo.Echo/{kind}"))
            continue
        status = 404 if (protocol, own) == ("connect", "missing") else 200
        more = {"version": http, "method": "POST", "status": status, "http__request__header__x-id": [own]}
        assert_span(called, http_call(f"{url}/demo.Echo/{kind}", **more))
        agent = served.attributes.get("user_agent.original")
        assert_span(served, http_server(f"/demo.Echo/{kind}", program.port, host="localhost", user_agent=agent, **more))
