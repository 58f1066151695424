"""Microsoft's TDS: statements, and the making of connections, each under the request that asked for it.

There is no SQL Server to be had: what the drivers speak with is the tests' own (harness/databases/tds_server.py). How they speak is real; how a
SQL Server answers is what the specification says."""

from __future__ import annotations

import signal
from typing import Any

import pytds
import pytest

from harness.apps import GUNICORN
from harness.assertions import ANY_TEXT, Expect, assert_root, assert_spans, matching
from harness.databases.calls import Calls, variables
from harness.databases.server import PASSWORD
from harness.databases.sqlserver import USER, SqlServer
from harness.jdks import DATABASES, compiled, jdks
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import PYTHON, Launcher
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span

CALLS = PROGRAMS / "databases/sqlserver_calls.py"
JS = PROGRAMS / "databases/sqlserver.js"
DRIVERS = ("pytds", "pymssql")
ROUNDS = 3
ALL = ROUNDS * AT_ONCE
CREATE = "CREATE TABLE item (id INT UNIQUE, name VARCHAR(?))"


@pytest.fixture
def calls(launcher: Launcher, sqlserver: SqlServer) -> Calls:
    return Calls(launcher, sqlserver, "SQLSERVER")


class At:
    """Expectations of statements and connects at a server."""

    def __init__(self, server: SqlServer, **where: Any) -> None:
        self.where = {"port": server.port, "namespace": "tests", **where}

    def sql(self, text: str | None, name: str, **more: Any) -> Expect:
        """Named by the statement's kind and its table."""
        return query("microsoft.sql_server", name, **{"text": text, "summary": name, "operation": name.split(" ")[0], **self.where, **more})

    def table(self, text: str, name: str, **more: Any) -> Expect:
        operation, _, table = name.rpartition(" ")
        return self.sql(text, name, **{"operation": operation, "collection": table, **more})

    def procedure(self, name: str, word: str = "EXECUTE", **more: Any) -> Expect:
        return self.sql(f"{word} {name}", f"{word} {name}", db__stored_procedure__name=name, **more)

    def transaction(self, what: str) -> Expect:
        """What is no statement, but a message of its own."""
        return self.sql(None, f"{what} {self.where['namespace']}", summary=None)

    def connect(self, **more: Any) -> Expect:
        return connect("microsoft.sql_server", **{**self.where, **more})

    def opening(self, driver: str) -> list[Expect]:
        """pymssql sets ten things, and chooses the database once more."""
        if driver == "pytds":
            return [self.connect()]
        return [self.connect(), self.sql(matching(r"(SET \w+ (ON|\?);)*"), " ".join(["SET"] * 10), operation=None), self.sql("use [tests]", "use [tests]")]


def in_order(spans: list[Span], *wanted: Expect) -> None:
    """These, one after the other, of nobody's request."""
    spans = sorted(assert_spans(spans, *wanted), key=lambda span: span.start)
    for span in spans:
        assert_root(span)
    assert [span.name for span in spans] == [one.name for one in wanted]
    assert all(one.end <= next.start for one, next in zip(spans, spans[1:]))
    assert "canary" not in repr(spans) and PASSWORD not in repr(spans)


def test_statements_of_pytds(calls: Calls, receiver: Receiver) -> None:
    """With parameters they are calls of sp_executesql; what is about transactions are messages of their own."""
    at = At(calls.server)
    calls(PYTHON, CALLS, "pytds", "statements")
    select = "SELECT id, name, NULL AS void, ? AS half FROM item WHERE id < @P1 AND name <> @P2"
    in_order(
        receiver.wait_for(16), at.connect(), at.transaction("BEGIN"), at.table(CREATE, "CREATE TABLE item"),
        *[at.table("INSERT INTO item VALUES (@P1, @P2)", "INSERT item")] * 2, at.transaction("COMMIT"), at.transaction("BEGIN"),
        at.table(select, "SELECT item", rows=2), at.table("UPDATE item SET name = ? WHERE id > ?", "UPDATE item"), at.transaction("ROLLBACK"),
        at.transaction("BEGIN"), at.table("SELECT ? FROM missing", "SELECT missing", status="208"), at.transaction("ROLLBACK"),
        at.transaction("BEGIN"), at.table("DROP TABLE item", "DROP TABLE item"), at.transaction("COMMIT"))


def test_statements_of_pymssql(calls: Calls, receiver: Receiver) -> None:
    """All are batches; it begins the next transaction at once."""
    at = At(calls.server)
    calls(PYTHON, CALLS, "pymssql", "statements")
    begin, commit, rollback = (at.sql(text, text, operation=text) for text in ("BEGIN TRAN", "COMMIT TRAN", "ROLLBACK TRAN"))
    select = "SELECT id, name, NULL AS void, ? AS half FROM item WHERE id < ? AND name <> ?"
    in_order(
        receiver.wait_for(19), *at.opening("pymssql"), begin, at.table(CREATE, "CREATE TABLE item"),
        *[at.table("INSERT INTO item VALUES (?, ?)", "INSERT item")] * 2, commit, begin, at.table(select, "SELECT item", rows=2),
        at.table("UPDATE item SET name = ? WHERE id > ?", "UPDATE item"), rollback, begin,
        at.table("SELECT ? FROM missing", "SELECT missing", status="208"), rollback, begin, at.table("DROP TABLE item", "DROP TABLE item"), commit, begin)


@pytest.mark.parametrize("driver", DRIVERS)
def test_several_results(calls: Calls, receiver: Receiver, driver: str) -> None:
    at = At(calls.server)
    opening = at.opening(driver)
    calls(PYTHON, CALLS, driver, "several")
    in_order(
        receiver.wait_for(len(opening) + 5), *opening, at.procedure("twice", rows=3), at.procedure("twice", "EXEC", rows=3),
        at.sql("SELECT ?; SET NOCOUNT ON; SELECT ?", "SELECT SET SELECT", operation=None, rows=2),
        at.sql("SELECT ?; SELECT void", "SELECT SELECT", operation=None, rows=1, status="207"), at.procedure("missing", status="2812"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_databases(calls: Calls, receiver: Receiver, driver: str) -> None:
    at, other = At(calls.server), At(calls.server, namespace="other")
    opening = at.opening(driver)
    calls(PYTHON, CALLS, driver, "databases")
    in_order(
        receiver.wait_for(len(opening) + 5), *opening, at.sql("SELECT ?", "SELECT", rows=1), at.sql("USE other", "USE other"),
        other.sql("SELECT ?", "SELECT", rows=1), other.sql("USE missing", "USE missing", status="911"), other.sql("SELECT ?", "SELECT", rows=1))


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_large(calls: Calls, receiver: Receiver, driver: str) -> None:
    """pymssql has the value in the text, which is cut: what it does besides is not known."""
    at = At(calls.server)
    opening = at.opening(driver)
    calls(PYTHON, CALLS, driver, "large")
    first = at.sql("SELECT @P1 AS large", "SELECT", rows=1) if driver == "pytds" else at.sql("SELECT ?", "SELECT", operation=None, rows=1)
    text = "WITH RECURSIVE some(n) AS (SELECT ? UNION ALL SELECT n + ? FROM some LIMIT ?) SELECT n, hex(n) FROM some"
    in_order(receiver.wait_for(len(opening) + 3), *opening, first, at.sql(text, "SELECT SELECT", operation=None, rows=20000),
             at.sql("SELECT ?", "SELECT", rows=1))


def test_bulk_inserts(calls: Calls, receiver: Receiver) -> None:
    """The statement, and the rows."""
    at = At(calls.server)
    calls(PYTHON, CALLS, "pytds", "bulk")
    in_order(
        receiver.wait_for(3), at.connect(),
        at.sql("INSERT BULK [item]([id] INT,[name] NVARCHAR(?))", "INSERT [item]", collection="[item]"),
        at.sql(None, "INSERT BULK tests", summary=None, operation="INSERT BULK"))


def test_what_is_stopped(calls: Calls, receiver: Receiver) -> None:
    """By the client, which goes on; or by the connection's end."""
    at = At(calls.server)
    calls(PYTHON, CALLS, "pytds", "stopped")
    wait = "WAITFOR DELAY ?"
    in_order(receiver.wait_for(3), at.connect(), at.sql(wait, "WAITFOR", error="_OTHER"), at.sql("SELECT ?", "SELECT", rows=1))
    receiver.clear()
    calls(PYTHON, CALLS, "pymssql", "stopped")
    in_order(receiver.wait_for(4), *at.opening("pymssql"), at.sql(wait, "WAITFOR"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_wrong_password(calls: Calls, receiver: Receiver, driver: str) -> None:
    """The first error is the cause."""
    at = At(calls.server)
    assert calls(PYTHON, CALLS, driver, "denied") == b"18456\n"
    calls(PYTHON, CALLS, driver, "no_such_database")
    in_order(receiver.wait_for(2), at.connect(status="18456"), at.connect(status="4060", namespace="canaries"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_only_the_login_is_encrypted(calls: Calls, receiver: Receiver, driver: str) -> None:
    """What follows is read on the socket. Which database was asked for is known from the answer."""
    at = At(calls.server, address="localhost")
    opening = at.opening(driver)
    calls(PYTHON, CALLS, driver, "tls_login")
    in_order(receiver.wait_for(len(opening) + 1), *opening, at.sql("SELECT ?", "SELECT", rows=1))
    receiver.clear()
    assert calls(PYTHON, CALLS, driver, "denied_behind_tls") == b"18456\n"
    in_order(receiver.wait_for(1), at.connect(status="18456", namespace=None))


def test_all_is_encrypted(calls: Calls, receiver: Receiver) -> None:
    """By the library that pymssql brings. That of pytds is hidden in a module of Python's `cryptography`: nothing is seen there."""
    at = At(calls.server, address="localhost")
    calls(PYTHON, CALLS, "pytds", "tls")
    calls(PYTHON, CALLS, "pytds", "denied_in_tls")
    calls(PYTHON, CALLS, "pymssql", "tls")
    assert calls(PYTHON, CALLS, "pymssql", "denied_in_tls") == b"18456\n"
    in_order(receiver.wait_for(5), *at.opening("pymssql"), at.sql("SELECT ?", "SELECT", rows=1), at.connect(status="18456"))


def test_nobody_listens(launcher: Launcher, sqlserver: SqlServer, receiver: Receiver) -> None:
    env = variables(sqlserver, "SQLSERVER") | {"SQLSERVER_PORT": str(free_port())}
    assert launcher.run(PYTHON, CALLS, "pytds", "refused", env=env).out == b"refused\n"
    (span,) = receiver.wait_for(1)
    assert span.attributes["error.type"] == "connection_refused"


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_server_goes_away(launcher: Launcher, receiver: Receiver, driver: str) -> None:
    with SqlServer() as server:
        at = At(server)
        program = launcher.start(PYTHON, CALLS, driver, "waits", env=variables(server, "SQLSERVER"))
        program.wait_output(b"1")
        server.program.stop(signal.SIGKILL)
        program.wait_output(b"gone")
        program.process.wait(20)
    opening = at.opening(driver)
    lost = at.sql("WAITFOR DELAY ?", "WAITFOR", error=matching("connection_(closed|reset)"))
    in_order(receiver.wait_for(len(opening) + 2), *opening, at.sql("SELECT ?", "SELECT", rows=1), lost)


@pytest.mark.parametrize("how", ["clear", "all", "strict"])
def test_tedious(calls: Calls, receiver: Receiver, how: str) -> None:
    """It stops by a message of its own. `all`: TLS begins inside of TDS; `strict`: TDS is inside of TLS."""
    at = At(calls.server, address="127.0.0.1" if how == "clear" else "localhost")
    assert calls("node", JS, how).split() == [b"2", b"1", b"1", b"1", b"3", b"208", b"1", b"ECANCEL", b"1", b"ELOGIN"]
    settings = at.sql(matching("(?s)set ansi_nulls on\n.*set xact_abort off"), "set")
    one = at.sql("SELECT ?", "SELECT", rows=1)
    in_order(
        receiver.wait_for(15), at.connect(), settings, at.sql("SELECT ? AS one; SELECT ?", "SELECT SELECT", operation=None, rows=2),
        *[at.sql("SELECT @number + ?, @text", "SELECT", rows=1)] * 3, at.procedure("twice", rows=3),
        at.table("SELECT ? FROM missing", "SELECT missing", status="208"), at.transaction("BEGIN"), one, at.transaction("COMMIT"), settings,
        at.sql("WAITFOR DELAY ?", "WAITFOR", error="_OTHER"), one, at.connect(status="18456"))


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    classes = compiled(tmp_path_factory.mktemp("sqlserver"), "SqlServer", libraries=DATABASES)
    return [str(jdks()[17] / "bin/java"), "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{classes}:{DATABASES}/*", "SqlServer"]


@pytest.mark.parametrize("options", ["encrypt=false", "encrypt=true;trustServerCertificate=true", "enablePrepareOnFirstPreparedStatementCall=true"])
def test_java(calls: Calls, receiver: Receiver, java: list[str], options: str) -> None:
    """`encrypt=false` is of what follows the login. Statements are prepared at their second use, or the first; those of a batch of
    prepared ones leave in one message."""
    prepares = options.startswith("enable")
    at = At(calls.server, address=ANY_TEXT)  # it looks up the name of the address
    other = At(calls.server, address=ANY_TEXT, namespace="other")
    calls(*java, "calls", options if options.startswith("encrypt") else f"{options};encrypt=false")
    insert = "INSERT INTO item VALUES (@P0, @P1)"
    inserts = [at.table(insert, "INSERT item")] * 3
    if prepares:
        inserts[1:] = [at.table(insert, "BATCH INSERT item", batch=2)]
    ends = {what: at.sql(f"IF @@TRANCOUNT > ? {what} TRAN", "tests", summary=None, operation=None) for what in ("COMMIT", "ROLLBACK")}
    wanted = [
        at.connect(), at.table("CREATE TABLE item (id INT, name VARCHAR(?))", "CREATE TABLE item"), at.sql("SELECT ?", "SELECT", rows=1),
        at.sql("set implicit_transactions on", "set"), *inserts, ends["COMMIT"],
        *[at.table("SELECT id, name FROM item WHERE id < @P0", "SELECT item", rows=rows) for rows in (1, 2, 3)],
        at.table("SELECT void FROM item", "SELECT item", status="207"), ends["ROLLBACK"],
        at.sql("set implicit_transactions off IF @@TRANCOUNT > ? COMMIT TRAN", "set"), at.sql("use [other]", "use [other]"),
        other.table("DROP TABLE item", "DROP TABLE item"),
    ]
    in_order(receiver.wait_for(len(wanted)), *wanted)


def test_switched_off(calls: Calls, receiver: Receiver) -> None:
    calls(PYTHON, CALLS, "pytds", "statements", OTEL_INSTRUMENTATION_PYTDS_ENABLED="false")
    calls(PYTHON, CALLS, "pymssql", "tls", OTEL_INSTRUMENTATION_PYMSSQL_ENABLED="false")
    calls("node", JS, "clear", OTEL_INSTRUMENTATION_TEDIOUS_ENABLED="false")
    calls(PYTHON, CALLS, "pytds", "several", OTEL_RUN_DB_QUERY_TEXT="off")
    spans = receiver.wait_for(6)  # nothing of the first runs
    assert all("db.query.text" not in span.attributes for span in spans)
    assert sorted(span.name for span in spans) == ["EXEC twice", "EXECUTE missing", "EXECUTE twice", "SELECT SELECT", "SELECT SET SELECT", "connect"]


def test_the_servers_end(launcher: Launcher, receiver: Receiver) -> None:
    """SERVER spans, where they are wanted: of what it is asked, not of the connection."""
    env = {"OTEL_INSTRUMENTATION_SQLSERVER_SERVER_ENABLED": "true", "OTEL_INSTRUMENTATION_SQLITE_ENABLED": "false"}
    with SqlServer(launcher=launcher, env=env) as server:
        with pytds.connect("127.0.0.1", "tests", USER, PASSWORD, port=server.port, autocommit=True) as connection:
            connection.cursor().execute("SELECT 'canary'")
            (span,) = receiver.wait_for(1)
    assert (span.kind, span.name, span.attributes["db.query.text"]) == ("SERVER", "SELECT", "SELECT ?")


SERVERS = {
    "threads": [GUNICORN, "sqlserver_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "20"],
    "gevent": [GUNICORN, "sqlserver_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gevent"],
}


def connects_are_under_requests(spans: list[Span], before: int = 0) -> None:
    """Four, and those that were made before there was a request."""
    by_id = {span.span_id: span for span in spans}
    made = [span for span in spans if span.name == "connect"]
    under = [span for span in made if span.parent_id]
    assert (len(under), len(made)) == (4, 4 + before)
    for span in under:
        assert by_id[span.parent_id].kind == "SERVER" and by_id[span.parent_id].trace_id == span.trace_id


@pytest.mark.parametrize(("how", "driver"), [("threads", "pytds"), ("threads", "pymssql"), ("gevent", "pytds")])
def test_a_pool_of_four(launcher: Launcher, receiver: Receiver, sqlserver: SqlServer, how: str, driver: str) -> None:
    """Every statement is under its own request, and each connection under the one that waited for it."""
    port = free_port()
    program = launcher.start(*(word.format(port=port) for word in SERVERS[how]), port=port, env=variables(sqlserver, "SQLSERVER") | {"DRIVER": driver})
    assert fire(receiver, program.port, "/get", rounds=ROUNDS) == Counts(ALL, 0, 0)
    connects_are_under_requests(receiver.spans)


@pytest.mark.parametrize("path", ["/query", "/prepared", "/transaction"])
def test_a_pool_of_four_in_node(launcher: Launcher, receiver: Receiver, sqlserver: SqlServer, path: str) -> None:
    """mssql makes a connection when its pool is made, to see whether that can be done."""
    program = launcher.start("node", JS, "serve", port=free_port(), env=variables(sqlserver, "SQLSERVER"))
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)
    connects_are_under_requests(receiver.spans, before=1)
    by_id = {span.span_id: span for span in receiver.spans}
    begun = [span for span in receiver.spans if span.name in ("BEGIN tests", "COMMIT tests")]
    assert len(begun) == (2 * ALL if path == "/transaction" else 0)
    assert all(by_id[span.parent_id].kind == "SERVER" for span in begun)


def test_a_pool_of_four_in_java(launcher: Launcher, receiver: Receiver, sqlserver: SqlServer, java: list[str]) -> None:
    program = launcher.start(*java, env=variables(sqlserver, "SQLSERVER"), port=free_port())
    assert fire(receiver, program.port, "/get", rounds=ROUNDS) == Counts(ALL, 0, 0)
    connects_are_under_requests(receiver.spans)
