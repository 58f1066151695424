"""The servers as fixtures, without the agent, one for all tests of a file."""

from __future__ import annotations

from typing import Iterator

import pytest

from harness.databases.cassandra import Cassandra
from harness.databases.clickhouse import ClickHouse
from harness.databases.ferretdb import FerretDb
from harness.databases.mariadb import MariaDb
from harness.databases.memcached import Memcached
from harness.databases.postgresql import Postgres
from harness.databases.redis import Redis
from harness.databases.sqlserver import SqlServer


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    with MariaDb() as server:
        yield server


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    with Memcached() as server:
        yield server


@pytest.fixture(scope="module")
def ferretdb() -> Iterator[FerretDb]:
    with FerretDb() as server:
        yield server


@pytest.fixture(scope="module")
def cassandra() -> Iterator[Cassandra]:
    with Cassandra() as server:
        yield server


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[ClickHouse]:
    with ClickHouse() as server:
        yield server


@pytest.fixture(scope="module")
def sqlserver() -> Iterator[SqlServer]:
    with SqlServer() as server:
        yield server
