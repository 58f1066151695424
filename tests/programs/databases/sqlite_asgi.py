"""aiosqlite: GET /own?id=7 opens a connection for each request, /early uses one that was opened before the first, /late one that
the first request opened. Each statement names q7."""

import asyncio
import os

import aiosqlite

FILE = os.environ["SQLITE_FILE"]
shared = {}
opening = asyncio.Lock()


async def ask(store, key):
    rows = await store.execute_fetchall(f"SELECT v AS {key} FROM t")
    assert len(rows) == 3


async def opened(name):
    async with opening:
        if name not in shared:
            shared[name] = await aiosqlite.connect(FILE)
    return shared[name]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await opened("/early")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for store in shared.values():
            await store.close()
        return await send({"type": "lifespan.shutdown.complete"})
    query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
    key = f"q{query['id']}"
    if scope["path"] == "/own":
        async with aiosqlite.connect(FILE) as store:
            await ask(store, key)
    else:
        store = await opened(scope["path"])
        await asyncio.sleep(int(query["delay"]) / 1000)
        await ask(store, key)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
