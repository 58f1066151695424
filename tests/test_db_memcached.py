"""memcached: pymemcache, libmemcached and memjs, by all three of its protocols; which request each command belongs to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

import pytest

from harness import client
from harness.assertions import ANY_TEXT, Expect, assert_child, assert_exactly, assert_spans, server
from harness.databases.memcached import Memcached
from harness.parents import AT_ONCE
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher, Program
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES
from harness.tls import certificates

SECRET = "hush-nobody-sees-this"
RESULTS = {
    "commands": [True, SECRET + "\r\nget other", None, {"name": ANY_TEXT}, [], False, True, True, None, True, True, True, SECRET,
                 "b'cannot increment or decrement non-numeric value'"],
    "meta": ["HD", "VA 3\r\nabc\r\n", "HD"],
    "libmemcached": [True, SECRET, ["name"], True],
    "binary": [True, SECRET, ["name"], True],
    "tls": [True, SECRET],
}


@pytest.fixture
def python(launcher: Launcher, memcached: Memcached) -> Program:
    return start(launcher, memcached)


def start(launcher: Launcher, memcached: Memcached, *, where: str = "", how: str = "", **env: str) -> Program:
    env = {
        "SECRET": SECRET, "MEMCACHED": where or f"127.0.0.1:{memcached.port}", "OTEL_LOG_LEVEL": "debug",
        "MEMCACHED_TLS": f"127.0.0.1:{memcached.tls_port}", "MEMCACHED_CA": str(certificates().ca), "NODE_PATH": str(MODULES), **env,
    }
    words = ["node", PROGRAMS / "databases/memcached.js"] if env.pop("NODE", "") else [PYTHON, PROGRAMS / "databases/memcached_calls.py"]
    return launcher.start(*words, port=free_port(), env=env, how=how)


def ask(program: Program, way: str) -> None:
    reply = client.get(program.port, f"/{way}")
    assert reply.status == 200 and json.loads(reply.body) == RESULTS[way]


def check(receiver: Receiver, program: Program, way: str, expected: list[Expect]) -> None:
    """Asks, and has exactly these spans, in this order, under the request that asked; nothing stored is to be seen anywhere."""
    ask(program, way)
    spans = assert_exactly(receiver, 1 + len(expected), program.port)
    request, *rest = assert_spans(spans, server(f"/{way}", program.port), *expected)
    for span in rest:
        assert_child(span, request)
    assert [span.start for span in rest] == sorted(span.start for span in rest)
    assert all(first.end <= second.start for first, second in zip(rest, rest[1:])), [(s.name, s.start, s.end) for s in rest]
    assert SECRET not in repr(spans) and SECRET.encode() not in program.err


def commands(port: int | None) -> list[Expect]:
    def command(name: str, text: str, **more) -> Expect:
        return query("memcached", name, port=port, text=text, operation=name, **more)

    return [
        connect("memcached", port=port),
        command("set", "set name ? ? ?"), command("get", "get name"), command("get", "get absent"),
        command("get", "get name ? ?"),
        command("BATCH set", "set one ? ? ?; set two ? ? ?", batch=2),
        command("add", "add name ? ? ?"), command("append", "append name ? ? ?"), command("gets", "gets name"),
        command("incr", "incr absent ?"), command("touch", "touch name ?"), command("delete", "delete name"),
        command("set", "set later ? ? ? ?"), command("get", "get later"),
        command("incr", "incr later ?", status="CLIENT_ERROR"),
    ]


def test_the_classic_commands(receiver: Receiver, memcached: Memcached, python: Program) -> None:
    check(receiver, python, "commands", commands(memcached.port))


def test_the_meta_commands(receiver: Receiver, memcached: Memcached, python: Program) -> None:
    def command(name: str, text: str, **more) -> Expect:
        return query("memcached", name, port=memcached.port, text=text, operation=name, **more)

    check(receiver, python, "meta", [
        connect("memcached", port=memcached.port), command("ms", "ms name ? ?"),
        command("BATCH mg", "mg name ? ?; mg absent ? ?", batch=2), command("md", "md name"),
    ])


@pytest.mark.parametrize("way", ["libmemcached", "binary"])
def test_libmemcached(receiver: Receiver, memcached: Memcached, python: Program, way: str) -> None:
    def command(name: str, text: str, **more) -> Expect:
        return query("memcached", name, port=memcached.port, text=text, operation=name, **more)

    several = command("get", "get absent ?") if way == "libmemcached" else command("BATCH get", "get absent; get name", batch=2)
    several.attributes["db.query.text"] = ANY_TEXT  # libmemcached takes the keys in an order of its own
    check(receiver, python, way, [
        connect("memcached", port=memcached.port), command("set", "set name ? ? ?" if way == "libmemcached" else "set name"),
        command("get", "get name"), several, command("delete", "delete name"),
    ])


def test_behind_tls(receiver: Receiver, memcached: Memcached, python: Program) -> None:
    port = memcached.tls_port
    check(receiver, python, "tls", [
        connect("memcached", port=port),
        query("memcached", "set", port=port, text="set secure ? ? ?", operation="set"),
        query("memcached", "get", port=port, text="get secure", operation="get"),
    ])


def test_on_a_socket(launcher: Launcher, receiver: Receiver) -> None:
    with Memcached(unix=True) as memcached:
        program = start(launcher, memcached, where=f"unix:{memcached.socket}")
        expected = commands(None)
        for span in expected:
            span.attributes["server.address"] = span.attributes["network.peer.address"] = str(memcached.socket)
            span.attributes["network.transport"] = "unix"
        check(receiver, program, "commands", expected)


def test_a_pool_of_four(receiver: Receiver, memcached: Memcached, python: Program) -> None:
    """Each command is under the request that sent it, whoever made the connection."""
    numbers = range(100, 100 + AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = list(pool.map(lambda number: client.get(python.port, f"/pooled?id={number}").body, numbers))
    assert replies == [b"true"] * AT_ONCE
    spans = receiver.wait_for(lambda spans: sum(span.name != "connect" for span in spans) >= 3 * AT_ONCE)
    requests = {span.url: span for span in spans if span.kind == "SERVER"}
    for number in numbers:
        mine = [span for span in spans if f"item-{number}" in span.attributes.get("db.query.text", "")]
        assert sorted(span.name for span in mine) == ["get", "set"]
        for span in mine:
            assert_child(span, requests[f"/pooled?id={number}"])
    connects = [span for span in spans if span.name == "connect"]
    assert 1 <= len(connects) <= AT_ONCE and {span.parent_id for span in connects} <= {span.span_id for span in requests.values()}
    assert len(spans) == 3 * AT_ONCE + len(connects)


@pytest.fixture
def memjs(launcher: Launcher, memcached: Memcached) -> Iterator[Program]:
    yield start(launcher, memcached, NODE="yes")


def test_memjs(receiver: Receiver, memcached: Memcached, memjs: Program) -> None:
    """It writes what waited for the connection when that says that it stands."""
    reply = client.get(memjs.port, "/commands")
    assert json.loads(reply.body) == [True, SECRET, None, False, 5, True, False]

    def command(name: str, key: str, **more) -> Expect:
        return query("memcached", name, port=memcached.port, text=f"{name} {key}", operation=name, **more)

    spans = assert_exactly(receiver, 9, memjs.port)
    request, *rest = assert_spans(
        spans, server("/commands", memjs.port, **{"user_agent__original": client.USER_AGENT}), command("set", "name"),
        connect("memcached", port=memcached.port), command("get", "name"), command("get", "absent"), command("add", "name"),
        command("incr", "count"), command("delete", "count"), command("incr", "name", status="0x0006"))
    for span in rest:
        assert_child(span, request)
    assert SECRET not in repr(spans) and SECRET.encode() not in memjs.err


@pytest.mark.parametrize("waiting", [False, True])
def test_one_connection_for_all_requests_of_node(receiver: Receiver, memcached: Memcached, memjs: Program, waiting: bool) -> None:
    """It stands already, or all wait for it: then it is the first one's."""
    before = 0 if waiting else 4
    if before:
        assert client.get(memjs.port, "/shared?id=0").body == b"true"
    numbers = range(1, 1 + AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(lambda number: client.get(memjs.port, f"/shared?id={number}").body, numbers)) == [b"true"] * AT_ONCE
    spans = assert_exactly(receiver, (before or 1) + 3 * AT_ONCE, memjs.port)
    (made,) = (span for span in spans if span.name == "connect")
    assert made.parent_id in {span.span_id for span in spans if span.kind == "SERVER"}
    requests = {span.url: span for span in spans if span.kind == "SERVER"}
    for number in numbers:
        mine = [span for span in spans if span.attributes.get("db.query.text") in (f"get item-{number}", f"set item-{number}")]
        assert sorted(span.name for span in mine) == ["get", "set"]
        for span in mine:
            assert_child(span, requests[f"/shared?id={number}"])


@pytest.mark.parametrize("name", ["MEMCACHED", "PYMEMCACHE"])
def test_switched_off(launcher: Launcher, receiver: Receiver, memcached: Memcached, name: str) -> None:
    program = start(launcher, memcached, **{f"OTEL_INSTRUMENTATION_{name}_ENABLED": "false"})
    for way in RESULTS:
        ask(program, way)
    spans = assert_exactly(receiver, len(RESULTS), program.port)
    assert {span.kind for span in spans} == {"SERVER"}
    bare = start(launcher, memcached, how=NONE)
    for way in RESULTS:
        ask(bare, way)


def test_the_server_itself(launcher: Launcher, receiver: Receiver, python: Program) -> None:
    """It makes spans only if that is asked for."""
    with Memcached(launcher=launcher) as quiet:
        program = start(launcher, quiet, how=NONE)
        ask(program, "commands")
    with Memcached(launcher=launcher, env={"OTEL_INSTRUMENTATION_MEMCACHED_SERVER_ENABLED": "true"}) as served:
        program = start(launcher, served, how=NONE)
        ask(program, "commands")
    spans = assert_exactly(receiver, len(commands(0)) - 1, python.port)
    assert {(span.kind, span.service) for span in spans} == {("SERVER", "memcached")}
    assert SECRET not in repr(spans)
