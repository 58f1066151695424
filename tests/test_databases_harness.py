"""The servers of databases that tests start: each answers in all the ways that it offers, to those with a password and those without."""

from __future__ import annotations

from pathlib import Path

import clickhouse_driver
import psycopg
import pymemcache
import pymongo
import pymysql
import pytds
import pytest
import redis
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from pymemcache.exceptions import MemcacheClientError
from pymongo.errors import OperationFailure
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.databases import mariadb as mariadb_module
from harness.databases import postgresql as postgresql_module
from harness.databases.cassandra import Cassandra
from harness.databases.clickhouse import WITH_PASSWORD, ClickHouse
from harness.databases.ferretdb import FerretDb
from harness.databases.mariadb import MariaDb
from harness.databases.memcached import Memcached
from harness.databases.postgresql import Postgres
from harness.databases.redis import ACL_USER, Redis
from harness.databases.server import HOST, PASSWORD, USER, Server
from harness.databases.sqlserver import USER as SQLSERVER_USER
from harness.databases.sqlserver import SqlServer
from harness.processes import AGENT, Launcher
from harness.tls import certificates

harness = pytest.mark.harness

ONCE = Retry(NoBackoff(), 0)  # by itself redis-py tries a wrong password for seconds
ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@harness
@pytest.mark.parametrize("user", [USER, *postgresql_module.METHODS])
def test_postgresql(postgresql: Postgres, user: str) -> None:
    for sslmode in ("disable", "require"):
        with psycopg.connect(postgresql.url(user, sslmode)) as connection:
            assert connection.execute(ENCRYPTED).fetchone() == (sslmode == "require",)
    host = postgresql.socket.parent
    with psycopg.connect(host=str(host), port=postgresql.port, user=user, password=PASSWORD, dbname=postgresql.database) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
    if user != USER:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgresql.url(user).replace(PASSWORD, "wrong"))


@harness
@pytest.mark.parametrize("user", [USER, *mariadb_module.METHODS])
def test_mariadb(mariadb: MariaDb, user: str) -> None:
    secret = "" if user == USER else PASSWORD
    clear = {"ssl_disabled": True}
    for where in (clear, {"ssl": {"ca": certificates().ca}}, {"unix_socket": str(mariadb.socket), **clear}):
        with pymysql.connect(host=HOST, port=mariadb.port, user=user, password=secret, database=mariadb.database, **where) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
                assert bool(cursor.fetchone()[1]) == ("ssl" in where)
                cursor.execute("SELECT CURRENT_USER()")
                assert cursor.fetchone() == (f"{user}@%",)
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        pymysql.connect(host=HOST, port=mariadb.port, user=user, password="wrong")


@harness
def test_redis(redis_server: Redis) -> None:
    for where in (
        {"host": HOST, "port": redis_server.port},
        {"host": HOST, "port": redis_server.tls_port, "ssl": True, "ssl_ca_certs": str(certificates().ca)},
        {"unix_socket_path": str(redis_server.socket)},
    ):
        for who, name in (({}, "default"), ({"username": ACL_USER, "password": PASSWORD}, ACL_USER)):
            with redis.Redis(**where, **who, decode_responses=True) as connection:
                assert connection.acl_whoami() == name
        with redis.Redis(**where, username=ACL_USER, password="wrong", retry=ONCE) as connection:
            with pytest.raises(redis.AuthenticationError):
                connection.ping()


@harness
def test_redis_with_a_password_and_its_replica() -> None:
    with Redis(requirepass=True) as first, Redis(replica_of=first) as second:
        with redis.Redis(port=first.port, retry=ONCE) as connection, pytest.raises(redis.AuthenticationError):
            connection.ping()
        with redis.Redis(port=first.port, password=PASSWORD) as connection:
            connection.set("name", "value")
            assert connection.wait(1, 10_000) == 1
        with redis.Redis(port=second.port) as connection:
            assert connection.get("name") == b"value"


@harness
def test_redis_cluster() -> None:
    with Redis(cluster=True) as server:
        with redis.RedisCluster(host=HOST, port=server.port) as connection:
            assert connection.set("name", "value") and connection.get("name") == b"value"


@harness
def test_memcached(memcached: Memcached) -> None:
    for port, context in ((memcached.port, None), (memcached.tls_port, certificates().client_context())):
        client = pymemcache.Client((HOST, port), tls_context=context)
        assert client.set("name", str(port), noreply=False) and client.get("name") == str(port).encode()
        client.close()


@harness
def test_memcached_on_a_socket_and_with_a_password() -> None:
    with Memcached(unix=True) as server:
        client = pymemcache.Client(f"unix:{server.socket}")
        assert client.set("name", "value", noreply=False) and client.get("name") == b"value"
        client.close()
    with Memcached(auth=True) as server:
        client = pymemcache.Client((HOST, server.port))
        with pytest.raises(MemcacheClientError, match="unauthenticated"):
            client.get("name")
        client.close()
        assert client.set("auth", f"{USER} {PASSWORD}", noreply=False)
        assert client.get("name") is None
        client.close()


@harness
def test_ferretdb(ferretdb: FerretDb) -> None:
    secure = {"tls": True, "tlsCAFile": str(certificates().ca)}
    for host, options in ((HOST, {}), (f"{HOST}:{ferretdb.tls_port}", secure), (str(ferretdb.socket).replace("/", "%2F"), {})):
        port = ferretdb.port if host == HOST else None
        with pymongo.MongoClient(f"mongodb://{host}" + (f":{port}" if port else ""), **options) as client:
            collection = client.tests[f"documents{len(host)}"]
            collection.insert_many([{"number": number} for number in range(5)])
            assert [found["number"] for found in collection.find({"number": {"$lt": 3}}, batch_size=2)] == [0, 1, 2]


@harness
def test_ferretdb_with_a_password() -> None:
    with FerretDb(auth=True) as server:
        for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
            with pymongo.MongoClient(HOST, server.port, username=USER, password=PASSWORD, authMechanism=mechanism) as client:
                client.tests.documents.insert_one({"mechanism": mechanism})
                assert client.tests.documents.count_documents({"mechanism": mechanism}) == 1
        with pymongo.MongoClient(HOST, server.port, username=USER, password="wrong") as client:
            with pytest.raises(OperationFailure, match="Authentication failed"):
                client.tests.documents.count_documents({})


@harness
def test_cassandra() -> None:
    with Cassandra(auth=True) as server:
        for context in (None, certificates().client_context()):
            mine = PlainTextAuthProvider(USER, PASSWORD)
            with Cluster([HOST], port=server.port, auth_provider=mine, ssl_context=context) as cluster:
                found = cluster.connect().execute("SELECT port, ssl_enabled FROM system_views.clients")
                assert any(row.ssl_enabled for row in found) == bool(context)
        with Cluster([HOST], port=server.port, auth_provider=PlainTextAuthProvider(USER, "wrong")) as cluster:
            with pytest.raises(NoHostAvailable, match="Bad credentials"):
                cluster.connect()


@harness
def test_clickhouse(clickhouse: ClickHouse) -> None:
    secure = {"port": clickhouse.tls_port, "secure": True, "ca_certs": str(certificates().ca)}
    for user, password in ((USER, ""), (WITH_PASSWORD, PASSWORD)):
        for where in ({"port": clickhouse.port}, secure):
            with clickhouse_driver.Client(HOST, user=user, password=password, **where) as client:
                assert client.execute("SELECT user FROM system.processes") == [(user,)]
    with clickhouse_driver.Client(HOST, clickhouse.port, user=WITH_PASSWORD, password="wrong") as client:
        with pytest.raises(clickhouse_driver.errors.ServerException, match="Wrong password"):
            client.execute("SELECT 1")


@harness
def test_sqlserver(sqlserver: SqlServer) -> None:
    """In the clear, all encrypted, the login alone."""
    secure = {"cafile": str(certificates().ca)}
    for where in ({}, secure, {**secure, "enc_login_only": True}):
        with pytds.connect("localhost", "tests", SQLSERVER_USER, PASSWORD, port=sqlserver.port, **where) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s", ("text",))
                assert cursor.fetchall() == [("text",)]
    with pytest.raises(pytds.OperationalError, match="Login failed"):
        pytds.connect(HOST, "tests", SQLSERVER_USER, "wrong", port=sqlserver.port)


@pytest.mark.parametrize("kind", [Postgres, MariaDb, Redis, Memcached, ClickHouse, SqlServer])
def test_under_the_agent(kind: type[Server], launcher: Launcher) -> None:
    with kind(launcher=launcher) as server:
        assert str(AGENT.resolve()) in Path(f"/proc/{server.program.pid}/maps").read_text()
