"""The databases themselves under the agent: what they are asked, if it is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.assertions import Expect, assert_root, assert_separate_traces, assert_spans
from harness.databases.mariadb import MariaDb
from harness.databases.postgresql import Postgres
from harness.databases.redis import Redis
from harness.databases.server import HOST, PASSWORD, Server
from harness.processes import NONE, Launcher
from harness.queries import connect, query, served
from harness.receiver import Receiver
from harness.tls import certificates

ON = {"OTEL_INSTRUMENTATION_DB_SERVER_ENABLED": "true"}
WAYS = ("plain", "tls", "socket")


def psql(server: Postgres, way: str) -> tuple[list[str | Path], list[Expect]]:
    where = {"namespace": "postgres", **place(server, way)}
    url = server.url("scram", "require" if way == "tls" else "disable")
    if way == "socket":
        url = f"postgresql://scram:{PASSWORD}@/postgres?host={server.directory}&port={server.port}"
    select = {"operation": "SELECT", "summary": "SELECT", **where}
    return ["psql", url, "-c", "SELECT 'canary'", "-c", "SELECT nope"], [
        connect("postgresql", **where),
        query("postgresql", "SELECT", text="SELECT ?", rows=1, **select),
        query("postgresql", "SELECT", text="SELECT nope", status="42703", **select),
    ]


def mariadb(server: MariaDb, way: str) -> tuple[list[str | Path], list[Expect]]:
    where = {"namespace": "tests", **place(server, way)}
    at = {"plain": ["--skip-ssl", f"--host={HOST}", f"--port={server.port}"], "tls": ["--ssl", f"--host={HOST}", f"--port={server.port}"],
          "socket": ["--skip-ssl", f"--socket={server.socket}"]}[way]
    select = {"operation": "SELECT", "summary": "SELECT", **where}
    statements = "SELECT 'canary'; SELECT nope"
    return ["mariadb", "--no-defaults", *at, "--user=native", f"--password={PASSWORD}", "tests", "-e", statements], [
        connect("mariadb", **where),
        query("mariadb", "SELECT", text="SELECT ?", rows=1, **select),
        query("mariadb", "SELECT", text="SELECT nope", status="1054", **select),
    ]


def redis_cli(server: Redis, way: str) -> tuple[list[str | Path], list[Expect]]:
    where = {"namespace": "0", **place(server, way)}
    at = {"plain": ["-p", server.port], "tls": ["-p", server.tls_port, "--tls", "--cacert", certificates().ca], "socket": ["-s", server.socket]}[way]
    return ["redis-cli", "--no-auth-warning", "--user", "acl", "--pass", PASSWORD, *map(str, at), "set", "k", "canary"], [
        connect("redis", **where), query("redis", "set", operation="set", text="set k ?", **where),
    ]


def place(server: Server, way: str) -> dict:
    if way == "socket":
        return {"port": None, "server__address": str(server.socket), "network__peer__address": str(server.socket), "network__transport": "unix"}
    return {"port": server.tls_port if way == "tls" else server.port}


@pytest.mark.parametrize("kind, client", [(Postgres, psql), (MariaDb, mariadb), (Redis, redis_cli)])
def test_what_it_is_asked(launcher: Launcher, receiver: Receiver, kind: type[Server], client) -> None:
    """Connecting makes no span of the server's. A traced client's context does not come with what it asks."""
    with kind(launcher=launcher) as quiet:
        words, asked = client(quiet, "plain")
        launcher.run(*words, how=NONE)
        launcher.run(*words, service="client")
        assert_spans(receiver.wait_for(len(asked)), *asked)
    # It has ended, and with it its exporter: what it had to tell would be here.
    assert {span.service for span in receiver.spans} == {"client"}

    with kind(launcher=launcher, env={**ON, "OTEL_LOG_LEVEL": "debug"}) as server:
        for way in WAYS:
            words, asked = client(server, way)
            own = [served(one) for one in asked if one.name != "connect"]
            receiver.clear()
            launcher.run(*words, how=NONE)
            told = assert_spans(receiver.wait_for(len(own)), *own)
            receiver.clear()
            launcher.run(*words, service="client")
            spans = assert_spans(receiver.wait_for(len(asked) + len(own)), *asked, *own)
            assert {(span.kind, span.service) for span in spans} == {("CLIENT", "client"), ("SERVER", kind.name)}
            for span in (*told, *spans):
                assert_root(span)
            assert_separate_traces(spans)
            assert "canary" not in repr(told + spans) and PASSWORD not in repr(told + spans)
    for secret in (b"canary", PASSWORD.encode()):
        assert secret not in server.log
