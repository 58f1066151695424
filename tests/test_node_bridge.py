"""The script that the agent brings into Node: the program cannot tell, and where it cannot be, all is as it was."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.processes import AGENT, BASE_ENV, NONE, Finished, Launcher
from harness.scenarios import PROGRAMS
from harness.scenarios.node import VERSIONS

IS_THERE = "try { process._linkedBinding('otel_run'); console.log('there') } catch { console.log('not there') }"


def run_both(launcher: Launcher, *argv: str | Path, **options: object) -> Finished:
    """Runs a program without and with the agent; all that it shows must be equal."""
    bare, traced = (launcher.run(*argv, how=how, **options) for how in (NONE, ""))
    plain = lambda text: re.sub(rb"\(node:\d+\)", b"(node)", text)
    assert (traced.code, plain(traced.out), plain(traced.err)) == (bare.code, plain(bare.out), plain(bare.err))
    return traced


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options", [None, "", "--no-warnings", " --max-old-space-size=300  --no-warnings "])
def test_the_program_sees_itself_as_without(launcher: Launcher, version: str, options: str | None) -> None:
    env = {} if options is None else {"NODE_OPTIONS": options}
    done = run_both(launcher, VERSIONS[version], "--stack-trace-limit=20", PROGRAMS / "node_introspection.js", "x", env=env)
    assert done.code == 1 and b"Error: uncaught" in done.err and b"Error: where" in done.out


@pytest.mark.parametrize("version", VERSIONS)
def test_ways_to_start(launcher: Launcher, version: str, tmp_path: Path) -> None:
    node = VERSIONS[version]
    (tmp_path / "module.mjs").write_text("import http from 'node:http'; console.log(typeof http.get, import.meta.url)\n")
    (tmp_path / "hook.js").write_text(
        "require.extensions['.xyz'] = (module) => module._compile('console.log(require.main === module)', 'main.xyz')\n")
    for name in ("main.xyz", "plain", "odd.name"):
        (tmp_path / name).write_text("console.log(__filename)\n")
    (tmp_path / "some.test.js").write_text("require('node:test').test('one', () => { console.log(process.execArgv) })\n")
    (tmp_path / "child.js").write_text(
        "const { execFileSync, fork } = require('child_process')\n"
        f"const code = {IS_THERE!r} + ';console.log(process.env.NODE_OPTIONS)'\n"
        "const { LD_PRELOAD, ...rest } = process.env\n"
        "console.log(execFileSync(process.execPath, ['-p', '1'], { env: rest }).toString())\n"
        "console.log(execFileSync(process.execPath, ['-p', '1'], { env: {} }).toString())\n"
        "console.log(execFileSync(process.execPath, ['-p', 'process.env.NODE_OPTIONS']).toString())\n")
    for words in (["module.mjs"], ["-r", "./hook.js", "main.xyz"], ["plain"], ["odd.name"], ["-e", "console.log(1)"],
                  ["-p", "process.argv"], ["--input-type=module", "-e", "console.log(import.meta.url)"], ["--check", "plain"],
                  ["child.js"], ["--version"], ["--no-such-option"], ["-e", "process.exit(7)"], ["missing.js"],
                  ["--no-addons", "-p", "1"], ["--frozen-intrinsics", "-p", "1"], ["--import", "./module.mjs", "plain"]):
        run_both(launcher, node, *words, cwd=tmp_path)
    assert run_both(launcher, node, stdin=b"console.log('from stdin')\n").out == b"from stdin\n"
    done = launcher.run(node, "--test", "some.test.js", cwd=tmp_path)
    assert done.code == 0 and b"pass 1" in done.out, done


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_there(launcher: Launcher, version: str) -> None:
    """The positive control of what follows; and an inherited NODE_OPTIONS is not added to twice."""
    node = VERSIONS[version]
    assert launcher.run(node, "-e", IS_THERE).out == b"there\n"
    assert launcher.run(node, "-e", IS_THERE, env={"NODE_OPTIONS": f'"--require={AGENT.resolve()}"'}).out == b"there\n"


def not_there(done: Finished) -> None:
    assert (done.code, done.out, done.err) == (0, b"not there\n", b"")


def test_switched_off(launcher: Launcher) -> None:
    not_there(launcher.run("node", "-e", IS_THERE, env={"OTEL_INSTRUMENTATION_NODE_ENABLED": "false"}))
    not_there(launcher.run("node", "-e", IS_THERE, env={"OTEL_SDK_DISABLED": "true"}))


@pytest.mark.parametrize("version", VERSIONS)
def test_permissions(launcher: Launcher, version: str) -> None:
    """Reading the preloaded file would be refused, and node would not start."""
    if version == "18":
        words = ["--experimental-policy", "policy.json"]
        (launcher.directory / "policy.json").write_text('{"dependencies": true, "scopes": {"data:": {"integrity": true}}}')
        run_both(launcher, VERSIONS[version], *words, "-p", "1")
        return
    words = ["--experimental-permission" if version == "20" else "--permission", "--no-warnings"]
    not_there(launcher.run(VERSIONS[version], *words, "-e", IS_THERE))
    not_there(launcher.run(VERSIONS[version], "-e", IS_THERE, env={"NODE_OPTIONS": " ".join(words)}))


def test_users_own_sdk(launcher: Launcher, tmp_path: Path) -> None:
    package = tmp_path / "node_modules/@opentelemetry/auto-instrumentations-node"
    package.mkdir(parents=True)
    (package / "register.js").write_text("")
    not_there(launcher.run("node", "-e", IS_THERE, cwd=tmp_path,
                           env={"NODE_OPTIONS": "--require @opentelemetry/auto-instrumentations-node/register"}))


def test_another_program_of_that_name(launcher: Launcher, tmp_path: Path) -> None:
    """No Node-API symbols: nothing is done."""
    shutil.copy("/usr/bin/env", tmp_path / "node")
    run = lambda **env: launcher.run(tmp_path / "node", env=env).out.splitlines()
    assert not any(line.startswith(b"NODE_OPTIONS") for line in run())
    assert b"NODE_OPTIONS=--x" in run(NODE_OPTIONS="--x")


def test_nothing_is_written(launcher: Launcher, tmp_path: Path) -> None:
    """Not one file is made, so a read-only file system is no different."""
    log = tmp_path / "strace"
    done = launcher.run("strace", "-f", "-o", log, "-e", "trace=open,openat,creat,mkdir,symlink,link,rename,memfd_create",
                        "node", "-e", IS_THERE)
    assert done.out == b"there\n"
    made = [line for line in log.read_text().splitlines() if "O_CREAT" in line or "O_WRONLY" in line]
    assert made == [] and "memfd_create" in log.read_text()


def test_no_file_may_grow(launcher: Launcher) -> None:
    """RLIMIT_FSIZE: a write beyond it ends a program. There is no bridge then."""
    env = {**BASE_ENV, **launcher.otel_env, "LD_PRELOAD": str(AGENT)}
    none = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    done = subprocess.run(["node", "-e", f"{IS_THERE}; console.log(process.env.NODE_OPTIONS)"], env=env, capture_output=True,
                          preexec_fn=none, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_path_with_spaces(launcher: Launcher, tmp_path: Path) -> None:
    directory = tmp_path / 'a "b" \\c'
    directory.mkdir()
    agent = directory / "libagent.so"
    os.link(AGENT, agent) if os.stat(AGENT).st_dev == os.stat(tmp_path).st_dev else shutil.copy(AGENT, agent)
    link = tmp_path / "libagent.so"
    link.symlink_to(agent)
    done = launcher.run("node", "-e", IS_THERE, how=NONE, env={**launcher.otel_env, "LD_PRELOAD": str(link)})
    assert (done.out, done.err) == (b"there\n", b"")
