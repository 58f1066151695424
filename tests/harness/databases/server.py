"""What the servers have in common: a directory and ports of their own, an account to run as, a start that is waited for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Mapping, Sequence

from harness.ports import free_port
from harness.processes import BASE_ENV, NONE, Launcher, Program, wait_until

HOST = "127.0.0.1"
USER = "tests"  # who needs no password
PASSWORD = "correct-horse-battery"  # of every other user; must be found in no span

READY = 30.0  # seconds that a server may take


class Server:
    """Listens when made. With a launcher it runs as that one starts programs, under the agent; else without it.

    What is awaited is what the server says: nothing connects to it, so that one under the agent has no spans
    of its start. `options` are more words for its command line.
    """

    name = ""
    account = ""  # whom it runs as when the tests run as root
    ready = b""  # what it says once it serves
    end = signal.SIGTERM
    slow_to_end = False  # without the agent there is nothing to wait for

    def __init__(self, *options: str, launcher: Launcher | None = None, env: Mapping[str, str] | None = None) -> None:
        self.host = HOST
        self.port = free_port()
        self.tls_port = self.port  # of those that have one of its own
        self.user = USER
        self.password = PASSWORD
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.directory.chmod(0o755)
        self.program: Program | None = None
        try:
            self.prepare()
            own(self.directory, self.account)
            words = as_account(self.account)
            if not launcher and self.slow_to_end:
                self.end = signal.SIGKILL
            launcher = launcher or Launcher(self.directory, {}, NONE)
            self.program = replace(launcher, within=(*launcher.within, *words)).start(
                *self.command(), *options, env=dict(env or {}), cwd=Path("/"), service=self.name)
            wait_until(self._serves, READY, self.program.describe)
            self.started()
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        """Puts into the directory what the server must find there."""

    def started(self) -> None:
        """What can only be done with a server that serves."""

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    @property
    def socket(self) -> Path:
        """Its Unix socket. Clients of MongoDB insist on the ending."""
        return self.directory / "server.sock"

    @property
    def log(self) -> bytes:
        return self.program.out + self.program.err

    def close(self) -> None:
        try:
            if self.program and self.program.process.poll() is None:
                self.program.stop(self.end)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serves(self) -> bool:
        assert self.program.process.poll() is None, self.program.describe()
        return self.serves()

    def serves(self) -> bool:
        return self.ready in self.log


def as_account(account: str) -> list[str]:
    """A command that runs the rest of its words as that user, if the tests run as root."""
    if not account or os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups"]


def own(directory: Path, account: str) -> None:
    """Gives a directory and all in it to the user."""
    if account and os.getuid() == 0:
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, account, account)


def run(account: str, *words: str | Path, stdin: str = "") -> None:
    """Runs a command of a server's to its end."""
    done = subprocess.run([*as_account(account), *words], input=stdin.encode(), env=BASE_ENV, cwd="/", capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
