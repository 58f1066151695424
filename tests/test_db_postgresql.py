"""PostgreSQL: every statement and every connection made, in the words of each client, under the request that asked for it."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.apps import GUNICORN
from harness.assertions import Expect, assert_child, assert_root, assert_spans
from harness.databases.postgresql import PROGRAMS as SERVER_PROGRAMS
from harness.databases.postgresql import Postgres
from harness.databases.server import HOST, PASSWORD
from harness.jdks import DATABASES, compiled, jdks
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Finished, Launcher, wait_until
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES
from harness.spans import Span, draw

ROUNDS = len(rounds(few=2, all=10))
ALL = ROUNDS * AT_ONCE
CLIENTS = PROGRAMS / "databases/postgresql_clients.py"
CANARY = b"canary"  # in values and wrong passwords only
JAVA = (str(jdks()[17] / "bin/java"), "-XX:+UseSerialGC", "-Xmx256m", "-cp")


class Said:
    """The spans of statements to one server."""

    def __init__(self, server: Postgres, **more: Any) -> None:
        self.common: dict[str, Any] = {"port": server.port, "address": HOST, "namespace": server.database, **more}

    def connect(self, **more: Any) -> Expect:
        return connect("postgresql", **{**self.common, **more})

    def __call__(self, name: str, text: str, **more: Any) -> Expect:
        """`name`: what is done, and to which table if to one; `alone` False: to several, or in several ways."""
        summary = name
        if not more.pop("alone", True):
            return query("postgresql", name, summary=summary, text=text, **{**self.common, **more})
        batch = "BATCH " if "batch" in more else ""
        operation, _, table = name.removeprefix(batch).partition(" ")
        if operation == "CREATE":
            operation, table = "CREATE TABLE", table.removeprefix("TABLE ")
        return query("postgresql", name, operation=batch + operation, collection=table or None, summary=summary, text=text,
                     **{**self.common, **more})

    def plain(self, *statements: str) -> list[Expect]:
        """Statements of one word, or that name nothing."""
        return [self(statement.split(" ")[0].rstrip(";"), statement) for statement in statements]


PEOPLE = "CREATE TEMP TABLE people (id int PRIMARY KEY, name text)"


def psycopg2(said: Said) -> list[Expect]:
    return [
        *said.plain("BEGIN", "COMMIT", "BEGIN", "COMMIT", "BEGIN", "ROLLBACK", "BEGIN", "COMMIT"),
        said("CREATE TABLE people", PEOPLE), said("INSERT people", "INSERT INTO people VALUES (?,?),(?,?)"),
        said("SELECT people", "SELECT id, name FROM people WHERE id > ? ORDER BY id", rows=2),
        said("SELECT people", "SELECT nope FROM people", status="42703"),
        said("DECLARE SELECT people", 'DECLARE "portal" CURSOR WITHOUT HOLD FOR SELECT id FROM people ORDER BY id', alone=False),
        *(said("FETCH", 'FETCH FORWARD ? FROM "portal"', rows=rows) for rows in (1, 1, 0)), *said.plain('CLOSE "portal"'),
    ]


def psycopg(said: Said) -> list[Expect]:
    one = said("SELECT people", "SELECT name FROM people WHERE id = $1", rows=1)
    return [
        said("CREATE TABLE people", PEOPLE), said("BATCH INSERT people", "INSERT INTO people VALUES ($1, $2)", batch=3), one, one,
        said("SELECT people", "SELECT nope FROM people WHERE id = $1", status="42703"),
        said("UPDATE people", "UPDATE people SET name = $1 WHERE id = ? RETURNING name", rows=1),
        said("COPY people", "COPY people FROM STDIN"), said("COPY people", "COPY people TO STDOUT"),
        said("DECLARE SELECT people", 'DECLARE "portal" CURSOR WITH HOLD FOR SELECT id FROM people ORDER BY id', alone=False),
        said("FETCH", 'FETCH FORWARD ? FROM "portal"', rows=2), *said.plain("BEGIN", "COMMIT", 'CLOSE "portal"'),
    ]


def pipeline(said: Said) -> list[Expect]:
    return [
        *(said("SELECT", f"SELECT ? AS q{n} WHERE $1 = ?", rows=1) for n in range(3)), said("SELECT", "SELECT ? AS a", rows=1),
        said("SELECT", "SELECT ? / $1 AS b", status="22012"), said("SELECT", "SELECT ? AS c", error="_OTHER"),
        said("SELECT", "SELECT ? AS d", rows=1),
    ]


def psycopg_async(said: Said) -> list[Expect]:
    return [said("SELECT", "SELECT $1::int AS one", rows=1), *said.plain("LISTEN news", "NOTIFY news, ?")]


def asyncpg(said: Said) -> list[Expect]:
    one = said("SELECT people", "SELECT name FROM people WHERE id = $1", rows=1)
    return [
        said("CREATE TABLE people", PEOPLE), said("BATCH INSERT people", "INSERT INTO people VALUES ($1, $2)", batch=3), one, one,
        query("postgresql", said.common["namespace"], text="SELEC ?", status="42601", **said.common),
        said("SELECT people", "SELECT ? / (id - ?) FROM people", status="22012"), *said.plain("BEGIN;", "COMMIT;"),
        *(said("SELECT people", "SELECT id FROM people ORDER BY id", rows=rows) for rows in (2, 1)),
        said('COPY "people"', 'COPY "people" FROM STDIN (FORMAT binary)'),
    ]


def sqlalchemy(said: Said) -> list[Expect]:
    """Its first connection is asked what it is."""
    hstore = "SELECT t.oid, typarray\nFROM pg_type t JOIN pg_namespace ns\n    ON typnamespace = ns.oid\nWHERE typname = ?;"
    return [
        *said.plain(*["BEGIN"] * 4, *["COMMIT"] * 2, *["ROLLBACK"] * 2),
        query("postgresql", "SELECT pg_type pg_namespace", operation="SELECT", summary="SELECT pg_type pg_namespace", rows=0,
              text=hstore, **said.common),
        *(said(text.split(" ")[0], text, rows=1) for text in (
            "select pg_catalog.version()", "select current_schema()", "show transaction isolation level",
            "show standard_conforming_strings", "SELECT ? AS n", "SELECT ? AS n")),
    ]


def node(said: Said) -> list[Expect]:
    words = ["? AS one", "$1::text AS word", "$1::text AS word", "$1::int AS r1", "$1::int AS r2", "$1::int AS r3"]
    return [*(said("SELECT", f"SELECT {word}", rows=1) for word in words), said("SELECT", "SELECT nope", status="42703")]


def java(said: Said) -> list[Expect]:
    return [
        *said.plain("SET application_name = ?", "BEGIN", "COMMIT", "BEGIN", "ROLLBACK"), said("CREATE TABLE people", PEOPLE),
        said("BATCH INSERT people", "INSERT INTO people VALUES ($1, $2)", batch=3),
        *[said("SELECT people", "SELECT name FROM people WHERE id = $1", rows=1)] * 7,
        *(said("SELECT people", "SELECT id FROM people", rows=rows) for rows in (2, 1)),
        said("SELECT", "SELECT nope", status="42703"),
    ]


IN_PYTHON = {f.__name__: f for f in (psycopg2, psycopg, pipeline, psycopg_async, asyncpg, sqlalchemy)}


def compared(launcher: Launcher, *words: str | Path, env: dict[str, str] | None = None) -> Finished:
    """With the agent it does what it does without; neither values nor passwords are in what the agent says."""
    env = {"OTEL_LOG_LEVEL": "debug", **(env or {})}
    bare = launcher.run(*words, env=env, how=NONE)
    done = launcher.run(*words, env=env)
    assert (done.code, done.out) == (bare.code, bare.out), done.err.decode()
    for secret in (CANARY, PASSWORD.encode()):
        assert secret not in done.err
    return done


def assert_said(receiver: Receiver, *expected: Expect) -> list[Span]:
    """Exactly these, each a trace of its own, and without secrets. The connection comes first."""
    spans = assert_spans(receiver.wait_for(len(expected)), *expected)
    for span in spans:
        assert_root(span)
        assert span.start >= spans[0].end or span is spans[0]
    for secret in (CANARY, PASSWORD.encode()):
        assert all(secret not in repr(span).encode() for span in receiver.spans)
    return spans


@pytest.mark.parametrize("sslmode", ["disable", "require"])
@pytest.mark.parametrize("name", IN_PYTHON)
def test_python(launcher: Launcher, receiver: Receiver, postgresql: Postgres, name: str, sslmode: str) -> None:
    """The libraries' own copies of libpq and OpenSSL are no obstacle."""
    done = compared(launcher, PYTHON, CLIENTS, name, env={"DATABASE_URL": postgresql.url("scram", sslmode)})
    assert done.code == 0, done.err.decode()
    said = Said(postgresql)
    assert_said(receiver, said.connect(), *IN_PYTHON[name](said))


@pytest.mark.parametrize("tls", [False, True])
def test_node(launcher: Launcher, receiver: Receiver, postgresql: Postgres, tls: bool) -> None:
    env = {"DATABASE_URL": postgresql.url("scram").partition("?")[0], "SSL": "1" if tls else "", "NODE_PATH": str(MODULES)}
    done = compared(launcher, "node", PROGRAMS / "databases/postgresql.js", "script", env=env)
    assert done.code == 0, done.err.decode()
    said = Said(postgresql)
    assert_said(receiver, said.connect(), *node(said))


@pytest.mark.parametrize("tls", [False, True])
def test_java(launcher: Launcher, receiver: Receiver, postgresql: Postgres, classes: Path, tls: bool) -> None:
    done = compared(launcher, *JAVA, f"{classes}:{DATABASES}/*", "PostgreSql", "script", env={"JDBC_URL": jdbc(postgresql, tls)})
    assert done.code == 0, done.err.decode()
    said = Said(postgresql)
    assert_said(receiver, said.connect(), *java(said))


@pytest.mark.parametrize("user", ["tests", "scram", "md5", "cleartext"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_psql(launcher: Launcher, receiver: Receiver, postgresql: Postgres, user: str, sslmode: str) -> None:
    url = postgresql.url(user, sslmode)
    assert compared(launcher, "psql", url, "-c", "SELECT 1; SELECT 'canary'", "-c", "SELECT nope").code == 1
    said = Said(postgresql)
    assert_said(receiver, said.connect(), said("SELECT SELECT", "SELECT ?; SELECT ?", rows=2, alone=False),
                said("SELECT", "SELECT nope", status="42703"))


@pytest.mark.parametrize("user", ["scram", "md5", "cleartext"])
def test_a_wrong_password(launcher: Launcher, receiver: Receiver, postgresql: Postgres, user: str) -> None:
    assert compared(launcher, "psql", postgresql.url(user).replace(PASSWORD, CANARY.decode())).code == 2
    assert_said(receiver, Said(postgresql).connect(status="28P01"))


def test_no_such_database(launcher: Launcher, receiver: Receiver, postgresql: Postgres) -> None:
    assert compared(launcher, "psql", postgresql.url().replace("/postgres?", "/nope?")).code == 2
    assert_said(receiver, Said(postgresql, namespace="nope").connect(status="3D000"))


def test_unix_socket(launcher: Launcher, receiver: Receiver, postgresql: Postgres) -> None:
    url = f"postgresql://scram:{PASSWORD}@/postgres?host={postgresql.directory}&port={postgresql.port}"
    compared(launcher, "psql", url, "-c", "SELECT 1")
    path = str(postgresql.socket)
    said = Said(postgresql, port=None, server__address=path, network__peer__address=path, network__transport="unix")
    assert_said(receiver, said.connect(), said("SELECT", "SELECT ?", rows=1))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGQUIT])
def test_the_server_goes_away(launcher: Launcher, receiver: Receiver, end: signal.Signals) -> None:
    """In the middle of a query, with a word (SIGINT) or without. Later nobody listens: that it was a database is known."""
    script = (
        "import os, psycopg2, time\n"
        "connection = psycopg2.connect(os.environ['DATABASE_URL'])\n"
        "try:\n"
        "    connection.cursor().execute('SELECT pg_sleep(60)')\n"
        "except psycopg2.OperationalError:\n"
        "    while not os.path.exists('gone'):\n"
        "        time.sleep(0.01)\n"
        "try:\n"
        "    psycopg2.connect(os.environ['DATABASE_URL'])\n"
        "except psycopg2.OperationalError:\n"
        "    print('refused', flush=True)\n"
    )
    with Postgres() as server:
        program = launcher.start(PYTHON, "-c", script, env={"DATABASE_URL": server.url("scram")})
        wait_until(lambda: sleeps(server), 20)
        server.program.stop(end)
        (launcher.directory / "gone").touch()
        program.wait_output(b"refused")
        assert program.wait() == 0
    said = Said(server)
    why = {"status": "57P01"} if end == signal.SIGINT else {"error": "connection_closed"}
    refused = said.connect(error="connection_refused", namespace=None)
    asked = (*said.plain("BEGIN"), said("SELECT", "SELECT pg_sleep(?)", **why))
    assert_spans(receiver.wait_for(4), said.connect(), *asked, refused)


def sleeps(server: Postgres) -> bool:
    """Whether a backend is in the middle of a query."""
    words = ["psql", server.url(), "-Atc", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() == "1"


@pytest.mark.parametrize("switch", ["POSTGRESQL", "PSYCOPG2"])
def test_switched_off(launcher: Launcher, receiver: Receiver, postgresql: Postgres, switch: str) -> None:
    env = {"DATABASE_URL": postgresql.url("scram"), f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false"}
    assert compared(launcher, PYTHON, CLIENTS, "psycopg2", env=env).code == 0
    launcher.run("psql", postgresql.url(), "-c", "SELECT 1")
    said = Said(postgresql)
    assert_said(receiver, said.connect(), said("SELECT", "SELECT ?", rows=1))


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(launcher: Launcher, receiver: Receiver, postgresql: Postgres, mode: str) -> None:
    """As many spans as statements, and the same outcome."""
    subprocess.run([SERVER_PROGRAMS / "pgbench", "-q", "-i", postgresql.url()], check=True, capture_output=True)
    words = (SERVER_PROGRAMS / "pgbench", "-n", "-c", "4", "-j", "2", "-t", "50", "-M", mode, postgresql.url("scram"))
    done = launcher.run(*words)
    assert done.code == 0 and b"processed: 200/200" in done.out, done.out + done.err
    # Seven a transaction; one of its own and four connections, and a question or two before.
    spans = receiver.wait_for(lambda spans: sum(span.name == "END" for span in spans) == 200)
    names = Counter(span.name for span in spans)
    each = {"BEGIN", "END", "SELECT pgbench_accounts", "INSERT pgbench_history",
            "UPDATE pgbench_accounts", "UPDATE pgbench_tellers", "UPDATE pgbench_branches"}
    assert {name: names[name] for name in each} == dict.fromkeys(each, 200)
    assert names["connect"] == 5
    assert {span.status for span in spans} == {"UNSET"}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("classes"), "PostgreSql", libraries=DATABASES)


def jdbc(server: Postgres, tls: bool = False) -> str:
    return f"jdbc:postgresql://{HOST}:{server.port}/{server.database}?user=scram&password={PASSWORD}&sslmode={'require' if tls else 'disable'}"


def assert_parents(receiver: Receiver, port: int, way: str, most: int = 4) -> None:
    """Each statement is under its request; so is the making of each of the few connections, before its first statement."""
    receiver.clear()
    assert fire(receiver, port, way, rounds=ROUNDS) == Counts(ALL, 0, 0)
    spans = receiver.spans
    by_id = {span.span_id: span for span in spans}
    made = [span for span in spans if span.name == "connect"]
    assert len(made) <= most, draw(made)
    for span in made:
        request = by_id[span.parent_id]
        assert_child(span, request)
        statements = [other for other in spans if other.parent_id == request.span_id and other.name != "connect"]
        assert all(span.end <= other.start for other in statements), draw([request, span, *statements])


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_parents_of_threads(launcher: Launcher, receiver: Receiver, postgresql: Postgres, sslmode: str, worker: str) -> None:
    words = ("postgresql_wsgi:app", "--chdir", PROGRAMS / "databases", "-k", worker, "--threads", "24", "-w", "1")
    port = free_port()
    launcher.start(GUNICORN, *words, "-b", f"{HOST}:{port}", env={"DATABASE_URL": postgresql.url("scram", sslmode)}, port=port)
    for way in ("psycopg2", "psycopg", "prepared"):
        assert_parents(receiver, port, f"/{way}")


@pytest.mark.parametrize("loop", ["", "uvloop"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_parents_of_tasks(launcher: Launcher, receiver: Receiver, postgresql: Postgres, loop: str, sslmode: str) -> None:
    env = {"DATABASE_URL": postgresql.url("scram", sslmode), "LOOP": loop}
    program = launcher.start(PYTHON, PROGRAMS / "databases/postgresql_aiohttp.py", env=env, port=free_port())
    for way in ("asyncpg", "psycopg"):
        assert_parents(receiver, program.port, f"/{way}")


@pytest.mark.parametrize("tls", [False, True])
def test_parents_of_node(launcher: Launcher, receiver: Receiver, postgresql: Postgres, tls: bool) -> None:
    env = {"DATABASE_URL": postgresql.url("scram").partition("?")[0], "SSL": "1" if tls else "", "NODE_PATH": str(MODULES)}
    program = launcher.start("node", PROGRAMS / "databases/postgresql.js", env=env, port=free_port())
    for way in ("pool", "prepared", "client", "callback"):
        assert_parents(receiver, program.port, f"/{way}")


@pytest.mark.parametrize("tls", [False, True])
def test_parents_of_java(launcher: Launcher, receiver: Receiver, postgresql: Postgres, classes: Path, tls: bool) -> None:
    program = launcher.start(*JAVA, f"{classes}:{DATABASES}/*", "PostgreSql", env={"JDBC_URL": jdbc(postgresql, tls)}, port=free_port())
    receiver.clear()
    assert fire(receiver, program.port, "/", rounds=ROUNDS) == Counts(ALL, 0, 0)
