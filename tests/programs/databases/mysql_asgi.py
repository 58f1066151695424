"""The same for asyncio, with DRIVER aiomysql or asyncmy: GET /get?id=7 (the driver's own pool), /sqlalchemy?id=7 (SQLAlchemy's)."""

import asyncio
import importlib
import os

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

name = os.environ["DRIVER"]
driver = importlib.import_module(name)
PORT, PASSWORD = int(os.environ["MYSQL_PORT"]), os.environ["MYSQL_PASSWORD"]
where = URL.create(f"mysql+{name}", "native", PASSWORD, "127.0.0.1", PORT, "tests")
engine = create_async_engine(where, pool_size=4, max_overflow=0, pool_timeout=30)
pool = None
lock = asyncio.Lock()


async def own():
    global pool
    async with lock:
        if pool is None:
            pool = await driver.create_pool(minsize=0, maxsize=4, host="127.0.0.1", port=PORT, user="native", password=PASSWORD, db="tests")
    return pool


async def app(scope, receive, send):
    assert scope["type"] == "http"
    query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
    statement = f"SELECT SLEEP({int(query['delay']) / 1000}) AS q{query['id']}"
    if scope["path"] == "/sqlalchemy":
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    else:
        async with (await own()).acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(statement)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
