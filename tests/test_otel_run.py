"""The command: the program stays itself; --console shows trees."""

from __future__ import annotations

import re
import signal

import pytest

from harness import apps, client
from harness.assertions import assert_spans, call
from harness.ports import free_port
from harness.processes import COMMAND, NONE, OTEL_RUN, PYTHON, Launcher, wait_until
from harness.receiver import Receiver
from harness.upstream import Upstream


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", -9), ("kill -15 $$", -15)])
def test_exit_status(launcher: Launcher, script: str, code: int) -> None:
    assert launcher.run("bash", "-c", script).code == launcher.run("bash", "-c", script, how=NONE).code == code


def test_not_found_and_not_executable(launcher: Launcher, tmp_path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    missing, forbidden = launcher.run("no-such-program"), launcher.run(plain)
    assert (missing.code, forbidden.code) == (127, 126)
    assert b"no-such-program" in missing.err and str(plain).encode() in forbidden.err


def test_flags_become_variables(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    done = launcher.run(
        OTEL_RUN, "--service-name", "shop", "--endpoint", receiver.grpc_endpoint, "--protocol", "grpc", "--sampler", "always_on",
        "curl", "-sS", f"{upstream.url}/echo", how=NONE,
    )
    assert done.code == 0, done.err
    (span,) = assert_spans(receiver.wait_for(1), call(f"{upstream.url}/echo"))
    assert span.service == "shop" and receiver.exports[0].protocol == "grpc"


def test_existing_preload_is_kept(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = "import os; print(os.environ['LD_PRELOAD'])"
    done = launcher.run(PYTHON, "-c", program, how=COMMAND, env={"LD_PRELOAD": "libm.so.6"})
    assert done.out.decode().replace(":", " ").split()[0] == "libm.so.6" and b"libagent.so" in done.out


def test_program_is_the_process(launcher: Launcher) -> None:
    """exec: same pid, so that signals and a supervisor reach the program itself."""
    app = apps.start(launcher, "node")
    assert open(f"/proc/{app.pid}/comm").read().strip() == "node"
    assert app.stop() == -signal.SIGTERM


def test_console(launcher: Launcher, upstream: Upstream) -> None:
    """One tree a trace, on standard error, over all processes that the command started."""
    done = launcher.run(OTEL_RUN, "--console", "--", "bash", "-c", f"curl -sS {upstream.url}/status/404; exit 5", how=NONE)
    assert (done.code, done.out) == (5, b"status 404\n")
    assert re.search(rb"CLIENT.*GET.*404|404.*", done.err) and b"\x1b" not in done.err, "colour only on a terminal"


def test_console_passes_signals_on(launcher: Launcher, upstream: Upstream) -> None:
    port = free_port()
    app = launcher.start(OTEL_RUN, "--console", "--", *apps.COMMANDS["ruby"], how=NONE, port=port, env={"UPSTREAM": upstream.url})
    assert client.get(port, "/fetch?id=7").json["id"] == "7"
    wait_until(lambda: b"CLIENT" in app.err, 20, app.describe)
    lines = app.err.decode().splitlines()
    at = next(number for number, line in enumerate(lines) if "SERVER" in line and "/fetch" in line)
    served, called = lines[at:at + 2]
    assert "CLIENT" in called and called.index("CLIENT") > served.index("SERVER"), "the call stands under the request"
    assert app.stop() == 0
