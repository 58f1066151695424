"""CPython: whatever hands the work on, a call is under the request that it belongs to."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import client
from harness.parents import AT_ONCE, Counts, count_parents, fire
from harness.ports import free_port
from harness.processes import APPS, NONE, PYTHON, Launcher
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.scenarios import PROGRAMS
from harness.scenarios.python import (
    CLOSING,
    QUEUED,
    SECURE,
    STANDARD,
    WAYS,
    interpreters,
    start,
    start_secure,
    start_standard,
)
from harness.tls import TlsUpstream
from harness.upstream import Upstream

ROUNDS = len(rounds(few=2, all=10))
ALL = ROUNDS * AT_ONCE
INTERPRETERS = interpreters()


@pytest.mark.parametrize("name", WAYS)
def test_every_parent(launcher: Launcher, receiver: Receiver, upstream: Upstream, name: str) -> None:
    program = start(launcher, name, upstream.url)
    counts = {way: fire(receiver, program.port, way, rounds=ROUNDS, keep=name not in CLOSING) for way in WAYS[name]}
    assert counts == dict.fromkeys(counts, Counts(ALL, 0, 0))


@pytest.mark.parametrize("name", SECURE)
def test_every_parent_over_tls(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, name: str) -> None:
    """Both sides: what is read and written in memory is found by the session."""
    program = start_secure(launcher, name, tls_upstream.url)
    counts = {way: fire(receiver, program.port, way, rounds=ROUNDS, secure=True) for way in SECURE[name]}
    assert counts == dict.fromkeys(counts, Counts(ALL, 0, 0))


@pytest.mark.parametrize("name", ["uvicorn-asyncio", "uvicorn-uvloop", "hypercorn", "aiohttp", "aiohttp-uvloop", "streams", "trio"])
def test_what_outlives_its_request_has_no_parent(launcher: Launcher, receiver: Receiver, upstream: Upstream, name: str) -> None:
    """Not even when the next request of the same connection is being served meanwhile."""
    program = start(launcher, name, upstream.url)

    def one(number: int) -> None:
        with client.Raw(program.port) as raw:
            raw.exchange(f"/async/outliving?id=late-{number}")
            raw.exchange(f"/async/call?id=next-{number}&delay=800")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
    spans = receiver.wait_for(4 * AT_ONCE)
    assert count_parents(span for span in spans if "id=late" in span.url) == Counts(0, 0, AT_ONCE)
    assert count_parents(span for span in spans if "id=next" in span.url) == Counts(AT_ONCE, 0, 0)


def test_a_timer_that_outlives_its_request(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start(launcher, "gunicorn-gthread", upstream.url)
    assert fire(receiver, program.port, "/def/outliving", rounds=ROUNDS) == Counts(0, 0, ALL)


def test_background_tasks(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Starlette runs them when the response is out: the request is over."""
    program = start(launcher, "uvicorn-asyncio", upstream.url)
    assert fire(receiver, program.port, "/background", rounds=ROUNDS).wrong == 0


def test_a_worker_with_a_queue_is_not_guessed(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start(launcher, "gunicorn-gthread", upstream.url)
    assert fire(receiver, program.port, QUEUED, rounds=ROUNDS) == Counts(0, 0, ALL)
    assert fire(receiver, program.port, "/def/handed_over", rounds=ROUNDS) == Counts(ALL, 0, 0)


@pytest.mark.parametrize("name", ["gunicorn-gthread", "uvicorn-asyncio", "uvicorn-uvloop", "aiohttp", "aiohttp-uvloop", "streams"])
def test_pipelined_requests(launcher: Launcher, receiver: Receiver, upstream: Upstream, name: str) -> None:
    """Three heads in one read: the calls of the first one are right, those of the others are not guessed."""
    program = start(launcher, name, upstream.url)
    path = "/def/later" if "gunicorn" in name else "/async/later"

    def one(number: int) -> None:
        with client.Raw(program.port) as raw:
            raw.send(b"".join(f"GET {path}?id={turn}-{number}&delay=20 HTTP/1.1\r\nHost: h\r\n\r\n".encode() for turn in range(3)))
            for _ in range(3):
                raw.response()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
    counts = count_parents(receiver.wait_for(6 * AT_ONCE))
    assert counts.wrong == 0 and counts.right >= AT_ONCE, counts


def test_aiohttp_on_uvloop_is_not_guessed(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """uvloop's connections share one context: only aiohttp's router tells which socket a task serves."""
    env = {"OTEL_INSTRUMENTATION_AIOHTTP_SERVER_ENABLED": "false", "OTEL_INSTRUMENTATION_HTTP_SERVER_ENABLED": "true"}
    program = start(launcher, "aiohttp-uvloop", upstream.url, env=env)
    assert fire(receiver, program.port, "/async/later", rounds=ROUNDS).wrong == 0


@pytest.mark.parametrize("switch", ["ASYNCIO", "PYTHON"])
def test_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream, switch: str) -> None:
    """Without the bridge an event loop's calls have no parent where several requests are open."""
    program = start(launcher, "aiohttp", upstream.url, env={f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false"})
    fire(receiver, program.port, "/async/call", rounds=ROUNDS)  # evidence of an event loop
    assert fire(receiver, program.port, "/async/later", rounds=ROUNDS).right < ALL


def test_threads_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start(launcher, "uvicorn-asyncio", upstream.url, env={"OTEL_INSTRUMENTATION_THREADING_ENABLED": "false"})
    assert fire(receiver, program.port, "/def/submit", rounds=ROUNDS) == Counts(0, 0, ALL)
    assert fire(receiver, program.port, "/def/later", rounds=ROUNDS) == Counts(ALL, 0, 0)


@pytest.mark.parametrize("version", INTERPRETERS)
def test_every_version(launcher: Launcher, receiver: Receiver, upstream: Upstream, version: str) -> None:
    """Only what the standard library has: a loop with a task per connection, and threads."""
    counts = {}
    for program, ways in STANDARD.items():
        running = start_standard(launcher, upstream.url, program, version)
        counts |= {way: fire(receiver, running.port, way, rounds=1) for way in ways}
        running.stop()
    assert counts == dict.fromkeys(counts, Counts(AT_ONCE, 0, 0))


@pytest.mark.parametrize("version", INTERPRETERS)
def test_the_interpreter_ends_while_threads_work(launcher: Launcher, version: str) -> None:
    """Threads that wait for the interpreter in a hook are ended there, as they would be a moment later."""
    bare = launcher.run(INTERPRETERS[version], PROGRAMS / "finalising.py", how=NONE)
    for _ in rounds(few=5, all=50):
        done = launcher.run(INTERPRETERS[version], PROGRAMS / "finalising.py")
        assert (done.code, done.out) == (bare.code, bare.out) == (0, b"done\n"), done.err


SIGNALS = """
import runpy, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
runpy.run_path(sys.argv[1])
"""
SECOND_INTERPRETER = """
import runpy, sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
second = interpreters.create()
runpy.run_path(sys.argv[1])
"""
OWN_VARIABLE = """
import contextvars, runpy, sys, threading
from concurrent.futures import ThreadPoolExecutor
mine = contextvars.ContextVar("otel_run", default="unset")
mine.set("mine")
before = set(dir(__builtins__)), set(vars(threading)), set(vars(threading.Thread))
import http.server
def check(self, before=before, done=http.server.BaseHTTPRequestHandler.finish):
    assert ThreadPoolExecutor(1).submit(mine.get).result() == "unset", "only the agent's variable is carried"
    assert before == (set(dir(__builtins__)), set(vars(threading)), set(vars(threading.Thread))), "a name is left behind"
    assert [v.name for v in contextvars.copy_context()] in ([], ["otel_run"])
    done(self)
http.server.BaseHTTPRequestHandler.finish = check
runpy.run_path(sys.argv[1])
"""


@pytest.mark.parametrize("program, way", [("parents_stdlib.py", "/def/call"), ("parents_streams.py", "/async/later")])
def test_signals_meanwhile(launcher: Launcher, receiver: Receiver, upstream: Upstream, program: str, way: str) -> None:
    port = free_port()
    launcher.start(PYTHON, "-c", SIGNALS, PROGRAMS / program, port=port, env={"UPSTREAM": upstream.url})
    assert fire(receiver, port, way, rounds=5) == Counts(5 * AT_ONCE, 0, 0)


def test_beside_another_interpreter(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Whose lock a thread would take is not certain there: nothing is asked."""
    port = free_port()
    program = launcher.start(PYTHON, "-c", SECOND_INTERPRETER, PROGRAMS / "parents_stdlib.py", port=port, env={"UPSTREAM": upstream.url})
    assert fire(receiver, port, "/def/call", rounds=ROUNDS) == Counts(ALL, 0, 0)  # the rules are right for threads
    assert fire(receiver, port, "/def/submit", rounds=ROUNDS) == Counts(0, 0, ALL)
    assert program.err == b""


def test_the_program_finds_nothing_changed(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A context variable of its own with the same name, its context, its names."""
    port = free_port()
    program = launcher.start(PYTHON, "-c", OWN_VARIABLE, PROGRAMS / "parents_stdlib.py", port=port, env={"UPSTREAM": upstream.url})
    assert fire(receiver, port, "/def/submit", rounds=ROUNDS) == Counts(ALL, 0, 0)
    assert program.out + program.err == b""


PRETENDED = {
    "a version from the future": 'const char *Py_GetVersion(void) { return "3.99.0 (main)"; }',
    "a free-threaded build": 'const char *Py_GetVersion(void) { return "3.13.0 free-threading build (main)"; }',
    "no room for an exit function": "int Py_AtExit(void (*f)(void)) { return -1; }",
}


@pytest.mark.parametrize("why", PRETENDED)
def test_stands_down(launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path, why: str) -> None:
    """The program is left as it was, and the rules hold."""
    library = compile_c(tmp_path, PRETENDED[why], "-shared")
    port = free_port()
    env = {"UPSTREAM": upstream.url, "LD_PRELOAD": library, "OTEL_LOG_LEVEL": "info"}
    program = launcher.start(PYTHON, PROGRAMS / "parents_stdlib.py", port=port, env=env)
    assert fire(receiver, port, "/def/call", rounds=ROUNDS) == Counts(ALL, 0, 0)
    assert fire(receiver, port, "/def/submit", rounds=ROUNDS) == Counts(0, 0, ALL)
    assert b"tasks of Python are not told apart" in program.err


def test_something_that_only_looks_like_an_interpreter(launcher: Launcher, receiver: Receiver, tmp_path: Path) -> None:
    library = compile_c(tmp_path, "int Py_IsInitialized(void) { return 1; }", "-shared")
    port = free_port()
    launcher.start("node", APPS / "node/server.js", port=port, env={"LD_PRELOAD": library})
    client.get(port, "/")
    assert receiver.wait_for(1)[0].kind == "SERVER"


EMBEDDING = """
#include <dlfcn.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  void *python = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
  if (!python) return 2;
  ((void (*)(void))dlsym(python, "Py_Initialize"))();
  return ((int (*)(const char *))dlsym(python, "PyRun_SimpleString"))("import os, runpy; runpy.run_path(os.environ['PROGRAM'])");
}
"""


def test_an_embedded_interpreter_that_is_loaded_late(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path
) -> None:
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    if not library.name.endswith(".1.0"):
        pytest.skip("this Python has no shared library")
    program = compile_c(tmp_path, EMBEDDING, "-ldl")
    port = free_port()
    env = {"UPSTREAM": upstream.url, "PROGRAM": str(PROGRAMS / "parents_streams.py"), "PYTHONHOME": sys.base_prefix}
    launcher.start(program, library, port=port, env=env)
    assert fire(receiver, port, "/async/task", rounds=ROUNDS) == Counts(ALL, 0, 0)


def compile_c(directory: Path, text: str, *options: str) -> str:
    source, result = directory / "pretended.c", directory / "pretended.so"
    source.write_text(text)
    subprocess.run(["gcc", "-fPIC", *options, "-o", result, source], check=True)
    return str(result)
