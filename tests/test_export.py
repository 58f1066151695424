"""The collector is slow, absent, wrong or back again: the program never notices, spans are sent or counted."""

from __future__ import annotations

import re
import socket
import subprocess
import time

import grpc
import psutil
import pytest

from harness import apps, client
from harness.assertions import assert_exactly
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher
from harness.receiver import Fault, Receiver
from harness.upstream import Upstream

FLUSH_BUDGET = 0.2  # seconds a program may take longer to end (design rule; docs/configuration.md)
SLACK = 1.0  # what two busy cores may add


def requests(port: int, count: int, first: int = 0) -> None:
    with client.Raw(port) as raw:
        for number in range(first, first + count):
            raw.exchange(f"/echo?id={number}")


@pytest.mark.parametrize("fault", [
    Fault(status=429, retry_after="0"), Fault(status=502), Fault(status=503, retry_after="1"), Fault(status=504),
    Fault(reset=True),
], ids=["429", "502", "503", "504", "reset"])
def test_repeated(launcher: Launcher, receiver: Receiver, fault: Fault) -> None:
    """The same spans once more, none twice, none lost."""
    app = apps.start(launcher, "node")
    receiver.fail_next(fault, fault)
    requests(app.port, 5)
    spans = assert_exactly(receiver, 5, app.port)
    assert len({span.span_id for span in spans}) == 5
    first, second = receiver.wait_for_exports(2)[:2]
    assert first.fault and [s.span_id for s in first.spans] == [s.span_id for s in second.spans][:len(first.spans)]
    if fault.retry_after == "1":
        assert second.at - first.at >= 1


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED],
                         ids=lambda code: code.name)
def test_repeated_grpc(launcher: Launcher, receiver: Receiver, code: grpc.StatusCode) -> None:
    app = apps.start(launcher, "node", env={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                                            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint})
    receiver.fail_next(Fault(grpc=code))
    requests(app.port, 5)
    assert_exactly(receiver, 5, app.port)
    assert receiver.exports[0].fault and {export.protocol for export in receiver.exports} == {"grpc"}


@pytest.mark.parametrize("fault", [Fault(status=400), Fault(status=401), Fault(status=404), Fault(status=500)],
                         ids=lambda fault: str(fault.status))
def test_not_repeated(launcher: Launcher, receiver: Receiver, fault: Fault) -> None:
    """The collector does not want them: dropped, and what comes later is sent."""
    app = apps.start(launcher, "node")
    receiver.fail_next(fault)
    requests(app.port, 1)
    dropped = {span.span_id for span in receiver.wait_for_exports(1)[0].spans}
    requests(app.port, 3, first=1)
    spans = assert_exactly(receiver, 3, app.port)
    assert dropped and not dropped & {span.span_id for span in spans}


@pytest.mark.parametrize("fault", [Fault(rejected=1, message="one too many"), Fault(message="a warning"), Fault(garbage=True)],
                         ids=["rejected", "warning", "garbage"])
def test_partial_success_is_success(launcher: Launcher, receiver: Receiver, fault: Fault) -> None:
    app = apps.start(launcher, "node", env={"OTEL_LOG_LEVEL": "warn"})
    receiver.fail_next(fault)
    requests(app.port, 1)
    receiver.wait_for(1)
    requests(app.port, 2, first=1)
    spans = assert_exactly(receiver, 3, app.port)
    assert len({span.span_id for span in spans}) == 3, "sent again"
    if fault.rejected:
        assert b"one too many" in app.err


@pytest.mark.parametrize("kind", ["absent", "stalled", "silent"])
def test_exit_is_bounded(launcher: Launcher, receiver: Receiver, upstream: Upstream, kind: str) -> None:
    """Nobody listens; or somebody who never answers; or a listener whose backlog is never served."""
    env: dict[str, str | None] = {"OTEL_RUN_EXIT_FLUSH_TIMEOUT": None}
    if kind == "stalled":
        receiver.fail_always(Fault(stall=True))
    else:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    if kind == "silent":
        listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    bare = min(launcher.run("curl", "-sS", f"{upstream.url}/echo", how=NONE).seconds for _ in range(3))
    done = [launcher.run("curl", "-sS", f"{upstream.url}/echo", env=env) for _ in range(3)]
    assert all(run.code == 0 and run.err == b"" for run in done)
    assert min(run.seconds for run in done) <= bare + FLUSH_BUDGET + SLACK / 2


def test_stalled_collector_does_not_slow_the_program(launcher: Launcher, receiver: Receiver) -> None:
    """Queue full: spans are dropped and counted, memory stays bounded; with the collector back, all goes on."""
    env = {"OTEL_BSP_MAX_QUEUE_SIZE": "64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64", "OTEL_LOG_LEVEL": "warn",
           "OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}
    app = apps.start(launcher, "node", env=env)
    requests(app.port, 10)
    receiver.wait_for(10)
    receiver.fail_always(Fault(stall=True))
    started = time.monotonic()
    requests(app.port, 3000, first=10)
    stalled = time.monotonic() - started
    resident = psutil.Process(app.pid).memory_info().rss
    requests(app.port, 3000, first=3010)
    assert psutil.Process(app.pid).memory_info().rss < resident + (32 << 20)
    receiver.release()
    started = time.monotonic()
    requests(app.port, 3000, first=6010)
    assert stalled < 3 * (time.monotonic() - started) + SLACK
    path = "/echo?id=back"
    deadline = time.monotonic() + 20
    while not any(path.removeprefix("/echo") in span.url for span in receiver.spans):
        assert time.monotonic() < deadline, "nothing arrives after the stall"
        client.get(app.port, path)
    line = re.search(rb".*otel-run.*drop.*", app.err)
    assert line and app.err.count(b"drop") <= 3, f"logged once, not {app.err!r}"


def test_collector_that_comes_later(launcher: Launcher, receiver: Receiver) -> None:
    """Spans made before it listened arrive when it does."""
    port = free_port()
    app = apps.start(launcher, "node", env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    requests(app.port, 5)
    late = Receiver(http_port_wanted=port)
    try:
        late.wait_for(lambda spans: {f"/echo?id={n}" for n in range(5)} <= {span.url for span in spans})
        assert len(late.spans) == 5
    finally:
        late.close()


def test_traces_exporter_none(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Nothing is exported; contexts are made and carried on all the same."""
    assert launcher.run("curl", "-sS", f"{upstream.url}/echo", env={"OTEL_TRACES_EXPORTER": "none"}).code == 0
    assert upstream.seen[0].value("traceparent").endswith(("-01", "-03"))
    assert_exactly(receiver, 0, lambda path: launcher.run("curl", "-sS", upstream.url + path))


def test_traces_exporter_console(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    done = launcher.run("curl", "-sS", f"{upstream.url}/status/404", env={"OTEL_TRACES_EXPORTER": "console"})
    trace = upstream.seen[0].value("traceparent").split("-")[1]
    assert done.out == b"status 404\n", "standard output belongs to the program"
    assert trace.encode() in done.err and b"/status/404" in done.err
    assert_exactly(receiver, 0, lambda path: launcher.run("curl", "-sS", upstream.url + path))


def test_disabled(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """OTEL_SDK_DISABLED: no telemetry, not a byte on the wire, no thread."""
    app = apps.start(launcher, "ruby", upstream.url, env={"OTEL_SDK_DISABLED": "TRUE"}, how=NONE)
    bare = client.get(app.port, "/fetch?id=1").json
    app = apps.start(launcher, "ruby", upstream.url, env={"OTEL_SDK_DISABLED": "TRUE"})
    ours = client.get(app.port, "/fetch?id=1").json
    assert ours == bare and "traceparent" not in ours["upstream"]["headers"]
    assert_exactly(receiver, 0, lambda path: launcher.run("curl", "-sS", upstream.url + path))


def test_idle_process_does_not_wake_up(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """After its spans are sent, the exporter thread sleeps for good."""
    program = """import glob, os, sys, time, urllib.request
urllib.request.urlopen(sys.argv[1]).read()
def switches():
    others = [task for task in glob.glob("/proc/self/task/*/status") if task.split("/")[4] != str(os.getpid())]
    return sum(int(line.split()[1]) for task in others for line in open(task) if "ctxt" in line)
sys.stdin.readline()
before = switches()
time.sleep(1)
print(switches() - before)
"""
    env = launcher.environment(None, launcher.how)
    with subprocess.Popen(launcher.command([PYTHON, "-c", program, f"{upstream.url}/echo"], launcher.how), env=env,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        receiver.wait_for(1)
        out, _ = process.communicate(b"go\n", timeout=20)
    assert int(out) <= 5


def test_agent_never_sees_itself(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The collector on a port like any other: no span about the export, in either protocol."""
    for protocol, endpoint in (("grpc", receiver.grpc_endpoint), ("http/protobuf", receiver.http_endpoint)):
        app = apps.start(launcher, "node", env={"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                                                "OTEL_BSP_SCHEDULE_DELAY": "5"})
        receiver.clear()
        requests(app.port, 30)
        assert {span.kind for span in assert_exactly(receiver, 30, app.port)} == {"SERVER"}
