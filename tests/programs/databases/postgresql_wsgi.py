"""Flask on threads: /WAY?id=N&delay=MS runs `SELECT .. AS qN` on a connection of a pool of four."""

from __future__ import annotations

import os
import queue

import psycopg
from flask import Flask, request
from sqlalchemy import create_engine, text

URL = os.environ["DATABASE_URL"]
app = Flask(__name__)
ENGINES = {
    name: create_engine(URL.replace("postgresql://", f"postgresql+{name}://"), pool_size=4, max_overflow=0)
    for name in ("psycopg2", "psycopg")
}
POOL: queue.Queue = queue.Queue()
for _ in range(4):
    POOL.put(None)


def prepared(statement: str, delay: float) -> int:
    """Connections are made when they are first wanted."""
    connection = POOL.get()
    try:
        connection = connection or psycopg.connect(URL, autocommit=True)
        return connection.execute(statement.replace(":delay", "%s"), (delay,), prepare=True).fetchone()[0]
    finally:
        POOL.put(connection)


@app.get("/<way>")
def query(way: str) -> str:
    number, delay = int(request.args["id"]), int(request.args.get("delay", 0)) / 1000
    statement = f"SELECT {number} AS q{number} FROM pg_sleep(:delay)"
    if way == "prepared":
        return str(prepared(statement, delay))
    with ENGINES[way].begin() as connection:
        return str(connection.execute(text(statement), {"delay": delay}).scalar_one())
