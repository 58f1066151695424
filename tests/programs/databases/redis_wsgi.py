"""GET /get?id=7: a command that names q7, by a connection of a pool of four that all requests share. /pop waits until there is
something in q7."""

import os

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

POOL = redis.BlockingConnectionPool(max_connections=4, timeout=30, port=int(os.environ["REDIS_PORT"]), retry=Retry(NoBackoff(), 1))
store = redis.Redis(connection_pool=POOL)


def app(environ, start_response):
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    if environ["PATH_INFO"] == "/pipeline":
        store.pipeline(transaction=False).get(f"q{query['id']}").get("other").execute()
    elif environ["PATH_INFO"] == "/pop":
        store.blpop(f"q{query['id']}")
    else:
        store.get(f"q{query['id']}")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
