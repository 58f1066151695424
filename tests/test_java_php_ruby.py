"""Java's HttpServer and HttpURLConnection, PHP's built-in server, Ruby's WEBrick and net/http."""

from __future__ import annotations

import pytest

from harness import apps, client
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_pairs,
    assert_root,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.processes import NONE, Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream

APPS = ["java", "php", "ruby"]


@pytest.mark.parametrize("app", APPS)
def test_one_request(launcher: Launcher, receiver: Receiver, upstream: Upstream, app: str) -> None:
    program = apps.start(launcher, app, upstream.url)
    assert client.get(program.port, "/fetch?id=7").json["upstream"]["id"] == "7"
    version = "1.1"
    if app == "php":  # its http:// streams speak HTTP/1.1 since PHP 8; what the upstream got decides
        version = upstream.wait_seen(1)[0].lines[0].decode()[-3:]
    served, called = assert_spans(
        assert_exactly(receiver, 2, program.port),
        server("/fetch", program.port, query="id=7"),
        call(f"{upstream.url}/echo?id=7", version=version),
    )
    assert_root(served)
    assert_child(called, served)
    assert upstream.seen[0].value("traceparent") == traceparent_of(called)


@pytest.mark.parametrize("app", APPS)
def test_twenty_at_once(launcher: Launcher, receiver: Receiver, upstream: Upstream, app: str) -> None:
    """Java on a pool, WEBrick with a thread a connection, `php -S` with four forked workers."""
    env = {"PHP_CLI_SERVER_WORKERS": "4"} if app == "php" else {}
    program = apps.start(launcher, app, upstream.url, env=env)
    ids = [str(number) for number in range(20)]
    replies = client.get_many(program.port, [f"/fetch?id={n}&delay={30 + int(n) % 5 * 10}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    pairs = assert_pairs(assert_exactly(receiver, 40, program.port), ids)
    for wanted, seen in upstream.by_id().items():
        assert seen.value("traceparent") == traceparent_of(pairs[wanted][1])


def test_php_curl_extension(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The extension is opened with RTLD_DEEPBIND: its libcurl would bind past the agent."""
    program = apps.start(launcher, "php", upstream.url)
    assert client.get(program.port, "/fetch-curl?id=7").json["upstream"]["id"] == "7"
    spans = assert_exactly(receiver, 2, program.port)
    served = next(span for span in spans if span.kind == "SERVER")
    called = next(span for span in spans if span.kind == "CLIENT")
    assert_spans([called], call(f"{upstream.url}/echo?id=7"))
    assert_child(called, served)
    assert upstream.seen[0].value("traceparent") == traceparent_of(called)


def test_java_keeps_its_addresses_plain(launcher: Launcher, receiver: Receiver) -> None:
    """Java's sockets are IPv6 with mapped addresses: they are reported as IPv4."""
    program = apps.start(launcher, "java")
    client.get(program.port, "/")
    (span,) = assert_exactly(receiver, 1, program.port)
    assert span.attributes["network.peer.address"] == span.attributes["client.address"] == "127.0.0.1"


def test_java_prints_what_it_prints(launcher: Launcher) -> None:
    """No JAVA_TOOL_OPTIONS, no word of ours."""
    with_agent = launcher.run("java", "-version")
    without = launcher.run("java", "-version", how=NONE)
    assert (with_agent.code, with_agent.out, with_agent.err) == (without.code, without.out, without.err)
    assert b"openjdk" in without.err


def test_ruby_stops_cleanly(launcher: Launcher, receiver: Receiver) -> None:
    program = apps.start(launcher, "ruby", env={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    client.get(program.port, "/")
    assert program.stop() == 0
    assert_spans(receiver.wait_for(1), server("/", program.port))


def test_php_loses_at_most_a_moment(launcher: Launcher, receiver: Receiver) -> None:
    """`php -S` dies of SIGTERM by its default disposition, without destructors: what is older than 250 ms is out."""
    program = apps.start(launcher, "php", env={"OTEL_BSP_SCHEDULE_DELAY": "200"})
    client.get(program.port, "/")
    receiver.wait_for(1, deadline=2)
    assert program.stop() == -15
    assert_spans(receiver.spans, server("/", program.port))
