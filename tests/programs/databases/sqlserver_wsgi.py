"""GET /get?id=7: a statement that names q7, by a connection of a pool of four that all requests share. DRIVER: pytds or pymssql."""

import importlib
import os
import queue

driver = importlib.import_module(os.environ["DRIVER"])
where = {"user": "secret", "password": os.environ["SQLSERVER_PASSWORD"], "database": "tests", "port": int(os.environ["SQLSERVER_PORT"]),
         "autocommit": True}
where |= {"dsn": "127.0.0.1"} if driver.__name__ == "pytds" else {"server": "127.0.0.1", "encryption": "off"}
pool = queue.Queue()
for _ in range(4):
    pool.put(None)  # made by the first who gets it


def app(environ, start_response):
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    connection = pool.get()
    try:
        connection = connection or driver.connect(**where)
        cursor = connection.cursor()
        cursor.execute(f"SELECT 1 AS q{query['id']}")
        cursor.fetchall()
    finally:
        pool.put(connection)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
