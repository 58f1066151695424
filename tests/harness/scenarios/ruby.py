"""Ruby: Puma's pool and reactor, fibers of Async::HTTP, WEBrick (programs/requests.rb)."""

from __future__ import annotations

from harness import apps
from harness.ports import free_port
from harness.processes import Launcher, Program
from harness.scenarios import HAND_OFF, IMMEDIATE, LATER, PROGRAMS, Scenario, Stage, debian, output, ways
from harness.tls import certificates
from harness.upstream import Upstream

PUMA = ["/direct", "/late", "/thread", "/thread-late", "/fiber", "/enumerator", "/persistent", "/pool", "/future", "/promise"]
PUMA_CLOSING = ["/direct", "/thread-late"]
PUMA_WORKERS = ["/late", "/thread"]
PUMA_TLS = ["/direct", "/late", "/thread"]
ASYNC = ["/direct", "/late", "/task", "/internet", "/thread", "/future"]
# What is begun by one request and works for all: nobody's.
PUMA_QUEUE, ASYNC_QUEUE = "/worker", "/job"

KINDS = {
    **dict.fromkeys(["direct", "persistent", "internet", "fetch"], IMMEDIATE),
    "late": LATER,
    **dict.fromkeys(["thread", "thread-late", "fiber", "enumerator", "pool", "future", "promise", "task", "worker", "job"], HAND_OFF),
}


def start_puma(launcher: Launcher, upstream: Upstream, **env: str) -> Program:
    return launcher.start("puma", "-C", PROGRAMS / "puma_parents.rb", port=free_port(),
                          env={"UPSTREAM": upstream.url, **env})


def start_async(launcher: Launcher, upstream: Upstream, **env: str) -> Program:
    return launcher.start("ruby", PROGRAMS / "async_parents.rb", port=free_port(), env={"UPSTREAM": upstream.url, **env})


def scenarios() -> list[Scenario]:
    version = output("ruby", "--version")
    puma = f"Puma {debian('puma')}"
    clients = f"net/http, net-http-persistent {debian('ruby-net-http-persistent')}, concurrent-ruby {debian('ruby-concurrent')}"
    fibers = f"Async::HTTP {debian('ruby-async-http')} on both sides; net/http"

    def puma_with(**env: str):
        return lambda stage: start_puma(stage.launcher, stage.upstream, **env)

    def webrick(stage: Stage) -> Program:
        return apps.start(stage.launcher, "ruby", stage.upstream.url)

    def row(name: str, software: str, start, paths: list[str], **more: bool) -> Scenario:
        return Scenario("Ruby", name, version, software, start, ways(paths, KINDS), **more)

    return [
        row("puma", f"{puma}; {clients}", puma_with(), [*PUMA, PUMA_QUEUE], many=True),
        row("puma-closing", f"{puma}, a connection a request; net/http", puma_with(), PUMA_CLOSING, keep=False),
        row("puma-workers", f"{puma}, 2 workers; net/http", puma_with(WORKERS="2"), PUMA_WORKERS),
        row("puma-preload", f"{puma}, 2 workers, preload_app!; net/http", puma_with(WORKERS="2", PRELOAD="1"), PUMA_WORKERS),
        row("puma-tls", f"{puma}; net/http, TLS", puma_with(**certificates().env), PUMA_TLS, secure=True),
        row("async", fibers, lambda stage: start_async(stage.launcher, stage.upstream), [*ASYNC, ASYNC_QUEUE], many=True),
        row("webrick", f"WEBrick {debian('ruby-webrick')}; net/http", webrick, ["/fetch"], many=True),
    ]
