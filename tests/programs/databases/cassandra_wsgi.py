"""GET /get?id=7: a statement that names q7, by a session that all requests share; /two?id=7: two at once; /chained?id=7: one
when another is through, from the driver's own thread. The session is made
by the first request, as it must be where a server forks: so is the thread that writes for all. REACTOR: its kind."""

import os
import threading
from importlib import import_module

from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT

KINDS = {"libev": "libevreactor.LibevConnection", "asyncore": "asyncorereactor.AsyncoreConnection",
         "asyncio": "asyncioreactor.AsyncioConnection", "gevent": "geventreactor.GeventConnection"}
module, _, name = KINDS[os.environ.get("REACTOR", "libev")].partition(".")
connection = getattr(import_module(f"cassandra.io.{module}"), name)
lock = threading.Lock()
shared = []


def session():
    with lock:
        if not shared:
            profile = ExecutionProfile(request_timeout=20)
            all = Cluster(["127.0.0.1"], port=int(os.environ["CASSANDRA_PORT"]), protocol_version=5, connection_class=connection,
                          compression=False, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
            shared.append(all.connect("shop"))
        return shared[0]


def app(environ, start_response):
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    text = f"SELECT name AS q{query['id']} FROM items WHERE id = 1"
    if environ["PATH_INFO"] == "/two":
        for future in [session().execute_async(text), session().execute_async(text)]:
            future.result()
    elif environ["PATH_INFO"] == "/chained":
        done = threading.Event()
        over = {"callback": lambda _: done.set(), "errback": lambda _: done.set()}
        again = {**over, "callback": lambda _: shared[0].execute_async(text).add_callbacks(**over)}
        session().execute_async(text).add_callbacks(**again)
        done.wait(20)
    elif environ["PATH_INFO"] == "/prepared":
        session().execute(session().prepare(text.replace("= 1", "= ?")), (1,))
    else:
        session().execute(text)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
