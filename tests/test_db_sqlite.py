"""SQLite: no bytes pass, statements are seen as its library carries them out."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.assertions import Expect, assert_child, assert_root, assert_spans
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import CACHE, NONE, PYTHON, Finished, Launcher
from harness.queries import query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span

SOURCES = PROGRAMS / "databases"
CALLS = SOURCES / "sqlite_calls.py"
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/libsqlite3.so.0")
ROUNDS = 3
ALL = ROUNDS * AT_ONCE
MEMORY = ":memory:"


def fill(file: Path) -> None:
    """A table with three rows."""
    file.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(file)) as store, store:
        store.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        store.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"canary{n}") for n in (1, 2, 3)])


class Calls:
    """Runs a program on a file, which is its last argument, with and without the agent: its results are the same, and no
    value leaves it."""

    def __init__(self, launcher: Launcher, file: Path) -> None:
        self.launcher, self.file = launcher, file

    def __call__(self, *argv: str | Path, filled: bool = False, **env: str) -> list[str]:
        bare, done = (self.run(argv, env, filled, how) for how in (NONE, self.launcher.how))
        assert (done.code, done.out) == (bare.code, bare.out) == (0, bare.out), done.err.decode()
        assert bare.err in (b"", done.err), bare.err.decode()
        assert b"canary" not in done.err
        return done.out.decode().splitlines()

    def run(self, argv: tuple[str | Path, ...], env: dict[str, str], filled: bool, how: str) -> Finished:
        fill(self.file)
        if not filled:
            self.file.unlink()
        return self.launcher.run(*argv, self.file, env={"OTEL_LOG_LEVEL": "debug", **env}, how=how)

    def says(self, summary: str, text: str, *, of: Path | str = "", **more: Any) -> Expect:
        """A statement. The last word of the summary is the table's name, if that is in lower case."""
        operation, _, table = summary.rpartition(" ") if summary[-1:].islower() else (summary, "", None)
        if "TRIGGER" in summary:
            table = None
        about = {"operation": operation, "collection": table, "summary": summary} | more
        return query("sqlite", summary, port=None, text=text, namespace=str(of or self.file), **about)


@pytest.fixture
def calls(launcher: Launcher, tmp_path: Path) -> Calls:
    return Calls(launcher, tmp_path / "test.db")


def begun(calls: Calls, of: Path | str = "") -> Expect:
    return calls.says("CREATE TABLE t", "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)", of=of)


def assert_all(receiver: Receiver, *expected: Expect) -> list[Span]:
    """These and no others, in this order of their starts; none has a parent. The program has ended, so all have come."""
    spans = receiver.wait_for(len(expected))
    assert "canary" not in repr(spans)
    found = assert_spans(spans, *expected)
    for span in found:
        assert_root(span)
    by_start = sorted(spans, key=lambda span: span.start)
    assert [span.attributes["db.query.text"] for span in by_start] == [e.attributes["db.query.text"] for e in expected]
    assert all(span.start <= span.end for span in spans)
    return found


INSERT = "INSERT t", "INSERT INTO t VALUES (?, ?)"


def test_statements(calls: Calls, receiver: Receiver) -> None:
    calls(PYTHON, CALLS, "statements")
    says = calls.says
    assert_all(
        receiver, begun(calls), says("BEGIN", "BEGIN"), *[says(*INSERT)] * 5, says("COMMIT", "COMMIT"),
        says("SELECT t", "SELECT v FROM t WHERE v <> ? AND id > ?", rows=3), says("BEGIN", "BEGIN"),
        says("UPDATE t", "UPDATE t SET v = ? WHERE id = ?"), says("ROLLBACK", "ROLLBACK"),
        says("SELECT t", "SELECT v FROM t WHERE id = ?", rows=0), says("PRAGMA", "PRAGMA user_version", rows=1),
    )


def test_cursors_that_are_left(calls: Calls, receiver: Receiver) -> None:
    """The rows are those that the library gave: Python takes one more than it has handed out."""
    calls(PYTHON, CALLS, "halfway")
    says = calls.says
    assert_all(
        receiver, begun(calls), says("BEGIN", "BEGIN"), *[says(*INSERT)] * 9, says("COMMIT", "COMMIT"),
        says("SELECT t", "SELECT id FROM t", rows=4), says("SELECT t", "SELECT v FROM t", rows=2),
        says("SELECT t", "SELECT id, v FROM t", rows=9), says("SELECT t", "SELECT v, id FROM t", rows=2),
    )


def test_errors(calls: Calls, receiver: Receiver) -> None:
    assert calls(PYTHON, CALLS, "errors") == ["IntegrityError", *["OperationalError"] * 6]
    says = calls.says
    unknown = query("sqlite", str(calls.file), port=None, text="SELEC ?", namespace=str(calls.file), status="1")
    assert_all(
        receiver, begun(calls), says(*INSERT), says(*INSERT, status="2067"), unknown,
        says("SELECT nothing", "SELECT ? FROM nothing", status="1"), says("SELECT t", "SELECT fails() FROM t", rows=0, status="1"),
        says("BEGIN", "BEGIN IMMEDIATE"), says("BEGIN", "BEGIN IMMEDIATE", status="5"), says(*INSERT, status="5"),
        says("COMMIT", "COMMIT"), says("SELECT t", "SELECT id FROM t", rows=0, status="9"),
    )


def test_transactions(calls: Calls, receiver: Receiver) -> None:
    calls(PYTHON, CALLS, "transactions")
    says = calls.says
    assert_all(
        receiver, begun(calls), says("BEGIN", "BEGIN"), says(*INSERT), says("ROLLBACK", "ROLLBACK"),
        says("BEGIN", "BEGIN"), says(*INSERT), says("COMMIT", "COMMIT"), says("SELECT t", "SELECT id FROM t", rows=1),
        says("SAVEPOINT", "SAVEPOINT one;"), says("DELETE t", "DELETE FROM t;"), says("ROLLBACK TO", "ROLLBACK TO one;"),
        says("RELEASE", "RELEASE one;"), says("SELECT t", "SELECT count(*) FROM t", rows=1),
    )


def test_what_the_library_asks_of_itself(calls: Calls, receiver: Receiver) -> None:
    calls(PYTHON, CALLS, "own")
    says = calls.says
    assert_all(
        receiver, begun(calls, MEMORY), says("CREATE TABLE words", "CREATE VIRTUAL TABLE words USING fts5(text)", of=MEMORY),
        says("INSERT words", "INSERT INTO words VALUES (?)", of=MEMORY),
        says("SELECT words", "SELECT text FROM words WHERE words MATCH ?", of=MEMORY, rows=1),
        says("CREATE TABLE log", "CREATE TABLE log (id)", of=MEMORY),
        says("CREATE TRIGGER watch", "CREATE TRIGGER watch AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END", of=MEMORY),
        says(*INSERT, of=MEMORY), begun(calls), says("CREATE TABLE b", "CREATE TABLE b (d)"),
        says("INSERT b", "INSERT INTO b VALUES (zeroblob(?))"), says("SELECT", "SELECT asks()", of=MEMORY, rows=1),
        says("SELECT t", "SELECT ? FROM t", rows=0), says("SELECT log", "SELECT count(*) FROM log", of=MEMORY, rows=1),
        says("VACUUM", "VACUUM", of=MEMORY),
    )


def test_threads_take_turns(calls: Calls, receiver: Receiver) -> None:
    assert calls(PYTHON, CALLS, "threads") == ["[(40,)]"]
    says = calls.says
    assert_all(receiver, begun(calls), *[says("INSERT t", "INSERT INTO t (v) VALUES (?)")] * 40,
               says("SELECT t", "SELECT count(*) FROM t", rows=1))


def test_a_thousand_at_once(calls: Calls, receiver: Receiver) -> None:
    assert calls(PYTHON, CALLS, "many") == ["0 2000"]
    spans = receiver.wait_for(1004)
    assert len(spans) == 1004
    selects = [span for span in spans if span.name == "SELECT t"]
    assert {span.attributes["db.query.text"] for span in selects} == {f"SELECT id AS q{n} FROM t" for n in range(1000)}
    assert {span.attributes["db.response.returned_rows"] for span in selects} == {3}


@pytest.mark.parametrize("switch", ["SQLITE", "SQLITE3", "SQLALCHEMY"])
def test_switched_off(calls: Calls, receiver: Receiver, switch: str) -> None:
    calls(PYTHON, CALLS, "statements", **{f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false"})
    calls(PYTHON, CALLS, "transactions", OTEL_RUN_DB_QUERY_TEXT="off")
    spans = receiver.wait_for(13)  # nothing of the first run
    assert len(spans) == 13 and not any("db.query.text" in span.attributes for span in spans)


def test_the_command_line_tool(calls: Calls, receiver: Receiver) -> None:
    fill(calls.file)
    done = calls.launcher.run("sqlite3", "-bail", calls.file, "SELECT v FROM t WHERE v = 'canary2'; DELETE FROM t; SELECT x")
    assert (done.code, done.out) == (1, b"canary2\n"), done
    says = calls.says
    assert_all(receiver, says("SELECT t", "SELECT v FROM t WHERE v = ?;", rows=1), says("DELETE t", "DELETE FROM t;"),
               says("SELECT", "SELECT x", status="1"))


def test_php(calls: Calls, receiver: Receiver) -> None:
    """The class SQLite3 makes a step to see whether there is an error, and begins again when it is asked for rows."""
    assert calls("php", SOURCES / "sqlite.php") == ["19", "canary2,canary3", "1", "1", "2", "3"]
    says = calls.says
    both = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (?, ?)"
    assert_all(
        receiver, says("CREATE TABLE t INSERT t", both, operation=None, collection=None),
        *[says(*INSERT)] * 2, says(*INSERT, status="1555"), says("SELECT t", "SELECT v FROM t WHERE id > ?", rows=2),
        says("SELECT t", "SELECT count(*) FROM t WHERE v = ?", rows=1), says("SELECT t", "SELECT id FROM t", rows=1),
        says("SELECT t", "SELECT id FROM t", rows=3), says("DELETE t", "DELETE FROM t WHERE v = ?"),
    )


def test_ruby(calls: Calls, receiver: Receiver) -> None:
    assert calls("ruby", SOURCES / "sqlite.rb") == ["19", '[["canary1"], ["canary2"]]', "1"]
    says = calls.says
    assert_all(
        receiver, says("PRAGMA", "PRAGMA encoding", rows=1), says("CREATE TABLE t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"),
        *[says(*INSERT)] * 2, says(*INSERT, status="1555"), says("SELECT t", "SELECT v FROM t WHERE v <> ?", rows=2),
        says("begin", "begin deferred transaction", operation="begin", collection=None),
        says("DELETE t", "DELETE FROM t WHERE id = ?"),
        says("commit transaction", "commit transaction", operation="commit transaction", collection=None),
        says("SELECT t", "SELECT count(*) FROM t", rows=1),
    )


def test_node(calls: Calls, receiver: Receiver) -> None:
    """`node:sqlite` is a copy of the library within the executable, under local names."""
    node = CACHE / "node-tests/node_modules/node24/bin/node"
    calls(node, "--no-warnings", SOURCES / "sqlite.js", filled=True)
    says = calls.says
    assert_all(receiver, says("SELECT t", "SELECT v FROM t WHERE id > ?", rows=2), says("SELECT t", "SELECT id FROM t", rows=1),
               says(*INSERT, status="1555"), says("DELETE t", "DELETE FROM t WHERE v = ?"))


# How the library comes into a program, and whether its functions can be found there.
BUILDS = {
    "shared": (["-lsqlite3"], True),
    "symbols": (["-l:libsqlite3.a", "-lm", "-lz"], True),
    "exported": (["-s", "-rdynamic", "-l:libsqlite3.a", "-lm", "-lz"], True),
    "stripped": (["-s", "-l:libsqlite3.a", "-lm", "-lz"], False),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("sqlite")
    result = {name: directory / name for name in BUILDS}
    for name, (libraries, _) in BUILDS.items():
        subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", result[name], SOURCES / "sqlite.c", *libraries], check=True)
    return result


@pytest.mark.parametrize("build", BUILDS)
def test_copies_within_the_executable(calls: Calls, receiver: Receiver, built: dict[str, Path], build: str) -> None:
    assert calls(built[build], "simple", filled=True) == ["1"]
    expected = [calls.says("SELECT t", "SELECT v FROM t WHERE v = ?", rows=1)]
    if not BUILDS[build][1]:
        calls(built["shared"], "simple", filled=True)  # the only one that is told of
    assert_all(receiver, *expected)


def test_exec(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    """One span a call, whatever is in it; but what the program asks when it is handed a row is its own."""
    out = calls(built["shared"], "exec", filled=True)
    assert out == ["row 1 canary1", "row 1 canary2", "row 1 canary3", "0", "0", "4", "19", "UNIQUE constraint failed: t.id", "2 2"]
    says = calls.says
    assert_all(
        receiver,
        says("SELECT t DELETE t", "SELECT v FROM t WHERE v <> ?; DELETE FROM t WHERE id = ?", operation=None, collection=None, rows=3),
        says("SELECT t", "SELECT id FROM t", rows=2), *[says("UPDATE t", "UPDATE t SET v = ? WHERE id = ?")] * 2,
        says("SELECT t", "SELECT id FROM t", rows=1, status="4"), says(*INSERT, status="1555"),
        says("SELECT t", "SELECT id, v FROM t", rows=2),
    )


def test_texts(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    calls(built["shared"], "texts", filled=True)
    says = calls.says
    assert_all(
        receiver, says("SELECT t", "SELECT v FROM t;", rows=3), says("SELECT t", "SELECT id FROM t WHERE v = ?", rows=1),
        says("SELECT t", "SELECT id AS \u00e9 FROM t WHERE v <> ?", rows=3),
        says("SELECT nothing", "SELECT \U0001f600 ? FROM nothing", status="1"),
        says("SELECT nowhere", "SELECT id FROM nowhere", status="1"),
    )


def test_busy_statements(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    """Tried again until it is done, it is one execution; given up, it has failed."""
    assert calls(built["shared"], "busy", filled=True) == ["5", "5", "5", "101", "101", "5", "5"]
    says = calls.says
    begin = says("BEGIN", "BEGIN IMMEDIATE")
    spans = receiver.wait_for(7)
    found = assert_spans(
        spans, begin, says("COMMIT", "COMMIT"), begin, says("PRAGMA", "PRAGMA user_version", rows=1), says("COMMIT", "COMMIT"),
        begin, says(*INSERT, status="5"))
    lasted = max((span for span in found if span.name == "BEGIN"), key=lambda span: span.end - span.start)
    assert any(span.name == "COMMIT" and lasted.start < span.start < span.end < lasted.end for span in found)


def test_forks(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    assert sorted(calls(built["shared"], "forks", filled=True)) == ["100", "child 2", "child 3", "parent 2"]
    says = calls.says
    parents, childs = assert_spans(receiver.wait_for(2), says("SELECT t", "SELECT v FROM t", rows=3),
                                   says("SELECT t", "SELECT id FROM t", rows=3))
    assert parents.resource["process.pid"] != childs.resource["process.pid"]


def test_a_connection_closed_too_early(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    assert calls(built["shared"], "closes", filled=True) == ["5", "0", "100"]
    says = calls.says
    assert_all(receiver, says("SELECT t", "SELECT v FROM t", rows=2), says("SELECT t", "SELECT id, v FROM t", rows=1))


def test_a_leap_out_of_the_library(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    assert calls(built["shared"], "leaps", filled=True) == ["out", "3"]
    says = calls.says
    assert_all(receiver, says("SELECT t", "SELECT jumps() FROM t", rows=0), says("SELECT t", "SELECT id FROM t", rows=3))


def test_threads_of_their_own(calls: Calls, receiver: Receiver, built: dict[str, Path]) -> None:
    calls(built["shared"], "threads", filled=True)
    assert_all(receiver, *[calls.says("SELECT t", "SELECT v FROM t", rows=3)] * 400)


def test_two_copies(calls: Calls, receiver: Receiver, built: dict[str, Path], tmp_path: Path) -> None:
    """One of them is unloaded with a statement under way."""
    copy = shutil.copy(LIBRARY.resolve(), tmp_path / "copy.so")
    assert calls(built["shared"], "copies", filled=True, COPY=str(copy)) == ["100", "3", "0"] * 2
    says = calls.says
    assert_all(receiver, *[says("SELECT t", "SELECT id FROM t", rows=1), says("SELECT t", "SELECT v FROM t", rows=3)] * 2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    fill(tmp_path / "shared.db")
    return tmp_path / "shared.db"


def test_flask_and_sqlalchemy(launcher: Launcher, receiver: Receiver, file: Path) -> None:
    """A thread a request, a pool of four connections: every statement is under its own request."""
    port = free_port()
    program = launcher.start(PYTHON, SOURCES / "sqlite_flask.py", str(port), port=port, env={"SQLITE_FILE": str(file)})
    for path in ("/get", "/halfway", "/write"):
        assert fire(receiver, program.port, path, rounds=ROUNDS, keep=False) == Counts(ALL, 0, 0), path
    by_id = {span.span_id: span for span in receiver.spans}
    statements = [span for span in receiver.spans if span.kind == "CLIENT"]
    for span in statements:
        assert_child(span, by_id[span.parent_id])
        assert span.attributes["db.namespace"] == str(file) and "error.type" not in span.attributes
    count = Counter((by_id[span.parent_id].attributes["http.route"], span.name) for span in statements)
    wanted = {("/get", "SELECT t"): ALL, ("/halfway", "SELECT t"): ALL, ("/write", "BEGIN"): ALL, ("/write", "COMMIT"): ALL}
    assert {key: count[key] for key in wanted} == wanted


@pytest.mark.parametrize("path", ["/own", "/early", "/late"])
def test_aiosqlite(launcher: Launcher, receiver: Receiver, file: Path, path: str) -> None:
    """Each connection has a thread of its own, which runs the statements of whoever waits for them."""
    port = free_port()
    program = launcher.start(PYTHON, "-m", "uvicorn", "sqlite_asgi:app", "--host", "127.0.0.1", "--port", str(port),
                             "--log-level", "warning", port=port, env={"SQLITE_FILE": str(file), "PYTHONPATH": str(SOURCES)})
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)
