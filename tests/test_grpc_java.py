"""grpc-java: each call a span on both sides, and what its handler calls under its own call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest

from harness import grpc
from harness.assertions import Expect, assert_child, assert_root, assert_span, traceparent_of
from harness.assertions import call as http_call
from harness.grpc import CODES, ENV, KINDS
from harness.grpcio import Peer, call_all, peer
from harness.jdks import GRPC, compiled
from harness.parents import AT_ONCE
from harness.parents import id_of as id_in_url
from harness.ports import free_port
from harness.processes import PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios.java import OPTIONS, java
from harness.spans import Span, draw
from harness.tls import certificates
from harness.upstream import Upstream

NEW, OLD = "1.79.0", "1.50.0"
TESTS = Path(__file__).parent
VERIFY = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+BytecodeVerificationLocal")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Class paths by the version of gRPC."""
    return {version: f"{compiled(tmp_path_factory.mktemp('classes'), 'Grpc', libraries=GRPC / version)}:{GRPC / version}/*"
            for version in (NEW, OLD)}


@pytest.fixture
def called() -> Iterator[Peer]:
    with peer() as made:
        yield made


def serve(launcher: Launcher, programs: dict[str, str], *, jdk: int = 17, version: str = NEW, **env: str) -> Program:
    return launcher.start(java(jdk), *OPTIONS, *VERIFY, "-cp", programs[version], "Grpc", "serve", port=free_port(),
                          env={**ENV, **env}, service="server")


def id_of(span: Span) -> str:
    told = span.attributes.get("rpc.request.metadata.x-id")
    return told[0].removeprefix("b") if told else id_in_url(span)


def expected(side: str, kind: str, code: str | None, port: int, id: str, **options: Any) -> Expect:
    return grpc.expected(side, f"tests.Calls/{kind}", code, port, id=id, **options)


def of_each(receiver: Receiver, ids: list[str], each: int) -> dict[str, list[Span]]:
    """So many spans of each id, and no others, in the order of their starts."""
    spans = receiver.wait_for(each * len(ids))
    assert len(spans) == each * len(ids), draw(spans)
    found: dict[str, list[Span]] = {id: [] for id in ids}
    for span in sorted(spans, key=lambda span: span.start):
        found[id_of(span)].append(span)
    assert all(len(mine) == each for mine in found.values()), draw(spans)
    return found


HTTP, RPC = ["http", "pool", "context", "jdk"], ["grpc", "grpc-pool", "grpc-then"]
SERVERS = [(17, NEW, "netty", "pool"), (21, NEW, "shaded", "pool"), (17, OLD, "netty", "pool"), (17, OLD, "shaded", "pool"),
           (25, NEW, "netty", "direct")]


@pytest.mark.parametrize("kind", ["Unary", "Collect", "Chat"])
@pytest.mark.parametrize("jdk,version,transport,executor", SERVERS)
def test_every_parent(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, called: Peer, programs: dict[str, str], jdk: int, version: str,
    transport: str, executor: str, kind: str,
) -> None:
    """All calls at once on one channel, with contexts and without; theirs go out on one channel, too."""
    program = serve(launcher, programs, jdk=jdk, version=version, TRANSPORT=transport, EXECUTOR=executor, UPSTREAM=upstream.url,
                    PEER=f"127.0.0.1:{called.port}")
    ways = HTTP + RPC if executor == "pool" else ["http", "jdk", "grpc-then"]
    if kind != "Unary":
        ways.remove("grpc-then")  # the call would be over before
    for way in ways:
        receiver.clear()
        upstream.seen.clear()
        called.seen.clear()
        ids = [f"{way}-{n}" for n in range(AT_ONCE)]
        context = {id: f"00-{n + 1:032x}-{n + 1:016x}-01" for n, id in enumerate(ids) if n % 2}
        delays = {id: n % 3 * 20 for n, id in enumerate(ids)}
        answers = call_all(program.port, [f"{kind}?id={id}&way={way}&delay={delays[id]}" for id in ids], context)
        twice = way == "grpc-then"
        for id, (served, *calls) in of_each(receiver, ids, 3 if twice else 2).items():
            assert_span(served, expected("SERVER", kind, "OK", program.port, id))
            if id in context:
                assert served.traceparent.split("-")[1] == context[id].split("-")[1]
                assert served.parent_id == context[id].split("-")[2]
            else:
                assert_root(served)
            assert answers[id].answers[0]["traceparent"] == context.get(id, "")
            for span in calls:
                assert_child(span, served)
            if way in RPC:
                assert_span(calls[0], expected("CLIENT", "Unary", "OK", called.port, id))
                assert called.seen[id] == [traceparent_of(calls[0])]
            if way in HTTP or twice:
                own = f"b{id}" if twice else id
                assert_span(calls[-1], http_call(f"{upstream.url}/echo?id={own}"))
                (seen,) = [seen for seen in upstream.seen if seen.id == own]
                assert seen.value("traceparent") == traceparent_of(calls[-1])
    assert b"".join(line for line in program.err.splitlines() if not line.startswith(b"WARNING")) == b""  # 25 warns of Netty


PYTHON_CALLS = """
import sys
from harness.grpcio import call_all
answers = call_all(int(sys.argv[1]), sys.argv[2:])
print(*(f"{id} {answer.code}" for id, answer in answers.items()), sep="\\n")
"""


def run_java(launcher: Launcher, programs: dict[str, str], target: str, calls: list[str], version: str = NEW, jdk: int = 17,
             **env: str) -> dict[str, list[str]]:
    """The lines that the caller prints, by the ids of the calls: code, then the answers."""
    done = launcher.run(java(jdk), *OPTIONS, *VERIFY, "-cp", programs[version], "Grpc", "call", target, *calls, env={**ENV, **env},
                        service="client")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.decode().splitlines()]
    assert len(lines) == len(calls)
    return {line[0]: line[1:] for line in lines}


def assert_pair(mine: list[Span], kind: str, code: str, port: int, id: str, host: str = "127.0.0.1") -> tuple[Span, Span]:
    made, served = mine
    assert_span(made, expected("CLIENT", kind, code, port, id, host=host))
    assert_span(served, expected("SERVER", kind, code, port, id, host=host))
    assert_root(made)
    assert_child(served, made)
    return made, served


@pytest.mark.parametrize("version,transport", [(NEW, "netty"), (NEW, "shaded"), (OLD, "netty"), (NEW, "okhttp"), (OLD, "okhttp")])
def test_both_sides(launcher: Launcher, receiver: Receiver, programs: dict[str, str], version: str, transport: str) -> None:
    """Every kind of call, twenty of each at once on one channel: two spans and one trace each."""
    program = serve(launcher, programs, jdk=21, version=version, TRANSPORT=transport)
    ids = {f"{kind}-{n}": kind for kind in KINDS for n in range(AT_ONCE)}
    calls = [f"{kind}?id={id}&delay={n % 3 * 20}" for n, (id, kind) in enumerate(ids.items())]
    answers = run_java(launcher, programs, f"127.0.0.1:{program.port}", calls, version, TRANSPORT=transport)
    for id, mine in of_each(receiver, list(ids), 2).items():
        made, _ = assert_pair(mine, ids[id], "OK", program.port, id)
        code, *texts = answers[id]
        count = {"Unary": [0], "List": [0, 1, 2], "Collect": [3], "Chat": [1, 2, 3]}[ids[id]]
        (carried,) = {text.split("&")[1].removeprefix("traceparent=") for text in texts}
        assert (code, carried) == ("0", traceparent_of(made))
        assert [text.replace(carried, "") for text in texts] == [f"id={id}&traceparent=&n={n}" for n in count]


def test_inside_tls(launcher: Launcher, receiver: Receiver, upstream: Upstream, programs: dict[str, str]) -> None:
    """The JDK's TLS below Netty: the service's calls are under its own calls there, too."""
    made = certificates()
    program = serve(launcher, programs, UPSTREAM=upstream.url, TLS_CERT=str(made.cert), TLS_KEY=str(made.key))
    for way in HTTP:
        receiver.clear()
        ids = [f"{way}-{n}" for n in range(AT_ONCE)]
        run_java(launcher, programs, f"localhost:{program.port}", [f"Unary?id={id}&way={way}" for id in ids], TLS_CA=str(made.ca))
        for id, (called, served, out) in of_each(receiver, ids, 3).items():
            assert_pair([called, served], "Unary", "OK", program.port, id, host="localhost")
            assert_child(out, served)
            assert_span(out, http_call(f"{upstream.url}/echo?id={id}"))


@pytest.mark.parametrize("version,transport", [(NEW, "netty"), (NEW, "shaded"), (OLD, "netty")])
def test_every_status(launcher: Launcher, receiver: Receiver, programs: dict[str, str], version: str, transport: str) -> None:
    """All statuses of all kinds, as a caller in another language is told them."""
    program = serve(launcher, programs, version=version, TRANSPORT=transport)
    wanted = {f"{kind}-{code}": (kind, code) for kind in KINDS for code in range(len(CODES))}
    answers = call_all(program.port, [f"{kind}?id={id}&code={code}" for id, (kind, code) in wanted.items()])
    for id, (served,) in of_each(receiver, list(wanted), 1).items():
        kind, code = wanted[id]
        assert (answers[id].code, answers[id].message) == (code, "as asked: 100 %" if code else "")
        assert_span(served, expected("SERVER", kind, CODES[code], program.port, id))
        assert_root(served)


def test_deadlines_and_cancelled_calls(launcher: Launcher, receiver: Receiver, programs: dict[str, str]) -> None:
    """A deadline passes while the service is at work; a caller has had enough in the middle of a stream."""
    program = serve(launcher, programs)
    calls = ["Unary?id=late&hang=1&timeout=1000", "List?id=later&hang=1&timeout=1000", "Chat?id=enough&hang=1&enough=1"]
    answers = run_java(launcher, programs, f"127.0.0.1:{program.port}", calls)
    assert {id: answer[0] for id, answer in answers.items()} == {"late": "4", "later": "4", "enough": "1"}
    spans = of_each(receiver, ["late", "later", "enough"], 2)
    for id, kind, code in (("late", "Unary", "DEADLINE_EXCEEDED"), ("later", "List", "DEADLINE_EXCEEDED"), ("enough", "Chat", "CANCELLED")):
        made, served = spans[id]
        assert_root(made)
        assert_child(served, made)
        assert_span(made, expected("CLIENT", kind, code, program.port, id))
        # Both ends keep the time; whichever is first ends the call.
        assert served.attributes["rpc.response.status_code"] in {code, "CANCELLED"}


def test_python_and_java(launcher: Launcher, receiver: Receiver, programs: dict[str, str]) -> None:
    """grpcio calls a service in Java, and Java one in Python: one trace each."""
    program = serve(launcher, programs)
    ids = {f"{kind}-{n}": kind for kind in KINDS for n in range(5)}
    script = ["-c", PYTHON_CALLS, str(program.port), *(f"{kind}?id={id}" for id, kind in ids.items())]
    done = launcher.run(PYTHON, *script, env={**ENV, "PYTHONPATH": str(TESTS)}, service="client")
    assert done.code == 0, done.err
    for id, mine in of_each(receiver, list(ids), 2).items():
        assert_pair(mine, ids[id], "OK", program.port, id)

    receiver.clear()
    port = free_port()
    serving = "from harness.grpcio import serve; serve()"
    launcher.start(PYTHON, "-c", serving, port=port, env={**ENV, "PYTHONPATH": str(TESTS)}, service="server")
    ids = {f"{n}": "Unary" for n in range(AT_ONCE)}
    run_java(launcher, programs, f"127.0.0.1:{port}", [f"Unary?id={id}" for id in ids])
    for id, mine in of_each(receiver, list(ids), 2).items():
        assert_pair(mine, ids[id], "OK", port, id)


@pytest.mark.parametrize("version", [NEW, OLD])
def test_okhttp(launcher: Launcher, receiver: Receiver, upstream: Upstream, called: Peer, programs: dict[str, str], version: str) -> None:
    """A server whose threads read many calls each: no wrong parent."""
    program = serve(launcher, programs, version=version, TRANSPORT="okhttp", UPSTREAM=upstream.url, PEER=f"127.0.0.1:{called.port}")
    for way in ("http", "grpc"):
        receiver.clear()
        ids = [f"{way}-{n}" for n in range(AT_ONCE)]
        # Another thread of this server's may close the connection while the one that answers is still in its write.
        call_all(program.port, [f"Unary?id={id}&way={way}&delay=20" for id in ids], before_close=lambda: receiver.wait_for(2 * AT_ONCE))
        for id, (served, out) in of_each(receiver, ids, 2).items():
            assert_span(served, expected("SERVER", "Unary", "OK", program.port, id))
            if out.parent_id:
                assert_child(out, served)
            if way == "grpc":
                # OkHttp's buffers end where they are full: a head that is cut in two is left alone.
                assert called.seen[id] in ([], [traceparent_of(out)])


def test_okhttp_below_netty(launcher: Launcher, receiver: Receiver, called: Peer, programs: dict[str, str]) -> None:
    program = serve(launcher, programs, CLIENT="okhttp", PEER=f"127.0.0.1:{called.port}")
    ids = [str(n) for n in range(AT_ONCE)]
    call_all(program.port, [f"Unary?id={id}&way=grpc&delay={n % 3 * 20}" for n, id in enumerate(ids)])
    for id, (served, out) in of_each(receiver, ids, 2).items():
        assert_child(out, served)
        assert called.seen[id] == [traceparent_of(out)]
