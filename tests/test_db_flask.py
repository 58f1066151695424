"""The demo's shop: what a request asks of its database and of another service is one tree."""

from __future__ import annotations

import subprocess

from harness import client
from harness.assertions import assert_child, assert_span, call, server
from harness.databases.postgresql import PROGRAMS as POSTGRESQL
from harness.databases.postgresql import Postgres
from harness.ports import free_port
from harness.processes import APPS, BASE_ENV, PYTHON, Launcher
from harness.queries import connect, query
from harness.receiver import Receiver
from harness.upstream import Upstream


def test_the_tree_of_an_order(launcher: Launcher, receiver: Receiver, upstream: Upstream, postgresql: Postgres) -> None:
    url = postgresql.url("scram")
    subprocess.run([POSTGRESQL / "psql", "-q", "-f", APPS / "python/shop.sql", url], env=BASE_ENV, check=True)
    env = {"DATABASE_URL": url, "UPSTREAM": upstream.url}
    program = launcher.start(PYTHON, APPS / "python/shop.py", env=env, port=free_port())

    def statement(summary: str, text: str, **more):
        operation, _, collection = summary.partition(" ")
        return query("postgresql", summary, summary=summary, operation=operation, collection=collection or None, text=text,
                     namespace="postgres", port=postgresql.port, **more)

    def parts(item: str):
        return [
            statement("BEGIN", "BEGIN"),
            statement("SELECT items", "SELECT price FROM items WHERE name = $1", rows=1),
            statement("INSERT orders", "INSERT INTO orders (item, price) VALUES ($1, $2)"),
            statement("COMMIT", "COMMIT"),
            call(f"{upstream.url}/echo?id={item}"),
        ]

    assert client.get(program.port, "/order?item=tea").status == 200
    first = receiver.wait_for(lambda spans: any(span.kind == "SERVER" for span in spans))
    (served,) = (span for span in first if span.kind == "SERVER")
    assert_span(served, server("/order", program.port, query="item=tea"))
    children = sorted((span for span in first if span is not served), key=lambda span: span.start)
    for span in children:
        assert_child(span, served)
    # The pool makes its first connection, and SQLAlchemy asks it some questions.
    assert_span(children[0], connect("postgresql", namespace="postgres", port=postgresql.port))
    for span, expected in zip(children[-4:], parts("tea")[-4:]):
        assert_span(span, expected)

    receiver.clear()
    assert client.get(program.port, "/order?item=cake").status == 200
    served, *children = sorted(receiver.wait_for(6), key=lambda span: span.start)
    assert_span(served, server("/order", program.port, query="item=cake"))
    assert len(children) == 5
    for span, expected in zip(children, parts("cake")):
        assert_span(span, expected)
        assert_child(span, served)
