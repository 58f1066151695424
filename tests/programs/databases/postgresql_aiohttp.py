"""aiohttp: /WAY?id=N&delay=MS runs `SELECT .. AS qN` on a connection of a pool of four. With LOOP=uvloop on that."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import psycopg
from aiohttp import web

URL = os.environ["DATABASE_URL"]


async def by_asyncpg(app: web.Application, statement: str, delay: float) -> int:
    async with app["pool"].acquire() as connection:
        return await connection.fetchval(f"{statement} pg_sleep($1)", delay)


async def by_psycopg(app: web.Application, statement: str, delay: float) -> int:
    connection = await app["connections"].get()
    try:
        connection = connection or await psycopg.AsyncConnection.connect(URL, autocommit=True)
        return (await (await connection.execute(f"{statement} pg_sleep(%s)", (delay,))).fetchone())[0]
    finally:
        app["connections"].put_nowait(connection)


WAYS = {"asyncpg": by_asyncpg, "psycopg": by_psycopg}


async def query(request: web.Request) -> web.Response:
    number, delay = int(request.query["id"]), int(request.query.get("delay", 0)) / 1000
    statement = f"SELECT {number} AS q{number} FROM"
    return web.Response(text=str(await WAYS[request.match_info["way"]](request.app, statement, delay)))


async def pools(app: web.Application):
    app["connections"] = asyncio.Queue()
    for _ in range(4):
        app["connections"].put_nowait(None)
    async with asyncpg.create_pool(URL, min_size=0, max_size=4) as app["pool"]:
        yield


app = web.Application()
app.cleanup_ctx.append(pools)
app.add_routes([web.get("/{way}", query)])
if os.environ.get("LOOP") == "uvloop":
    import uvloop

    uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
