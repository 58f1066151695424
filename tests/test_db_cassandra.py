"""Cassandra: statements on connections that all share, and the making of connections."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Iterator

import pytest

from harness.apps import GUNICORN
from harness.assertions import Expect, assert_root, assert_spans
from harness.databases.calls import Calls
from harness.databases.cassandra import LIBRARIES, Cassandra
from harness.jdks import DATABASES, compiled, jdks
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher, Program
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span

CALLS = PROGRAMS / "databases/cassandra_calls.py"
ROUNDS = 3
ALL = ROUNDS * AT_ONCE
SYNTAX, INVALID, CREDENTIALS = "8192", "8704", "256"
# Versions of the protocol, and how they are compressed: frames one by one, in version 5 segments.
WAYS = pytest.mark.parametrize(("version", "compression"), [(3, ""), (4, ""), (5, ""), (3, "lz4"), (4, "lz4"), (4, "snappy"), (5, "lz4")])


@pytest.fixture(scope="module")
def shop(cassandra: Cassandra, tmp_path_factory: pytest.TempPathFactory) -> Cassandra:
    bare = Launcher(tmp_path_factory.mktemp("shop"), {}, NONE)
    done = bare.run(PYTHON, CALLS, "create", env={"CASSANDRA_PORT": str(cassandra.port)})
    assert done.code == 0, done.err.decode()
    return cassandra


@pytest.fixture
def calls(launcher: Launcher, shop: Cassandra) -> Calls:
    return Calls(launcher, shop, "CASSANDRA", CALLS)


def of(server: Cassandra, namespace: str | None = "shop", address: str = "127.0.0.1"):
    """Expectations of statements and connects at this server."""
    where = {"port": server.port, "address": address}

    def statement(text: str, summary: str, *, level: str | None = "one", page: int | None = 5000, **more) -> Expect:
        operation, _, collection = summary.partition(" ")
        extra = {"cassandra__consistency__level": level, "cassandra__page__size": page}
        described = {"operation": operation, "collection": collection or None, "summary": summary, "namespace": namespace}
        return query("cassandra", summary, text=text, **where, **extra, **{**described, **more})

    def made(keyspace: str | None = namespace, **more) -> Expect:
        return connect("cassandra", namespace=keyspace, **where, **more)

    return statement, made


def by_start(spans: list[Span]) -> list[str]:
    return [span.name for span in sorted(spans, key=lambda span: span.start)]


INSERT = "INSERT INTO items (id, name, at, tags, pair) VALUES (?, ?, {street: ?, codes: [?]}, {?: {?}}, (?, ?))"


def expected_statements(server: Cassandra, address: str = "127.0.0.1") -> list[Expect]:
    statement, made = of(server, address=address)
    pages = statement("SELECT id FROM items", "SELECT items", level="quorum", page=2, rows=2)
    last = statement("SELECT id FROM items", "SELECT items", level="quorum", page=2, rows=1)
    found = statement("SELECT name, at FROM items WHERE id = ?", "SELECT items", rows=1)
    nothing = statement("SELECT name, at FROM items WHERE id = ?", "SELECT items", rows=0)
    return [
        made(None), made(), statement(INSERT, "INSERT items"), statement("INSERT INTO items (id, name) VALUES (?, ?)", "INSERT items"),
        statement("SELECT * FROM items WHERE id IN (?)", "SELECT items", rows=2),
        statement("INSERT INTO shop.items (id, name) VALUES (?, ?)", "INSERT shop.items"),
        found, nothing, pages, last,
    ]


def as_wanted(version: int, compression: str) -> dict[str, str]:
    return {"CASSANDRA_VERSION": str(version), "CASSANDRA_COMPRESSION": compression}


@WAYS
def test_statements(calls: Calls, receiver: Receiver, version: int, compression: str) -> None:
    """A connection that looks after the cluster is made first: of its own it has nothing but that."""
    told = calls("statements", **as_wanted(version, compression))
    assert told.split()[-2:-1] == [compression.encode() or b"None"]
    spans = assert_spans(receiver.wait_for(10), *expected_statements(calls.server))
    for span in spans:
        assert_root(span)
    assert by_start(spans) == ["connect", "connect", "INSERT items", "INSERT items", "SELECT items", "INSERT shop.items", *["SELECT items"] * 4]
    ordered = sorted(spans, key=lambda span: span.start)
    assert all(one.end <= next.start for one, next in zip(ordered, ordered[1:]))


def test_tls(calls: Calls, receiver: Receiver) -> None:
    calls("tls")
    assert_spans(receiver.wait_for(10), *expected_statements(calls.server))


@WAYS
def test_errors_are_their_codes(calls: Calls, receiver: Receiver, version: int, compression: str) -> None:
    """A statement that cannot be prepared is seen, one that can is not."""
    statement, made = of(calls.server)
    calls("errors", **as_wanted(version, compression))
    assert_spans(receiver.wait_for(6), made(None), made(), statement("SELECT canary", "SELECT", status=SYNTAX),
                 statement("SELECT ? FROM missing", "SELECT missing", status=INVALID),
                 statement("SELECT * FROM missing WHERE id = ?", "SELECT missing", level=None, page=None, status=INVALID),
                 statement("USE missing", "USE missing", collection=None, status=INVALID))


@WAYS
def test_batches_and_keyspaces(calls: Calls, receiver: Receiver, version: int, compression: str) -> None:
    statement, made = of(calls.server)
    calls("batches", **as_wanted(version, compression))
    insert = "INSERT INTO items (id, name) VALUES (?, ?)"
    batch = {"page": None, "collection": None}
    system, _ = of(calls.server, "system")
    assert_spans(
        receiver.wait_for(7), made(None), made(), statement(insert, "BATCH INSERT items", operation="BATCH INSERT", batch=3, **{**batch, "collection": "items"}),
        statement(f"{insert}; DELETE FROM items WHERE id = ?", "BATCH", batch=2, **batch),
        statement("USE system", "USE system", collection=None),
        system('USE "system"', 'USE "system"', collection=None, page=None),  # the library, once more for each connection
        system("SELECT key FROM local", "SELECT local", rows=1))


@WAYS
def test_what_is_large(calls: Calls, receiver: Receiver, version: int, compression: str) -> None:
    """Statements longer than what is kept and than a block refers back, and frames of many segments."""
    statement, made = of(calls.server)
    calls("large", **as_wanted(version, compression))
    insert, asked = "INSERT INTO items (id, name) VALUES (?, ?)", "SELECT name FROM items WHERE id = ?"
    found = statement(asked, "SELECT items", rows=1)
    assert_spans(receiver.wait_for(6), made(None), made(), statement(insert, "INSERT items"), found,
                 statement(insert[:-1], "INSERT items", operation=None, collection=None), found)  # cut


def test_versions_that_are_not_spoken(calls: Calls, receiver: Receiver) -> None:
    """A connection for each: that one is refused is no error."""
    statement, made = of(calls.server)
    assert calls("older").split() == [b"local", b"5"]
    assert_spans(receiver.wait_for(5), made(None), made(None), made(None), made(),
                 statement("SELECT key FROM system.local", "SELECT system.local", level="local_one", rows=1))


def test_a_password(launcher: Launcher, receiver: Receiver) -> None:
    with Cassandra(auth=True) as server:
        calls = Calls(launcher, server, "CASSANDRA", CALLS)
        statement, made = of(server, None)
        calls("password")
        told = "SELECT release_version FROM system.local"
        spans = assert_spans(receiver.wait_for(3), made(), made(), statement(told, "SELECT system.local", rows=1))
        calls("wrong_password")
        more = receiver.wait_for(4)
        refused = [span for span in more if span not in spans]
        assert_spans(refused, *[made(status=CREDENTIALS)] * len(refused))
        assert server.password not in repr(more) and "canary" not in repr(more)


def test_the_server_goes_away(launcher: Launcher, receiver: Receiver, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    os.mkfifo(stopped)
    with Cassandra() as server:
        statement, made = of(server, None)
        program = launcher.start(PYTHON, CALLS, "goes_away", env={"CASSANDRA_PORT": str(server.port), "STOPPED": str(stopped)})
        program.wait_output(b"local")
        os.kill(server.program.pid, signal.SIGSTOP)
        stopped.write_text("")
        program.wait_output(b"asked")
        server.program.stop(signal.SIGKILL)
        program.wait_output(b"gone")
        program.wait()
    asked = "SELECT key FROM system.local"
    spans = receiver.wait_for(4)
    first = [span for span in spans if span.attributes.get("error.type") != "connection_refused"]
    assert_spans(first, made(), made(), statement(asked, "SELECT system.local", rows=1),
                 statement(asked, "SELECT system.local", error="connection_reset"))


def test_nobody_listens(calls: Calls, receiver: Receiver) -> None:
    assert calls("refused", port=free_port()) == b"refused\n"
    spans = receiver.wait_for(1)
    assert {span.attributes["error.type"] for span in spans} == {"connection_refused"}


def test_switched_off(calls: Calls, receiver: Receiver) -> None:
    calls("statements", OTEL_INSTRUMENTATION_CASSANDRA_ENABLED="false")
    calls("batches", OTEL_RUN_DB_QUERY_TEXT="off")
    spans = receiver.wait_for(7)  # nothing of the first run
    assert all("db.query.text" not in span.attributes for span in spans)
    assert by_start(spans) == ["connect", "connect", "BATCH INSERT items", "BATCH", "USE system", 'USE "system"', "SELECT local"]


SERVERS = {
    "threads": [GUNICORN, "cassandra_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "20"],
    "gevent": [GUNICORN, "cassandra_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gevent"],
}


def start_python(launcher: Launcher, server: Cassandra, name: str, reactor: str) -> Program:
    port = free_port()
    env = {"CASSANDRA_PORT": str(server.port), "PYTHONPATH": str(PROGRAMS / "databases"), "REACTOR": reactor}
    return launcher.start(*(word.format(port=port) for word in SERVERS[name]), port=port, env=env)


@pytest.mark.parametrize("path", ["/get", "/two", "/prepared"])
@pytest.mark.parametrize("name, reactor", [("threads", "libev"), ("threads", "asyncore"), ("threads", "asyncio"), ("gevent", "gevent")])
def test_one_session_for_all(launcher: Launcher, receiver: Receiver, shop: Cassandra, name: str, reactor: str, path: str) -> None:
    """What all requests share is written on a thread of its own, or by a task; and yet each statement is under its own request."""
    program = start_python(launcher, shop, name, reactor)
    calls = 2 if path == "/two" else 1
    assert fire(receiver, program.port, path, rounds=ROUNDS, calls=calls) == Counts(calls * ALL, 0, 0)


@pytest.mark.parametrize("name, reactor", [("threads", "libev"), ("threads", "asyncio"), ("gevent", "gevent")])
def test_what_the_driver_calls_back(launcher: Launcher, receiver: Receiver, shop: Cassandra, name: str, reactor: str) -> None:
    """What came for one request is read in whichever made the connection: what is asked then is nobody's, not that one's."""
    program = start_python(launcher, shop, name, reactor)
    counts = fire(receiver, program.port, "/chained", rounds=ROUNDS, calls=2)
    # What was answered before the callback was set is called back by who sets it.
    assert counts.wrong == 0 and counts.right >= ALL and counts.none > 0 and sum(counts) == 2 * ALL, counts


@pytest.fixture(scope="module")
def java_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield compiled(tmp_path_factory.mktemp("cassandra"), "Cassandra", libraries=DATABASES)


def java(classes: Path, *words: str) -> list[str]:
    """With what its driver needs to compress, which is among the server's libraries."""
    compressors = [jar for jar in LIBRARIES.iterdir() if jar.name.startswith(("lz4-java", "snappy-java"))]
    libraries = ":".join(map(str, [classes, DATABASES / "*", *compressors]))
    return [str(jdks()[17] / "bin/java"), "-XX:+UseSerialGC", "-Xmx256m", "-cp", libraries, "Cassandra", *words]


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_java_shares_a_session(launcher: Launcher, receiver: Receiver, shop: Cassandra, java_classes: Path, path: str) -> None:
    program = launcher.start(*java(java_classes), env={"CASSANDRA_PORT": str(shop.port)}, port=free_port())
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)


@pytest.mark.parametrize(("version", "compression"), [("V4", "none"), ("V4", "lz4"), ("V4", "snappy"), ("V5", "none"), ("V5", "lz4")])
def test_java(launcher: Launcher, receiver: Receiver, shop: Cassandra, java_classes: Path, version: str, compression: str) -> None:
    env = {"CASSANDRA_PORT": str(shop.port), "CASSANDRA_VERSION": version, "CASSANDRA_COMPRESSION": compression}
    done = launcher.run(*java(java_classes, "calls"), env=env)
    assert (done.code, done.out) == (0, b"true\nInvalidQueryException\n"), done.err.decode()
    statement, made = of(shop)
    insert = "INSERT INTO items (id, name) VALUES (?, ?)"
    more = {"level": "local_one"}
    assert_spans(
        receiver.wait_for(7), made(None), made(), statement(insert, "INSERT items", **more),
        statement("SELECT name FROM items WHERE id = ?", "SELECT items", rows=1, **more), statement(insert, "INSERT items", **more),
        statement(insert, "BATCH INSERT items", operation="BATCH INSERT", collection="items", batch=2, page=None, **more),
        statement("SELECT ? FROM missing", "SELECT missing", status=INVALID, **more))
