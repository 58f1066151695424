"""MongoDB's protocol (FerretDB): pymongo, sync and asyncio, and node's driver; which request each command belongs to.

FerretDB does not compress: for that there is a server in front of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Iterator

import pytest

from harness import client
from harness.assertions import Expect, assert_child, assert_exactly, assert_spans, server
from harness.databases.compressing import Compressing
from harness.databases.ferretdb import FerretDb
from harness.databases.server import PASSWORD, USER
from harness.parents import AT_ONCE
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher, Program
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES
from harness.spans import Span
from harness.tls import certificates

SECRET = "hush-nobody-sees-this"
DONE = {"python": [0, 4, 5, None, 1, 5, 4, 1.0, 11000, 59], "node": [3, 3, 1, 3, 59]}
CLIENTS = {
    "python": ([PYTHON, PROGRAMS / "databases/mongodb_calls.py"], {}),
    "async": ([PYTHON, PROGRAMS / "databases/mongodb_calls.py"], {"ASYNC": "yes"}),
    "node": (["node", PROGRAMS / "databases/mongodb.js"], {"NODE_PATH": str(MODULES)}),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[FerretDb]:
    with FerretDb(auth=True) as server:
        yield server


def start(launcher: Launcher, name: str, url: str, *, how: str = "", **env: str) -> Program:
    words, more = CLIENTS[name]
    env = {"SECRET": SECRET, "MONGODB": url, "OTEL_LOG_LEVEL": "debug", **more, **env}
    return launcher.start(*words, port=free_port(), env=env, how=how)


def plain(server: FerretDb) -> str:
    return f"mongodb://127.0.0.1:{server.port}/"


def with_password(server: FerretDb) -> str:
    return f"mongodb://{USER}:{PASSWORD}@127.0.0.1:{server.port}/"


def expected(name: str, program: Program, port: int | None) -> list[Expect]:
    """What `/commands` makes, in order."""
    items = f"items{program.pid}"

    def command(operation: str, collection: str | None = items, namespace: str = "shop", **more) -> Expect:
        return query("mongodb", f"{operation} {collection or namespace}", port=port, operation=operation, collection=collection,
                     namespace=namespace, **more)

    if name == "node":
        return [
            connect("mongodb", port=port), command("insert", batch=3), command("find", rows=2), command("getMore", rows=1),
            command("update"), command("delete"), command("nonsense", None, status="59"), command("drop"),
        ]
    return [
        connect("mongodb", port=port), command("insert"), command("insert", batch=4), command("find", rows=2),
        command("getMore", rows=2), command("getMore", rows=1), command("find", rows=0), command("update"),
        command("aggregate", rows=1), command("delete"), command("ping", None, "admin"), command("insert", status="11000"),
        command("nonsense", None, status="59"), command("drop"),
    ]


def check(receiver: Receiver, name: str, program: Program, commands: list[Expect]) -> None:
    """Exactly these spans, one after another, under the request that asked; what is stored and who asks is to be seen nowhere."""
    reply = client.get(program.port, "/commands")
    assert reply.status == 200 and json.loads(reply.body) == DONE[name]
    spans = assert_exactly(receiver, 1 + len(commands), program.port)
    request, *rest = assert_spans(spans, server("/commands", program.port), *commands)
    for span in rest:
        assert_child(span, request)
    in_time = sorted(rest, key=lambda span: span.start)
    assert [span.name for span in in_time] == [span.name for span in commands]
    assert all(first.end <= second.start for first, second in zip(in_time, in_time[1:]))
    hidden(spans, program)


def hidden(spans: list[Span], program: Program) -> None:
    for secret in (SECRET, PASSWORD):
        assert secret not in repr(spans) and secret.encode() not in program.err


@pytest.mark.parametrize("name", ["python", "node"])
def test_commands(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, name: str) -> None:
    """The connections on which the drivers watch the server, and their farewells, make no spans."""
    program = start(launcher, name, plain(ferretdb))
    check(receiver, name, program, expected(name, program, ferretdb.port))


@pytest.mark.parametrize("name", ["python", "node"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_authentication_belongs_to_the_connection(
    launcher: Launcher, receiver: Receiver, guarded: FerretDb, name: str, mechanism: str,
) -> None:
    program = start(launcher, name, f"{with_password(guarded)}?authMechanism={mechanism}")
    check(receiver, name, program, expected(name, program, guarded.port))


def test_a_wrong_password(launcher: Launcher, receiver: Receiver, guarded: FerretDb) -> None:
    program = start(launcher, "python", plain(guarded))
    assert client.get(program.port, "/refused").body == b"18"
    spans = assert_exactly(receiver, 2, program.port)
    request, failed = assert_spans(spans, server("/refused", program.port), connect("mongodb", port=guarded.port, status="18"))
    assert_child(failed, request)
    hidden(spans, program)


@pytest.mark.parametrize("name", ["python", "node"])
def test_behind_tls(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, name: str) -> None:
    url = f"mongodb://127.0.0.1:{ferretdb.tls_port}/?tls=true&tlsCAFile={certificates().ca}"
    program = start(launcher, name, url)
    check(receiver, name, program, expected(name, program, ferretdb.tls_port))


@pytest.mark.parametrize("name", ["python", "node"])
def test_on_a_socket(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, name: str) -> None:
    program = start(launcher, name, f"mongodb://{str(ferretdb.socket).replace('/', '%2F')}")
    commands = expected(name, program, None)
    for span in commands:
        span.attributes["server.address"] = span.attributes["network.peer.address"] = str(ferretdb.socket)
        span.attributes["network.transport"] = "unix"
    check(receiver, name, program, commands)


@pytest.mark.parametrize(("name", "method"), [("python", "zlib"), ("python", "snappy"), ("node", "zlib")])
def test_compressed(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, name: str, method: str) -> None:
    """The same spans; all but hello is compressed."""
    with Compressing(method, ferretdb.port) as front:
        program = start(launcher, name, f"mongodb://127.0.0.1:{front.port}/?compressors={method}")
        commands = expected(name, program, front.port)
        check(receiver, name, program, commands)
        assert front.counts[0] >= len(commands) - 1 and front.counts[1] >= len(commands) - 1


@pytest.mark.parametrize("method", ["", "zlib", "snappy"])
def test_what_is_large(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, method: str) -> None:
    with Compressing(method, ferretdb.port) if method else nullcontext(ferretdb) as front:
        program = start(launcher, "python", f"mongodb://127.0.0.1:{front.port}/" + (f"?compressors={method}" if method else ""))
        reply = client.get(program.port, "/large")
        assert json.loads(reply.body) == [True, 299] and (not method or front.counts == [7, 7])  # with endSessions
        items = f"items{program.pid}"

        def command(operation: str, **more: int) -> Expect:
            return query("mongodb", f"{operation} {items}", port=front.port, operation=operation, collection=items, namespace="shop", **more)

        commands = [connect("mongodb", port=front.port), command("insert"), command("insert", batch=299), command("find", rows=1),
                    command("find", rows=280), command("getMore", rows=19), command("drop")]
        spans = assert_exactly(receiver, 1 + len(commands), program.port)
        request, *rest = assert_spans(spans, server("/large", program.port), *commands)
    for span in rest:
        assert_child(span, request)
    hidden(spans, program)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_pool_of_four(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, name: str) -> None:
    """Each command is under the request that sent it, whoever made the connection."""
    program = start(launcher, name, plain(ferretdb))
    numbers = range(100, 100 + AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = list(pool.map(lambda number: client.get(program.port, f"/pooled?id={number}").body, numbers))
    assert replies == [b"true"] * AT_ONCE
    spans = receiver.wait_for(lambda spans: sum(span.name != "connect" for span in spans) >= 3 * AT_ONCE)
    requests = {span.url: span for span in spans if span.kind == "SERVER"}
    for number in numbers:
        mine = [span for span in spans if span.attributes.get("db.collection.name") == f"items-{number}"]
        assert sorted(span.name for span in mine) == [f"aggregate items-{number}", f"insert items-{number}"]
        for span in mine:
            assert_child(span, requests[f"/pooled?id={number}"])
    connects = [span for span in spans if span.name == "connect"]
    assert 1 <= len(connects) <= 4 and len(spans) == 3 * AT_ONCE + len(connects)
    known = {span.span_id for span in requests.values()} | {""}
    assert {span.parent_id for span in connects} <= known
    hidden(spans, program)


@pytest.mark.parametrize("name", ["MONGODB", "PYMONGO"])
def test_switched_off(launcher: Launcher, receiver: Receiver, ferretdb: FerretDb, name: str) -> None:
    program = start(launcher, "python", plain(ferretdb), **{f"OTEL_INSTRUMENTATION_{name}_ENABLED": "false"})
    bare = start(launcher, "python", plain(ferretdb), how=NONE)
    for one in (program, bare):
        assert json.loads(client.get(one.port, "/commands").body) == DONE["python"]
    spans = assert_exactly(receiver, 1, program.port)
    assert_spans(spans, server("/commands", program.port))

