"""GET /library (psycopg2) or /psycopg: makes a connection, to whichever host of DATABASE_URL will have it, and asks there."""

import contextlib
import os

import psycopg
import psycopg2

LIBRARIES = {"/library": psycopg2, "/psycopg": psycopg}


def app(environ, start_response):
    with contextlib.closing(LIBRARIES[environ["PATH_INFO"]].connect(os.environ["DATABASE_URL"])) as connection:
        connection.autocommit = True
        connection.cursor().execute("SELECT 1")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
