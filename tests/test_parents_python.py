"""CPython: whatever hands the work on, a call is under the request that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.apps import GUNICORN
from harness.parents import AT_ONCE, Counts, fire
from harness.ports import free_port
from harness.processes import APPS, CACHE, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.tls import TlsUpstream, certificates
from harness.upstream import Upstream

PROGRAMS = Path(__file__).parent / "programs"
HYPERCORN = str(CACHE / "venv/bin/hypercorn")
UVICORN = [PYTHON, "-m", "uvicorn", "parents_asgi:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"]
WSGI = [GUNICORN, "parents_wsgi:app", "-b", "127.0.0.1:{port}"]
SERVERS: dict[str, list[str | Path]] = {
    "uvicorn-asyncio": [*UVICORN, "--loop", "asyncio"],
    "uvicorn-uvloop": [*UVICORN, "--loop", "uvloop"],
    "hypercorn": [HYPERCORN, "parents_asgi:app", "-b", "127.0.0.1:{port}"],
    "hypercorn-trio": [HYPERCORN, "-k", "trio", "parents_asgi:app", "-b", "127.0.0.1:{port}"],
    "aiohttp": [PYTHON, PROGRAMS / "parents_aiohttp.py"],
    "streams": [PYTHON, PROGRAMS / "parents_streams.py"],
    "trio": [PYTHON, PROGRAMS / "parents_trio.py"],
    "flask": [PYTHON, PROGRAMS / "parents_wsgi.py"],
    "gunicorn-sync": [*WSGI, "-w", "20"],
    "gunicorn-gthread": [*WSGI, "-w", "2", "-k", "gthread", "--threads", "20"],
    "gunicorn-gevent": [*WSGI, "-k", "gevent"],
    "eventlet": [PYTHON, PROGRAMS / "parents_wsgi.py"],
}
ENV = {"eventlet": {"EVENTLET": "1"}}
CLOSING = ("flask", "gunicorn-sync")  # a connection a request
ROUNDS = 3
ALL = ROUNDS * AT_ONCE


def start(launcher: Launcher, name: str, upstream: str = "", **options: Any) -> Program:
    port = free_port()
    env = {"UPSTREAM": upstream, "PYTHONPATH": str(PROGRAMS), **ENV.get(name, {}), **options.pop("env", {})}
    return launcher.start(*(str(word).format(port=port) for word in SERVERS[name]), port=port, env=env, **options)


ON_LOOPS = ["call", "later", "task", "gathered", "to_thread", "executor"]
IN_THREADS = ["call", "later", "sync_httpx", "sync_urllib3", "sync_urllib", "submit", "mapped", "thread", "subclass", "timer",
              "handed_over"]
WAYS = {
    "uvicorn-asyncio": [*(f"/async/{way}" for way in ON_LOOPS), *(f"/def/{way}" for way in IN_THREADS)],
    "uvicorn-uvloop": [*(f"/async/{way}" for way in ON_LOOPS), "/def/later", "/def/submit"],
    "hypercorn": [*(f"/async/{way}" for way in ON_LOOPS), "/def/later", "/def/submit"],
    "aiohttp": [f"/async/{way}" for way in ON_LOOPS],
    "streams": [f"/async/{way}" for way in ON_LOOPS if way != "to_thread"],
    "trio": ["/async/call", "/async/later", "/async/task"],
    "flask": [f"/def/{way}" for way in IN_THREADS],
    "gunicorn-sync": ["/def/later", "/def/submit", "/def/thread"],
    "gunicorn-gthread": ["/def/later", "/def/submit", "/def/thread"],
    "gunicorn-gevent": ["/def/later", "/def/submit", "/def/thread", "/spawn"],
    "eventlet": ["/def/later", "/spawn"],
}


@pytest.mark.parametrize("name", WAYS)
def test_every_parent(launcher: Launcher, receiver: Receiver, upstream: Upstream, name: str) -> None:
    program = start(launcher, name, upstream.url)
    counts = {way: fire(receiver, program.port, way, rounds=ROUNDS, keep=name not in CLOSING) for way in WAYS[name]}
    assert counts == dict.fromkeys(counts, Counts(ALL, 0, 0))
