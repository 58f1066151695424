"""Starting real programs, with and without the agent, and ending exactly those."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

import psutil

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "demo-apps"
CACHE = ROOT / ".cache"
PYTHON = str(CACHE / "venv/bin/python")
TARGET = Path(os.environ.get("OTEL_RUN_TARGET", ROOT / "target/release"))
AGENT = TARGET / "libagent.so"
OTEL_RUN = TARGET / "otel-run"

READY = 30.0  # seconds a program may take until it listens
STOP = 10.0  # and until it has ended after SIGTERM

# What every program gets, agent or not. PATH finds what scripts/setup installed.
BASE_ENV = {
    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
    "HOME": os.environ.get("HOME", "/"),
    "LANG": "C.UTF-8",
    "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
    "PYTHONDONTWRITEBYTECODE": "1",
    "NODE_PATH": str(CACHE / "node/node_modules"),
}

NONE, PRELOAD, COMMAND = "none", "LD_PRELOAD", "otel-run"


@dataclass(frozen=True)
class Finished:
    """A program that ran to its end."""

    code: int
    out: bytes
    err: bytes
    seconds: float


@dataclass
class Program:
    """A running program with its output in files."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path
    port: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> bytes:
        return self.out_file.read_bytes()

    @property
    def err(self) -> bytes:
        return self.err_file.read_bytes()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_listening(self, port: int = 0, deadline: float = READY) -> None:
        """Returns once something accepts connections on the port. Connects from this process: no agent in it."""
        until = time.monotonic() + deadline
        while not accepts(port or self.port):
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before it listened:\n{self.describe()}")
            if time.monotonic() > until:
                raise AssertionError(f"did not listen within {deadline} s:\n{self.describe()}")
            time.sleep(0.01)

    def wait_output(self, text: bytes, deadline: float = READY) -> None:
        """Returns once `text` stands in the program's output or error output."""
        wait_until(lambda: text in self.out + self.err, deadline, lambda: f"no {text!r} in:\n{self.describe()}")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ends the program and what it started; its exit code (negative: the signal)."""
        family: list[psutil.Process] = []
        if self.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = self.children()
            self.process.send_signal(sig)
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP)
            raise AssertionError(f"did not end within {STOP} s of {sig.name}:\n{self.describe()}") from None
        finally:
            for child in family:  # a reloader's child outlives its parent
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.terminate()
            _, alive = psutil.wait_procs(family, STOP)
            for child in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        return self.process.returncode

    def wait(self, deadline: float = READY) -> int:
        return self.process.wait(deadline)

    def describe(self) -> str:
        def tail(data: bytes) -> str:
            return data[-3000:].decode(errors="replace")

        return f"$ {self.process.args}\n--- stdout\n{tail(self.out)}\n--- stderr\n{tail(self.err)}"


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(check, deadline: float, message=lambda: "condition not met") -> None:
    """Polls a condition that has nothing to wait on."""
    until = time.monotonic() + deadline
    while not check():
        if time.monotonic() > until:
            raise AssertionError(message())
        time.sleep(0.01)


@dataclass
class Launcher:
    """Runs programs with the environment of one test; `close` ends those that still run."""

    directory: Path
    otel_env: dict[str, str]
    how: str = COMMAND
    within: Sequence[str | Path] = ()  # a command that runs the rest of its words, without the agent
    programs: list[Program] = field(default_factory=list)

    def environment(self, env: dict[str, str] | None, how: str) -> dict[str, str]:
        """`None` as a value takes a variable away again."""
        merged = {**BASE_ENV, **(self.otel_env if how != NONE else {}), **(env or {})}
        if how == PRELOAD:
            merged["LD_PRELOAD"] = " ".join(filter(None, [merged.get("LD_PRELOAD"), str(AGENT)]))
        return {name: value for name, value in merged.items() if value is not None}

    def command(self, argv: Sequence[str | Path], how: str) -> list[str]:
        words = [*([OTEL_RUN, "--"] if how == COMMAND else []), *argv]
        return [str(word) for word in (*self.within, *words)]

    def start(self, *argv: str | Path, env: dict[str, str] | None = None, how: str = "", port: int = 0,
              cwd: Path | None = None, service: str = "", listens: bool = True) -> Program:
        """Starts a program and, with a port, waits until it listens."""
        how = how or self.how
        env = dict(env or {})
        if port:
            env.setdefault("PORT", str(port))
        if service and how != NONE:
            env["OTEL_SERVICE_NAME"] = service
        number = len(self.programs)
        out, err = self.directory / f"{number}.out", self.directory / f"{number}.err"
        with out.open("wb") as out_stream, err.open("wb") as err_stream:
            process = subprocess.Popen(
                self.command(argv, how), env=self.environment(env, how), cwd=cwd or self.directory,
                stdin=subprocess.DEVNULL, stdout=out_stream, stderr=err_stream,
                start_new_session=True,  # Apache ends its whole process group
            )
        program = Program(process, out, err, port)
        self.programs.append(program)
        if port and listens:
            program.wait_listening()
        return program

    def run(self, *argv: str | Path, env: dict[str, str] | None = None, how: str = "", service: str = "",
            stdin: bytes = b"", cwd: Path | None = None, deadline: float = 60) -> Finished:
        """Runs a program to its end."""
        how = how or self.how
        env = dict(env or {})
        if service and how != NONE:
            env["OTEL_SERVICE_NAME"] = service
        started = time.monotonic()
        done = subprocess.run(
            self.command(argv, how), env=self.environment(env, how), cwd=cwd or self.directory,
            input=stdin, capture_output=True, timeout=deadline,
        )
        return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def close(self) -> None:
        problems = []
        for program in reversed(self.programs):
            try:
                program.stop()
            except AssertionError as error:
                problems.append(str(error))
        assert not problems, "\n".join(problems)
