"""CPython: whatever hands the work on, a call is under the request that it belongs to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import client
from harness.apps import GUNICORN
from harness.parents import AT_ONCE, Counts, count_parents, fire
from harness.ports import free_port
from harness.processes import CACHE, PYTHON, Launcher, Program
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


@pytest.mark.parametrize("name", SECURE)
def test_every_parent_over_tls(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, name: str) -> None:
    """Both sides: what is read and written in memory is found by the session."""
    made = certificates()
    env = {**made.env, "TLS_CERT": str(made.cert), "TLS_KEY": str(made.key)}
    options = [word.format(cert=made.cert, key=made.key) for word in OPTIONS.get(name.split("-")[0], [])]
    program = start(launcher, name, tls_upstream.url, env=env, options=options)
    counts = {way: fire(receiver, program.port, way, rounds=ROUNDS, secure=True) for way in SECURE[name]}
    assert counts == dict.fromkeys(counts, Counts(ALL, 0, 0))


@pytest.mark.parametrize("name", ["uvicorn-asyncio", "uvicorn-uvloop", "hypercorn", "aiohttp", "streams", "trio"])
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
    assert fire(receiver, program.port, "/def/outliving") == Counts(0, 0, ALL)


def test_background_tasks(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Starlette runs them when the response is out: the request is over."""
    program = start(launcher, "uvicorn-asyncio", upstream.url)
    assert fire(receiver, program.port, "/background").wrong == 0


def test_a_worker_with_a_queue_is_not_guessed(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start(launcher, "gunicorn-gthread", upstream.url)
    assert fire(receiver, program.port, "/def/queued") == Counts(0, 0, ALL)
    assert fire(receiver, program.port, "/def/handed_over") == Counts(ALL, 0, 0)


@pytest.mark.parametrize("name", ["gunicorn-gthread", "uvicorn-asyncio", "uvicorn-uvloop", "aiohttp", "streams"])
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
    """uvloop's connections share one context, so that a connection's own task cannot be told."""
    program = start(launcher, "aiohttp", upstream.url, env={"LOOP": "uvloop"})
    assert fire(receiver, program.port, "/async/later").wrong == 0


@pytest.mark.parametrize("switch", ["ASYNCIO", "PYTHON"])
def test_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream, switch: str) -> None:
    """Without the bridge an event loop's calls have no parent where several requests are open."""
    program = start(launcher, "aiohttp", upstream.url, env={f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false"})
    fire(receiver, program.port, "/async/call")  # evidence of an event loop
    assert fire(receiver, program.port, "/async/later").right < ALL


def test_threads_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    program = start(launcher, "uvicorn-asyncio", upstream.url, env={"OTEL_INSTRUMENTATION_THREADING_ENABLED": "false"})
    assert fire(receiver, program.port, "/def/submit") == Counts(0, 0, ALL)
    assert fire(receiver, program.port, "/def/later") == Counts(ALL, 0, 0)
