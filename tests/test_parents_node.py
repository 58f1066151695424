"""Node: each outgoing request has the parent that asked for it, with twenty requests at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable

import pytest

from harness import client, tls
from harness.assertions import assert_exactly
from harness.parents import Counts, count_parents, id_of
from harness.processes import Launcher
from harness.receiver import Receiver
from harness.scenarios.node import AFTER, BEHIND_TLS, CLIENTS, FRAMEWORKS, VERSIONS, start, way
from harness.tls import TlsUpstream
from harness.upstream import Reader, Upstream


def paths(clients: Iterable[str], after: Iterable[str], each: int = 5) -> list[str]:
    """Every client after every hand-off, in an order in which neighbours differ."""
    kinds = [(name, turn) for turn in after for name in clients] * each
    return [f"{way(name, turn).path}&id={number}&delay={number % 7 * 10}"
            for number, (name, turn) in enumerate(kinds)]


def check(receiver: Receiver, wanted: list[str], control: int | Callable[[str], object]) -> None:
    """Each call is under its own request; printed by client."""
    calls = len(wanted) + sum("with=twice" in path for path in wanted)
    spans = assert_exactly(receiver, len(wanted) + calls, control)
    of = {id_of(span): span.url.split("with=")[1].split("&")[0] for span in spans if span.kind == "SERVER"}
    for name in sorted(set(of.values())):
        print(f"{name:10}", count_parents(span for span in spans if of[id_of(span)] == name))
    assert count_parents(spans) == Counts(right=calls, wrong=0, none=0)


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_and_hand_offs(launcher: Launcher, receiver: Receiver, upstream: Upstream, version: str) -> None:
    program = start(launcher, upstream, version=version)
    wanted = paths(CLIENTS, ["none", "timer"], each=8) + paths(["narrow", "fetch"], AFTER, each=8)
    wanted = [path.replace("id=", f"id={number}-") for number, path in enumerate(wanted)]
    replies = client.get_many(program.port, wanted)
    assert {reply.status for reply in replies} == {200}
    check(receiver, wanted, program.port)


def test_without_the_bridge(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The same requests would have no parents."""
    program = start(launcher, upstream, OTEL_INSTRUMENTATION_NODE_ENABLED="false")
    wanted = paths(["narrow", "fetch"], ["timer"], each=20)
    client.get_many(program.port, wanted)
    spans = assert_exactly(receiver, 80, program.port)
    right, wrong, none = count_parents(spans)
    assert wrong == 0 and none > right


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_servers(launcher: Launcher, receiver: Receiver, upstream: Upstream, framework: str) -> None:
    program = start(launcher, upstream, framework)
    wanted = paths(["narrow", "fetch"], ["none", "timer", "promise"], each=10)
    assert {reply.status for reply in client.get_many(program.port, wanted)} == {200}
    check(receiver, wanted, program.port)


@pytest.mark.parametrize("version", VERSIONS)
def test_https(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, version: str) -> None:
    program = start(launcher, tls_upstream, "https", version)
    wanted = paths(BEHIND_TLS, ["none", "timer"], each=5)
    assert {reply.status for reply in tls.get_many(program.port, wanted)} == {200}
    check(receiver, wanted, tls.control(program.port))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framework", ["http", "express", "fastify"])
def test_when_the_body_has_come(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, framework: str, version: str
) -> None:
    """The body comes later than the head, in events of the server's socket."""
    if (framework, version) == ("fastify", "18"):
        version = "20"  # Fastify 5 needs 20
    program = start(launcher, upstream, framework, version)
    wanted = paths(["pool", "fetch"], ["none", "timer"], each=10)

    def post(path: str) -> int:
        with client.Raw(program.port) as raw:
            body = json.dumps({"of": path}).encode()
            raw.send(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode())
            raw.send(body[:5])
            raw.send(body[5:])
            return int(raw.response().split(b" ")[1])

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(post, wanted)) == {200}
    check(receiver, wanted, program.port)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_pipelined_requests(launcher: Launcher, receiver: Receiver, upstream: Upstream, secure: bool) -> None:
    """Three requests come in one read: each is given out once."""
    program = start(launcher, upstream, "https" if secure else "http")
    wanted = paths(["pool", "fetch"], ["none", "timer"], each=15)
    connect = tls.Connection if secure else client.Raw

    def send(three: list[str]) -> list[str]:
        with connect(program.port) as connection:
            connection.sock.sendall("".join(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n" for path in three).encode())
            reader = Reader(connection.sock)
            return [json.loads(reader.body(reader.until(b"\r\n\r\n")))["id"] for _ in three]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, [wanted[at:at + 3] for at in range(0, len(wanted), 3)]))
    assert [number for three in answers for number in three] == [str(number) for number in range(len(wanted))]
    check(receiver, wanted, tls.control(program.port) if secure else program.port)


def test_two_hundred_at_once(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start(launcher, upstream)
    wanted = paths(["http", "narrow", "fetch", "pipelined"], ["none", "timer"], each=50)
    assert {reply.status for reply in client.get_many(program.port, wanted, at_once=200)} == {200}
    check(receiver, wanted, program.port)


def test_queue_that_remembers_nobody(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """fetch through an undici Agent with a limit: a request that had to wait is made in another one's turn."""
    program = start(launcher, upstream)
    wanted = paths(["limited"], ["none", "timer"], each=50)
    assert {reply.status for reply in client.get_many(program.port, wanted)} == {200}
    right, wrong, none = count_parents(assert_exactly(receiver, 200, program.port))
    assert wrong == 0 and right > 0, (right, wrong, none)


def test_refused(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The failed connects of twenty requests, after the name was looked up."""
    upstream.close()
    program = start(launcher, upstream, UPSTREAM=f"http://localhost:{upstream.port}")
    wanted = paths(["http"], ["none", "timer"], each=10)
    assert {reply.status for reply in client.get_many(program.port, wanted)} == {502}
    spans = assert_exactly(receiver, 40, program.port)
    served = {span.span_id for span in spans if span.kind == "SERVER"}
    assert {span.parent_id for span in spans if span.kind == "CLIENT"} == served
    assert {span.attributes["error.type"] for span in spans if span.kind == "CLIENT"} == {"connection_refused"}


def test_after_the_response(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A request that is over parents nothing."""
    program = start(launcher, upstream)
    wanted = [f"/fetch?id={number}&with=pool&after=none&early=1" for number in range(40)]
    client.get_many(program.port, wanted)
    upstream.wait_seen(40)
    assert count_parents(assert_exactly(receiver, 80, program.port)) == Counts(right=0, wrong=0, none=40)
