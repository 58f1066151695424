"""Statements one after the other: `sqlserver_calls.py DRIVER WAY`, with pytds or pymssql. The server is at SQLSERVER_PORT."""

import importlib
import os
import sys

driver = importlib.import_module(sys.argv[1])
IS_PYTDS = driver.__name__ == "pytds"
CLEAR = {} if IS_PYTDS else {"encryption": "off"}
# All is encrypted, or the login alone.
SECURE = {"server": "localhost"} | ({"cafile": os.environ["CA"]} if IS_PYTDS else {"encryption": "require"})
LOGIN_ONLY = {"server": "localhost"} | ({"cafile": os.environ["CA"], "enc_login_only": True} if IS_PYTDS else {"encryption": "request"})


def connect(**more):
    where = {"server": "127.0.0.1", "port": int(os.environ["SQLSERVER_PORT"]), "user": "secret", "password": os.environ["SQLSERVER_PASSWORD"],
             "database": "tests", **CLEAR, **more}
    if IS_PYTDS:
        where = {**where, "dsn": where["server"], "server": None, "disable_connect_retry": True}
    return driver.connect(**where)


def number(error):
    """That of the server's error."""
    return error.number if IS_PYTDS else error.args[0][0] if isinstance(error.args[0], tuple) else error.args[0]


def failing(cursor, statement):
    try:
        cursor.execute(statement)
    except driver.Error as error:
        print(number(error))


def statements(**more):
    connection = connect(**more)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE item (id INT UNIQUE, name VARCHAR(50))")
    cursor.executemany("INSERT INTO item VALUES (%s, %s)", [(1, "canary"), (2, "it's \"canary\" ä\U0001f600")])
    connection.commit()
    cursor.execute("SELECT id, name, NULL AS void, 1.5 AS half FROM item WHERE id < %s AND name <> %s", (10, "canary's"))
    print(cursor.fetchall())
    cursor.execute("UPDATE item SET name = 'canary' WHERE id > 0")
    print(cursor.rowcount)
    connection.rollback()
    failing(cursor, "SELECT 'canary' FROM missing")
    connection.rollback()
    cursor.execute("DROP TABLE item")
    connection.commit()
    connection.close()


def several():
    """More than one result: a procedure, and statements sent as one."""
    connection = connect(autocommit=True)
    cursor = connection.cursor()
    for run in (lambda: cursor.callproc("twice"), lambda: cursor.execute("EXEC twice"), lambda: cursor.execute("SELECT 1; SET NOCOUNT ON; SELECT 'canary'")):
        run()
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        print(found)
    failing(cursor, "SELECT 1; SELECT void")
    try:
        cursor.nextset()
    except driver.Error as error:
        print(number(error))
    try:
        cursor.callproc("missing")
    except driver.Error as error:
        print(number(error))
    connection.close()


def databases():
    connection = connect(autocommit=True)
    cursor = connection.cursor()
    for statement in ("SELECT 1", "USE other", "SELECT 2"):
        cursor.execute(statement)
    print(cursor.fetchall())
    failing(cursor, "USE missing")
    cursor.execute("SELECT 3")
    print(cursor.fetchall())
    connection.close()


def large():
    """Texts of many packets there and back, and many rows."""
    connection = connect(autocommit=True)
    cursor = connection.cursor()
    value = "canary" * 100_000
    cursor.execute("SELECT %s AS large", (value,))
    print(cursor.fetchone()[0] == value)
    cursor.execute("WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some LIMIT 20000) SELECT n, hex(n) FROM some")
    print(len(cursor.fetchall()))
    cursor.execute("SELECT 1")
    print(cursor.fetchall())
    connection.close()


def bulk():
    connection = connect(autocommit=True)
    connection.cursor().copy_to(data=[(1, "canary"), (2, "canary")], table_or_view="item",
                                columns=[driver.Column("id", type=driver.tds_types.IntType()),
                                         driver.Column("name", type=driver.tds_types.NVarCharType(20))])
    connection.close()


def stopped():
    """An answer that is not waited for any more."""
    connection = connect(autocommit=True, timeout=1)
    cursor = connection.cursor()
    try:
        cursor.execute("WAITFOR DELAY '00:01:00'")
    except Exception as error:
        print(type(error).__name__)
    if IS_PYTDS:  # the other one gives the connection up
        cursor.cancel()
        cursor.execute("SELECT 1")
        print(cursor.fetchall())
        connection.close()


def denied(**more):
    try:
        connect(**{"password": "canary"} | more)
    except driver.Error as error:
        print(number(error))


def denied_in_tls():
    denied(**SECURE)


def denied_behind_tls():
    denied(**LOGIN_ONLY)


def no_such_database():
    denied(password=os.environ["SQLSERVER_PASSWORD"], database="canaries")


def one(**more):
    connection = connect(autocommit=True, **more)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    print(cursor.fetchone())
    connection.close()


def tls():
    one(**SECURE)


def tls_login():
    one(**LOGIN_ONLY)


def untrusted():
    """TLS, with a certificate that is not accepted."""
    import certifi

    try:
        connect(server="localhost", cafile=certifi.where())
    except Exception as error:
        print(type(error).__name__)


def refused():
    try:
        connect(login_timeout=5)
    except Exception:
        print("refused")


def waits():
    """For a statement until the server goes away."""
    connection = connect(autocommit=True)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    print(cursor.fetchone(), flush=True)
    try:
        cursor.execute("WAITFOR DELAY '00:01:00'")
    except Exception:
        print("gone", flush=True)


globals()[sys.argv[2]]()
