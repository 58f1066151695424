"""What each bridge costs: CPU per request of a server whose handler calls an upstream, bare, with the agent and the bridge off, and with both.

All requests are traced. The upstream (nginx), the load (wrk) and the sink have the other core.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from common import ENV, ROOT, Raw, Sink, add, cpu_ticks, environment, find, wait_for

SETTINGS = ["bare", "bridge off", "bridge on"]
PROGRAMS = ROOT / "tests" / "programs"
PYTHON = ROOT / ".cache" / "venv" / "bin" / "python"
NODE_PATH = ROOT / ".cache" / "node" / "node_modules"


@dataclass(frozen=True)
class Bridge:
    """A server. In the words `{port}` and `{directory}` are filled in; `files` are written there first."""

    switch: str  # OTEL_INSTRUMENTATION_<switch>_ENABLED
    path: str
    command: list[str | Path]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    java: str = ""  # a program of tests/programs/java, which is compiled into the directory


def uvicorn(loop: str, path: str) -> Bridge:
    words = [PYTHON, "-m", "uvicorn", "parents_asgi:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"]
    return Bridge("PYTHON", path, [*words, "--loop", loop], {"PYTHONPATH": str(PROGRAMS)})


def java(path: str) -> Bridge:
    return Bridge("JAVA", path, ["java", "-XX:+UseSerialGC", "-Xmx256m", "-cp", "{directory}", "Parents"], java="Parents")


NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    upstream backend {{ server 127.0.0.1:{upstream}; keepalive 32; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ {location} }}
    }}
}}
"""
PROXY = 'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'
ANSWER = """default_type application/json; return 200 '{{"id": "1"}}';"""
HAPROXY = """
global
    maxconn 1000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind 127.0.0.1:{port}
    default_backend out
backend out
    http-reuse always
    server up 127.0.0.1:{upstream}
"""

BRIDGES: dict[str, Bridge] = {
    "aiohttp": Bridge("PYTHON", "/async/call", [PYTHON, PROGRAMS / "parents_aiohttp.py"]),
    "FastAPI, uvicorn on asyncio": uvicorn("asyncio", "/async/call"),
    "FastAPI, uvicorn on uvloop": uvicorn("uvloop", "/async/call"),
    "FastAPI in threads": uvicorn("asyncio", "/def/call"),
    "Flask, gunicorn gthread, a job for a pool": Bridge(
        "PYTHON", "/def/mapped",
        [PYTHON, "-m", "gunicorn", "parents_wsgi:app", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "20",
         "--log-level", "warning"],
        {"PYTHONPATH": str(PROGRAMS)}),
    "Node http": Bridge("NODE", "/fetch?with=pool", ["node", PROGRAMS / "parents.js"], {"NODE_PATH": str(NODE_PATH)}),
    "Node http, fetch": Bridge("NODE", "/fetch?with=fetch", ["node", PROGRAMS / "parents.js"], {"NODE_PATH": str(NODE_PATH)}),
    "Java HttpServer": java("/direct"),
    "Java HttpServer, a job for a pool": java("/pool"),
    "Java HttpServer, java.net.http sendAsync": java("/client-async"),
    "Puma": Bridge("RUBY", "/direct", ["puma", "-C", PROGRAMS / "puma_parents.rb"]),
    "Puma, a thread a request": Bridge("RUBY", "/thread", ["puma", "-C", PROGRAMS / "puma_parents.rb"]),
    "nginx as a proxy": Bridge("PROXY", "/echo", ["nginx", "-p", "{directory}", "-c", "{directory}/nginx.conf", "-e", "stderr"],
                               files={"nginx.conf": NGINX.replace("{location}", PROXY)}),
    "haproxy": Bridge("PROXY", "/echo", ["haproxy", "-db", "-f", "{directory}/haproxy.cfg"], files={"haproxy.cfg": HAPROXY}),
}


def missing(bridge: Bridge) -> str:
    program = "javac" if bridge.java else bridge.command[0]
    return "" if Path(program).exists() or find(str(program)) else Path(program).name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            children += map(int, (thread / "children").read_text().split())
    return [pid, *(one for child in children for one in family(child))]


def start(bridge: Bridge, directory: Path, env: dict[str, str], core: int, upstream: int) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    values = {"port": port, "directory": directory, "upstream": upstream, "user": "user root;" if os.geteuid() == 0 else ""}
    for name, text in bridge.files.items():
        (directory / name).write_text(text.format(**values))
    if bridge.java:
        source = PROGRAMS / "java" / f"{bridge.java}.java"
        subprocess.run(["javac", "-nowarn", "-d", directory, source], env=ENV, check=True)
    words = [str(word).format(**values) for word in bridge.command]
    words[0] = find(words[0]) or words[0]
    env = env | bridge.env | {"PORT": str(port), "UPSTREAM": f"http://127.0.0.1:{upstream}"}
    different = [f"{name}={value}" for name, value in env.items() if ENV.get(name) != value]
    # taskset itself stays bare
    process = subprocess.Popen(["taskset", "-c", str(core), "env", *different, *words], env=ENV, cwd=directory,
                               stdout=subprocess.DEVNULL, stderr=sys.stderr)
    return process, port


def measure(bridge: Bridge, setting: str, agent: Path, seconds: int) -> tuple[float, float]:
    """CPU microseconds and spans for each request."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, load_core = cores[0], cores[-1]
    sink = Sink(load_core)
    env = environment("bare" if setting == "bare" else "agent", agent, sink.port)
    if setting == "bridge off":
        env = env | {f"OTEL_INSTRUMENTATION_{bridge.switch}_ENABLED": "false"}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        upstream_nginx = Bridge("", "", BRIDGES["nginx as a proxy"].command, files={"nginx.conf": NGINX.replace("{location}", ANSWER)})
        upstream, upstream_port = start(upstream_nginx, Path(one), ENV, load_core, 9)
        server, port = start(bridge, Path(other), env, server_core, upstream_port)
        url = f"http://127.0.0.1:{port}{bridge.path}{'&' if '?' in bridge.path else '?'}id=1"
        try:
            wait_for(url, server)
            load = ["taskset", "-c", str(load_core), shutil.which("wrk"), "-t1", "-c16"]
            warm = subprocess.run([*load, "-d1", url], check=True, capture_output=True, text=True).stdout
            before = cpu_ticks(family(server.pid))
            out = subprocess.run([*load, f"-d{seconds}", url], check=True, capture_output=True, text=True).stdout
            used = (cpu_ticks(family(server.pid)) - before) / os.sysconf("SC_CLK_TCK")
        finally:
            for process in (server, upstream):
                process.terminate()
                process.wait(timeout=30)
            _, _, spans = sink.stop()
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    requests, warmed = (int(text.split(" requests in ")[0].split()[-1]) for text in (out, warm))
    return used / requests * 1e6, spans / (requests + warmed)


def bench_bridges(_settings: list[str], agent: Path, quick: bool) -> tuple[str, Raw]:
    raw: Raw = {}
    for name, bridge in BRIDGES.items():
        if program := missing(bridge):
            print(f"bridges: {name} is left out: no {program} (scripts/setup)", file=sys.stderr)
    here = {name: bridge for name, bridge in BRIDGES.items() if not missing(bridge)}
    for _ in range(1 if quick else 3):
        for name, bridge in here.items():
            for setting in SETTINGS if agent.exists() else ["bare"]:
                used, spans = measure(bridge, setting, agent, 1 if quick else 3)
                add(raw, f"{name}: CPU us per request", setting, used)
                if setting != "bare":
                    add(raw, f"{name}: spans per request", setting, spans)
    return "bridges", raw
