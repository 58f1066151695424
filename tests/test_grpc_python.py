"""grpcio, sync and asyncio: calls in plain text, both sides, whose library reads and writes on threads of its own."""

from __future__ import annotations

import itertools
import json
from typing import Any, Iterable

import pytest

from harness.assertions import Expect, assert_child, assert_root, assert_span, call
from harness.grpc import CODES, ENV, expected
from harness.parents import id_of
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span, draw
from harness.tls import certificates
from harness.upstream import Upstream

MODES = ["sync", "aio"]
KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
WITH_IDS = {**ENV, "OTEL_RUN_EXIT_FLUSH_TIMEOUT": "10000"}  # a client ends with hundreds of spans in hand


def start(launcher: Launcher, mode: str, **options: Any) -> Program:
    env = {**WITH_IDS, "MODE": mode, **options.pop("env", {})}
    options.setdefault("port", free_port())
    return launcher.start(PYTHON, PROGRAMS / "grpc_server.py", env=env, **{"service": "server", **options})


def make(launcher: Launcher, mode: str, port: int, calls: list[dict[str, Any]], *, at_once: int = 1, host: str = "127.0.0.1",
         env: dict[str, str] | None = None, **options: Any) -> list[dict[str, Any]]:
    done = launcher.run(PYTHON, PROGRAMS / "grpc_client.py", mode, f"{host}:{port}", json.dumps(calls),
                        env={**WITH_IDS, "AT_ONCE": str(at_once), **(env or {})}, **{"service": "client", **options})
    assert done.code == 0, done.err.decode()
    answers = json.loads(done.out)
    assert [answer["id"] for answer in answers] == [call["id"] for call in calls]
    return answers


def rpc(side: str, port: int, own: str, kind: str = "unary_unary", status: str | None = "OK", *, error: str | None = None,
        method: str | None = None, host: str = "127.0.0.1", **extra: Any) -> Expect:
    return expected(side, method or f"test.Echo/{kind}", status, port, id=own, error=error, host=host, **extra)


def own_of(span: Span) -> str:
    """The id that the call was made with, or the request."""
    return next(iter(span.attributes.get("rpc.request.metadata.x-id", [])), "") or id_of(span)


def by_id(spans: Iterable[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(own_of(span), []).append(span)
    return found


def pair(spans: list[Span]) -> tuple[Span, Span]:
    made, served = sorted(spans, key=lambda span: span.kind)
    assert_root(made)
    assert_child(served, made)
    return made, served


def header(span: Span) -> str:
    return f"00-{span.trace_id}-{span.span_id}"


def exactly(receiver: Receiver, count: int, launcher: Launcher, program: Program) -> list[Span]:
    """So many spans, and no other one comes before those of a call that is made after them."""
    receiver.wait_for(count)
    make(launcher, "sync", program.port, [{"id": "control", "kind": "unary_unary"}])
    spans = receiver.wait_for(lambda spans: sum(own_of(span) == "control" for span in spans) >= 2)
    rest = [span for span in spans if own_of(span) != "control"]
    assert len(rest) == count and len(spans) == count + 2, draw(spans)
    return rest


def told(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the programs saw, apart from the context."""
    for answer in answers:
        for part in answer["answers"]:
            part["metadata"] = [pair for pair in part["metadata"] if pair[0] != "traceparent"]
        answer.pop("sizes")
    return answers


WAYS = [{"kind": kind, "how": how, "gzip": gzip} for kind in KINDS for gzip in (False, True)
        for how in ("call", "with_call", "future") if how == "call" or kind.endswith("unary")]


@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_call(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    """Two spans, one trace; the programs see what they saw without the agent, and the header on the server's side."""
    calls = [{"id": str(n), **way} for n, way in enumerate(WAYS)]
    bare = start(launcher, mode, how=NONE)
    expected = told(make(launcher, mode, bare.port, calls, how=NONE))

    program = start(launcher, mode)
    answers = make(launcher, mode, program.port, calls)
    spans = by_id(exactly(receiver, 2 * len(calls), launcher, program))
    for call, answer in zip(calls, answers):
        made, served = pair(spans[call["id"]])
        assert_span(made, rpc("CLIENT", program.port, call["id"], call["kind"]))
        assert_span(served, rpc("SERVER", program.port, call["id"], call["kind"]))
        for part in answer["answers"]:
            assert [value[:-3] for key, value in part["metadata"] if key == "traceparent"] == [header(made)]
    assert told(answers) == expected


CALLERS = ["agent", "own-header", "no-header"]
AT_ONCE = 20


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("mode", MODES)
def test_what_handlers_call(launcher: Launcher, receiver: Receiver, upstream: Upstream, mode: str, caller: str) -> None:
    """20 calls of all kinds at once on one connection; each calls upstream over HTTP and over gRPC, in streams too."""
    second = start(launcher, mode, service="second")
    first = start(launcher, mode, service="first", env={"UPSTREAM": upstream.url, "PEER": f"127.0.0.1:{second.port}"})
    calls = []
    for n in range(3 * AT_ONCE):
        kind = KINDS[n % 4]
        request = {"http": str(n), "grpc": str(n), "delay": (0, 20, 50)[n % 3]}
        calls.append({"id": str(n), "kind": kind, "request": request})
        if caller == "own-header":
            calls[-1]["traceparent"] = f"00-{n + 1:032x}-{n + 1:016x}-01"
    how = {} if caller == "agent" else {"how": NONE}
    make(launcher, mode, first.port, calls, at_once=AT_ONCE, **how)
    each = 4 + (caller == "agent")
    spans = by_id(receiver.wait_for(each * len(calls)))
    assert {own: len(mine) for own, mine in spans.items()} == {call["id"]: each for call in calls}
    alone: list[str] = []
    for call_ in calls:
        own = call_["id"]
        mine = {(span.service, span.kind, "rpc.method" in span.attributes): span for span in spans[own]}
        served = mine["first", "SERVER", True]
        over_http, over_grpc = mine["first", "CLIENT", False], mine["first", "CLIENT", True]
        if caller == "no-header" and not over_http.parent_id:
            # Its block came where none could be written in: nobody's, rather than another's.
            assert_root(over_grpc)
            alone.append(own)
        else:
            assert_child(over_http, served)
            assert_child(over_grpc, served)
        assert_child(mine["second", "SERVER", True], over_grpc)
        assert_span(served, rpc("SERVER", first.port, own, call_["kind"]))
        assert_span(over_grpc, rpc("CLIENT", second.port, own))
        if caller == "agent":
            assert_child(served, mine["client", "CLIENT", True])
        elif caller == "own-header":
            assert (served.trace_id, served.parent_id) == (f"{int(own) + 1:032x}", f"{int(own) + 1:016x}")
        else:
            assert_root(served)
    # The library reads into what is left of 8 KiB: at each end of that a block is cut or has no room for more.
    assert len(alone) <= len(calls) // 6, alone
    for seen in upstream.wait_seen(len(calls)):
        (made,) = (span for span in spans[seen.id] if "url.full" in span.attributes)
        assert seen.value("traceparent").startswith(header(made))


@pytest.mark.parametrize("mode", MODES)
def test_interceptors_of_the_users(launcher: Launcher, receiver: Receiver, upstream: Upstream, mode: str) -> None:
    """What they call on the way to the handler belongs to the call as well."""
    program = start(launcher, mode, env={"UPSTREAM": upstream.url, "INTERCEPTED": "1"})
    calls = [{"id": str(n), "kind": KINDS[n % 4]} for n in range(AT_ONCE)]
    make(launcher, mode, program.port, calls, at_once=AT_ONCE)
    spans = by_id(receiver.wait_for(3 * len(calls)))
    assert {own: len(mine) for own, mine in spans.items()} == {call["id"]: 3 for call in calls}
    for mine in spans.values():
        made, asked, served = sorted(mine, key=lambda span: (span.kind, "url.full" in span.attributes))
        assert_child(served, made)
        assert_child(asked, served)


@pytest.mark.parametrize("mode", MODES)
def test_every_status(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    """17 codes, four kinds; a stream that fails at once (trailers only) and one that has answered before."""
    program = start(launcher, mode)
    calls, wanted = [], {}
    for (number, status), kind, messages in itertools.product(enumerate(CODES), KINDS, (0, 2)):
        if messages and not kind.endswith("stream"):
            continue
        own = str(len(calls))
        calls.append({"id": own, "kind": kind, "request": {"code": number, "messages": messages}})
        wanted[own] = (kind, status)
    answers = make(launcher, mode, program.port, calls)
    assert [answer["code"] for answer in answers] == [status for _, status in wanted.values()]
    spans = by_id(exactly(receiver, 2 * len(calls), launcher, program))
    for own, (kind, status) in wanted.items():
        made, served = pair(spans[own])
        assert_span(made, rpc("CLIENT", program.port, own, kind, status))
        assert_span(served, rpc("SERVER", program.port, own, kind, status))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline(launcher: Launcher, receiver: Receiver, mode: str, kind: str) -> None:
    program = start(launcher, mode)
    (answer,) = make(launcher, mode, program.port, [{"id": "1", "kind": kind, "request": {"wait": True}, "timeout": 0.5}])
    assert answer["code"] == "DEADLINE_EXCEEDED"
    made, served = pair(exactly(receiver, 2, launcher, program))
    assert_span(made, rpc("CLIENT", program.port, "1", kind, "DEADLINE_EXCEEDED"))
    # The client gives up by a reset, which says no more than that; the server's own clock may be first.
    assert any(not rpc("SERVER", program.port, "1", kind, status).differences(served) for status in ("CANCELLED", "DEADLINE_EXCEEDED")), served


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_its_client_cancels(launcher: Launcher, receiver: Receiver, mode: str, kind: str) -> None:
    """While the handler is at it."""
    program, mark = start(launcher, mode), str(launcher.directory / "mark")
    call = {"id": "1", "kind": kind, "how": "future", "request": {"wait": True, "messages": 1, "mark": mark}, "cancel": mark}
    (answer,) = make(launcher, mode, program.port, [call])
    assert answer["code"] == "CANCELLED"
    made, served = pair(exactly(receiver, 2, launcher, program))
    assert_span(made, rpc("CLIENT", program.port, "1", kind, "CANCELLED"))
    assert_span(served, rpc("SERVER", program.port, "1", kind, "CANCELLED"))


@pytest.mark.parametrize("mode", MODES)
def test_a_method_that_there_is_not(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    program = start(launcher, mode)
    calls = [{"id": str(n), "kind": kind, "method": "/test.Echo/nothing"} for n, kind in enumerate(KINDS)]
    codes = {answer["id"]: answer["code"] for answer in make(launcher, mode, program.port, calls)}
    # On a busy machine grpc.aio by itself, also without the agent, tells the program INTERNAL of a call now and then.
    assert set(codes.values()) <= {"UNIMPLEMENTED", *(["INTERNAL"] if mode == "aio" else [])}
    spans = by_id(exactly(receiver, 2 * len(calls), launcher, program))
    for call in (call for call in calls if codes[call["id"]] == "UNIMPLEMENTED"):
        made, served = pair(spans[call["id"]])
        assert_span(made, rpc("CLIENT", program.port, call["id"], status="UNIMPLEMENTED", method="test.Echo/nothing"))
        assert_span(served, rpc("SERVER", program.port, call["id"], status="UNIMPLEMENTED", method="test.Echo/nothing"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_dies(launcher: Launcher, receiver: Receiver, mode: str, kind: str) -> None:
    """The connection is lost: UNAVAILABLE for the client. The server said no status; a response that it had begun is cut off."""
    program = start(launcher, mode)
    (answer,) = make(launcher, mode, program.port, [{"id": "1", "kind": kind, "request": {"die": True}}])
    assert answer["code"] == "UNAVAILABLE"
    program.wait()
    again = start(launcher, mode, port=program.port)
    made, served = pair(exactly(receiver, 2, launcher, again))
    assert_span(made, rpc("CLIENT", program.port, "1", kind, "UNAVAILABLE"))
    error = "response_truncated" if kind.endswith("stream") else None
    assert_span(served, rpc("SERVER", program.port, "1", kind, None, error=error))


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_comes_back(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    """One span for each call that was sent; attempts to connect are nobody's calls, and none is seen of a call that got no connection."""
    program = start(launcher, mode)
    calls = [{"id": "dies", "request": {"die": True}}, {"id": "refused"}, {"id": "waits", "ready": True, "timeout": 60}]
    calls = [{"kind": "unary_unary", **call} for call in calls]
    words = [PROGRAMS / "grpc_client.py", mode, f"localhost:{program.port}", json.dumps(calls)]
    running = launcher.start(PYTHON, *words, env=WITH_IDS, service="client")
    running.wait_output(b"refused UNAVAILABLE")
    program.wait()
    again = start(launcher, mode, port=program.port)
    running.wait_output(b"waits OK")
    assert running.wait() == 0
    spans = by_id(exactly(receiver, 4, launcher, again))
    assert {own: len(mine) for own, mine in spans.items()} == {"dies": 2, "waits": 2}
    made, served = pair(spans["waits"])
    assert_span(made, rpc("CLIENT", program.port, "waits", host="localhost"))
    assert_span(served, rpc("SERVER", program.port, "waits", host="localhost"))
    assert_span(pair(spans["dies"])[0], rpc("CLIENT", program.port, "dies", status="UNAVAILABLE", host="localhost"))


@pytest.mark.parametrize("mode", MODES)
def test_many_streams(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    """200 at once on each of two connections."""
    program = start(launcher, mode)
    calls = [{"id": str(n), "kind": KINDS[n // 2 % 4], "request": {"delay": n % 50}} for n in range(400)]
    env = {"CHANNELS": "2", "OPTIONS": json.dumps([["grpc.use_local_subchannel_pool", 1]])}
    make(launcher, mode, program.port, calls, at_once=400, env=env)
    spans = by_id(exactly(receiver, 800, launcher, program))
    connections, alone = set(), 0
    for call in calls:
        made, served = sorted(spans[call["id"]], key=lambda span: span.kind)
        # A block that is cut in two is left as it is: the library writes 260 pieces at once, of which a call has about four.
        alone += not served.parent_id
        if served.parent_id:
            assert_child(served, made)
        assert_root(made)
        assert_span(made, rpc("CLIENT", program.port, call["id"], call["kind"]))
        assert_span(served, rpc("SERVER", program.port, call["id"], call["kind"]))
        connections.add(served.attributes["network.peer.port"])
    assert len(connections) == 2 and alone <= len(calls) * 4 // 260, alone


@pytest.mark.parametrize("mode", MODES)
def test_large_messages(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    """Many frames each, beyond what flow control lets through at once."""
    program = start(launcher, mode)
    request = {"size": 1_000_000, "messages": 5}
    calls = [{"id": str(n), "kind": KINDS[n % 4], "request": request, "pad": 500_000, "parts": 4, "gzip": n >= 8} for n in range(12)]
    answers = make(launcher, mode, program.port, calls, at_once=4)
    for call, answer in zip(calls, answers):
        assert len(answer["sizes"]) == (6 if call["kind"].endswith("stream") else 1)
        assert min(answer["sizes"]) > 1_000_000
    spans = by_id(exactly(receiver, 2 * len(calls), launcher, program))
    for call in calls:
        made, served = pair(spans[call["id"]])
        assert_span(made, rpc("CLIENT", program.port, call["id"], call["kind"]))
        assert_span(served, rpc("SERVER", program.port, call["id"], call["kind"]))


@pytest.mark.parametrize("mode", MODES)
def test_pings(launcher: Launcher, receiver: Receiver, mode: str) -> None:
    """A client that asks again and again whether the server is there; its library's log tells."""
    options = {"OPTIONS": json.dumps([["grpc.keepalive_time_ms", 100], ["grpc.http2.max_pings_without_data", 0]])}
    program = start(launcher, mode)
    calls = json.dumps([{"id": "1", "kind": "unary_unary", "request": {"delay": 1500}}])
    done = launcher.run(PYTHON, PROGRAMS / "grpc_client.py", mode, f"127.0.0.1:{program.port}", calls, service="client",
                        env={**WITH_IDS, **options, "GRPC_TRACE": "http2_ping", "GRPC_VERBOSITY": "debug"})
    assert json.loads(done.out)[0]["code"] == "OK" and done.err.count(b"received ping ack") >= 2, done.err.decode()
    made, served = pair(exactly(receiver, 2, launcher, program))
    assert_span(made, rpc("CLIENT", program.port, "1"))
    assert_span(served, rpc("SERVER", program.port, "1"))


@pytest.mark.parametrize("mode", MODES)
def test_tls_is_not_seen(launcher: Launcher, receiver: Receiver, upstream: Upstream, mode: str) -> None:
    """grpcio has a library of its own inside. What handlers call in plain text is seen, and nobody's."""
    secure = {"TLS_CERT": str(certificates().cert), "TLS_KEY": str(certificates().key)}
    program = start(launcher, mode, env={"UPSTREAM": upstream.url, **secure})
    calls = [{"id": str(n), "kind": kind, "request": {"http": str(n)}} for n, kind in enumerate(KINDS)]
    answers = make(launcher, mode, program.port, calls, host="localhost", env={"CA": str(certificates().ca)})
    assert {answer["code"] for answer in answers} == {"OK"}
    spans = receiver.wait_for(4)
    assert sorted(map(own_of, spans)) == ["0", "1", "2", "3"] and {span.kind for span in spans} == {"CLIENT"}
    for span in spans:
        assert_span(span, call(f"{upstream.url}/echo?id={own_of(span)}"))
        assert_root(span)


@pytest.mark.parametrize("mode", MODES)
def test_forked_servers(launcher: Launcher, receiver: Receiver, upstream: Upstream, mode: str) -> None:
    program = start(launcher, mode, env={"UPSTREAM": upstream.url, "WORKERS": "2"})
    calls = [{"id": str(n), "kind": KINDS[n % 4], "request": {"http": str(n)}} for n in range(40)]
    env = {"CHANNELS": "20", "OPTIONS": json.dumps([["grpc.use_local_subchannel_pool", 1]])}
    make(launcher, mode, program.port, calls, at_once=20, env=env)
    spans = by_id(receiver.wait_for(3 * len(calls)))
    assert {own: len(mine) for own, mine in spans.items()} == {call["id"]: 3 for call in calls}
    workers = set()
    for mine in spans.values():
        made, asked, served = sorted(mine, key=lambda span: (span.kind, "url.full" in span.attributes))
        assert_child(served, made)
        assert_child(asked, served)
        workers.add(served.pid)
    assert len(workers) == 2


def test_what_a_program_can_see(launcher: Launcher, receiver: Receiver) -> None:
    """Signatures, importers, what interceptors are told, stacks and errors are as they are without the agent."""
    bare, traced = (launcher.run(PYTHON, PROGRAMS / "grpc_introspection.py", how=how) for how in (NONE, launcher.how))
    assert (traced.code, traced.out.decode().splitlines()) == (0, bare.out.decode().splitlines())
    assert len(receiver.wait_for(8)) == 8


OFF = {  # what is off, in which program, and which spans are left
    "GRPC": ("both", []),
    "GRPC_CLIENT": ("client", ["SERVER"]),
    "GRPC_AIO_SERVER": ("server", ["CLIENT"]),
    "HTTP": ("both", ["CLIENT", "SERVER"]),
}


@pytest.mark.parametrize("switch", OFF)
def test_switches(launcher: Launcher, receiver: Receiver, upstream: Upstream, switch: str) -> None:
    """A side that is off has no spans and passes nothing on; the other side, and HTTP, are as they were."""
    where, left = OFF[switch]
    off = {f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false"}
    program = start(launcher, "aio", env={"UPSTREAM": upstream.url, **(off if where != "client" else {})})
    (answer,) = make(launcher, "aio", program.port, [{"id": "1", "kind": "unary_unary", "request": {"http": "1"}}],
                     env=off if where != "server" else {})
    over_http = [] if switch == "HTTP" else ["CLIENT"]
    if not left:  # nothing but HTTP
        spans = receiver.wait_for(1)
    else:
        spans = receiver.wait_for(len(left) + len(over_http))
    assert sorted(span.kind for span in spans) == sorted(left + over_http)
    calls = [span for span in spans if "rpc.method" in span.attributes]
    assert sorted(span.kind for span in calls) == left
    headers = [value for key, value in answer["answers"][0]["metadata"] if key == "traceparent"]
    # Without a client's, the server's own is written into what it reads.
    assert [value[:-3] for value in headers] == [header(span) for span in sorted(calls, key=lambda span: span.kind)][:1]
