"""GET /get?id=7: a statement that names q7, by a connection of a pool of four that all requests share."""

import os
import queue

from clickhouse_driver import Client

pool = queue.Queue()
for _ in range(4):
    pool.put(Client("127.0.0.1", port=int(os.environ["CLICKHOUSE_PORT"]), user="tests"))


def app(environ, start_response):
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    client = pool.get()
    try:
        client.execute(f"SELECT number AS q{query['id']} FROM system.numbers LIMIT 3")
    finally:
        pool.put(client)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
