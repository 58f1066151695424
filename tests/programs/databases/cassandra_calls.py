"""Statements one after the other, each in another way: `cassandra_calls.py WAY`. The server is at CASSANDRA_PORT."""

import os
import ssl
import sys
from collections import namedtuple

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT, NoHostAvailable
from cassandra.query import BatchStatement, SimpleStatement

PORT = int(os.environ["CASSANDRA_PORT"])
VERSION = int(os.environ.get("CASSANDRA_VERSION", "5"))
COMPRESSION = os.environ.get("CASSANDRA_COMPRESSION") or False  # lz4 or snappy

CREATE = (
    "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TYPE IF NOT EXISTS shop.address (street text, codes frozen<list<int>>)",
    "CREATE TABLE IF NOT EXISTS shop.items (id int PRIMARY KEY, name text, at frozen<address>, tags map<text, frozen<set<int>>>,"
    " pair frozen<tuple<int, text>>)",
)


def cluster(**more):
    profile = ExecutionProfile(consistency_level=ConsistencyLevel.ONE, request_timeout=20)
    more = {"protocol_version": VERSION, "compression": COMPRESSION, "execution_profiles": {EXEC_PROFILE_DEFAULT: profile}, **more}
    return Cluster([os.environ.get("CASSANDRA_HOST", "127.0.0.1")], port=PORT, **more)


def create():
    with cluster() as all:
        session = all.connect()
        for statement in CREATE:
            session.execute(statement)


def statements(**more):
    with cluster(**more) as all:
        session = all.connect("shop")
        session.execute("INSERT INTO items (id, name, at, tags, pair) VALUES (1, 'canary', {street: 'canary', codes: [1]},"
                        " {'canary': {1}}, (1, 'canary'))")
        session.execute("INSERT INTO items (id, name) VALUES (%s, %s)", (2, "canary"))
        print(sorted(row.id for row in session.execute("SELECT * FROM items WHERE id IN (1, 2)")))
        session.execute("INSERT INTO shop.items (id, name) VALUES (3, 'canary')", trace=True)
        found = session.prepare("SELECT name, at FROM items WHERE id = ?")
        print(session.execute(found, (1,)).one().name == "canary", session.execute(found, (99,)).one())
        print(all.control_connection._connection._compression_type)  # what both have agreed on
        first = SimpleStatement("SELECT id FROM items", fetch_size=2, consistency_level=ConsistencyLevel.QUORUM)
        print(len(list(session.execute(first))))


def errors():
    with cluster() as all:
        session = all.connect("shop")
        wrong = (lambda: session.execute("SELECT canary"), lambda: session.execute("SELECT 'canary' FROM missing"),
                 lambda: session.prepare("SELECT * FROM missing WHERE id = ?"), lambda: session.execute("USE missing"))
        for one in wrong:
            try:
                one()
            except Exception as error:
                print(type(error).__name__)


def batches():
    with cluster() as all:
        session = all.connect("shop")
        insert = session.prepare("INSERT INTO items (id, name) VALUES (?, ?)")
        same = BatchStatement()
        for number in (4, 5, 6):
            same.add(insert, (number, "canary"))
        session.execute(same)
        other = BatchStatement()
        other.add(insert, (7, "canary"))
        other.add(SimpleStatement("DELETE FROM items WHERE id = 4"))
        session.execute(other)
        session.execute("USE system")
        print(session.execute("SELECT key FROM local").one().key)


def large():
    with cluster() as all:
        session = all.connect("shop")
        insert = session.prepare("INSERT INTO items (id, name) VALUES (?, ?)")
        text = "".join(f"canary {number * number} " for number in range(50_000))
        session.execute(insert, (8, text))
        print(session.execute("SELECT name FROM items WHERE id = 8").one().name == text)
        session.execute(f"INSERT INTO items (id, name) VALUES (9, '{text}')")
        print(session.execute("SELECT name FROM items WHERE id = 9").one().name == text)


def older():
    """Asks for versions that this server does not speak, until it does."""
    with Cluster(["127.0.0.1"], port=PORT) as all:
        print(all.connect("shop").execute("SELECT key FROM system.local").one().key, all.protocol_version)


def tls():
    context = ssl.create_default_context(cafile=os.environ["CA"])
    statements(ssl_context=context, ssl_options={"server_hostname": "localhost"})


def password():
    with cluster(auth_provider=PlainTextAuthProvider("tests", os.environ["CASSANDRA_PASSWORD"])) as all:
        print(all.connect().execute("SELECT release_version FROM system.local").one() is not None)


def wrong_password():
    try:
        with cluster(auth_provider=PlainTextAuthProvider("tests", "canary")) as all:
            all.connect()
    except NoHostAvailable:
        print("denied")


def refused():
    try:
        with cluster() as all:
            all.connect()
    except NoHostAvailable:
        print("refused")


def goes_away():
    """The server goes away while it is waited for; it stands still once the file can be read."""
    with cluster() as all:
        session = all.connect()
        print(session.execute("SELECT key FROM system.local").one().key, flush=True)
        open(os.environ["STOPPED"]).read()
        waiting = session.execute_async("SELECT key FROM system.local")
        print("asked", flush=True)
        try:
            waiting.result()
        except Exception:
            print("gone", flush=True)


globals()[sys.argv[1]]()
