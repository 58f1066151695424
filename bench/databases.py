"""Throughput of clients of databases, with and without spans: pgbench and redis-benchmark.

The server is never under the agent. `off`: the agent is there, but the system's spans are switched off."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

from common import Raw, Sink, add, environment, find, install

SWITCHES = {"pgbench": "OTEL_INSTRUMENTATION_POSTGRESQL_ENABLED", "redis-benchmark": "OTEL_INSTRUMENTATION_REDIS_ENABLED"}
# What is measured: the words of the client, and how its rate is found in what it prints.
PGBENCH = {
    "pgbench -S": ["-S"],
    "pgbench -S -M prepared": ["-S", "-M", "prepared"],
    "pgbench (5 statements and a transaction)": ["-N"],
}
REDIS = {
    "redis-benchmark GET": ["-P", "1"],
    "redis-benchmark GET, pipelines of 16": ["-P", "16"],
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on {port}")
        time.sleep(0.02)


def postgres(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """A server in the directory. It refuses to run as root."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    directory.chmod(0o777)
    data = directory / "data"
    subprocess.run([*account, programs / "initdb", "-A", "trust", "-U", "bench", "--no-sync", "-D", data], check=True, capture_output=True, cwd="/")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    server = subprocess.Popen([*account, programs / "postgres", "-D", data, "-p", str(port), "-k", directory, "-h", "127.0.0.1", "-c", "fsync=off"], **quiet)
    wait_for(port, server)
    fill = ["pgbench", "-i", "-q", "-s", "5", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "postgres"]
    subprocess.run(fill, check=True, capture_output=True)
    return server


def redis(directory: Path, port: int) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--dir", directory], stdout=subprocess.DEVNULL)
    wait_for(port, server)
    return server


def turns(settings: list[str], rounds: int) -> Iterator[str]:
    """The settings, round by round; with the agent also with the system's spans off."""
    both = [one for setting in settings for one in ((setting, "off") if setting == "agent" else (setting,))]
    for _ in range(rounds):
        yield from both


def measure(raw: Raw, name: str, command: list[str], pattern: str, setting: str, agent: Path) -> None:
    sink = Sink()
    env = environment("agent" if setting == "off" else setting, agent, sink.port)
    if setting == "off":
        env = env | {SWITCHES[command[0]]: "false"}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    _, _, spans = sink.stop()
    found = re.findall(pattern, done.stdout)
    assert found, done.stdout + done.stderr
    add(raw, f"{name} per second", setting, float(found[-1]))
    if setting == "agent":
        add(raw, f"{name}: spans received", setting, spans)


def bench_databases(settings: list[str], agent: Path, quick: bool) -> tuple[str, Raw]:
    raw: Raw = {}
    seconds, rounds, requests = (2, 2, 100_000) if quick else (5, 5, 400_000)
    if find("pgbench") and Path("/usr/lib/postgresql").exists():
        def postgres_commands(port: int) -> dict[str, list[str]]:
            at = ["-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
            return {name: ["pgbench", "-n", "-c", "4", "-j", "1", "-T", str(seconds), *words, *at, "postgres"] for name, words in PGBENCH.items()}

        run(raw, postgres, postgres_commands, r"tps = ([\d.]+)", turns(settings, rounds), agent)
    if install("redis-server", "redis-benchmark"):
        def redis_commands(port: int) -> dict[str, list[str]]:
            return {name: ["redis-benchmark", "-p", str(port), "-t", "get", "-c", "8", "-n", str(requests), "-q", *words] for name, words in REDIS.items()}

        run(raw, redis, redis_commands, r"GET: ([\d.]+) requests per second", turns(settings, rounds), agent)
    return "per second", raw


def run(raw: Raw, serve: Callable[[Path, int], subprocess.Popen[bytes]], commands: Callable[[int], dict[str, list[str]]], pattern: str,
        order: Iterator[str], agent: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        server = serve(Path(name), port)
        try:
            for setting in order:
                for what, command in commands(port).items():
                    measure(raw, what, command, pattern, setting, agent)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)
