"""A PostgreSQL of a test's own that speaks TLS. It refuses to run as root, so it then runs as the user `postgres`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness.ports import free_port
from harness.processes import BASE_ENV, wait_until
from harness.tls import certificates

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=Path())


class Postgres:
    def __init__(self) -> None:
        self.port = free_port()
        self._user = "postgres" if os.getuid() == 0 else None
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        for name in ("cert", "key"):
            shutil.copy(getattr(certificates(), name), self._directory / name)
        if self._user:
            for path in (self._directory, *self._directory.iterdir()):
                shutil.chown(path, self._user)
        (self._directory / "key").chmod(0o600)
        self._run("initdb", "-A", "trust", "-U", "tests", "--no-sync", "-D", self._directory / "data")
        log = (self._directory / "log").open("wb")
        self._server = subprocess.Popen(
            [PROGRAMS / "postgres", "-D", self._directory / "data", "-p", str(self.port), "-k", self._directory,
             "-h", "127.0.0.1", "-c", "ssl=on", "-c", f"ssl_cert_file={self._directory}/cert",
             "-c", f"ssl_key_file={self._directory}/key", "-c", "fsync=off"],
            user=self._user, env=BASE_ENV, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
        )
        log.close()
        try:
            wait_until(self._ready, 30, lambda: (self._directory / "log").read_text())
        except AssertionError:
            self.close()
            raise

    @property
    def address(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=tests dbname=postgres"

    def close(self) -> None:
        self._server.send_signal(signal.SIGINT)  # the shutdown that does not wait for clients
        self._server.wait(20)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _ready(self) -> bool:
        assert self._server.poll() is None, (self._directory / "log").read_text()
        done = subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)])
        return done.returncode == 0

    def _run(self, program: str, *words: str | Path) -> None:
        done = subprocess.run([PROGRAMS / program, *words], user=self._user, env=BASE_ENV, cwd="/", capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
