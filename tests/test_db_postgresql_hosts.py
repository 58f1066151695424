"""PostgreSQL on several hosts: libpq, and psycopg 3 in its place, try one after the other."""

from __future__ import annotations

import pytest

from harness import client
from harness.apps import GUNICORN
from harness.assertions import assert_child, assert_root, assert_spans
from harness.assertions import server as served
from harness.databases.postgresql import Postgres
from harness.databases.server import HOST, PASSWORD
from harness.ports import free_port
from harness.processes import Launcher
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS

NOBODY, PORT = "127.83.76.65", 5432  # no server listens there, whatever the machine runs


class Standby(Postgres):
    """Reads only: it waits for a primary that there is not."""

    ready = b"database system is ready to accept read-only connections"

    def prepare(self) -> None:
        super().prepare()
        (self.directory / "data/standby.signal").touch()


@pytest.mark.parametrize("path", ["/library", "/psycopg"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_several_hosts(launcher: Launcher, receiver: Receiver, path: str, sslmode: str) -> None:
    """At the first nobody listens, the second only reads, the third will do: each is tried under the request."""
    with Standby() as second, Postgres() as third:
        url = (f"postgresql://scram:{PASSWORD}@/postgres?host={NOBODY},{HOST},{HOST}&port={PORT},{second.port},{third.port}"
               f"&sslmode={sslmode}&target_session_attrs=read-write")
        port = free_port()
        words = ("postgresql_hosts_wsgi:app", "--chdir", PROGRAMS / "databases", "-b", f"{HOST}:{port}")
        launcher.start(GUNICORN, *words, env={"DATABASE_URL": url}, port=port)
        assert client.get(port, path).status == 200
        where = {"namespace": "postgres", "port": third.port}
        request, *rest = assert_spans(
            receiver.wait_for(5), served(path, port),
            connect("postgresql", port=PORT, address=NOBODY, error="connection_refused", network__peer__address=NOBODY),
            connect("postgresql", namespace="postgres", port=second.port), connect("postgresql", **where),
            query("postgresql", "SELECT", operation="SELECT", summary="SELECT", text="SELECT ?", rows=1, **where))
    assert_root(request)
    for span in rest:
        assert_child(span, request)
    assert all(one.end <= next.start for one, next in zip(rest, rest[1:]))
    assert PASSWORD not in repr(rest)
