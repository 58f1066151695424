"""Bridges where something is in their way: a parent is right or missing, and the program is as it was.

Wrong versions, missing functions and frozen classes are with the bridges themselves: `test_parents_python.py`,
`test_node_bridge.py`, `test_parents_ruby.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import pytest

from harness import client
from harness.apps import Site
from harness.parents import AT_ONCE, Counts, fire
from harness.processes import NONE, PRELOAD, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS, Stage, native, node, python, ruby
from harness.upstream import Upstream

RIGHT, NOBODYS = Counts(2 * AT_ONCE, 0, 0), Counts(0, 0, 2 * AT_ONCE)
HARDENED = PROGRAMS / "hardened.py"


@dataclass(frozen=True)
class Bridge:
    """A program that needs its bridge for `path`."""

    start: Callable[[Stage, dict[str, str]], Program]
    path: str
    keep: bool = True
    jitless: dict[str, str] = field(default_factory=dict)  # what the runtime itself needs where no memory may become executable
    variables: dict[str, str] = field(default_factory=dict)  # a user's own
    sdk: dict[str, str] = field(default_factory=dict)  # what tells that the program has an SDK of OpenTelemetry
    show: list[str] = field(default_factory=list)  # prints the environment


def python_with(name: str, path: str, keep: bool = True) -> Bridge:
    return Bridge(
        lambda stage, env: python.start(stage.launcher, name, stage.upstream.url, env=env), path, keep,
        variables={"PYTHONPATH": f"{PROGRAMS}:/nowhere", "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "ignore", "PYTHONHASHSEED": "7"},
        sdk={"PYTHONPATH": f"/nowhere/opentelemetry/instrumentation/auto_instrumentation:{PROGRAMS}"},
        show=[PYTHON, "-c", "import os; print(dict(os.environ))"])


BRIDGES = {
    "asyncio": python_with("streams", "/async/task"),
    "uvloop": python_with("uvicorn-uvloop", "/async/later"),
    "threads": python_with("flask", "/def/submit", keep=False),
    "node": Bridge(
        lambda stage, env: node.start(stage.launcher, stage.upstream, **env), "/fetch?with=pool&after=timer",
        jitless={"NODE_OPTIONS": "--jitless"}, variables={"NODE_OPTIONS": "--max-old-space-size=300 --no-warnings"},
        sdk={"NODE_OPTIONS": "--require SDKS/@opentelemetry/auto-instrumentations-node/register"},
        show=["node", "-p", "process.env"]),
    "ruby": Bridge(
        lambda stage, env: ruby.start_puma(stage.launcher, stage.upstream, **env), "/thread-late",
        variables={"RUBYOPT": "-W0 -rset"}, sdk={"RUBYOPT": "-rSDKS/opentelemetry-auto-instrumentation"},
        show=["ruby", "-e", "p ENV.to_h"]),
    "haproxy": Bridge(lambda stage, env: native.PROXIES["haproxy"](stage.site, stage.upstream.port, env=env), "/echo"),
}
# What a bridge cannot do without: Ruby's replaces a function in the interpreter's code, Node's script is in a memory file.
NEEDED = {("ruby", "seccomp"), ("node", "memfd")}


@pytest.fixture
def stage(launcher: Launcher, receiver: Receiver, upstream: Upstream, site: Site) -> Stage:
    return Stage(launcher, receiver, upstream, site)


def ask(stage: Stage, name: str, env: dict[str, str]) -> Counts:
    """Two rounds of 20 clients, each of whom must be answered."""
    bridge = BRIDGES[name]
    return fire(stage.receiver, bridge.start(stage, env).port, bridge.path, keep=bridge.keep)


@pytest.mark.parametrize("policy", ["read-only", "memfd", "seccomp"])
@pytest.mark.parametrize("name", BRIDGES)
def test_what_the_system_forbids(stage: Stage, name: str, policy: str) -> None:
    """No file system can be written; no memory files; no memory that is writable and executable, or becomes executable."""
    stage.launcher.within = [PYTHON, HARDENED, policy]
    found = ask(stage, name, BRIDGES[name].jitless if policy == "seccomp" else {})
    assert found == (NOBODYS if (name, policy) in NEEDED else RIGHT)


@pytest.mark.parametrize("path", ["/direct", "/late"])
def test_ruby_without_its_bridge_is_not_guessed(stage: Stage, path: str) -> None:
    """Puma's reactor reads requests for the threads of its pool."""
    stage.launcher.within = [PYTHON, HARDENED, "seccomp"]
    program = ruby.start_puma(stage.launcher, stage.upstream)
    assert fire(stage.receiver, program.port, path, rounds=5).wrong == 0


WITH_VARIABLES = [name for name, bridge in BRIDGES.items() if bridge.variables]


@pytest.mark.parametrize("name", WITH_VARIABLES)
def test_a_variable_of_the_users(stage: Stage, name: str) -> None:
    """It holds, the program sees it as it was set, and nothing beside it."""
    bridge = BRIDGES[name]
    assert ask(stage, name, bridge.variables) == RIGHT
    bare, traced = (
        stage.launcher.run(*bridge.show, how=how, env={**stage.launcher.otel_env, **bridge.variables}) for how in (NONE, PRELOAD))
    assert (bare.code, traced.code, traced.err) == (0, 0, bare.err)
    assert without_preload(traced.out) == without_preload(bare.out)


def without_preload(shown: bytes) -> bytes:
    return re.sub(rb"\s*['\"]?LD_PRELOAD['\"]?\s*(:|=>)\s*['\"][^'\"]*['\"],?", b"", shown).replace(b",", b"").replace(b" ", b"")


@pytest.mark.parametrize("name", WITH_VARIABLES)
def test_a_users_own_sdk(stage: Stage, name: str, tmp_path: Path) -> None:
    """Nothing of ours is seen: no span, no header."""
    bridge = BRIDGES[name]
    for stand_in in ("@opentelemetry/auto-instrumentations-node/register.js", "opentelemetry-auto-instrumentation.rb"):
        (tmp_path / stand_in).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / stand_in).write_text("")
    env = {key: value.replace("SDKS", str(tmp_path)) for key, value in bridge.sdk.items()}
    program = bridge.start(stage, env)
    mark = "&" if "?" in bridge.path else "?"
    replies = client.get_many(program.port, [f"{bridge.path}{mark}id={number}" for number in range(AT_ONCE)])
    assert {reply.status for reply in replies} == {200}
    assert [seen.values("traceparent") for seen in stage.upstream.seen] == [[]] * AT_ONCE
    assert ask(stage, name, {}) == RIGHT, "and without it all is seen"
    assert len(stage.receiver.spans) == 4 * AT_ONCE


def test_node_without_memory_files(launcher: Launcher) -> None:
    """Children without the agent find no option of its file."""
    launcher.within = [PYTHON, HARDENED, "memfd"]
    program = "const { LD_PRELOAD, ...env } = process.env; console.log(require('child_process').execFileSync('node', ['-p', " \
              "'process.env.NODE_OPTIONS'], { env }).toString().trim(), process.env.NODE_OPTIONS)"
    for options in (None, "--no-warnings"):
        done = launcher.run("node", "-e", program, env={"NODE_OPTIONS": options})
        assert (done.code, done.out.decode().split(), done.err) == (0, [options or "undefined"] * 2, b"")
