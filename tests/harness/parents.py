"""Counting parents: is each call under the request that it belongs to, by the id that both URLs carry?"""

from __future__ import annotations

import contextlib
import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterable, NamedTuple

from harness import client, tls
from harness.receiver import Receiver
from harness.spans import Span
from harness.upstream import Seen

AT_ONCE = 20


class Counts(NamedTuple):
    right: int
    wrong: int
    none: int


def count_parents(spans: Iterable[Span]) -> Counts:
    """Each CLIENT span is under the SERVER span with its id (right), under another span (wrong), or a root (none)."""
    spans = list(spans)
    by_id = {span.span_id: span for span in spans}
    right = wrong = none = 0
    for span in spans:
        if span.kind != "CLIENT" or not id_of(span):
            continue
        parent = by_id.get(span.parent_id)
        if not span.parent_id:
            none += 1
        elif parent and (parent.kind, parent.trace_id, id_of(parent)) == ("SERVER", span.trace_id, id_of(span)):
            right += 1
        else:
            wrong += 1
    return Counts(right, wrong, none)


def id_of(span: Span) -> str:
    """The request that a span is part of: `7` for the ids 7 and b7 (its second call), and for a query that names `q7`."""
    found = re.search(r"[?&]id=([^&]+)", span.url) or re.search(r"\bq(\d+)\b", span.attributes.get("db.query.text", ""))
    return found[1].removeprefix("b") if found else ""


def strays(spans: Iterable[Span]) -> int:
    """Calls for nobody (`id=beat`) that have a parent."""
    return sum(span.kind == "CLIENT" and span.url.endswith("id=beat") and bool(span.parent_id) for span in spans)


def misled(spans: Iterable[Span], seen: Iterable[Seen]) -> int:
    """Requests that reached the upstream with another context than that of a call with their id."""
    made = {(f"00-{span.trace_id}-{span.span_id}", id_of(span)) for span in spans if span.kind == "CLIENT"}
    mine = [request for request in seen if request.id and request.id != "beat"]

    def led(request: Seen) -> bool:
        values = request.values("traceparent")
        return len(values) == 1 and (values[0].rpartition("-")[0], request.id.removeprefix("b")) in made

    return sum(not led(request) for request in mine)


_blocks = itertools.count(1)


def fire(receiver: Receiver, port: int, path: str, *, rounds: int = 2, keep: bool = True, secure: bool = False,
         at_once: int = AT_ONCE, calls: int = 1, served: int = 1, header: str = "") -> Counts:
    """So many clients at once, each with a connection that it keeps (or not) for its requests of `path` and an id. Waits for
    `calls` CLIENT and `served` SERVER spans of each. A `header` line may have the id in it, as `{n}`."""
    first = next(_blocks) * 1_000_000
    delays = (0, 20, 50)
    connect: Callable = tls.Connection if secure else client.Raw

    def exchange(connection: Any, turn: int, number: int) -> None:
        own = first + turn * at_once + number
        target = f"{path}{'&' if '?' in path else '?'}id={own}&delay={delays[(number + turn) % 3]}"
        line = header.format(n=own)
        if secure:
            status = connection.exchange(target, dict([line.split(": ")]) if line else None).status
        else:
            status = int(connection.exchange(target, f"{line}\r\n" if line else "").split(b" ")[1])
        assert status == 200, f"{target}: {status}"

    def one(number: int) -> None:
        kept = connect(port) if keep else None
        for turn in range(rounds):
            with contextlib.nullcontext(kept) if keep else connect(port) as connection:
                exchange(connection, turn, number)
        if kept:
            kept.__exit__()

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(at_once)))

    ids = {str(first + number) for number in range(rounds * at_once)}
    spans = receiver.wait_for(lambda spans: sum(id_of(span) in ids for span in spans) >= (calls + served) * len(ids))
    return count_parents(span for span in spans if id_of(span) in ids)
