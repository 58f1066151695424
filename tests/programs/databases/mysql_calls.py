"""Statements one after the other: `mysql_calls.py DRIVER WAY`, with pymysql, MySQLdb, or MySQLdb+zlib, which compresses. The server is at
MYSQL_PORT, or MYSQL_SOCKET."""

import importlib
import os
import ssl
import sys

name, _, compressed = sys.argv[1].partition("+")
driver = importlib.import_module(name)
IS_PYMYSQL = driver.__name__ == "pymysql"
CLEAR = {"ssl_disabled": True} if IS_PYMYSQL else {}  # one would ask for TLS, the other does not
if compressed:
    CLEAR["compress"] = True  # any value would do
SECURE = {"ssl": {"ca": os.environ["CA"]}, "host": "localhost" if IS_PYMYSQL else "127.0.0.1"} | ({"ssl_disabled": False} if IS_PYMYSQL else {})


def connect(**more):
    where = {"host": "127.0.0.1", "port": int(os.environ["MYSQL_PORT"]), "user": "native", "password": os.environ["MYSQL_PASSWORD"],
             "database": "tests", "charset": "utf8mb4", **CLEAR}
    return driver.connect(**(where | more))


def failing(cursor, statement):
    try:
        cursor.execute(statement)
    except driver.Error as error:
        print(error.args[0])


def statements(**more):
    connection = connect(**more)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE item (id INT, name VARCHAR(50))")
    print(cursor.executemany("INSERT INTO item VALUES (%s, %s)", [(1, "canary"), (2, "it's \"canary\"")]))
    connection.commit()
    print(cursor.execute("SELECT id, name FROM item WHERE id < %s", (10,)), cursor.fetchall())
    failing(cursor, "SELECT 'canary' FROM nothing")
    connection.rollback()
    cursor.execute("USE mysql")
    print(cursor.execute("SELECT 1"), cursor.fetchone())
    connection.select_db("tests")
    connection.ping()
    print(cursor.execute("SELECT DATABASE()"), cursor.fetchone())
    connection.close()


def several():
    """More than one result: a procedure, and statements sent as one."""
    connection = connect(**({"client_flag": 1 << 16} if IS_PYMYSQL else {}))
    cursor = connection.cursor()
    cursor.execute("CREATE OR REPLACE PROCEDURE twice() BEGIN SELECT 1; SELECT 2 UNION SELECT 3; END")
    for statement in ("CALL twice()", "SELECT 1; SET @a = 'canary'; SELECT 2"):
        cursor.execute(statement)
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        print(found)
    failing(cursor, "SELECT 1; SELECT nothing")
    try:
        cursor.nextset()
    except driver.Error as error:
        print(error.args[0])
    connection.close()


def large():
    """A value of two packets there and back, and many rows."""
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SET SESSION net_read_timeout = 30")
    value = "x" * 17_000_000
    cursor.execute("SELECT %s AS large", (value,))
    print(cursor.fetchone()[0] == value)
    print(cursor.execute("SELECT seq, REPEAT(MD5(seq), 6) FROM seq_1_to_20000"), len(cursor.fetchall()))
    print(cursor.execute("SELECT 1"))
    connection.close()


def escapes():
    """With and without a meaning of the backslash."""
    connection = connect()
    cursor = connection.cursor()
    print(cursor.execute(r"SELECT 'it\'s canary', 1"), cursor.fetchall())
    cursor.execute("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
    print(cursor.execute(r"SELECT 'canary\', 2"), cursor.fetchall())
    connection.close()


def load():
    """A file of the client's."""
    connection = connect(local_infile=True)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE item (id INT, name VARCHAR(50))")
    print(cursor.execute(f"LOAD DATA LOCAL INFILE '{os.environ['FILE']}' INTO TABLE item"))
    print(cursor.execute("SELECT COUNT(*) FROM item"), cursor.fetchone())
    connection.close()


def denied():
    try:
        connect(password="canary")
    except driver.Error as error:
        print(error.args[0])


def refused():
    try:
        connect()
    except driver.Error as error:
        print(error.args[0])


def one(**more):
    connection = connect(**more)
    cursor = connection.cursor()
    print(cursor.execute("SELECT 1"), cursor.fetchone())
    connection.close()


def socket():
    one(unix_socket=os.environ["MYSQL_SOCKET"], host="localhost")


def tls():
    connection = connect(**SECURE)
    cursor = connection.cursor()
    cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
    print(bool(cursor.fetchone()[1]))
    connection.close()


def untrusted():
    """TLS, with a certificate that is not accepted."""
    try:
        driver.connect(host="localhost", port=int(os.environ["MYSQL_PORT"]), user="native", password="canary", ssl=ssl.create_default_context())
    except driver.Error as error:
        print(error.args[0])


def ed25519():
    one(user="ed25519")


def compression():
    cursor = connect().cursor()
    cursor.execute("SHOW STATUS LIKE 'Compression'")
    print(cursor.fetchone()[1])


def waits():
    """The server goes away while it is waited for."""
    cursor = connect().cursor()
    print(cursor.execute("SELECT 1"), flush=True)
    failing(cursor, "SELECT SLEEP(60)")
    print("gone")


globals()[sys.argv[2]]()
