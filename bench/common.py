"""What the parts of scripts/bench share: the sink, the settings, and how CPU is counted."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".cache" / "bench"
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LD_"))}


def build() -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    flags = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread"]
    for name in ("calls", "sink"):
        subprocess.run([*flags, "-o", BUILT / name, ROOT / "bench" / f"{name}.c"], check=True)
    nothing = ROOT / "tests" / "elf" / "preload_nothing.c"
    subprocess.run([*flags, "-shared", "-fPIC", "-o", BUILT / "nothing.so", nothing], check=True)


def install(*programs: str) -> bool:
    """Debian packages of these programs, when they are missing and we may install them."""
    packages = {"wrk": "wrk", "nginx": "nginx-light", "redis-server": "redis-server", "redis-benchmark": "redis-tools"}
    missing = [packages[p] for p in programs if find(p) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing", *missing, file=sys.stderr)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        subprocess.run(["apt-get", "update"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], **quiet)
    return all(find(p) for p in programs)


def find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Sink:
    """bench/sink.c: where the agent's spans go."""

    def __init__(self, core: int | None = None) -> None:
        pin = ["taskset", "-c", str(core)] if core is not None else []
        self.process = subprocess.Popen([*pin, BUILT / "sink"], stdout=subprocess.PIPE, text=True, env=ENV)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def stop(self) -> tuple[int, int, int]:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        requests, size, spans = map(int, out.split())
        return requests, size, spans


def environment(setting: str, agent: Path, port: int) -> dict[str, str]:
    if setting == "bare":
        return ENV
    if setting == "nothing":
        return ENV | {"LD_PRELOAD": str(BUILT / "nothing.so")}
    return ENV | {
        "LD_PRELOAD": str(agent),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "bench",
        "OTEL_TRACES_SAMPLER": "always_on",
    }


Raw = dict[str, dict[str, list[float]]]  # measurement -> setting -> numbers


def add(raw: Raw, name: str, setting: str, value: float) -> None:
    raw.setdefault(name, {}).setdefault(setting, []).append(value)


def cpu_ticks(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            # The certificate is made for this run and nobody's.
            with urllib.request.urlopen(url, timeout=2, context=ssl._create_unverified_context()) as answer:
                assert answer.status == 200
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
