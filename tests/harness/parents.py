"""Right, wrong and no parents of many requests at once, told apart by the id that both URLs carry."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Callable, Iterable

from harness import client
from harness.assertions import assert_exactly
from harness.receiver import Receiver
from harness.spans import Span
from harness.upstream import parse_qs, urlsplit


@dataclass
class Count:
    right: int = 0
    wrong: int = 0
    none: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.right + other.right, self.wrong + other.wrong, self.none + other.none)


def id_of(span: Span) -> str:
    return parse_qs(urlsplit(span.url).query).get("id", [""])[0]


def count_parents(spans: Iterable[Span]) -> Count:
    """Each CLIENT span with an id: is its parent the SERVER span with that id?"""
    spans = list(spans)
    served = {span.span_id: id_of(span) for span in spans if span.kind == "SERVER"}
    count = Count()
    for span in spans:
        if span.kind == "CLIENT" and id_of(span):
            if not span.parent_id:
                count.none += 1
            elif served.get(span.parent_id) == id_of(span):
                count.right += 1
            else:
                count.wrong += 1
    return count


_numbers = itertools.count()


def fire(port: int, receiver: Receiver, path: Callable[[str], str], rounds: int = 1, at_once: int = 20) -> Count:
    """`rounds` times so many requests at once, each with an id of its own in the path; every one must lead to one SERVER and one
    CLIENT span."""
    ids = [str(next(_numbers)) for _ in range(rounds * at_once)]
    receiver.clear()
    replies = client.get_many(port, [path(wanted) for wanted in ids], at_once)
    for wanted, reply in zip(ids, replies):
        assert reply.status == 200, reply
        assert reply.json["id"] == wanted
    spans = assert_exactly(receiver, 2 * len(ids), port)
    assert sorted(id_of(span) for span in spans) == sorted(ids * 2)
    return count_parents(spans)
