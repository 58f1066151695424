"""Redis: commands, pipelines, and the making of connections, each under the request that asked for it."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import pytest

from harness import client
from harness.apps import GUNICORN
from harness.assertions import Expect, assert_root, assert_spans, matching
from harness.databases.calls import Calls
from harness.databases.redis import Redis
from harness.databases.server import PASSWORD
from harness.jdks import DATABASES, compiled, runtimes
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import PYTHON, Launcher, Program
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES
from harness.spans import Span
from harness.tls import certificates

CALLS = PROGRAMS / "databases/redis_calls.py"
NOBODY = "127.83.76.65"
ROUNDS = 3
ALL = ROUNDS * AT_ONCE


@pytest.fixture
def calls(launcher: Launcher, redis_server: Redis) -> Calls:
    return Calls(launcher, redis_server, "REDIS", CALLS)


def of(server: Redis, namespace: str = "0"):
    """Expectations of commands and connects at this server."""
    def command(text: str, **more) -> Expect:
        operation = more.pop("operation", text.split(" ")[0])
        more = {"port": server.port, "address": "localhost", **more}
        return query("redis", operation, operation=operation, text=text, namespace=namespace, **more)

    def made(**more) -> Expect:
        return connect("redis", namespace=namespace, **{"port": server.port, "address": "localhost", **more})

    return command, made


@pytest.mark.parametrize("way", ["commands", "resp3"])
def test_commands(calls: Calls, receiver: Receiver, way: str) -> None:
    command, made = of(calls.server, "3")
    calls(way)
    spans = assert_spans(
        receiver.wait_for(8), made(), command("SET q1 ?"), command("GET q1"), command("EXISTS q1 q2"), command("HSET h f ? g ?"),
        command("HGETALL h"), command("EVAL ? ? ?"), command("GET ?"),
    )
    for span in spans:
        assert_root(span)
    by_start = sorted(spans, key=lambda span: span.start)
    assert [span.name for span in by_start] == ["connect", "SET", "GET", "EXISTS", "HSET", "HGETALL", "EVAL", "GET"]
    assert all(one.end <= next.start for one, next in zip(by_start, by_start[1:]))


def test_errors_are_their_codes(calls: Calls, receiver: Receiver) -> None:
    command, made = of(calls.server)
    assert calls("errors").split() == [b"WRONGTYPE", b"unknown"]
    assert_spans(receiver.wait_for(4), made(), command("SET text ?"), command("LPUSH text ?", status="WRONGTYPE"),
                 command("NO.SUCH ?", status="ERR"))


def test_pipelines_and_transactions(calls: Calls, receiver: Receiver) -> None:
    command, made = of(calls.server)
    calls("pipelines")
    assert_spans(receiver.wait_for(4), made(), command("SET a ?; GET a; INCRBY n ?", operation="PIPELINE", batch=3),
                 command("GET a; GET b", operation="PIPELINE GET", batch=2),
                 command("MULTI; INCRBY n ?; INCRBY m ?; EXEC", operation="MULTI INCRBY", batch=2))


def test_what_is_large(calls: Calls, receiver: Receiver) -> None:
    command, made = of(calls.server)
    calls("large")
    pipeline = command("", operation="PIPELINE", batch=2000)
    pipeline.attributes["db.query.text"] = matching(r"(SET k\d+ \?; )+SET( k\d+)?( \?)?")
    assert_spans(receiver.wait_for(5), made(), command("SET large ?"), command("GET large"), pipeline, command("PING"))


def test_subscriptions(calls: Calls, receiver: Receiver) -> None:
    """What arrives by itself is the answer to nothing."""
    command, made = of(calls.server)
    calls("subscribe")
    assert_spans(receiver.wait_for(5), made(), made(), command("SUBSCRIBE news"), command("PUBLISH news ?"), command("UNSUBSCRIBE news"))


def test_a_password(calls: Calls, receiver: Receiver) -> None:
    command, made = of(calls.server)
    calls("password")
    calls("wrong_password")
    spans = assert_spans(receiver.wait_for(3), made(), command("PING"), made(status="WRONGPASS"))
    assert PASSWORD not in repr(spans) and "canary" not in repr(spans)


def test_a_unix_socket(calls: Calls, receiver: Receiver) -> None:
    path = str(calls.server.socket)
    command, made = of(calls.server)
    where = {"server__address": path, "network__peer__address": path, "network__transport": "unix"}
    calls("socket")
    assert_spans(receiver.wait_for(2), made(port=None, **where), command("PING", port=None, **where))


def test_tls(calls: Calls, receiver: Receiver) -> None:
    """Connecting includes the handshake."""
    server = calls.server
    command, made = of(server)
    calls("tls", port=server.tls_port)
    made, ping = assert_spans(receiver.wait_for(2), made(port=server.tls_port),
                              command("PING", port=server.tls_port))
    assert made.end <= ping.start


def test_nobody_listens(calls: Calls, receiver: Receiver) -> None:
    """At its own port a failed connect is known to be one to Redis; at another one nobody can know."""
    calls("refused", port=free_port())
    (span,) = receiver.wait_for(1)
    assert span.attributes["error.type"] == "connection_refused" and "db.system.name" not in span.attributes
    receiver.clear()
    # An address of the loopback network at which no server listens, whatever the machine runs.
    calls.launcher.run(PYTHON, CALLS, "refused", env={"REDIS_HOST": NOBODY, "REDIS_PORT": "6379"})
    assert_spans(receiver.wait_for(1), connect("redis", port=6379, address=NOBODY, error="connection_refused", network__peer__address=NOBODY))


def test_the_server_goes_away(launcher: Launcher, receiver: Receiver) -> None:
    with Redis() as server:
        command, made = of(server)
        program = launcher.start(PYTHON, CALLS, "waits", env={"REDIS_PORT": str(server.port)})
        program.wait_output(b"True")
        server.program.stop(signal.SIGKILL)
        program.wait_output(b"gone")
        program.process.wait(20)
    refused = connect("redis", port=server.port, address="localhost", error="connection_refused")
    spans = receiver.wait_for(3)
    again = [span for span in spans if span.name == "connect"][1:]
    assert_spans([span for span in spans if span not in again], made(), command("PING"), command("BLPOP ? ?", error="connection_closed"))
    assert_spans(again, *[refused] * len(again))


def test_switched_off(calls: Calls, receiver: Receiver) -> None:
    calls("commands", OTEL_INSTRUMENTATION_IOREDIS_ENABLED="false")
    command, made = of(calls.server)
    calls("pipelines", OTEL_RUN_DB_QUERY_TEXT="off")
    spans = receiver.wait_for(4)  # nothing of the first run
    assert all("db.query.text" not in span.attributes for span in spans)
    assert sorted(span.name for span in spans) == ["MULTI INCRBY", "PIPELINE", "PIPELINE GET", "connect"]


def test_raw_texts(calls: Calls, receiver: Receiver) -> None:
    command, made = of(calls.server)
    calls.launcher.run(PYTHON, CALLS, "errors", env={"REDIS_PORT": str(calls.server.port), "OTEL_RUN_DB_QUERY_TEXT": "raw"})
    assert_spans(receiver.wait_for(4), made(), command("SET text canary"), command("LPUSH text 1", status="WRONGTYPE"),
                 command("NO.SUCH canary", status="ERR"))


SERVERS = {
    "sync": [GUNICORN, "redis_wsgi:app", "-b", "127.0.0.1:{port}", "--keep-alive", "60", "-w", "4"],
    "threads": [GUNICORN, "redis_wsgi:app", "-b", "127.0.0.1:{port}", "--keep-alive", "60", "-k", "gthread", "--threads", "20"],
    "gevent": [GUNICORN, "redis_wsgi:app", "-b", "127.0.0.1:{port}", "--keep-alive", "60", "-k", "gevent"],
    "asyncio": [PYTHON, "-m", "uvicorn", "redis_asgi:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"],
}


def start_python(launcher: Launcher, server: Redis, name: str) -> Program:
    port = free_port()
    env = {"REDIS_PORT": str(server.port), "PYTHONPATH": str(PROGRAMS / "databases")}
    return launcher.start(*(word.format(port=port) for word in SERVERS[name]), port=port, env=env)


@pytest.mark.parametrize("name", SERVERS)
def test_a_pool_of_four(launcher: Launcher, receiver: Receiver, redis_server: Redis, name: str) -> None:
    """Every command is under its own request, and each connection under the one that waited for it."""
    program = start_python(launcher, redis_server, name)
    assert fire(receiver, program.port, "/get", rounds=ROUNDS, keep=name != "sync") == Counts(ALL, 0, 0)
    spans = receiver.spans
    made = [span for span in spans if span.name == "connect"]
    by_id = {span.span_id: span for span in spans}
    assert 1 <= len(made) <= (16 if name == "sync" else 4)
    for span in made:
        assert by_id[span.parent_id].kind == "SERVER", span
        assert by_id[span.parent_id].trace_id == span.trace_id


def test_commands_at_once(launcher: Launcher, receiver: Receiver, redis_server: Redis) -> None:
    program = start_python(launcher, redis_server, "asyncio")
    assert fire(receiver, program.port, "/gathered", rounds=ROUNDS, calls=2) == Counts(2 * ALL, 0, 0)


def test_pipelines_of_requests(launcher: Launcher, receiver: Receiver, redis_server: Redis) -> None:
    program = start_python(launcher, redis_server, "threads")
    assert fire(receiver, program.port, "/pipeline", rounds=ROUNDS) == Counts(ALL, 0, 0)


def start_node(launcher: Launcher, server: Redis, *words: str, port: int, **more: str) -> Program:
    env = {"REDIS_PORT": str(server.port), "NODE_PATH": str(MODULES), **more}
    return launcher.start("node", PROGRAMS / "databases/redis.js", *words, env=env, port=port)


@pytest.mark.parametrize("path", ["/ioredis", "/later", "/pipeline", "/redis"])
def test_node(launcher: Launcher, receiver: Receiver, redis_server: Redis, path: str) -> None:
    """All requests share one connection; node-redis writes in one turn what many have asked for."""
    program = start_node(launcher, redis_server, port=free_port())
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_node_gathers(launcher: Launcher, receiver: Receiver, redis_server: Redis, tls: bool) -> None:
    """node-redis: what leaves in one write with others' and with nobody's, in parts where it is much, is each one's own."""
    secure = {"CA": str(certificates().ca), "TLS_PORT": str(redis_server.tls_port)} if tls else {}
    program = start_node(launcher, redis_server, port=free_port(), BEAT="yes", **secure)
    assert fire(receiver, program.port, "/shapes", rounds=ROUNDS, calls=4) == Counts(4 * ALL, 0, 0)
    assert fire(receiver, program.port, "/multi", rounds=ROUNDS, calls=2, at_once=5) == Counts(2 * 5 * ROUNDS, 0, 0)
    beats = [span for span in receiver.spans if span.attributes.get("db.query.text") == "GET beat"]
    assert len(beats) > ROUNDS and not any(span.parent_id for span in beats)


def test_node_pipelines_by_itself(launcher: Launcher, receiver: Receiver, redis_server: Redis) -> None:
    """ioredis with `enableAutoPipelining`: what several have asked for is one pipeline, of nobody's."""
    total = 90  # a third of them in fives
    program = start_node(launcher, redis_server, port=free_port())
    client.get(program.port, "/alone?id=first")  # it connects
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda n: client.get(program.port, f"/{'alone' if n % 3 else 'auto'}?id={n}"), range(total)))

    def asked(span: Span) -> list[str]:
        return re.findall(r"get q(\d+)", span.attributes.get("db.query.text", ""))

    spans = receiver.wait_for(lambda spans: sum(map(len, map(asked, spans))) >= total and sum(s.kind == "SERVER" for s in spans) >= total + 1)
    by_id = {span.span_id: span for span in spans}
    assert sorted(int(n) for span in spans for n in asked(span)) == list(range(total))
    assert max(len(asked(span)) for span in spans) > 1
    for span in spans:
        if len(asked(span)) == 1:
            assert by_id[span.parent_id].url.endswith(f"id={asked(span)[0]}")
        elif asked(span):
            assert not span.parent_id, span


def test_node_calls(launcher: Launcher, receiver: Receiver, redis_server: Redis) -> None:
    env = {"REDIS_PORT": str(redis_server.port), "NODE_PATH": str(MODULES)}
    done = launcher.run("node", PROGRAMS / "databases/redis.js", "calls", env=env)
    assert (done.code, done.out) == (0, b"OK canary canary\n2\nWRONGTYPE\n"), done.err
    command, made = of(redis_server)
    assert_spans(receiver.wait_for(8), made(), made(), *(
        command(text, **more) for text, more in [
            ("info", {}), ("set a ?", {}), ("get a", {}), ("GET a", {}),
            ("multi; incr n; incr m; exec", {"operation": "MULTI incr", "batch": 2}), ("lpush a ?", {"status": "WRONGTYPE"}),
        ]))


@pytest.fixture(scope="module")
def java_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield compiled(tmp_path_factory.mktemp("redis"), "Redis", libraries=DATABASES)


def start_java(launcher: Launcher, server: Redis, classes: Path, version: int = 17, **more: str) -> Program:
    words = [str(runtimes()[version] / "bin/java"), "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{classes}:{DATABASES}/*", "Redis"]
    return launcher.start(*words, env={"REDIS_PORT": str(server.port), **more}, port=free_port())


@pytest.mark.parametrize("path", ["/jedis", "/lettuce", "/async", "/reactive"])
def test_java(launcher: Launcher, receiver: Receiver, redis_server: Redis, java_classes: Path, path: str) -> None:
    """Lettuce's one connection belongs to a thread of Netty's, which writes what many have asked for; each is under its own request."""
    program = start_java(launcher, redis_server, java_classes)
    assert fire(receiver, program.port, path, rounds=ROUNDS) == Counts(ALL, 0, 0)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("version", [17, 21])
def test_java_gathers(launcher: Launcher, receiver: Receiver, redis_server: Redis, java_classes: Path, version: int, tls: bool) -> None:
    """As that of Node."""
    secure = {"CA": str(certificates().ca), "TLS_PORT": str(redis_server.tls_port)} if tls else {}
    program = start_java(launcher, redis_server, java_classes, version, BEAT="yes", **secure)
    assert fire(receiver, program.port, "/shapes", rounds=ROUNDS, calls=4) == Counts(4 * ALL, 0, 0)
    beats = [span for span in receiver.spans if span.attributes.get("db.query.text") == "GET beat"]
    assert len(beats) > ROUNDS and not any(span.parent_id for span in beats)
