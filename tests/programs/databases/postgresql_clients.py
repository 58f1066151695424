"""Clients of PostgreSQL: one after the other says the same things in its own way. Prints what it got."""

from __future__ import annotations

import asyncio
import json
import os
import sys

URL = os.environ["DATABASE_URL"]
OUT: list = []


def say(what: object) -> None:
    OUT.append(what)


def psycopg2() -> None:
    import psycopg2
    import psycopg2.extras

    connection = psycopg2.connect(URL)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE people (id int PRIMARY KEY, name text)")
    psycopg2.extras.execute_values(cursor, "INSERT INTO people VALUES %s", [(1, "Ann"), (2, "canary' --")])
    connection.commit()
    cursor.execute("SELECT id, name FROM people WHERE id > %s ORDER BY id", (0,))
    say(cursor.fetchall())
    connection.commit()
    try:
        cursor.execute("SELECT nope FROM people")
    except psycopg2.Error as error:
        say(error.pgcode)
    connection.rollback()
    with connection.cursor(name="portal") as named:
        named.itersize = 1
        named.execute("SELECT id FROM people ORDER BY id")
        say(list(named))
    connection.commit()
    connection.close()


def psycopg() -> None:
    import psycopg

    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE people (id int PRIMARY KEY, name text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO people VALUES (%s, %s)", [(1, "Ann"), (2, "canary' --"), (3, "Cid")])
        for _ in range(2):
            say(connection.execute("SELECT name FROM people WHERE id = %s", (1,), prepare=True).fetchall())
        try:
            connection.execute("SELECT nope FROM people WHERE id = %s", (1,))
        except psycopg.Error as error:
            say(error.sqlstate)
        with connection.transaction():
            connection.execute("UPDATE people SET name = %s WHERE id = 1 RETURNING name", ("Bob",))
        with connection.cursor() as cursor:
            with cursor.copy("COPY people FROM STDIN") as copy:
                copy.write_row((4, "canary"))
            with cursor.copy("COPY people TO STDOUT") as copy:
                say(len(list(copy.rows())))
        with psycopg.ServerCursor(connection, "portal", withhold=True) as cursor:
            cursor.execute("SELECT id FROM people ORDER BY id")
            say(cursor.fetchmany(2))


def pipeline() -> None:
    import psycopg

    with psycopg.connect(URL, autocommit=True) as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute(f"SELECT {n} AS q{n} WHERE %s = 1", (1,)) for n in range(3)]
            pipeline.sync()
            say([cursor.fetchone() for cursor in cursors])
        try:
            with connection.pipeline():
                connection.execute("SELECT 1 AS a")
                connection.execute("SELECT 1 / %s AS b", (0,))
                connection.execute("SELECT 2 AS c")
        except psycopg.Error as error:
            say(error.sqlstate)
        say(connection.execute("SELECT 3 AS d").fetchone())


async def psycopg_async() -> None:
    import psycopg

    async with await psycopg.AsyncConnection.connect(URL, autocommit=True) as connection:
        cursor = await connection.execute("SELECT %s::int AS one", (1,))
        say(await cursor.fetchall())
        await connection.execute("LISTEN news")
        await connection.execute("NOTIFY news, 'canary'")
        async for news in connection.notifies(stop_after=1, timeout=5):
            say(news.channel)


async def asyncpg() -> None:
    import asyncpg

    connection = await asyncpg.connect(URL)
    await connection.execute("CREATE TEMP TABLE people (id int PRIMARY KEY, name text)")
    await connection.executemany("INSERT INTO people VALUES ($1, $2)", [(1, "Ann"), (2, "canary"), (3, "Cid")])
    for _ in range(2):
        say([tuple(row) for row in await connection.fetch("SELECT name FROM people WHERE id = $1", 1)])
    for statement in ("SELEC 'canary'", "SELECT 1 / (id - 1) FROM people"):
        try:
            await connection.fetch(statement)
        except asyncpg.PostgresError as error:
            say(error.sqlstate)
    async with connection.transaction():
        say([row["id"] async for row in connection.cursor("SELECT id FROM people ORDER BY id", prefetch=2)])
    await connection.copy_records_to_table("people", records=[(4, "canary")])
    await connection.close()


def sqlalchemy() -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"), pool_size=1, max_overflow=0)
    for number in range(2):
        with engine.begin() as connection:
            say([tuple(row) for row in connection.execute(text("SELECT :n AS n"), {"n": number})])
    engine.dispose()


for name in sys.argv[1:]:
    client = globals()[name]
    if asyncio.iscoroutinefunction(client):
        asyncio.run(client())
    else:
        client()
print(json.dumps(OUT))
