"""grpc-java: each call a span on both sides, and what its handler calls under its own call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.assertions import ANY_IP, ANY_PORT, Expect, assert_child, assert_root, assert_span, traceparent_of
from harness.assertions import call as http_call
from harness.grpcio import Peer, call_all, peer
from harness.jdks import GRPC, compiled
from harness.parents import AT_ONCE
from harness.parents import id_of as id_in_url
from harness.ports import free_port
from harness.processes import Launcher, Program
from harness.receiver import Receiver
from harness.scenarios.java import OPTIONS, java
from harness.spans import Span, draw
from harness.tls import certificates
from harness.upstream import Upstream

CODES = ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
         "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
         "DATA_LOSS", "UNAUTHENTICATED")
OF_SERVER = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
KINDS = ("Unary", "Collect", "List", "Chat")
# The id of a call is in its metadata, and by that in its spans.
ENV = {f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{side}_REQUEST": "x-id" for side in ("SERVER", "CLIENT")}
NEW, OLD = "1.79.0", "1.50.0"
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


def expected(side: str, kind: str, code: str | None, port: int, id: str, *, error: str | None = None, host: str = "127.0.0.1") -> Expect:
    attributes: dict[str, Any] = {
        "rpc.system.name": "grpc",
        "rpc.method": f"tests.Calls/{kind}",
        "server.address": host,
        "server.port": port,
        "network.peer.address": ANY_IP,
        "network.peer.port": port if side == "CLIENT" else ANY_PORT,
        "rpc.request.metadata.x-id": [id],
    }
    if code:
        attributes["rpc.response.status_code"] = code
        error = error or (code if code in OF_SERVER or side == "CLIENT" and code != "OK" else None)
    if error:
        attributes["error.type"] = error
    return Expect(side, f"tests.Calls/{kind}", attributes, "ERROR" if error else "UNSET")


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
    assert program.err == b""
