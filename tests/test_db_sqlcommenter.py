"""OTEL_RUN_DB_SQLCOMMENTER: the context of a statement's span reaches the server as a comment in the statement, where that changes nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.databases.calls import variables
from harness.databases.mariadb import MariaDb
from harness.databases.postgresql import Postgres
from harness.processes import NONE, PYTHON, Launcher
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS

PROGRAM = PROGRAMS / "databases/sqlcommenter.py"
ON = {"OTEL_RUN_DB_SQLCOMMENTER": "true"}
COMMENT = re.compile(r" /\*traceparent='00-([0-9a-f]{32})-([0-9a-f]{16})-03'\*/")
LENGTH = len(" /*traceparent=''*/") + 55
WAYS = ["psycopg2", "psycopg2 require", "psycopg", "pymysql", "MySQLdb"]


def said(launcher: Launcher, postgresql: Postgres, mariadb: MariaDb, way: str, how: str | None = None, **env: str) -> dict[str, Any]:
    driver, _, sslmode = way.partition(" ")
    where = {"DATABASE_URL": postgresql.url("scram", sslmode or "disable"), **variables(mariadb, "MYSQL")}
    done = launcher.run(PYTHON, PROGRAM, driver, env=where | env, **({"how": how} if how else {}))
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize("way", WAYS)
def test_the_server_sees_the_span(launcher: Launcher, receiver: Receiver, postgresql: Postgres, mariadb: MariaDb, way: str) -> None:
    bare = said(launcher, postgresql, mariadb, way, NONE)
    seen = said(launcher, postgresql, mariadb, way, **ON)
    assert {name: COMMENT.sub("", text) for name, text in seen.items() if isinstance(text, str)} \
        == {name: text for name, text in bare.items() if isinstance(text, str)}
    assert seen["long"] == bare["long"] + LENGTH
    assert {name for name, text in seen.items() if isinstance(text, str) and COMMENT.search(text)} == {"plain", "semicolon"}
    # MariaDB leaves out what ends a statement.
    end = "" if way in ("pymysql", "MySQLdb") else " ;"
    assert COMMENT.sub("|", seen["plain"]).endswith("()|") and COMMENT.sub("|", seen["semicolon"]).rstrip().endswith("()|" + end)
    spans = receiver.wait_for(lambda spans: len([span for span in spans if span.name.startswith("SELECT")]) >= len(bare))
    contexts = {(span.trace_id, span.span_id): span for span in spans}
    for name in ("plain", "semicolon"):
        span = contexts[COMMENT.search(seen[name]).groups()]
        assert span.kind == "CLIENT" and "traceparent" not in span.attributes["db.query.text"]


@pytest.mark.parametrize("way", ["psycopg2", "pymysql"])
def test_it_is_off(launcher: Launcher, receiver: Receiver, postgresql: Postgres, mariadb: MariaDb, way: str) -> None:
    assert said(launcher, postgresql, mariadb, way) == said(launcher, postgresql, mariadb, way, NONE)
    assert receiver.wait_for(lambda spans: [span for span in spans if span.name.startswith("SELECT")])
