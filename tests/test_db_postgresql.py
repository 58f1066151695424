"""PostgreSQL: every statement and every connection made, in the words of each client, under the request that asked for it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness import client
from harness.assertions import Expect, assert_child, assert_root, assert_spans
from harness.databases.postgresql import PROGRAMS as SERVER_PROGRAMS
from harness.databases.postgresql import Postgres
from harness.databases.server import HOST, PASSWORD
from harness.jdks import DATABASES, compiled, jdks
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import CACHE, NONE, PYTHON, Finished, Launcher, wait_until
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES
from harness.spans import Span, draw

ROUNDS = len(rounds(few=2, all=10))
ALL = ROUNDS * AT_ONCE
GUNICORN = str(CACHE / "venv/bin/gunicorn")
CLIENTS = PROGRAMS / "databases/postgresql_clients.py"
CANARY = "canary"  # in values only
CLASSES: dict[str, Path] = {}


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


@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_parents_of_threads(launcher: Launcher, receiver: Receiver, postgresql: Postgres, sslmode: str) -> None:
    words = ("postgresql_wsgi:app", "--chdir", PROGRAMS / "databases", "-k", "gthread", "--threads", "24", "-w", "1")
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
    words = (jdks()[17] / "bin/java", "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{classes}:{DATABASES}/*", "PostgreSql")
    program = launcher.start(*words, env={"JDBC_URL": jdbc(postgresql, tls)}, port=free_port())
    receiver.clear()
    assert fire(receiver, program.port, "/", rounds=ROUNDS) == Counts(ALL, 0, 0)
