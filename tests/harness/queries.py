"""What is expected of the spans of databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.assertions import ANY_IP, ANY_PORT, Expect

DEFAULT_PORTS = {"redis": 6379, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "memcached": 11211, "mongodb": 27017,
                 "cassandra": 9042, "clickhouse": 9000, "microsoft.sql_server": 1433}


def query(system: str, name: str, *, port: int | None, text: str | None = None, operation: str | None = None,
          collection: str | None = None, summary: str | None = None, namespace: str | None = None, rows: int | None = None,
          batch: int | None = None, error: str | None = None, status: str | None = None, address: str = "127.0.0.1",
          **extra: Any) -> Expect:
    """The CLIENT span of a statement or command. `port` None: by a Unix socket. `error` alone is a fault of the connection;
    `status` is the database's code, and the error type as well."""
    attributes: dict[str, Any] = {
        "db.system.name": system,
        "db.operation.name": operation,
        "db.collection.name": collection,
        "db.query.summary": summary,
        "db.query.text": text,
        "db.namespace": namespace,
        "db.response.returned_rows": rows,
        "db.operation.batch.size": batch,
        "db.response.status_code": status,
        "error.type": status or error,
    }
    if port is not None:
        attributes["server.address"] = address
        attributes["network.peer.address"] = ANY_IP
        attributes["network.peer.port"] = port if port else ANY_PORT
        if port != DEFAULT_PORTS.get(system):
            attributes["server.port"] = port if port else ANY_PORT
    attributes |= {name.replace("__", "."): value for name, value in extra.items()}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    return Expect("CLIENT", name, attributes, "ERROR" if status or error else "UNSET")


def connect(system: str, *, port: int | None, **more: Any) -> Expect:
    """The span of the making of a connection."""
    return query(system, "connect", port=port, operation="connect", **more)


def served(asked: Expect) -> Expect:
    """The SERVER span of the database itself for what a client sees so."""
    attributes = dict(asked.attributes)
    if "network.transport" in attributes:  # a client's end of a Unix socket has no name
        del attributes["network.peer.address"]
    else:
        attributes |= {"client.address": ANY_IP, "network.peer.port": ANY_PORT}
    return replace(asked, kind="SERVER", attributes=attributes)
