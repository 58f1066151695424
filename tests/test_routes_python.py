"""`http.route` as the frameworks' own routers matched it: each span has its own request's, or none."""

from __future__ import annotations

import ast
import contextlib
import http.client
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import client, tls
from harness.apps import GUNICORN
from harness.ports import free_port
from harness.processes import CACHE, COMMAND, NONE, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.spans import Span
from harness.tls import certificates

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
    "aiohttp-uvloop": [PYTHON, str(PROGRAMS / "routes_aiohttp.py")],
}
ENV = {"aiohttp-uvloop": {"LOOP": "uvloop"}}
ITEM = "11111111-2222-3333-4444-555555555555"
# What is asked for, the status, and the route.
ROUTES: dict[str, list[tuple[str, int, str | None]]] = {
    "flask": [
        ("/", 200, "/"),
        ("/user/7", 200, "/user/<int:id>"),
        ("/user/8", 200, "/user/<int:id>"),
        ("/file/a/b.txt", 200, "/file/<path:name>"),
        (f"/acme/orders/items/{ITEM}", 200, "/<tenant>/orders/items/<uuid:item>"),
        ("/inner/7", 200, "/inner/<int:id>"),  # asks the application itself for /user/7
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
    env = {"PYTHONPATH": str(PROGRAMS), **ONLY_MATCHED, **ENV.get(name, {}), **more.pop("env", {})}
    words = [word.format(port=port) for word in SERVERS[name]] + [str(word) for word in more.pop("options", [])]
    return launcher.start(*words, port=port, env=env, **more)


def told(receiver: Receiver, count: int) -> dict[str, tuple[str, str | None]]:
    """Name and route of each span, by the id in its URL."""
    spans = served(receiver.wait_for(lambda spans: len(served(spans)) >= count))
    return {span.attributes["url.query"].split("id=")[1]: (span.name, span.attributes.get("http.route")) for span in spans}


def served(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.kind == "SERVER"]


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
                # A connection on which a handler has failed may be closed unannounced.
                headers = {"Connection": "close"} if status == 500 else {}
                connection.request("GET", f"{path}?delay={20 * (number % 3)}&id={own}", headers=headers)
                reply = connection.getresponse()
                reply.read()
                assert reply.status == status, path
                mine[own] = expected(route)
        return mine

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mine in pool.map(one, range(AT_ONCE)):
            wanted |= mine
    assert told(receiver, len(wanted)) == wanted


@pytest.mark.parametrize("name", ["flask-gunicorn-gthread", "fastapi-uvicorn-asyncio", "fastapi-uvicorn-uvloop"])
def test_over_tls(launcher: Launcher, receiver: Receiver, name: str) -> None:
    made = certificates()
    options = ["certfile", "keyfile"] if "gunicorn" in name else ["ssl-certfile", "ssl-keyfile"]
    program = start(launcher, name, env=made.env, options=[f"--{options[0]}", made.cert, f"--{options[1]}", made.key])
    with tls.Connection(program.port) as connection:
        for number in range(5):
            connection.exchange(f"/user/{number}?id={number}")
    route = "/user/<int:id>" if "flask" in name else "/user/{id}"
    assert told(receiver, 5) == {str(number): expected(route) for number in range(5)}


@pytest.mark.parametrize("name", ["flask-gunicorn-gthread", "fastapi-uvicorn-asyncio", "fastapi-uvicorn-uvloop", "aiohttp", "aiohttp-uvloop"])
def test_pipelined_requests(launcher: Launcher, receiver: Receiver, name: str) -> None:
    """Heads in one read: whose turn it is is not always known, so that some have none."""
    program = start(launcher, name)
    paths = ["/user/7", "/", "/user/8"]
    with client.Raw(program.port) as raw:
        raw.send(b"".join(f"GET {path}?delay=20&id={turn} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for turn, path in enumerate(paths)))
        for _ in paths:
            raw.response()
    user = "/user/<int:id>" if "flask" in name else "/user/{id}"
    routes = {own: route for own, (_, route) in told(receiver, 3).items()}
    assert routes["0"] == user
    assert routes["1"] in ("/", None) and routes["2"] in (user, None)


def test_methods(launcher: Launcher, receiver: Receiver) -> None:
    """A method that the route has not: Flask has matched none then, Starlette has."""
    wanted = {}
    for name, route, refused in [
        ("flask-gunicorn-gthread", "/user/<int:id>", None),
        ("starlette-uvicorn-asyncio", "/user/{id:int}", "/user/{id:int}"),
    ]:
        program = start(launcher, name)
        for method, status, known in [("POST", 200, route), ("HEAD", 200, route), ("DELETE", 405, refused)]:
            own = f"{name}-{method}"
            assert client.get(program.port, f"/user/7?id={own}", method=method).status == status
            wanted[own] = expected(known, method)
    assert told(receiver, len(wanted)) == wanted


def test_a_websocket(launcher: Launcher, receiver: Receiver) -> None:
    program = start(launcher, "fastapi-hypercorn")
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    with client.Raw(program.port) as raw:
        raw.send(f"GET /plain/chat/7?id=7 HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n".encode())
        assert b" 101 " in raw.response(head_only=True)
    assert told(receiver, 1) == {"7": expected("/plain/chat/{room}")}


def test_a_framework_that_is_imported_late(launcher: Launcher, receiver: Receiver) -> None:
    """It is wrapped when the next request is read after that."""
    SERVERS["late"] = gunicorn("routes_flask:late", "-k", "gthread")
    program = start(launcher, "late", env={"LATE": "1"})
    for number in range(3):
        assert client.get(program.port, f"/user/7?id={number}").status == 200
    wanted = expected("/user/<int:id>")
    assert told(receiver, 3) == {"0": expected(None), "1": wanted, "2": wanted}


def test_templates_come_first_and_the_heuristic_last(launcher: Launcher, receiver: Receiver) -> None:
    env = {"OTEL_RUN_HTTP_ROUTES": "/user/{who}", "OTEL_RUN_HTTP_ROUTE_HEURISTIC": "true"}
    program = start(launcher, "flask-gunicorn-gthread", env=env)
    for path in ("/user/7?id=a", "/file/7?id=b", "/nowhere/7?id=c"):
        client.get(program.port, path)
    assert told(receiver, 3) == {
        "a": expected("/user/{who}"),
        "b": expected("/file/<path:name>"),
        "c": expected("/nowhere/{id}"),
    }


SWITCHES = [
    ("flask-gunicorn-gthread", "/user/7", "FLASK", False),
    ("flask-gunicorn-gthread", "/user/7", "PYTHON", False),
    ("flask-gunicorn-gthread", "/user/7", "DJANGO", True),
    ("django-gunicorn-gthread", "/user/7/", "DJANGO", False),
    ("fastapi-uvicorn-asyncio", "/user/7", "FASTAPI", False),
    ("starlette-uvicorn-asyncio", "/user/7", "STARLETTE", False),
    ("aiohttp", "/user/7", "AIOHTTP_SERVER", False),
]


@pytest.mark.parametrize("name, path, switch, known", SWITCHES)
def test_switched_off(launcher: Launcher, receiver: Receiver, name: str, path: str, switch: str, known: bool) -> None:
    """By the framework's name. Alone it turns all SERVER spans off, so these are asked for here."""
    env = {f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false", "OTEL_INSTRUMENTATION_HTTP_SERVER_ENABLED": "true"}
    program = start(launcher, name, env=env)
    assert client.get(program.port, f"{path}?id=7").status == 200
    [(_, route)] = told(receiver, 1).values()
    assert bool(route) == known


# What a program can find out about the functions that are wrapped, and what its own code sees around it.
CURIOUS = """
import asyncio, inspect, os, pickle, sys, threading, traceback
import aiohttp.web_urldispatcher, django.core.handlers.base, fastapi.routing, flask, flask.ctx, starlette.routing
app = flask.Flask(__name__)
class Mine(flask.ctx.RequestContext):
    def match_request(self):
        self.seen = True
        super().match_request()
app.request_context = lambda environ: Mine(app, environ)
@app.get("/stack/<what>")
def stack(what):
    return repr([frame.filename for frame in traceback.extract_stack()])
@app.get("/raise/<what>")
def fail(what):
    raise ValueError(what)
@app.errorhandler(ValueError)
def failed(error):
    return repr([frame.filename for frame in traceback.extract_tb(error.__traceback__)])
@app.get("/look/<what>")
def look(what):
    found = []
    for owner, name in [
        (flask.ctx.RequestContext, "match_request"), (django.core.handlers.base.BaseHandler, "resolve_request"),
        (aiohttp.web_urldispatcher.UrlDispatcher, "resolve"), (fastapi.routing.APIRoute, "handle"),
        (starlette.routing.Route, "handle"), (starlette.routing.WebSocketRoute, "handle"),
    ]:
        f = getattr(owner, name)
        found.append((f.__name__, f.__qualname__, f.__module__, f.__doc__, list(inspect.signature(f).parameters), type(f).__name__,
            sorted(f.__annotations__), sys.version_info < (3, 12) or inspect.iscoroutinefunction(f), asyncio.iscoroutinefunction(f), inspect.getsource(f),
            pickle.loads(pickle.dumps(f)) is f, sorted(vars(owner))))
    import builtins
    found.append((sorted(vars(builtins)), sorted(name for name in sys.modules if name != "contextvars")))
    return repr(found)
app.run("127.0.0.1", int(os.environ["PORT"]))
"""


def test_the_program_finds_nothing_changed(launcher: Launcher, receiver: Receiver) -> None:
    answers = {}
    for how in (NONE, COMMAND):
        port = free_port()
        env = {"OTEL_RUN_HTTP_ROUTE_HEURISTIC": "false"}
        program = launcher.start(PYTHON, "-c", CURIOUS, port=port, env=env, how=how)
        answers[how] = [ast.literal_eval(client.get(port, f"/{what}/7?id={what}").body.decode()) for what in ("stack", "raise", "look")]
        assert b"otel-run" not in program.err
    assert answers[COMMAND] == answers[NONE]
    assert told(receiver, 3) == {what: expected(f"/{what}/<what>") for what in ("stack", "raise", "look")}


# What stands in the place of the framework's module or of what is read there, and whether a route is known then.
STRANGE = {
    "nothing": ("", True),
    "no specification": ("del flask.ctx.__spec__", True),
    "no class": ("flask.ctx.RequestContext = None", False),
    "no function": ("flask.ctx.RequestContext = type('RequestContext', (flask.ctx.RequestContext,), {})", False),
    "no module": ("sys.modules['flask.ctx'] = None", False),
    "something else": ("sys.modules['flask.ctx'] = types.SimpleNamespace()", False),
    "a route that is no string": ("werkzeug.routing.Rule.rule = property(lambda self: 7)", False),
    "a route that is no text": ("werkzeug.routing.Rule.rule = property(lambda self: '\\udc80')", False),
    "a route that raises": ("werkzeug.routing.Rule.rule = property(lambda self: 1 / 0)", False),
}
STRANGER = """
import os, sys, types, wsgiref.simple_server, flask, flask.ctx, werkzeug.routing
context = flask.ctx.RequestContext
app = flask.Flask(__name__)
app.add_url_rule("/", "index", lambda: "")
def application(environ, start_response):
    with context(app, environ):
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]
wsgiref.simple_server.WSGIRequestHandler.log_message = lambda *_: None
{0}
wsgiref.simple_server.make_server("127.0.0.1", int(os.environ["PORT"]), application).serve_forever()
"""


@pytest.mark.parametrize("what", STRANGE)
def test_a_framework_that_is_another(launcher: Launcher, receiver: Receiver, what: str) -> None:
    """The program works as it does, without a route where none can be read; nothing is said."""
    line, known = STRANGE[what]
    port = free_port()
    program = launcher.start(PYTHON, "-c", STRANGER.format(line), port=port, env=ONLY_MATCHED)
    for number in range(2):
        assert client.get(port, f"/?id={number}").body == b"done"
    wanted = expected("/" if known else None)
    assert told(receiver, 2) == {"0": wanted, "1": wanted}
    assert program.out + program.err == b""


def test_a_router_that_raises(launcher: Launcher, receiver: Receiver) -> None:
    """The program's exception is the program's, also where its class comes before ours."""
    text = "import os, runpy, flask.ctx\ndef broken(self): raise KeyError('broken')\nflask.ctx.RequestContext.match_request = broken\n" \
           f"runpy.run_path({str(PROGRAMS / 'routes_flask.py')!r}, run_name='__main__')"
    port = free_port()
    program = launcher.start(PYTHON, "-c", text, port=port, env=ONLY_MATCHED)
    assert client.get(port, "/user/7?id=7").status == 500
    assert told(receiver, 1) == {"7": expected(None)}
    assert b"KeyError: 'broken'" in program.err


SDK = """
import os, runpy, sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
import flask
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("sdk")
dispatch = flask.Flask.dispatch_request
def traced(self):
    with tracer.start_as_current_span(flask.request.url_rule.rule):
        return dispatch(self)
flask.Flask.dispatch_request = traced
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("coexist, ours", [("auto", "0"), ("always", "0123")])
def test_beside_an_sdk(launcher: Launcher, receiver: Receiver, coexist: str, ours: str) -> None:
    """Its first export makes our spans step aside."""
    port = free_port()
    env = {"OTEL_RUN_COEXIST": coexist, **ONLY_MATCHED}
    program = launcher.start(PYTHON, "-c", SDK, PROGRAMS / "routes_flask.py", port=port, env=env)
    for number in range(4):
        assert client.get(port, f"/user/{number}?id={number}").status == 200
    program.stop(signal.SIGINT)  # an orderly end, at which all that is finished is exported
    assert told(receiver, len(ours)) == dict.fromkeys(ours, expected("/user/<int:id>"))
    assert [span.name for span in receiver.spans if span.scope == "sdk"] == ["/user/<int:id>"] * 4
