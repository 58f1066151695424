"""ClickHouse's native protocol: queries and the making of connections. Its HTTP is HTTP."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.apps import GUNICORN
from harness.assertions import ANY_TEXT, Expect, assert_root, assert_spans
from harness.databases.calls import Calls
from harness.databases.clickhouse import ClickHouse
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span

CALLS = PROGRAMS / "databases/clickhouse_calls.py"
ROUNDS = 3
ALL = ROUNDS * AT_ONCE


@pytest.fixture(scope="module")
def shop(clickhouse: ClickHouse, tmp_path_factory: pytest.TempPathFactory) -> ClickHouse:
    bare = Launcher(tmp_path_factory.mktemp("shop"), {}, NONE)
    done = bare.run(PYTHON, CALLS, "create", env={"CLICKHOUSE_PORT": str(clickhouse.port)})
    assert done.code == 0, done.err.decode()
    return clickhouse


@pytest.fixture
def calls(launcher: Launcher, shop: ClickHouse) -> Calls:
    return Calls(launcher, shop, "CLICKHOUSE", CALLS)


def of(server: ClickHouse, namespace: str | None = "shop", **where):
    """Expectations of statements and connects at this server."""
    where = {"port": server.port, "address": "127.0.0.1", **where}

    def statement(text: str, summary: str, **more) -> Expect:
        operation, _, collection = summary.partition(" ")
        described = {"operation": operation, "collection": collection or None, "summary": summary, "namespace": namespace}
        return query("clickhouse", summary, text=text, **where, **{**described, **more})

    def made(**more) -> Expect:
        return connect("clickhouse", namespace=namespace, **where, **more)

    return statement, made


def by_start(spans: list[Span]) -> list[str]:
    return [span.name for span in sorted(spans, key=lambda span: span.start)]


def test_statements(calls: Calls, receiver: Receiver) -> None:
    statement, made = of(calls.server)
    calls("statements")
    spans = assert_spans(
        receiver.wait_for(6), made(), statement("INSERT INTO items (id, name, note) VALUES", "INSERT items"),
        statement("SELECT DISTINCT id, name, note FROM items WHERE name = ? ORDER BY id LIMIT ?", "SELECT items", rows=2),
        statement("SELECT toDate(?), toFixedString(?, ?), ?, toDecimal64(?, ?), NULL", "SELECT", rows=1),
        statement("SELECT id FROM items WHERE name = ? AND id > ?", "SELECT items", rows=0),
        statement("SELECT number, toString(number) FROM system.numbers LIMIT ?", "SELECT system.numbers", rows=200000))
    for span in spans:
        assert_root(span)
    ordered = sorted(spans, key=lambda span: span.start)
    assert [span.name for span in ordered] == ["connect", "INSERT items", "SELECT items", "SELECT", "SELECT items", "SELECT system.numbers"]
    assert all(one.end <= next.start for one, next in zip(ordered, ordered[1:]))


def test_data_that_cannot_be_passed_over(calls: Calls, receiver: Receiver) -> None:
    """Rows are not counted; where an answer ends is seen all the same."""
    statement, made = of(calls.server)
    calls("arrays")
    spans = assert_spans(
        receiver.wait_for(5), made(), statement("INSERT INTO items (id, name, tags) VALUES", "INSERT items"),
        statement("SELECT tags FROM items WHERE id = ? LIMIT ?", "SELECT items"), statement("SELECT ?", "SELECT", rows=1),
        statement("SELECT [?, ?]", "SELECT"))
    ordered = sorted(spans, key=lambda span: span.start)
    assert all(one.end <= next.start for one, next in zip(ordered, ordered[1:]))


def test_errors_are_their_codes(calls: Calls, receiver: Receiver) -> None:
    """The library connects again after each."""
    statement, made = of(calls.server)
    assert calls("errors").split() == [b"60", b"62", b"395", b"81"]
    assert_spans(receiver.wait_for(8), *[made()] * 4, statement("SELECT ? FROM missing", "SELECT missing", status="60"),
                 query("clickhouse", "shop", text="SELEC ?", namespace="shop", status="62", port=calls.server.port),
                 statement("SELECT throwIf(number = ?) FROM system.numbers", "SELECT system.numbers", status="395"),
                 statement("USE missing", "USE missing", collection=None, status="81"))


def test_databases(calls: Calls, receiver: Receiver) -> None:
    """Settings hide the text at a server as old as this one."""
    calls("databases")
    nowhere, made = of(calls.server, None)
    there, _ = of(calls.server)
    assert_spans(receiver.wait_for(4), made(), nowhere("USE shop", "USE shop", collection=None),
                 there("SELECT count() >= ? FROM items", "SELECT items", rows=1),
                 query("clickhouse", "QUERY shop", operation="QUERY", namespace="shop", rows=1, port=calls.server.port))


def test_a_password(calls: Calls, receiver: Receiver) -> None:
    statement, made = of(calls.server, None)
    calls("password")
    calls("wrong_password")
    spans = assert_spans(receiver.wait_for(3), made(), statement("SELECT ?", "SELECT", rows=1), made(status="193"))
    assert calls.server.password not in repr(spans) and "canary" not in repr(spans)


def test_tls(calls: Calls, receiver: Receiver) -> None:
    port = calls.server.tls_port
    statement, made = of(calls.server, None, port=port, address="localhost")
    calls("tls", port=port)
    connected, asked = assert_spans(receiver.wait_for(2), made(), statement("SELECT ?", "SELECT", rows=1))
    assert connected.end <= asked.start


def test_the_command_line_client(launcher: Launcher, receiver: Receiver, shop: ClickHouse) -> None:
    """It compresses. And it looks up its host's name, which may stand for the same address."""
    words = ["clickhouse-client", "--host", "127.0.0.1", "--port", str(shop.port), "--user", "tests"]
    done = launcher.run(*words, "--query", "INSERT INTO shop.items (id, name) VALUES (9, 'canary')")
    assert (done.code, done.out) == (0, b""), done.err.decode()
    asked = "USE shop; SELECT name FROM items WHERE id = 9 LIMIT 1; SELECT tags FROM items WHERE id = 9 LIMIT 1"
    done = launcher.run(*words, "--multiquery", stdin=asked.encode())
    assert (done.code, done.out) == (0, b"canary\n[]\n"), done.err.decode()
    nowhere, made = of(shop, None, address=ANY_TEXT)
    there, _ = of(shop, address=ANY_TEXT)
    assert_spans(
        receiver.wait_for(6), made(), nowhere("INSERT INTO shop.items (id, name) VALUES", "INSERT shop.items"), made(),
        nowhere("USE shop;", "USE shop", collection=None), there("SELECT name FROM items WHERE id = ? LIMIT ?;", "SELECT items", rows=1),
        there("SELECT tags FROM items WHERE id = ? LIMIT ?", "SELECT items", rows=1))


def test_its_http_is_http(calls: Calls, receiver: Receiver) -> None:
    calls("http", port=calls.server.http_port)
    (span,) = receiver.wait_for(1)
    assert (span.kind, span.name, span.attributes["http.response.status_code"]) == ("CLIENT", "POST", 200)
    assert "db.system.name" not in span.attributes


def test_the_server_goes_away(launcher: Launcher, receiver: Receiver, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    os.mkfifo(stopped)
    with ClickHouse() as server:
        statement, made = of(server, None)
        program = launcher.start(PYTHON, CALLS, "goes_away", env={"CLICKHOUSE_PORT": str(server.port), "STOPPED": str(stopped)})
        program.wait_output(b"(1,)")
        server.program.stop(signal.SIGKILL)
        stopped.write_text("")
        program.wait_output(b"gone")
        program.wait()
    spans = receiver.wait_for(3)
    assert_spans(spans[:2], made(), statement("SELECT ?", "SELECT", rows=1))
    assert {span.attributes["error.type"] for span in spans[2:]} == {"connection_refused"}


def test_nobody_listens(launcher: Launcher, receiver: Receiver) -> None:
    done = launcher.run(PYTHON, CALLS, "statements", env={"CLICKHOUSE_PORT": str(free_port())})
    assert done.code != 0
    spans = receiver.wait_for(1)
    assert {span.attributes["error.type"] for span in spans} == {"connection_refused"}


def test_switched_off(calls: Calls, receiver: Receiver) -> None:
    calls("statements", OTEL_INSTRUMENTATION_CLICKHOUSE_ENABLED="false")
    calls("arrays", OTEL_RUN_DB_QUERY_TEXT="off")
    spans = receiver.wait_for(5)  # nothing of the first run
    assert all("db.query.text" not in span.attributes for span in spans)
    assert by_start(spans) == ["connect", "INSERT items", "SELECT items", "SELECT", "SELECT"]


@pytest.mark.parametrize("words", [("-k", "gthread", "--threads", "20"), ("-k", "gevent")])
def test_a_pool_of_four(launcher: Launcher, receiver: Receiver, shop: ClickHouse, words: tuple[str, ...]) -> None:
    """Every query is under its own request, and each connection under the one that waited for it."""
    port = free_port()
    env = {"CLICKHOUSE_PORT": str(shop.port), "PYTHONPATH": str(PROGRAMS / "databases")}
    program = launcher.start(GUNICORN, "clickhouse_wsgi:app", "-b", f"127.0.0.1:{port}", *words, port=port, env=env)
    assert fire(receiver, program.port, "/get", rounds=ROUNDS) == Counts(ALL, 0, 0)
    spans = receiver.spans
    made = [span for span in spans if span.name == "connect"]
    by_id = {span.span_id: span for span in spans}
    assert len(made) == 4
    for span in made:
        parent = by_id[span.parent_id]
        assert (parent.kind, parent.trace_id) == ("SERVER", span.trace_id)
