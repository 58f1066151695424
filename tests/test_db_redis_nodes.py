"""Redis on several servers: a cluster's redirections and replicas; and connections that are made again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

import pytest

from harness import client
from harness.apps import GUNICORN
from harness.assertions import Expect, assert_child, assert_root, assert_spans
from harness.assertions import server as served
from harness.databases.redis import Redis, ask, cluster
from harness.ports import free_port
from harness.processes import Launcher, Program, wait_until
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES
from harness.spans import Span

# Keys of the first server and of the second, and the slot of the one that is moved.
FIRST, SECOND, SLOT = "bar", "foo", 5061

Nodes = tuple[Redis, Redis, Redis]


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Of each test's own: slots are moved. The third copies the first."""
    with cluster() as servers:
        yield servers


def start(launcher: Launcher, server: Redis, app: str = "redis_cluster_wsgi:app", **env: str) -> Program:
    port = free_port()
    env = {"REDIS_PORT": str(server.port), "PYTHONPATH": str(PROGRAMS / "databases"), **env}
    return launcher.start(GUNICORN, app, "-b", f"127.0.0.1:{port}", env=env, port=port)


def at(server: Redis, text: str, address: str = "localhost", **more) -> Expect:
    """A command, or `connect`."""
    more = {"namespace": "0", "port": server.port, "address": address, **more}
    if text == "connect":
        return connect("redis", **more)
    operation = text.split(" ")[0]
    return query("redis", operation, operation=operation, text=text, **more)


def asked(receiver: Receiver, program: Program, key: str, *expected: Expect) -> None:
    """The request for the key has just these spans under it, one after the other."""
    receiver.clear()
    assert client.get(program.port, f"/get?key={key}").status == 200
    request, *rest = assert_spans(receiver.wait_for(1 + len(expected)), served("/get", program.port, query=f"key={key}"), *expected)
    under(request, rest)


def under(request: Span, spans: list[Span]) -> None:
    assert_root(request)
    for span in spans:
        assert_child(span, request)
    assert all(one.end <= next.start for one, next in zip(spans, spans[1:]))


def opened(launcher: Launcher, receiver: Receiver, nodes: Nodes, **env: str) -> Program:
    """A program whose client has a connection to the first."""
    first = nodes[0]
    program = start(launcher, first, **env)
    # Whom it asks for the commands that there are is random.
    receiver.clear()
    assert client.get(program.port, f"/get?key={FIRST}").status == 200
    spans = sorted(receiver.wait_for(7), key=lambda span: span.start)
    other = next(node for node in nodes if node.port == spans[4].attributes["server.port"])
    expected = [(first, "connect"), (first, "CLUSTER SLOTS"), (other, "connect"), (other, "COMMAND"), (first, "connect"), (first, f"GET {FIRST}")]
    request, *rest = assert_spans(spans, served("/get", program.port, query=f"key={FIRST}"), *(at(*one) for one in expected))
    under(request, sorted(rest, key=lambda span: span.start))
    return program


def test_a_key_that_is_elsewhere(launcher: Launcher, receiver: Receiver, nodes: Nodes) -> None:
    """The client knows which node has a key; when that has changed it is told (MOVED)."""
    first, second, _ = nodes
    program = opened(launcher, receiver, nodes)
    asked(receiver, program, SECOND, at(second, "connect"), at(second, f"GET {SECOND}"))
    move(nodes)
    asked(receiver, program, FIRST, at(first, f"GET {FIRST}", status="MOVED"), at(second, f"GET {FIRST}"))
    asked(receiver, program, FIRST, at(second, f"GET {FIRST}"))


def move(nodes: Nodes) -> None:
    """The slot is the second's."""
    for server in (nodes[1], nodes[0]):
        ask(server, "CLUSTER", "SETSLOT", SLOT, "NODE", nodes[1].node.id)


def begin_to_move(nodes: Nodes) -> None:
    """The slot is about to be the second's; what the first has no more is there."""
    ask(nodes[1], "CLUSTER", "SETSLOT", SLOT, "IMPORTING", nodes[0].node.id)
    ask(nodes[0], "CLUSTER", "SETSLOT", SLOT, "MIGRATING", nodes[1].node.id)


def test_a_key_that_moves(launcher: Launcher, receiver: Receiver, nodes: Nodes) -> None:
    first, second, _ = nodes
    program = opened(launcher, receiver, nodes)
    begin_to_move(nodes)
    asked(receiver, program, FIRST, at(first, f"GET {FIRST}", status="ASK"), at(second, "connect"), at(second, "ASKING"), at(second, f"GET {FIRST}"))


def test_the_command_line_client(launcher: Launcher, receiver: Receiver, nodes: Nodes) -> None:
    first, second, _ = nodes
    begin_to_move(nodes)
    done = launcher.run("redis-cli", "-c", "-p", str(second.port), "get", FIRST)
    assert (done.code, done.out) == (0, b"\n"), done.err
    get = f"get {FIRST}"
    expected = [(second, "connect", {}), (second, get, {"status": "MOVED"}), (first, "connect", {}), (first, get, {"status": "ASK"}),
                (second, "connect", {}), (second, "ASKING", {}), (second, get, {})]
    for span in assert_spans(receiver.wait_for(7), *(at(server, text, "127.0.0.1", **more) for server, text, more in expected)):
        assert_root(span)


def test_replicas(launcher: Launcher, receiver: Receiver, nodes: Nodes) -> None:
    """They are read in turn. That a connection to one is for reading only (READONLY) is said while it is made."""
    first, _, third = nodes
    program = opened(launcher, receiver, nodes, REPLICAS="yes")
    asked(receiver, program, FIRST, at(third, "connect"), at(third, f"GET {FIRST}"))
    asked(receiver, program, FIRST, at(first, f"GET {FIRST}"))
    asked(receiver, program, FIRST, at(third, f"GET {FIRST}"))


def test_connections_that_are_made_again(launcher: Launcher, receiver: Receiver) -> None:
    """The server ends one that waits in the pool, and one that waits for its answer: it is asked again on another."""
    with Redis() as server:
        program = start(launcher, server, "redis_wsgi:app")

        def requested(path: str, *expected: Expect) -> None:
            spans = assert_spans(receiver.wait_for(1 + len(expected)), served(path, program.port, query="id=7"), *expected)
            under(spans[0], spans[1:])
            receiver.clear()

        def waiting() -> list[bytes]:
            return [line.split(b" ")[0] for line in ask(server, "CLIENT", "LIST").splitlines() if b"cmd=blpop" in line]

        for _ in range(2):
            assert client.get(program.port, "/get?id=7").status == 200
            requested("/get", at(server, "connect"), at(server, "GET q7"))
            ask(server, "CLIENT", "KILL", "TYPE", "normal")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.get, program.port, "/pop?id=7")
            wait_until(waiting, 20)
            before = waiting()
            ask(server, "CLIENT", "KILL", "TYPE", "normal")
            wait_until(lambda: waiting() not in ([], before), 20)
            ask(server, "RPUSH", "q7", "canary")
            assert answer.result().status == 200
        pop = "BLPOP ? ?"
        lost = at(server, pop, error="connection_closed")
        requested("/pop", at(server, "connect"), lost, at(server, "connect"), at(server, pop))


def test_node(launcher: Launcher, receiver: Receiver, nodes: Nodes) -> None:
    """ioredis asks again by itself, when it has read the answer: what it asks then, and what waited for a connection, is nobody's."""
    first, second, _ = nodes
    env = {"REDIS_PORT": str(first.port), "NODE_PATH": str(MODULES)}
    program = launcher.start("node", PROGRAMS / "databases/redis_cluster.js", env=env, port=free_port())

    def get(server: Redis, **more) -> Expect:
        return at(server, f"get {FIRST}", **more)

    def roots_and_children(key: str, children: list[Expect], roots: list[Expect]) -> None:
        receiver.clear()
        assert client.get(program.port, f"/get?key={key}").status == 200
        expected = (served("/get", program.port, query=f"key={key}"), *children, *roots)
        request, *rest = assert_spans(receiver.wait_for(len(expected)), *expected)
        for span in rest[:len(children)]:
            assert_child(span, request)
        for span in rest[len(children):]:
            assert_root(span)

    for span in assert_spans(receiver.wait_for(2), at(first, "connect"), at(first, "cluster SLOTS")):
        assert_root(span)
    roots_and_children(FIRST, [at(first, "connect")], [at(first, "info"), get(first)])
    roots_and_children(SECOND, [at(second, "connect")], [at(second, "info"), at(second, f"get {SECOND}")])
    roots_and_children(FIRST, [get(first)], [])
    begin_to_move(nodes)
    roots_and_children(FIRST, [get(first, status="ASK")], [at(second, "asking"), get(second)])
