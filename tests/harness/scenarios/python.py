"""CPython: servers on event loops, threads and greenlets, whose handlers hand their calls on (programs/parents_*.py)."""

from __future__ import annotations

import functools
import glob
import os
import subprocess
from pathlib import Path
from typing import Any

from harness.apps import GUNICORN
from harness.ports import free_port
from harness.processes import CACHE, PYTHON, Launcher, Program
from harness.scenarios import HAND_OFF, IMMEDIATE, LATER, PROGRAMS, Scenario, Stage, output, packages, ways
from harness.tls import certificates

HYPERCORN = str(CACHE / "venv/bin/hypercorn")
UVICORN = [PYTHON, "-m", "uvicorn", "parents_asgi:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"]
WSGI = [GUNICORN, "parents_wsgi:app", "-b", "127.0.0.1:{port}"]
SERVERS: dict[str, list[str | Path]] = {
    "uvicorn-asyncio": [*UVICORN, "--loop", "asyncio"],
    "uvicorn-uvloop": [*UVICORN, "--loop", "uvloop"],
    "hypercorn": [HYPERCORN, "parents_asgi:app", "-b", "127.0.0.1:{port}"],
    "hypercorn-trio": [HYPERCORN, "-k", "trio", "parents_asgi:app", "-b", "127.0.0.1:{port}"],
    "aiohttp": [PYTHON, PROGRAMS / "parents_aiohttp.py"],
    "aiohttp-uvloop": [PYTHON, PROGRAMS / "parents_aiohttp.py"],
    "streams": [PYTHON, PROGRAMS / "parents_streams.py"],
    "trio": [PYTHON, PROGRAMS / "parents_trio.py"],
    "django": [PYTHON, PROGRAMS / "parents_django.py", "runserver", "127.0.0.1:{port}"],
    "django-uvicorn": [*(word.replace("parents_asgi", "parents_django") for word in UVICORN), "--loop", "asyncio"],
    "django-hypercorn": [HYPERCORN, "parents_django:app", "-b", "127.0.0.1:{port}"],
    "flask": [PYTHON, PROGRAMS / "parents_wsgi.py"],
    "gunicorn-sync": [*WSGI, "-w", "10"],
    "gunicorn-gthread": [*WSGI, "-w", "2", "-k", "gthread", "--threads", "20"],
    "gunicorn-gevent": [*WSGI, "-k", "gevent"],
    "eventlet": [PYTHON, PROGRAMS / "parents_wsgi.py"],
}
ENV = {"eventlet": {"EVENTLET": "1"}, "aiohttp-uvloop": {"LOOP": "uvloop"}}
CLOSING = ("flask", "django", "gunicorn-sync")  # a connection a request
MANY = ("uvicorn-asyncio", "uvicorn-uvloop", "aiohttp", "streams", "flask", "gunicorn-gthread", "gunicorn-gevent")


def start(launcher: Launcher, name: str, upstream: str = "", options: list[str] | None = None, **more: Any) -> Program:
    port = free_port()
    env = {"UPSTREAM": upstream, "PYTHONPATH": str(PROGRAMS), **ENV.get(name, {}), **more.pop("env", {})}
    words = [str(word).format(port=port) for word in SERVERS[name]] + (options or [])
    return launcher.start(*words, port=port, env=env, **more)


ON_LOOPS = ["call", "later", "task", "gathered", "to_thread", "executor"]
IN_THREADS = ["call", "later", "sync_httpx", "sync_urllib3", "sync_urllib", "submit", "mapped", "thread", "subclass", "timer",
              "handed_over"]
WAYS = {
    "uvicorn-asyncio": [*(f"/async/{way}" for way in ON_LOOPS), *(f"/def/{way}" for way in IN_THREADS)],
    "uvicorn-uvloop": [*(f"/async/{way}" for way in ON_LOOPS), "/def/later", "/def/submit"],
    "hypercorn": [*(f"/async/{way}" for way in ON_LOOPS), "/def/later", "/def/submit"],
    "aiohttp": [f"/async/{way}" for way in ON_LOOPS],
    "aiohttp-uvloop": [f"/async/{way}" for way in ON_LOOPS],
    "streams": [f"/async/{way}" for way in ON_LOOPS if way != "to_thread"],
    "trio": ["/async/call", "/async/later", "/async/task"],
    "hypercorn-trio": ["/def/call", "/def/later"],
    "django": ["/def/later", "/def/submit", "/async/later"],
    "django-uvicorn": ["/async/later", "/async/task", "/async/executor", "/def/call", "/def/later"],
    "django-hypercorn": ["/async/later", "/async/task", "/def/call", "/def/later"],
    "flask": [f"/def/{way}" for way in IN_THREADS],
    "gunicorn-sync": ["/def/later", "/def/submit", "/def/thread"],
    "gunicorn-gthread": ["/def/later", "/def/submit", "/def/thread"],
    "gunicorn-gevent": ["/def/later", "/def/submit", "/def/thread", "/spawn"],
    "eventlet": ["/def/later", "/spawn"],
}
QUEUED = "/def/queued"  # to a worker that was there before: nobody can know

SECURE = {
    "uvicorn-asyncio": ["/async/call", "/async/later", "/async/executor", "/def/later"],
    "uvicorn-uvloop": ["/async/call", "/async/later", "/async/executor", "/def/later"],
    "hypercorn": ["/async/later", "/async/task"],
    "aiohttp": ["/async/later", "/async/task", "/async/executor"],
    "gunicorn-gthread": ["/def/later", "/def/submit"],
    "gunicorn-gevent": ["/def/later", "/spawn"],
}
OPTIONS = {
    "uvicorn": ["--ssl-certfile", "{cert}", "--ssl-keyfile", "{key}"],
    "hypercorn": ["--certfile", "{cert}", "--keyfile", "{key}"],
    "gunicorn": ["--certfile", "{cert}", "--keyfile", "{key}"],
}


def start_secure(launcher: Launcher, name: str, upstream: str) -> Program:
    made = certificates()
    env = {**made.env, "TLS_CERT": str(made.cert), "TLS_KEY": str(made.key)}
    options = [word.format(cert=made.cert, key=made.key) for word in OPTIONS.get(name.split("-")[0], [])]
    return start(launcher, name, upstream, env=env, options=options)


@functools.cache
def interpreters() -> dict[str, str]:
    """The CPythons of this machine, by version: pyenv's, and what is on PATH; debug builds with `d` behind it."""
    places = [*glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin")), *os.environ["PATH"].split(":")]
    tell = "import sys; print('%d.%d.%d' % sys.version_info[:3] + sys.abiflags)"
    names = [f"python3.{minor}{kind}" for kind in ("", "-dbg", "t") for minor in range(8, 15)]
    found: dict[str, str] = {}
    for path in (f"{place}/{name}" for place in places for name in names):
        if os.path.isfile(path) and not path.startswith(os.path.expanduser("~/.pyenv/shims")):
            told = subprocess.run([path, "-c", tell], capture_output=True, text=True)
            if told.returncode == 0:
                found.setdefault(told.stdout.strip(), path)
    return dict(sorted(found.items()))


@functools.cache
def build(interpreter: str) -> str:
    """Where an interpreter is, and how it was built."""
    tell = "import sys; print('shared' if 'libpython' in open('/proc/self/maps').read() else 'static', sys.abiflags)"
    where, _, flags = subprocess.run([interpreter, "-c", tell], capture_output=True, text=True, check=True).stdout.strip().partition(" ")
    kinds = {"d": "debug", "t": "free-threaded"}
    return ", ".join([f"{where} libpython", *(kinds[flag] for flag in flags)])


# Only what the standard library has: a loop with a task per connection, and threads.
STANDARD = {
    "parents_streams.py": ["/async/call", "/async/later", "/async/task", "/async/gathered", "/async/executor"],
    "parents_stdlib.py": ["/def/call", "/def/submit", "/def/thread"],
}


def start_standard(launcher: Launcher, upstream: str, program: str, version: str) -> Program:
    return launcher.start(interpreters()[version], PROGRAMS / program, port=free_port(), env={"UPSTREAM": upstream})


KINDS = {
    **dict.fromkeys(["call", "sync_httpx", "sync_urllib3", "sync_urllib"], IMMEDIATE),
    "later": LATER,
    **dict.fromkeys(["task", "gathered", "to_thread", "executor", "submit", "mapped", "thread", "subclass", "timer", "handed_over",
                     "spawn", "queued"], HAND_OFF),
}
SOFTWARE = {
    "uvicorn-asyncio": ("FastAPI on asyncio; httpx, requests, urllib3, urllib", ["fastapi", "uvicorn", "httpx", "requests", "urllib3"]),
    "uvicorn-uvloop": ("FastAPI on uvloop; httpx, requests", ["fastapi", "uvicorn", "uvloop"]),
    "hypercorn": ("FastAPI; httpx, requests", ["hypercorn"]),
    "hypercorn-trio": ("FastAPI on trio; requests", ["hypercorn", "trio"]),
    "aiohttp": ("aiohttp on both sides; requests in threads", ["aiohttp"]),
    "streams": ("asyncio streams on both sides", []),
    "trio": ("trio; httpx", ["trio"]),
    "django": ("Django runserver; httpx, requests", ["django"]),
    "django-uvicorn": ("Django ASGI; httpx, requests", ["django", "uvicorn"]),
    "django-hypercorn": ("Django ASGI; httpx, requests", ["django", "hypercorn"]),
    "flask": ("Flask, a thread a request; requests, httpx, urllib3, urllib", ["flask"]),
    "gunicorn-sync": ("Flask, gunicorn sync; requests", ["flask", "gunicorn"]),
    "gunicorn-gthread": ("Flask, gunicorn gthread; requests", ["flask", "gunicorn"]),
    "gunicorn-gevent": ("Flask, gunicorn gevent; requests", ["gunicorn", "gevent"]),
    "eventlet": ("Flask, eventlet; requests", ["eventlet"]),
}


def software(name: str) -> str:
    text, names = SOFTWARE[name]
    return f"{text} ({packages(*names)})" if names else text


def scenarios() -> list[Scenario]:
    version = f"{output(PYTHON, '--version')} ({build(PYTHON)})"
    plain, secure, standard = [], [], []
    for name, paths in WAYS.items():
        asked = [*paths, QUEUED] if name == "gunicorn-gthread" else paths
        plain.append(Scenario(
            "CPython", name, version, software(name), lambda stage, name=name: start(stage.launcher, name, stage.upstream.url),
            ways(asked, KINDS), keep=name not in CLOSING, many=name in MANY,
        ))
    for name, paths in SECURE.items():
        secure.append(Scenario(
            "CPython", f"{name}-tls", version, f"{software(name)}, TLS",
            lambda stage, name=name: start_secure(stage.launcher, name, stage.upstream.url), ways(paths, KINDS), secure=True,
        ))
    for version, interpreter in interpreters().items():
        for program, paths in STANDARD.items():
            what = "asyncio streams" if "streams" in program else "http.server, a thread a connection; urllib"

            def run(stage: Stage, program: str = program, version: str = version) -> Program:
                return start_standard(stage.launcher, stage.upstream.url, program, version)

            standard.append(Scenario("CPython", f"{version}-{program.split('_')[1][:-3]}",
                                     f"{version.rstrip('dt')} ({build(interpreter)})", what, run, ways(paths, KINDS)))
    return plain + secure + standard
