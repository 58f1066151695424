"""Counting parents: is each call under the request that it belongs to, by the id that both URLs carry?"""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable, NamedTuple

from harness import client, tls
from harness.receiver import Receiver
from harness.spans import Span

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
    """The request that a span is part of: `7` for the ids 7 and b7 (its second call)."""
    return _id(span).removeprefix("b")


def _id(span: Span) -> str:
    found = re.search(r"[?&]id=([^&]+)", span.url)
    return found[1] if found else ""


def fire(receiver: Receiver, port: int, path: str, *, rounds: int = 2, keep: bool = True, secure: bool = False) -> Counts:
    """20 clients at once, each with a connection that it keeps (or not) for its requests of `path` and an id. Waits for a
    CLIENT and a SERVER span of each."""
    prefix = path.strip("/").replace("/", "-")
    delays = (0, 20, 50)

    def one(number: int) -> None:
        kept = connect(port) if keep else None
        for turn in range(rounds):
            with contextlib.nullcontext(kept) if keep else connect(port) as connection:
                own = f"{prefix}-{turn}-{number}"
                connection.exchange(f"{path}?id={own}&delay={delays[(number + turn) % 3]}")
        if kept:
            kept.__exit__()

    connect: Callable = tls.Connection if secure else client.Raw
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))

    def mine(spans: list[Span]) -> list[Span]:
        return [span for span in spans if _id(span).startswith(f"{prefix}-")]

    spans = receiver.wait_for(lambda spans: len(mine(spans)) >= 2 * rounds * AT_ONCE)
    return count_parents(mine(spans))
