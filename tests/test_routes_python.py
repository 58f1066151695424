"""`http.route` as the frameworks' own routers matched it: each span has its own request's, or none."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import client
from harness.apps import GUNICORN
from harness.ports import free_port
from harness.processes import CACHE, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.spans import Span

PROGRAMS = Path(__file__).parent / "programs"
HYPERCORN = str(CACHE / "venv/bin/hypercorn")
ROUNDS = len(rounds(few=1, all=10))
AT_ONCE = 20
ONLY_MATCHED = {"OTEL_RUN_HTTP_ROUTE_HEURISTIC": "false"}


def uvicorn(app: str, loop: str) -> list[str]:
    return [PYTHON, "-m", "uvicorn", app, "--port", "{port}", "--log-level", "critical", "--loop", loop]


def gunicorn(app: str, *options: str) -> list[str]:
    return [GUNICORN, app, "-b", "127.0.0.1:{port}", *options]


SERVERS: dict[str, list[str]] = {
    "flask": [PYTHON, str(PROGRAMS / "routes_flask.py")],
    "flask-gunicorn-sync": gunicorn("routes_flask:app", "-w", "4"),
    "flask-gunicorn-gthread": gunicorn("routes_flask:app", "-w", "2", "-k", "gthread", "--threads", "20"),
    "flask-gunicorn-preloaded": gunicorn("routes_flask:app", "-w", "2", "-k", "gthread", "--threads", "20", "--preload"),
    "flask-gunicorn-gevent": gunicorn("routes_flask:app", "-k", "gevent"),
    "django": [PYTHON, str(PROGRAMS / "routes_django.py"), "runserver", "127.0.0.1:{port}"],
    "django-gunicorn-gthread": gunicorn("routes_django:wsgi", "-k", "gthread", "--threads", "20"),
    "django-uvicorn": uvicorn("routes_django:app", "asyncio"),
    "django-hypercorn": [HYPERCORN, "routes_django:app", "-b", "127.0.0.1:{port}"],
    "fastapi-uvicorn-asyncio": uvicorn("routes_asgi:app", "asyncio"),
    "fastapi-uvicorn-uvloop": uvicorn("routes_asgi:app", "uvloop"),
    "fastapi-hypercorn": [HYPERCORN, "routes_asgi:app", "-b", "127.0.0.1:{port}"],
    "fastapi-hypercorn-trio": [HYPERCORN, "-k", "trio", "routes_asgi:app", "-b", "127.0.0.1:{port}"],
    "starlette-uvicorn-asyncio": uvicorn("routes_asgi:plain", "asyncio"),
    "starlette-uvicorn-uvloop": uvicorn("routes_asgi:plain", "uvloop"),
    "aiohttp": [PYTHON, str(PROGRAMS / "routes_aiohttp.py")],
}
ITEM = "11111111-2222-3333-4444-555555555555"
# What is asked for, the status, and the route.
ROUTES: dict[str, list[tuple[str, int, str | None]]] = {
    "flask": [
        ("/", 200, "/"),
        ("/user/7", 200, "/user/<int:id>"),
        ("/user/8", 200, "/user/<int:id>"),
        ("/file/a/b.txt", 200, "/file/<path:name>"),
        (f"/acme/orders/items/{ITEM}", 200, "/<tenant>/orders/items/<uuid:item>"),
        ("/raise/it", 500, "/raise/<what>"),
        ("/user/nobody", 404, None),
        ("/" + "long/" * 60 + "end", 200, None),  # longer than what is kept
    ],
    "django": [
        ("/user/7/", 200, "user/<int:id>/"),
        ("/async/7/", 200, "async/<int:id>/"),
        ("/page/12", 200, r"^page/(?P<page>\d+)$"),
        ("/orders/3/items/blue-shoe/", 200, "orders/<int:order>/items/<slug:item>/"),
        ("/raise/it", 500, "raise/<what>"),
        ("/user/nobody/", 404, None),
    ],
    "fastapi": [
        ("/", 200, "/"),
        ("/user/7", 200, "/user/{id}"),
        ("/thread/7", 200, "/thread/{id}"),
        ("/thread/nobody", 422, "/thread/{id}"),
        ("/v1/orders/3", 200, "/v1/orders/{order}"),
        ("/v1/orders/3/items/4", 200, "/v1/orders/{order}/items/{item}"),
        ("/sub/item/4", 200, "/sub/item/{item}"),
        ("/plain/shop/orders/5", 200, "/plain/shop/orders/{order}"),
        ("/raise/it", 500, "/raise/{what}"),
        ("/nowhere", 404, None),
        ("/sub/nowhere", 404, None),
    ],
    "starlette": [
        ("/", 200, "/"),
        ("/user/7", 200, "/user/{id:int}"),
        ("/raise/it", 500, "/raise/{what}"),
        ("/shop/orders/5", 200, "/shop/orders/{order}"),
        ("/of/acme/item/4", 200, None),  # the mount's own template is not known any more
        ("/user/nobody", 404, None),
    ],
    "aiohttp": [
        ("/", 200, "/"),
        ("/user/7", 200, "/user/{id}"),
        ("/page/12", 200, r"/page/{page}"),
        ("/orders/3/items/4", 200, "/orders/{order}/items/{item}"),
        ("/raise/it", 500, "/raise/{what}"),
        ("/nowhere", 404, None),
        ("/orders/nowhere", 404, None),
    ],
}


def start(launcher: Launcher, name: str, **more: Any) -> Program:
    port = free_port()
    env = {"PYTHONPATH": str(PROGRAMS), **ONLY_MATCHED, **more.pop("env", {})}
    return launcher.start(*(word.format(port=port) for word in SERVERS[name]), port=port, env=env, **more)


def told(receiver: Receiver, count: int) -> dict[str, tuple[str, str | None]]:
    """Name and route of each span, by the id in its URL."""
    spans = [span for span in receiver.wait_for(count) if span.kind == "SERVER"]
    return {span.attributes["url.query"].split("id=")[1]: (span.name, span.attributes.get("http.route")) for span in spans}


def expected(route: str | None, method: str = "GET") -> tuple[str, str | None]:
    return (f"{method} {route}" if route else method), route


@pytest.mark.parametrize("name", SERVERS)
def test_every_route(launcher: Launcher, receiver: Receiver, name: str) -> None:
    """20 clients at once, each keeps its connection where the server does; their requests are different ones at any moment."""
    program = start(launcher, name)
    routes = ROUTES[name.split("-")[0]]
    wanted = {}

    def one(number: int) -> dict[str, tuple[str, str | None]]:
        mine = {}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", program.port, timeout=30)) as connection:
            for turn in range(ROUNDS * len(routes)):
                path, status, route = routes[(number + turn) % len(routes)]
                own = f"{number}.{turn}"
                connection.request("GET", f"{path}?delay={20 * (number % 3)}&id={own}")
                reply = connection.getresponse()
                reply.read()
                assert reply.status == status, path
                mine[own] = expected(route)
        return mine

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mine in pool.map(one, range(AT_ONCE)):
            wanted |= mine
    assert told(receiver, len(wanted)) == wanted
