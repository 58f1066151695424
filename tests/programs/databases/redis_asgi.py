"""The same for asyncio: GET /get?id=7 and /gathered?id=7 (two commands at once)."""

import asyncio
import os

import redis.asyncio as redis

POOL = redis.BlockingConnectionPool(max_connections=4, timeout=30, port=int(os.environ["REDIS_PORT"]))
store = redis.Redis(connection_pool=POOL)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
    key = f"q{query['id']}"
    if scope["path"] == "/gathered":
        await asyncio.gather(store.get(key), store.get(key))
    else:
        await asyncio.sleep(int(query["delay"]) / 1000)
        await store.get(key)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
