"""A program that asks a database, run with the agent and without."""

from __future__ import annotations

from pathlib import Path

from harness.databases.server import PASSWORD, Server
from harness.processes import CACHE, NONE, PYTHON, ROOT, Launcher
from harness.tls import certificates


class Calls:
    """Runs a Python program of the tests (or, without one, any command) against a server. Its results are the same with and without
    the agent, and neither a password nor a value of the program's ("canary") is in the agent's log.

    The program finds the server by the variables PREFIX_PORT, PREFIX_SOCKET, PREFIX_PASSWORD and CA."""

    def __init__(self, launcher: Launcher, server: Server, prefix: str, program: Path | None = None) -> None:
        self.launcher, self.server, self.prefix = launcher, server, prefix
        self.front = [PYTHON, program] if program else []

    def __call__(self, *words: str | Path, port: int | None = None, **env: str) -> bytes:
        env = {**variables(self.server, self.prefix, port), "OTEL_LOG_LEVEL": "debug", **env}
        bare = self.launcher.run(*self.front, *words, env=env, how=NONE)
        done = self.launcher.run(*self.front, *words, env=env)
        assert (done.code, done.out) == (bare.code, bare.out) == (0, bare.out), done.err.decode()
        for secret in (b"canary", PASSWORD.encode()):
            assert secret not in done.err
        return done.out


def variables(server: Server, prefix: str, port: int | None = None) -> dict[str, str]:
    """Where a program of the tests finds the server, and its modules."""
    return {f"{prefix}_PORT": str(server.port if port is None else port), f"{prefix}_SOCKET": str(server.socket),
            f"{prefix}_PASSWORD": PASSWORD, "CA": str(certificates().ca), "PYTHONPATH": str(ROOT / "tests/programs/databases"),
            "NODE_PATH": str(CACHE / "node-tests/node_modules")}
