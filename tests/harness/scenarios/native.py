"""Where no runtime tells: proxies, PHP, event loops of C and Rust programs, and threads that hand requests over."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Callable

from harness import apps, fastcgi
from harness.apps import Site
from harness.ports import free_port
from harness.processes import APPS, CACHE, Launcher, Program
from harness.scenarios import HAND_OFF, IMMEDIATE, LATER, PROGRAMS, Scenario, Stage, Way, debian, output, ways
from harness.upstream import Upstream

TOKIO = CACHE / "tokio/tokio-server"
TRACE = "11111111111111111111111111111111"
# What the clients of a proxy send: no context, one of their own, and all the same one.
INBOUND = {"none": "", "each": "00-" + TRACE + "-{n:016x}-01", "same": "00-" + TRACE + "-00f067aa0ba902b7-01"}
DELAYED = {"http": "limit_req_zone $server_port zone=all:1m rate=300r/s;", "location": "limit_req zone=all burst=1000;"}

PROXIES: dict[str, Callable[..., Program]] = {
    "haproxy": lambda site, port, **tls: site.start_haproxy(port, **tls),
    "haproxy-master": lambda site, port, **tls: site.start_haproxy(port, master=True, **tls),
    "nginx": lambda site, port, **tls: site.start_nginx(port, keepalive=16, **tls),
    "nginx-close": lambda site, port, **tls: site.start_nginx(port, **tls),
    "apache-event": lambda site, port, **tls: site.start_apache("event", port, **tls),
}
PROXIES_TLS = ["haproxy", "nginx", "apache-event"]
PROXIES_MANY = ["haproxy", "nginx"]

LOOPS = ["epoll", "poll", "select"]
LOOP_WAYS = ["/direct", "/queue", "/timer", "/after"]
LIBEVENT_WAYS = ["/direct", "/timer"]
TOKIO_THREADS = {"current-thread": "1", "multi-thread": "2"}
TOKIO_WAYS = {"direct": IMMEDIATE, "sleep": LATER, "spawn": HAND_OFF, "after": LATER}
POOLS = {"own": "8", "split": "20"}
KINDS = {"direct": IMMEDIATE, "queue": HAND_OFF, "timer": LATER, "after": LATER, "fetch": IMMEDIATE, "fetch-curl": IMMEDIATE}


def compile_all(directory: Path) -> Path:
    """The C programs."""
    for name, *flags in (["loop"], ["pool", "-pthread"], ["libevent", "-levent"]):
        subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", directory / name, PROGRAMS / f"{name}.c", *flags], check=True)
    return directory


def start_loop(launcher: Launcher, built: Path, upstream: Upstream, how: str) -> Program:
    port = free_port()
    return launcher.start(built / "loop", how, str(port), str(upstream.port), "1", port=port)


def start_libevent(launcher: Launcher, built: Path, upstream: Upstream) -> Program:
    port = free_port()
    return launcher.start(built / "libevent", str(port), str(upstream.port), port=port)


def start_pool(launcher: Launcher, built: Path, upstream: Upstream, kind: str) -> Program:
    port = free_port()
    return launcher.start(built / "pool", kind, str(port), str(upstream.port), POOLS[kind], port=port)


def start_tokio(launcher: Launcher, upstream: Upstream, threads: str) -> Program:
    return launcher.start(TOKIO, port=free_port(), env={"THREADS": threads, "UPSTREAM": upstream.url, "BEAT": "1"})


def refusing(port: int) -> dict[str, str]:
    """nginx asks a server that refuses first."""
    return {"upstream": f"server 127.0.0.1:{port} max_fails=0;"}


@functools.cache
def _built() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    kept = tempfile.TemporaryDirectory(prefix="native-")
    return kept, compile_all(Path(kept.name))


def _proxies() -> list[Scenario]:
    versions = {"haproxy": lambda: output("haproxy", "-v"), "nginx": lambda: output("nginx", "-v"),
                "apache": lambda: output("apache2", "-v")}

    def row(name: str, what: str, start: Callable[[Site, int], Program], secure: bool = False, **more: bool) -> Scenario:
        which = name.split("-")[0]
        path = "/app/echo" if which == "apache" else "/echo"
        asked = tuple(Way(path, IMMEDIATE, f"traceparent of the caller: {how}", header=f"traceparent: {value}" if value else "")
                      for how, value in INBOUND.items())
        return Scenario("Proxies", name, f"{which} {versions[which]()}", what, lambda stage: start(stage.site, stage.upstream.port),
                        asked, secure=secure, **more)

    texts = {"haproxy": "all its threads", "haproxy-master": "master and worker", "nginx": "connections kept to the upstream",
             "nginx-close": "a connection a request to the upstream", "apache-event": "mod_proxy, event"}
    both = {"tls": True, "upstream_tls": True}
    return [
        *(row(name, texts[name], start, many=name in PROXIES_MANY) for name, start in PROXIES.items()),
        *(row(f"{name}-tls", f"{texts[name]}, TLS", lambda site, port, name=name: PROXIES[name](site, port, **both), secure=True)
          for name in PROXIES_TLS),
        row("nginx-delayed", "limit_req", lambda site, port: site.start_nginx(port, keepalive=16, **DELAYED)),
        row("nginx-refused", "the first server refuses",
            lambda site, port: site.start_nginx(port, keepalive=16, **refusing(free_port()))),
    ]


def _php() -> list[Scenario]:
    version = output("php", "--version")
    asked = ways(["/fetch", "/fetch-curl"], KINDS)

    def fpm(front: Callable[..., Program]) -> Callable[[Stage], Program]:
        def run(stage: Stage) -> Program:
            address = str(stage.site.directory / "fpm.sock")
            fastcgi.start_fpm(stage.site, address, children=10, env={"UPSTREAM": stage.upstream.url})
            return front(stage.site, address)

        return run

    def builtin(stage: Stage) -> Program:
        return apps.start(stage.launcher, "php", stage.upstream.url, env={"PHP_CLI_SERVER_WORKERS": "4"})

    chain = tuple(Way(way.path, way.kind, way.name, calls=2) for way in asked)
    fronts = {"nginx": fastcgi.start_nginx, "apache": fastcgi.start_apache}
    return [
        Scenario("PHP", "built-in", version, "php -S, 4 workers; streams, curl", builtin, asked, keep=False),
        *(Scenario("PHP", f"{name}-fpm", version, f"{name}, PHP-FPM; streams, curl", fpm(front), chain, served=2)
          for name, front in fronts.items()),
    ]


def _loops() -> list[Scenario]:
    compiler = f"gcc {output('gcc', '-dumpfullversion')}"
    libevent = re.sub(r"-.*", "", debian("libevent-dev"))
    built = lambda: _built()[1]
    crates = {name: version for name, version in re.findall(
        r'name = "(\w+)"\nversion = "([^"]+)"', (APPS / "tokio/Cargo.lock").read_text())}
    tokio = ", ".join(f"{name} {crates[name]}" for name in ("tokio", "axum", "reqwest"))
    return [
        *(Scenario("C", f"loop-{how}", compiler, f"a loop of its own: {how}",
                   lambda stage, how=how: start_loop(stage.launcher, built(), stage.upstream, how), ways(LOOP_WAYS, KINDS), keep=False)
          for how in LOOPS),
        Scenario("C", "libevent", compiler, f"libevent {libevent} on both sides",
                 lambda stage: start_libevent(stage.launcher, built(), stage.upstream), ways(LIBEVENT_WAYS, KINDS)),
        Scenario("C", "pool-own", compiler, "8 threads around one epoll set",
                 lambda stage: start_pool(stage.launcher, built(), stage.upstream, "own"), (Way("/call", IMMEDIATE),), keep=False),
        Scenario("C", "pool-split", compiler, "a thread that reads, 20 that work",
                 lambda stage: start_pool(stage.launcher, built(), stage.upstream, "split"), (Way("/call", HAND_OFF, "queue"),), keep=False),
        *(Scenario("Rust", f"tokio-{name}", tokio, f"axum, reqwest; {name}",
                   lambda stage, threads=threads: start_tokio(stage.launcher, stage.upstream, threads),
                   tuple(Way(f"/call?how={how}", kind, how) for how, kind in TOKIO_WAYS.items()))
          for name, threads in TOKIO_THREADS.items()),
    ]


def scenarios() -> list[Scenario]:
    return _proxies() + _php() + _loops()
