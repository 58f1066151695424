"""Flask: /def/WAY?id=.. works as parents_work.py says. With gunicorn's workers; `python parents_wsgi.py` is the development
server; with EVENTLET set, eventlet's server; /spawn?id=.. starts a greenlet."""

import os
import sys

if os.environ.get("EVENTLET"):
    import eventlet

    eventlet.monkey_patch()

from flask import Flask, request  # noqa: E402
from parents_work import BLOCKING, later  # noqa: E402

app = Flask(__name__)


@app.get("/def/<way>")
def fetch(way: str) -> str:
    BLOCKING[way](request.query_string.decode())
    return way


@app.get("/spawn")
def spawn() -> str:
    query = request.query_string.decode()
    if "eventlet" in sys.modules:
        sys.modules["eventlet"].spawn(later, query).wait()
    else:
        import gevent

        gevent.spawn(later, query).get()
    return "spawn"


@app.get("/<path:rest>")
def other(rest: str) -> str:
    return rest


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    if "eventlet" in sys.modules:
        import eventlet.wsgi

        eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), app, log_output=False)
    else:
        app.run("127.0.0.1", port)
