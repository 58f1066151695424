"""Asks the server what it was asked: `sqlcommenter.py DRIVER`, with psycopg2, psycopg, pymysql or MySQLdb. Prints, for each statement, the
text that has reached the server, and at the end what a procedure or a table has kept."""

import importlib
import json
import os
import sys

name = sys.argv[1]
driver = importlib.import_module(name)
OWN = {
    "postgresql": "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    "mysql": "SELECT info FROM information_schema.processlist WHERE id = connection_id()",
}
OUT = {}


def first(cursor, statement, *values):
    cursor.execute(statement, *values)
    return cursor.fetchone()[0]


def postgresql():
    connection = driver.connect(os.environ["DATABASE_URL"], autocommit=True) if name == "psycopg" else driver.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    cursor = connection.cursor()
    own = OWN["postgresql"]
    OUT["plain"] = first(cursor, own)
    OUT["semicolon"] = first(cursor, own + " ;\n")
    OUT["backslash"] = first(cursor, own + r" AND '\' <> 'a'")
    OUT["own comment"] = first(cursor, own + " /* mine */")
    if name == "psycopg":  # the values travel apart from the text, which is prepared
        OUT["prepared"] = first(cursor, own + " AND %s <> 7", (8,))
    cursor.execute("CREATE TEMP TABLE kept (text text)")
    cursor.execute("INSERT INTO kept VALUES ('it''s; a /* value */')")
    OUT["kept"] = first(cursor, "SELECT text FROM kept")
    OUT["long"] = len(first(cursor, own + f" AND '{'a' * 700}' <> 'b'"))


def mysql():
    connection = driver.connect(host="127.0.0.1", port=int(os.environ["MYSQL_PORT"]), user="native", password=os.environ["MYSQL_PASSWORD"],
                                database="tests", **({"ssl_disabled": True} if name == "pymysql" else {}))
    cursor = connection.cursor()
    own = OWN["mysql"]
    OUT["plain"] = first(cursor, own)
    OUT["semicolon"] = first(cursor, own + " ;\n")
    OUT["backslash"] = first(cursor, own + r" AND '\\' <> 'a'")
    OUT["own comment"] = first(cursor, own + " /* mine */")
    cursor.execute("DROP PROCEDURE IF EXISTS kept_here")
    cursor.execute("CREATE PROCEDURE kept_here() SELECT 1")
    OUT["kept"] = first(cursor, "SELECT routine_definition FROM information_schema.routines WHERE routine_name = 'kept_here'")
    cursor.execute("DROP PROCEDURE kept_here")
    OUT["long"] = len(first(cursor, own + f" AND '{'a' * 700}' <> 'b'"))


mysql() if name in ("pymysql", "MySQLdb") else postgresql()
print(json.dumps(OUT))
