"""GET /get?key=k: a command of a cluster's client, which all requests share and the first makes. REDIS_PORT is one of the nodes."""

import os

import redis

STORE = []


def app(environ, start_response):
    if not STORE:
        STORE.append(redis.RedisCluster("localhost", int(os.environ["REDIS_PORT"]), read_from_replicas="REPLICAS" in os.environ))
    STORE[0].get(environ["QUERY_STRING"].removeprefix("key="))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
