"""gunicorn, Django and the standard library's server."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from harness import apps, client
from harness.assertions import assert_child, assert_exactly, assert_no_wrong_parent, assert_pairs, assert_root, assert_spans, call, server, traceparent_of
from harness.ports import free_port
from harness.processes import PYTHON, Launcher, wait_until
from harness.receiver import Receiver
from harness.upstream import Upstream


@pytest.mark.parametrize("app", ["gunicorn-sync", "gunicorn-gthread", "django"])
def test_twenty_at_once(launcher: Launcher, receiver: Receiver, upstream: Upstream, app: str) -> None:
    """Every single parent is checked by the id that both URLs carry, and what the upstream got."""
    program = apps.start(launcher, app, upstream.url)
    ids = [str(number) for number in range(20)]
    paths = [f"/fetch?id={n}&delay={30 + int(n) % 7 * 20}" for n in ids]
    assert [reply.json["upstream"]["id"] for reply in client.get_many(program.port, paths)] == ids
    pairs = assert_pairs(assert_exactly(receiver, 40, program.port), ids)
    for wanted, seen in upstream.by_id().items():
        assert seen.value("traceparent") == traceparent_of(pairs[wanted][1])
    for served, _ in pairs.values():
        assert_root(served)


@pytest.mark.parametrize("app", ["gunicorn-sync", "gunicorn-gthread", "django"])
def test_attributes(launcher: Launcher, receiver: Receiver, upstream: Upstream, app: str) -> None:
    program = apps.start(launcher, app, upstream.url)
    client.get(program.port, "/fetch?id=7")
    route = "fetch" if app == "django" else "/fetch"
    served, called = assert_spans(
        assert_exactly(receiver, 2, program.port),
        server("/fetch", program.port, query="id=7", http__route=route),
        call(f"{upstream.url}/echo?id=7"),
    )
    assert_child(called, served)


def test_gthread_keeps_a_connection(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Requests of one connection move from thread to thread."""
    program = apps.start(launcher, "gunicorn-gthread", upstream.url)
    ids = [str(number) for number in range(6)]
    with client.Raw(program.port) as raw:
        for wanted in ids:
            raw.exchange(f"/fetch?id={wanted}&delay=10")
    assert_pairs(assert_exactly(receiver, 12, program.port), ids)


def test_gthread_pipelined(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A pipelined request is handled by another thread than the one that read its bytes: no parent, never a wrong one."""
    program = apps.start(launcher, "gunicorn-gthread", upstream.url)
    ids = [str(number) for number in range(5)]
    with client.Raw(program.port) as raw:
        raw.send(b"".join(f"GET /fetch?id={n}&delay=10 HTTP/1.1\r\nHost: h\r\n\r\n".encode() for n in ids))
        for _ in ids:
            raw.response()
    assert_no_wrong_parent(assert_exactly(receiver, 10, program.port))


def test_a_killed_worker_is_replaced_by_a_traced_one(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Prefork: no worker inherits a parent, a finished span or an exporter from the master."""
    program = apps.start(launcher, "gunicorn-sync", upstream.url)
    wait_until(lambda: len(program.children()) == 4, 20)
    client.get(program.port, "/fetch?id=0")
    receiver.wait_for(2)
    before = program.children()
    for worker in before:
        os.kill(worker.pid, signal.SIGKILL)
    psutil.wait_procs(before, 10)
    wait_until(lambda: len([p for p in program.children() if p not in before]) == 4, 30)
    ids = [str(number) for number in range(1, 9)]
    client.get_many(program.port, [f"/fetch?id={n}&delay=50" for n in ids], at_once=4)
    spans = assert_exactly(receiver, 18, program.port)
    assert_pairs(spans, ["0", *ids])
    killed = {process.pid for process in before}
    assert {span.pid in killed for span in spans if "id=0" in span.url} == {True}
    assert not any(span.pid in killed for span in spans if "id=0" not in span.url)
    instances = {(span.pid, span.resource["service.instance.id"]) for span in spans}
    assert len(instances) == len({pid for pid, _ in instances}) == len({one for _, one in instances})


def test_graceful_stop_loses_nothing(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A flush at exit, with a schedule delay that no test would wait for."""
    program = apps.start(launcher, "gunicorn-sync", upstream.url, env={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    ids = [str(number) for number in range(8)]
    client.get_many(program.port, [f"/fetch?id={n}" for n in ids], at_once=4)
    assert program.stop() == 0
    assert_pairs(receiver.wait_for(16), ids)
    assert len(receiver.spans) == 16


def test_http_server_module(launcher: Launcher, receiver: Receiver, tmp_path) -> None:
    """Files of 200 kB, a directory, a missing file; the module answers HTTP/1.0."""
    port = free_port()
    (tmp_path / "page.html").write_bytes(b"x" * 200_000)
    launcher.start(PYTHON, "-m", "http.server", "--bind", "127.0.0.1", str(port), port=port, cwd=tmp_path)
    assert len(client.get(port, "/page.html").body) == 200_000
    assert client.get(port, "/missing.html").status == 404
    assert client.get(port, "/page.html", method="HEAD").status == 200
    assert client.get(port, "/page.html", method="BREW").status == 501
    assert_spans(
        assert_exactly(receiver, 4, port),
        server("/page.html", port),
        server("/missing.html", port, status=404),
        server("/page.html", port, method="HEAD"),
        server("/page.html", port, method="_OTHER", status=501, http__request__method_original="BREW"),
    )
