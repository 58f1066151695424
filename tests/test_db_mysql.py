"""MySQL's protocol, spoken with a MariaDB: statements, and the making of connections, each under the request that asked for it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.apps import GUNICORN
from harness.assertions import Expect, assert_root, assert_spans, matching
from harness.databases.calls import Calls, variables
from harness.databases.mariadb import MariaDb
from harness.databases.server import PASSWORD
from harness.jdks import DATABASES, compiled, jdks
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import PYTHON, Launcher, Program
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span

CALLS = PROGRAMS / "databases/mysql_calls.py"
ROUNDS = 3
ALL = ROUNDS * AT_ONCE
MYSQLDB = ("SET NAMES utf8mb4", "SET autocommit=?")
DRIVERS = {"pymysql": ("SET NAMES utf8mb4", "SET AUTOCOMMIT = ?"), "MySQLdb": MYSQLDB, "MySQLdb+zlib": MYSQLDB}


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with MariaDb("--max-allowed-packet=64M", "--local-infile=1") as server:
        yield server


@pytest.fixture
def calls(launcher: Launcher, mariadb: MariaDb) -> Calls:
    return Calls(launcher, mariadb, "MYSQL")


class At:
    """Expectations of statements and connects at a server."""

    def __init__(self, server: MariaDb, **where: Any) -> None:
        self.where = {"port": server.port, "namespace": "tests", **where}

    def sql(self, text: str | None, name: str, **more: Any) -> Expect:
        """Named by the statement's kind and its table."""
        return query("mariadb", name, **{"text": text, "summary": name, "operation": name.split(" ")[0], **self.where, **more})

    def table(self, text: str, name: str, **more: Any) -> Expect:
        operation, _, table = name.rpartition(" ")
        return self.sql(text, name, **{"operation": operation, "collection": table, **more})

    def connect(self, **more: Any) -> Expect:
        return connect("mariadb", **{**self.where, **more})

    def opening(self, driver: str) -> list[Expect]:
        return [self.connect(), *(self.sql(text, "SET") for text in DRIVERS[driver])]


def in_order(spans: list[Span]) -> list[Span]:
    """Roots, one after the other."""
    spans = sorted(spans, key=lambda span: span.start)
    for span in spans:
        assert_root(span)
    assert all(one.end <= next.start for one, next in zip(spans, spans[1:]))
    assert "canary" not in repr(spans) and PASSWORD not in repr(spans)
    return spans


@pytest.mark.parametrize("driver", DRIVERS)
def test_statements(calls: Calls, receiver: Receiver, driver: str) -> None:
    at = At(calls.server)
    calls(PYTHON, CALLS, driver, "statements")
    wanted = [
        *at.opening(driver),
        at.table("CREATE TEMPORARY TABLE item (id INT, name VARCHAR(?))", "CREATE TABLE item"),
        at.table("INSERT INTO item VALUES (?, ?),(?, ?)", "INSERT item"),
        at.sql("COMMIT", "COMMIT"),
        at.table("SELECT id, name FROM item WHERE id < ?", "SELECT item", rows=2),
        at.table("SELECT ? FROM nothing", "SELECT nothing", status="1146"),
        at.sql("ROLLBACK", "ROLLBACK"),
        at.sql("USE mysql", "USE mysql"),
        at.sql("SELECT ?", "SELECT", rows=1, namespace="mysql"),
        at.sql(None, "USE tests", summary=None),
        at.sql("SELECT DATABASE()", "SELECT", rows=1),
    ]
    spans = in_order(assert_spans(receiver.wait_for(len(wanted)), *wanted))
    assert [span.name for span in spans] == [one.name for one in wanted]


@pytest.mark.parametrize("driver", DRIVERS)
def test_several_results(calls: Calls, receiver: Receiver, driver: str) -> None:
    at = At(calls.server)
    calls(PYTHON, CALLS, driver, "several")
    procedure = "CREATE OR REPLACE PROCEDURE twice() BEGIN SELECT ?; SELECT ? UNION SELECT ?; END"
    in_order(assert_spans(
        receiver.wait_for(7), *at.opening(driver),
        at.sql(procedure, "CREATE PROCEDURE twice", operation="CREATE PROCEDURE"),
        at.sql("CALL twice()", "CALL twice", rows=3, db__stored_procedure__name="twice"),
        at.sql("SELECT ?; SET @a = ?; SELECT ?", "SELECT SET SELECT", operation=None, rows=2),
        at.sql("SELECT ?; SELECT nothing", "SELECT SELECT", operation=None, rows=1, status="1054"),
    ))


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_large(calls: Calls, receiver: Receiver, driver: str) -> None:
    at = At(calls.server)
    calls(PYTHON, CALLS, driver, "large")
    in_order(assert_spans(
        receiver.wait_for(7), *at.opening(driver), at.sql("SET SESSION net_read_timeout = ?", "SET"),
        at.sql("SELECT ?", "SELECT", operation=None, rows=1),
        at.table("SELECT seq, REPEAT(MD5(seq), ?) FROM seq_1_to_20000", "SELECT seq_1_to_20000", rows=20000), at.sql("SELECT ?", "SELECT", rows=1),
    ))


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_backslash_means(calls: Calls, receiver: Receiver, driver: str) -> None:
    at = At(calls.server)
    calls(PYTHON, CALLS, driver, "escapes")
    two = at.sql("SELECT ?, ?", "SELECT", rows=1)
    in_order(assert_spans(receiver.wait_for(6), *at.opening(driver), two, at.sql("SET sql_mode = ?", "SET"), two))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_of_the_clients(calls: Calls, receiver: Receiver, driver: str, tmp_path: Path) -> None:
    at = At(calls.server)
    file = tmp_path / "items.tsv"
    file.write_text("".join(f"{number}\tcanary\n" for number in range(50_000)))
    calls(PYTHON, CALLS, driver, "load", FILE=str(file))
    in_order(assert_spans(
        receiver.wait_for(6), *at.opening(driver),
        at.table("CREATE TEMPORARY TABLE item (id INT, name VARCHAR(?))", "CREATE TABLE item"),
        at.sql("LOAD DATA LOCAL INFILE ? INTO TABLE item", "LOAD"),
        at.table("SELECT COUNT(*) FROM item", "SELECT item", rows=1),
    ))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_wrong_password(calls: Calls, receiver: Receiver, driver: str) -> None:
    assert calls(PYTHON, CALLS, driver, "denied") == b"1045\n"
    assert "canary" not in repr(assert_spans(receiver.wait_for(1), At(calls.server).connect(status="1045")))


@pytest.mark.parametrize("driver", DRIVERS)
def test_other_proofs_of_who_it_is(calls: Calls, receiver: Receiver, driver: str) -> None:
    at = At(calls.server)
    calls(PYTHON, CALLS, driver, "ed25519")
    in_order(assert_spans(receiver.wait_for(4), *at.opening(driver), at.sql("SELECT ?", "SELECT", rows=1)))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_unix_socket(calls: Calls, receiver: Receiver, driver: str) -> None:
    path = str(calls.server.socket)
    at = At(calls.server, port=None, server__address=path, network__peer__address=path, network__transport="unix")
    calls(PYTHON, CALLS, driver, "socket")
    in_order(assert_spans(receiver.wait_for(4), *at.opening(driver), at.sql("SELECT ?", "SELECT", rows=1)))


@pytest.mark.parametrize("driver", DRIVERS)
def test_tls(calls: Calls, receiver: Receiver, driver: str) -> None:
    """Connecting includes the handshake; which server it is was said before it."""
    at = At(calls.server, address="localhost" if driver == "pymysql" else "127.0.0.1")
    assert calls(PYTHON, CALLS, driver, "tls") == b"True\n"
    in_order(assert_spans(receiver.wait_for(4), *at.opening(driver), at.sql("SHOW STATUS LIKE ?", "SHOW", rows=1)))


def test_a_certificate_that_is_not_accepted(calls: Calls, receiver: Receiver) -> None:
    assert calls(PYTHON, CALLS, "pymysql", "untrusted") == b"2003\n"
    assert_spans(receiver.wait_for(1), At(calls.server, address="localhost", namespace=None).connect(error="tls_handshake"))


@pytest.mark.parametrize(("driver", "told"), [("MySQLdb", b"OFF\n"), ("MySQLdb+zlib", b"ON\n")])
def test_compression(calls: Calls, receiver: Receiver, driver: str, told: bytes) -> None:
    """What the other tests take for compressed is: the server says so."""
    at = At(calls.server)
    assert calls(PYTHON, CALLS, driver, "compression") == told
    in_order(assert_spans(receiver.wait_for(4), *at.opening(driver), at.sql("SHOW STATUS LIKE ?", "SHOW", rows=1)))


def test_nobody_listens(launcher: Launcher, mariadb: MariaDb, receiver: Receiver) -> None:
    launcher.run(PYTHON, CALLS, "pymysql", "refused", env=variables(mariadb, "MYSQL") | {"MYSQL_PORT": str(free_port())})
    (span,) = receiver.wait_for(1)
    assert span.attributes["error.type"] == "connection_refused"


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_server_goes_away(launcher: Launcher, receiver: Receiver, driver: str) -> None:
    with MariaDb() as server:
        at = At(server)
        program = launcher.start(PYTHON, CALLS, driver, "waits", env=variables(server, "MYSQL"))
        program.wait_output(b"1")
        server.program.stop(signal.SIGKILL)
        program.wait_output(b"gone")
        program.process.wait(20)
    lost = at.sql("SELECT SLEEP(?)", "SELECT", error=matching("connection_(closed|reset)"))
    in_order(assert_spans(receiver.wait_for(5), *at.opening(driver), at.sql("SELECT ?", "SELECT", rows=1), lost))


def test_switched_off(calls: Calls, receiver: Receiver) -> None:
    calls(PYTHON, CALLS, "pymysql", "statements", OTEL_INSTRUMENTATION_PYMYSQL_ENABLED="false")
    calls(PYTHON, CALLS, "pymysql", "tls", OTEL_INSTRUMENTATION_PYMYSQL_ENABLED="false")
    calls(PYTHON, CALLS, "pymysql", "several", OTEL_RUN_DB_QUERY_TEXT="off")
    spans = receiver.wait_for(7)  # nothing of the first runs
    assert all("db.query.text" not in span.attributes for span in spans)
    assert sorted(span.name for span in spans) == ["CALL twice", "CREATE PROCEDURE twice", "SELECT SELECT", "SELECT SET SELECT", "SET", "SET", "connect"]


@pytest.mark.parametrize("how", ["--skip-compress", "--compress"])
def test_the_command_line_client(calls: Calls, receiver: Receiver, how: str) -> None:
    """It says `USE` by a command of the protocol, and is told how far the server has come."""
    statements = "CREATE OR REPLACE TABLE made (id INT); ALTER TABLE made ENGINE=Aria; PREPARE s FROM 'SELECT ?'; EXECUTE s USING @a; USE mysql; SELECT 1; SHOW STATUS LIKE 'Compression'"
    told = calls("mariadb", "--host=127.0.0.1", f"--port={calls.server.port}", "--user=tests", "--skip-ssl", how, "tests", "-e", statements)
    assert told.endswith(b"ON\n" if how == "--compress" else b"OFF\n")
    at = At(calls.server)
    in_order(assert_spans(
        receiver.wait_for(9), at.connect(), at.table("CREATE OR REPLACE TABLE made (id INT)", "CREATE TABLE made"),
        at.table("ALTER TABLE made ENGINE=Aria", "ALTER TABLE made"), at.sql("PREPARE s FROM ?", "PREPARE"),
        at.sql("EXECUTE s USING @a", "EXECUTE s", rows=1), at.sql("SELECT DATABASE()", "SELECT", rows=1),
        at.sql(None, "USE mysql", summary=None, namespace="mysql"), at.sql("SELECT ?", "SELECT", rows=1, namespace="mysql"),
        at.sql("SHOW STATUS LIKE ?", "SHOW", rows=1, namespace="mysql"),
    ))


@pytest.mark.parametrize("how", ["", "tls", "zlib"])
def test_mysql2(calls: Calls, receiver: Receiver, how: str) -> None:
    """Prepared statements have their text; of preparing only an error is told."""
    at = At(calls.server, address="localhost" if how == "tls" else "127.0.0.1")
    told = calls("node", PROGRAMS / "databases/mysql.js", "calls", how)
    assert told.startswith(b"ON\n") == (how == "zlib")
    compression = [at.sql("SHOW STATUS LIKE ?", "SHOW", rows=1)] if how == "zlib" else []
    changed = {"summary": None, "operation": "CHANGE USER"}
    in_order(assert_spans(
        receiver.wait_for(11 + len(compression)), at.connect(), *compression, at.table("SELECT ? AS one", "SELECT", operation="SELECT", collection=None, rows=1),
        *[at.sql("SELECT ? + ? AS two", "SELECT", rows=1)] * 2,
        at.table("SELECT ? FROM nothing", "SELECT nothing", status="1146"), at.sql("SELECT nothing", "SELECT", status="1054"),
        at.sql("START TRANSACTION", "START TRANSACTION", operation="START TRANSACTION"),
        at.table("SELECT seq FROM seq_1_to_1000 WHERE seq < ?", "SELECT seq_1_to_1000", rows=499), at.sql("COMMIT", "COMMIT"),
        at.sql("SELECT ?", "SELECT", rows=1, namespace="mysql"),
        at.sql(None, "CHANGE USER mysql", namespace="mysql", status="1045", **changed),
    ))


SERVERS = {
    "sync": [GUNICORN, "mysql_wsgi:app", "-b", "127.0.0.1:{port}", "-w", "4"],
    "threads": [GUNICORN, "mysql_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "20"],
    "gevent": [GUNICORN, "mysql_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gevent"],
    "asyncio": [PYTHON, "-m", "uvicorn", "mysql_asgi:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"],
    "node": ["node", str(PROGRAMS / "databases/mysql.js")],
}


def start(launcher: Launcher, server: MariaDb, name: str, driver: str = "") -> Program:
    port = free_port()
    return launcher.start(*(word.format(port=port) for word in SERVERS[name]), port=port, env=variables(server, "MYSQL") | {"DRIVER": driver})


def connects_are_under_requests(spans: list[Span], most: int) -> None:
    by_id = {span.span_id: span for span in spans}
    made = [span for span in spans if span.name == "connect"]
    assert 1 <= len(made) <= most
    for span in made:
        assert by_id[span.parent_id].kind == "SERVER" and by_id[span.parent_id].trace_id == span.trace_id


@pytest.mark.parametrize(("name", "driver"), [
    ("sync", "pymysql"), ("sync", "mysqldb"), ("threads", "pymysql"), ("threads", "mysqldb"), ("gevent", "pymysql"),
])
def test_a_pool_of_four(launcher: Launcher, receiver: Receiver, mariadb: MariaDb, name: str, driver: str) -> None:
    """Every statement is under its own request, and each connection under the one that waited for it."""
    program = start(launcher, mariadb, name, driver)
    assert fire(receiver, program.port, "/twice", rounds=ROUNDS, calls=2, keep=name != "sync") == Counts(2 * ALL, 0, 0)
    connects_are_under_requests(receiver.spans, 16 if name == "sync" else 4)


@pytest.mark.parametrize("path", ["/get", "/sqlalchemy"])
@pytest.mark.parametrize("driver", ["aiomysql", "asyncmy"])
def test_a_pool_of_four_on_asyncio(launcher: Launcher, receiver: Receiver, mariadb: MariaDb, driver: str, path: str) -> None:
    program = start(launcher, mariadb, "asyncio", driver)
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)
    connects_are_under_requests(receiver.spans, 4)


@pytest.mark.parametrize("path", ["/query", "/execute", "/connection", "/callback"])
def test_a_pool_of_four_in_node(launcher: Launcher, receiver: Receiver, mariadb: MariaDb, path: str) -> None:
    """Whoever gives a connection back, in whose turn it is handed on."""
    program = start(launcher, mariadb, "node")
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)
    connects_are_under_requests(receiver.spans, 4)


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    classes = compiled(tmp_path_factory.mktemp("mysql"), "MySql", libraries=DATABASES)
    return [str(jdks()[17] / "bin/java"), "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{classes}:{DATABASES}/*", "MySql"]


MARIADB_OPENING = matching("set sql_mode=.*NAMES utf8mb4")
MYSQL_OPENING = matching(r"SELECT\s+@@session.auto_increment_increment AS .*")


@pytest.mark.parametrize(("driver", "options"), [
    ("mysql", "useServerPrepStmts=true"), ("mysql", "sslMode=REQUIRED"), ("mysql", "useCursorFetch=true&defaultFetchSize=2"),
    ("mariadb", "useServerPrepStmts=true"), ("mariadb", "sslMode=trust"),
])
def test_java(calls: Calls, receiver: Receiver, java: list[str], driver: str, options: str) -> None:
    calls(*java, "calls", driver, options)
    at = At(calls.server)
    cursor, prepared = "Cursor" in options, "useServerPrepStmts" in options
    select = "SELECT id, name FROM item WHERE id < ?"
    insert = at.table("INSERT INTO item VALUES (?, ?)", "INSERT item")
    unknown = {"text": "SELECT nothing FROM item", "name": "SELECT item"}
    if driver == "mysql":
        wanted = [at.sql(MYSQL_OPENING, "SELECT", rows=1), at.sql("SET character_set_results = NULL", "SET"), *[at.sql("SET autocommit=?", "SET")] * 2,
                  *[insert] * 3, at.sql("USE `mysql`", "USE `mysql`"), at.sql("ROLLBACK", "ROLLBACK", namespace="mysql")]
        # It prepares a statement that cannot be, and sends it as it is.
        failed = [at.table(**unknown, status="1054")] * (2 if prepared or cursor else 1)
    else:
        # All sets of parameters are one command; so is what it sends of a session's settings.
        wanted = [at.sql(MARIADB_OPENING, "set"), at.sql("set autocommit=?", "set"), insert, at.sql(None, "USE mysql", summary=None, namespace="mysql")]
        # The execution leaves together with what it executes, which cannot be; that is prepared once more.
        failed = [at.table(**unknown, status=code) for code in (("1054", "1243", "1054") if prepared else ("1054",))]
    if cursor:
        fetch = {"operation": "FETCH"}
        selects = [at.table(select, "SELECT item")] * 2 + [at.table(select, "SELECT item", rows=rows, **fetch) for rows in (2, 0, 2, 1)]
        plain = at.sql("SELECT ?", "SELECT")
        wanted.append(plain)
    else:
        selects = [at.table(select, "SELECT item", rows=rows) for rows in (2, 3)]
        wanted.append(at.sql("SELECT ?", "SELECT", rows=1))
    wanted += [at.connect(), at.table("CREATE TEMPORARY TABLE item (id INT, name VARCHAR(?))", "CREATE TABLE item"), at.sql("COMMIT", "COMMIT"),
               *selects, *failed]
    spans = assert_spans(receiver.wait_for(len(wanted)), *wanted)
    assert "canary" not in repr(spans) and PASSWORD not in repr(spans)


@pytest.mark.parametrize("path", ["/mysql", "/mariadb"])
def test_a_pool_of_four_in_java(launcher: Launcher, receiver: Receiver, mariadb: MariaDb, java: list[str], path: str) -> None:
    program = launcher.start(*java, env=variables(mariadb, "MYSQL"), port=free_port())
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)
    connects_are_under_requests(receiver.spans, 4)
