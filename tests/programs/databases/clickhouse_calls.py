"""Statements one after the other, each in another way: `clickhouse_calls.py WAY`. The server is at CLICKHOUSE_PORT."""

import os
import sys
import urllib.request

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

PORT = int(os.environ["CLICKHOUSE_PORT"])
COMPRESSION = os.environ.get("COMPRESSION") == "1"


def connect(**more):
    return Client(os.environ.get("CLICKHOUSE_HOST", "127.0.0.1"), port=PORT, **{"user": "tests", "compression": COMPRESSION, **more})


def create():
    for statement in ("CREATE DATABASE IF NOT EXISTS shop",
                      "CREATE TABLE IF NOT EXISTS shop.items (id UInt32, name String, note Nullable(String), tags Array(String))"
                      " ENGINE = MergeTree ORDER BY id"):
        connect().execute(statement)


def statements(**more):
    server = connect(database="shop", **more)
    print(server.execute("INSERT INTO items (id, name, note) VALUES", [(1, "canary", None), (2, "canary", "canary")]))
    print(server.execute("SELECT DISTINCT id, name, note FROM items WHERE name = 'canary' ORDER BY id LIMIT 2"))
    print(server.execute("SELECT toDate('2020-01-02'), toFixedString('abc', 3), 1.5, toDecimal64(2, 3), NULL"))
    print(server.execute("SELECT id FROM items WHERE name = %(name)s AND id > 5", {"name": "nobody"}))
    print(len(server.execute("SELECT number, toString(number) FROM system.numbers LIMIT 200000")))
    server.disconnect()


def arrays():
    """What is in the way of reading on: the end is when the answer's last bytes came."""
    server = connect(database="shop")
    print(server.execute("INSERT INTO items (id, name, tags) VALUES", [(3, "canary", ["canary"])]))
    print(server.execute("SELECT tags FROM items WHERE id = 3 LIMIT 1"))
    print(server.execute("SELECT 1"))
    print(server.execute("SELECT [1, 2]"))
    server.disconnect()


def errors():
    server = connect(database="shop")
    for statement in ("SELECT 'canary' FROM missing", "SELEC 'canary'", "SELECT throwIf(number = 3) FROM system.numbers", "USE missing"):
        try:
            server.execute(statement)
        except Error as error:
            print(error.code)
    server.disconnect()


def databases():
    server = connect()
    server.execute("USE shop")
    print(server.execute("SELECT count() >= 0 FROM items"))
    server.execute("SELECT 1", settings={"max_threads": 1})
    server.disconnect()


def password():
    server = connect(user="secret", password=os.environ["CLICKHOUSE_PASSWORD"])
    print(server.execute("SELECT 1"))
    server.disconnect()


def wrong_password():
    try:
        connect(user="secret", password="canary").execute("SELECT 1")
    except Error as error:
        print(error.code)


def tls():
    server = Client("localhost", port=PORT, user="tests", secure=True, ca_certs=os.environ["CA"])
    print(server.execute("SELECT 1"))
    server.disconnect()


def http():
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/?user=tests", b"SELECT 1") as answer:
        print(answer.read())


def goes_away():
    """The server goes away while it is waited for; it stands still once the file can be read."""
    server = connect()
    print(server.execute("SELECT 1"), flush=True)
    open(os.environ["STOPPED"]).read()
    print("asked", flush=True)
    try:
        server.execute("SELECT sleep(3)")
    except (Error, EOFError, OSError):
        print("gone", flush=True)


globals()[sys.argv[1]]()
