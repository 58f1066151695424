"""Node: servers that call by every kind of client, after everything that can come in between (programs/parents.js)."""

from __future__ import annotations

import json
from typing import Iterable

from harness.ports import free_port
from harness.processes import CACHE, Launcher, Program
from harness.scenarios import HAND_OFF, IMMEDIATE, LATER, PROGRAMS, Scenario, Stage, Way, output
from harness.tls import certificates
from harness.upstream import Upstream

MODULES = CACHE / "node-tests/node_modules"
VERSIONS = {"20": "node", **{version: str(MODULES / f"node{version}/bin/node") for version in ("18", "22", "24")}}
CLIENTS = ["http", "pool", "narrow", "once", "fetch", "undici", "pipelined", "axios", "post", "raw", "twice"]
AFTER = {
    "none": IMMEDIATE,
    **dict.fromkeys(["timer", "immediate", "tick", "promise", "microtask"], LATER),
    **dict.fromkeys(["file", "stream", "dns", "own", "queue"], HAND_OFF),
}
FRAMEWORKS = ["express", "koa", "fastify", "worker", "cluster"]
BEHIND_TLS = ["http", "pool", "narrow", "once", "fetch", "undici", "post", "axios"]


def start(launcher: Launcher, upstream: Upstream, framework: str = "http", version: str = "20", **env: str) -> Program:
    path = f"{MODULES}:{CACHE / 'node/node_modules'}"
    env = {"NODE_PATH": path, "UPSTREAM": upstream.url, "FRAMEWORK": framework, **certificates().env, **env}
    return launcher.start(VERSIONS[version], PROGRAMS / "parents.js", env=env, port=free_port())


def way(client: str, after: str) -> Way:
    name = client if after == "none" else f"{after}: {client}"
    return Way(f"/fetch?with={client}&after={after}", AFTER[after], name, 2 if client == "twice" else 1)


def ways(clients: Iterable[str], after: Iterable[str]) -> tuple[Way, ...]:
    return tuple(way(client, turn) for turn in after for client in clients)


def package(name: str) -> str:
    places = [MODULES / name / "package.json", CACHE / "node/node_modules" / name / "package.json"]
    found = next(place for place in places if place.exists())
    return f"{name} {json.loads(found.read_text())['version']}"


def scenarios() -> list[Scenario]:
    made = []

    def add(name: str, version: str, framework: str, software: str, asked: tuple[Way, ...], **more: bool) -> None:
        def run(stage: Stage) -> Program:
            return start(stage.launcher, stage.upstream, framework, version)

        made.append(Scenario("Node", f"{version}-{name}", output(VERSIONS[version], "--version"), software, run, asked, **more))

    clients = f"http, fetch, raw sockets, {package('undici')}, {package('axios')}"
    for version in sorted(VERSIONS):
        everything = ways(CLIENTS, ["none", "timer"]) + ways(["narrow", "fetch"], [after for after in AFTER if after not in ("none", "timer")])
        add("http", version, "http", f"http; {clients}", everything, many=True)
        add("https", version, "https", "https; the same over TLS", ways(BEHIND_TLS, ["none", "timer"]), secure=True)
    for framework in FRAMEWORKS:
        software = {"worker": "http in a worker thread", "cluster": "http in a cluster of two"}.get(framework) or package(framework)
        add(framework, "20", framework, f"{software}; http, fetch", ways(["narrow", "fetch"], ["none", "timer", "promise"]))
    add("limited", "20", "http", f"http; fetch through an Agent of {package('undici')} with a limit", (
        Way("/fetch?with=limited&after=none", HAND_OFF, "a queue that remembers nobody"),))
    return made
