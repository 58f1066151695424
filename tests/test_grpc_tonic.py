"""gRPC by Rust's tonic, alone and against grpcio: each call a span on both sides, whatever its end, and no wrong parent."""

from __future__ import annotations

import itertools
import re
import signal
from contextlib import closing
from pathlib import Path

import pytest

from harness.assertions import assert_child, assert_root, assert_span, traceparent_of
from harness.grpc import (CODES, ENV, GRPCIO, KINDS, NAMES, TONIC, answers_of, assert_call, call, expected, id_of,
                          pairs_of, serve)
from harness.processes import NONE, Launcher
from harness.receiver import Receiver
from harness.silent import SilentHttp2
from harness.spans import Span, draw
from harness.tls import certificates

SIDES = [(TONIC, TONIC), (TONIC, GRPCIO), (GRPCIO, TONIC)]
sides = pytest.mark.parametrize("caller, callee", SIDES, ids=[f"{NAMES[one]}-{NAMES[two]}" for one, two in SIDES])
CURL = ["curl", "-sS", "--http2-prior-knowledge", "-A", "curl/1", "-H", "te: trailers", "-H", "content-type: application/grpc"]


def settled(launcher: Launcher, receiver: Receiver, count: int, url: str) -> list[Span]:
    """Waits for so many spans, then for those of one more call: without these, exactly as many came."""
    receiver.wait_for(count)
    call(launcher, TONIC, url, ["Unary?id=control"])
    spans = receiver.wait_for(lambda spans: sum(is_control(span) for span in spans) == 2)
    rest = [span for span in spans if not is_control(span)]
    assert len(rest) == count, f"wanted exactly {count} spans, got {len(rest)}:\n{draw(rest)}"
    return rest


def is_control(span: Span) -> bool:
    return span.attributes.get("rpc.request.metadata.x-id") == ["control"]


@sides
def test_every_kind_of_call(launcher: Launcher, receiver: Receiver, caller: tuple, callee: tuple) -> None:
    """The service sees the caller's context once, and all else as without the agent."""
    server = serve(launcher, callee)
    calls = [f"{kind}?id={kind}&count=4&size=40000" for kind in KINDS]
    bare = call(launcher, caller, server.url, calls, how=NONE)
    alone = {id_of(span): span for span in receiver.wait_for(len(KINDS))}
    for span in alone.values():
        assert_root(span)
        assert span.kind == "SERVER"
    receiver.clear()

    answers = call(launcher, caller, server.url, calls)
    pairs = pairs_of(settled(launcher, receiver, 2 * len(KINDS), server.url), KINDS)
    for kind in KINDS:
        assert_call(pairs[kind], kind, "OK", server.port, kind)
        assert answers[kind].traceparent == traceparent_of(pairs[kind][0])
        # gRPC's C core is given the call's own, where there is room for it.
        assert bare[kind].traceparent in ([""] if callee is TONIC else ["", traceparent_of(alone[kind])])
        assert answers[kind].without_context == bare[kind].without_context


@sides
def test_every_status(launcher: Launcher, receiver: Receiver, caller: tuple, callee: tuple) -> None:
    """All statuses of all kinds at once over one channel, of streams before and after their messages, and methods that do not exist."""
    server = serve(launcher, callee)
    wanted: dict[str, tuple[str, int]] = {}
    calls = []
    for kind, code, early in itertools.product(KINDS, range(len(CODES)), ("", "&early=1")):
        if early and (kind in ("Unary", "Collect") or code == 0):
            continue
        id = f"{kind}-{code}{early[1:6]}"
        wanted[id] = kind, code
        calls.append(f"{kind}?id={id}&code={code}{early}")
    calls += [f"{kind}?id={kind}-none&method=tests.Calls/None" for kind in KINDS]
    count = len(calls)
    assert count == 4 * 17 + 2 * 16 + 4

    answers = call(launcher, caller, server.url, calls)
    pairs = pairs_of(settled(launcher, receiver, 2 * count, server.url), [*wanted, *(f"{kind}-none" for kind in KINDS)])
    for id, (kind, code) in wanted.items():
        assert (answers[id].code, answers[id].message) == (code, "as asked: 100 %" if code else "")
        assert_call(pairs[id], kind, CODES[code], server.port, id)
    for kind in KINDS:
        id = f"{kind}-none"
        assert answers[id].code == CODES.index("UNIMPLEMENTED")
        for side, span in zip(("CLIENT", "SERVER"), pairs[id]):
            assert_span(span, expected(side, "tests.Calls/None", "UNIMPLEMENTED", server.port, id=id))


@sides
def test_a_hundred_calls_of_one_channel(launcher: Launcher, receiver: Receiver, caller: tuple, callee: tuple) -> None:
    """All at once: as many spans as calls, none merged, none twice. What is sent is less than is looked through for a request in one
    write (64 KiB: docs/coverage.md)."""
    server = serve(launcher, callee)
    kinds = {str(n): KINDS[n % 4] for n in range(100)}
    calls = [f"{kind}?id={n}&delay={1 + int(n) * 7 % 30}&count=3&size={int(n) * 7 % 300}" for n, kind in kinds.items()]
    answers = call(launcher, caller, server.url, calls)
    pairs = pairs_of(settled(launcher, receiver, 200, server.url), kinds)
    for n, kind in kinds.items():
        assert_call(pairs[n], kind, "OK", server.port, n)
        assert answers[n].traceparent == traceparent_of(pairs[n][0])
        assert [len(answer["pad"]) for answer in answers[n].answers] == [int(n) * 7 % 300] * (3 if kind in ("List", "Chat") else 1)


@sides
def test_calls_that_are_given_up(launcher: Launcher, receiver: Receiver, caller: tuple, callee: tuple) -> None:
    """Before an answer, and in the middle of a stream."""
    server = serve(launcher, callee)
    calls = {f"{kind}-{when}": f"{kind}?id={kind}-{when}&{when}=60000&drop=1" for kind, when in
             [*((kind, "delay") for kind in KINDS), ("List", "pause"), ("Chat", "pause")]}
    client = launcher.start(*caller, "call", server.url, *calls.values(), env=ENV, service="client")
    for id in calls:
        server.wait_output(f"got {id}\n".encode())
    client.process.send_signal(signal.SIGUSR1)
    assert client.wait() == 0, client.describe()
    answers = answers_of(client.out)
    pairs = pairs_of(settled(launcher, receiver, 2 * len(calls), server.url), calls)
    for id in calls:
        assert answers[id].code == -1
        assert_call(pairs[id], id.partition("-")[0], "CANCELLED", server.port, id)


@pytest.mark.parametrize("caller", [TONIC, GRPCIO], ids=NAMES.get)
@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline_of_the_caller(launcher: Launcher, receiver: Receiver, caller: tuple, kind: str) -> None:
    with closing(SilentHttp2()) as silent:
        answers = call(launcher, caller, silent.url, [f"{kind}?id=1&timeout=300"])
        assert answers["1"].code == (1 if caller == TONIC else 4)  # tonic calls it CANCELLED
        (span,) = receiver.wait_for(1)
        assert_span(span, expected("CLIENT", f"tests.Calls/{kind}", "DEADLINE_EXCEEDED", silent.port, id="1"))
        assert_root(span)
        assert span.seconds < 5


@pytest.mark.parametrize("callee, code", [(TONIC, "CANCELLED"), (GRPCIO, "DEADLINE_EXCEEDED")], ids=["tonic", "grpcio"])
def test_a_deadline_that_the_service_keeps(launcher: Launcher, receiver: Receiver, callee: tuple, code: str) -> None:
    """The caller tells its deadline and waits longer."""
    server = serve(launcher, callee)
    message = b"id=1&delay=60000"
    Path(launcher.directory, "message").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    done = launcher.run(*CURL, "-H", "grpc-timeout: 300m", "-H", "x-id: 1", "--data-binary", "@message", f"{server.url}/tests.Calls/Unary",
                        how=NONE)
    (span,) = receiver.wait_for(1)
    assert_span(span, expected("SERVER", "tests.Calls/Unary", code, server.port, id="1"))
    assert span.seconds < 5, done


@sides
def test_a_service_that_is_killed(launcher: Launcher, receiver: Receiver, caller: tuple, callee: tuple) -> None:
    server = serve(launcher, callee)
    calls = {kind: f"{kind}?id={kind}&{when}=60000" for kind, when in zip(KINDS, ("delay", "delay", "pause", "pause"))}
    client = launcher.start(*caller, "call", server.url, *calls.values(), env=ENV, service="client")
    for id in calls:
        server.wait_output(f"got {id}\n".encode())
    server.process.send_signal(signal.SIGKILL)
    assert client.wait() == 0, client.describe()
    answers = answers_of(client.out)
    spans = receiver.wait_for(len(calls))
    assert sorted(map(id_of, spans)) == sorted(calls)
    for span in spans:
        kind = id_of(span)
        assert_span(span, expected("CLIENT", f"tests.Calls/{kind}", "UNAVAILABLE", server.port, id=kind))
        assert answers[kind].code != 0


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("caller", [TONIC, GRPCIO], ids=NAMES.get)
def test_what_handlers_call_has_no_wrong_parent(launcher: Launcher, receiver: Receiver, caller: tuple, threads: str) -> None:
    """20 of a sort at once, by HTTP/2 and gRPC. Tasks move between threads, and hyper sends from a task of its own: none has a parent."""
    second, third = serve(launcher, GRPCIO), serve(launcher, TONIC)
    first = serve(launcher, TONIC, env={"THREADS": threads, "GRPC_UPSTREAM": second.url, "HTTP_UPSTREAM": third.url})
    ids = [f"{how}-{n}" for how in ("http", "spawn", "grpc") for n in range(20)]
    answers = call(launcher, caller, first.url, [f"{KINDS[n % 4]}?id={id}&call={id.partition('-')[0]}" for n, id in enumerate(ids)])
    assert {answer.code for answer in answers.values()} == {0}
    spans = settled(launcher, receiver, 4 * len(ids), first.url)
    by_id = {span.span_id: span for span in spans}
    calls = [span for span in spans if span.kind == "CLIENT"]
    assert sorted(map(any_id, calls)) == sorted(2 * ids)
    assert all(span.parent_id == "" for span in calls), draw(spans)
    served = [span for span in spans if span.kind == "SERVER"]
    assert sorted(map(any_id, served)) == sorted(2 * ids)
    for span in served:
        assert_child(span, by_id[span.parent_id])
        assert any_id(by_id[span.parent_id]) == any_id(span)


def any_id(span: Span) -> str:
    found = re.search(r"[?&]id=([^&]+)", span.url)
    return found[1] if found else id_of(span)


def test_rustls_is_left_alone(launcher: Launcher, receiver: Receiver) -> None:
    """Nothing is seen of it and nothing breaks: calls over TLS, and then one in the clear by the same programs."""
    files = certificates()
    plain = serve(launcher, TONIC)
    secure = serve(launcher, TONIC, env={"TLS_CERT": str(files.cert), "TLS_KEY": str(files.key)})
    answers = call(launcher, TONIC, f"https://localhost:{secure.port}", [f"{kind}?id={kind}" for kind in KINDS], env={"TLS_CA": str(files.ca)})
    assert {(answer.code, answer.traceparent) for answer in answers.values()} == {(0, "")}
    assert settled(launcher, receiver, 0, plain.url) == []
