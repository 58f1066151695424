"""Counts right, wrong and missing parents, by the id that both URLs carry."""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple

from harness.spans import Span


class Parents(NamedTuple):
    right: int
    wrong: int
    none: int


def count_parents(spans: Iterable[Span]) -> Parents:
    """Of all CLIENT spans with an id: under the SERVER span with that id, under anything else, or without a parent."""
    spans = list(spans)
    by_id = {span.span_id: span for span in spans}
    count = {"right": 0, "wrong": 0, "none": 0}
    for span in spans:
        if span.kind != "CLIENT" or not id_of(span):
            continue
        parent = by_id.get(span.parent_id)
        if not span.parent_id:
            count["none"] += 1
        elif parent is not None and (parent.kind, parent.trace_id, id_of(parent)) == ("SERVER", span.trace_id, id_of(span)):
            count["right"] += 1
        else:
            count["wrong"] += 1
    return Parents(**count)


def id_of(span: Span) -> str:
    """The request that a span is part of: `7` for the ids 7 and b7 (its second call)."""
    found = re.search(r"[?&]id=b?([^&]+)", span.url)
    return found[1] if found else ""
