"""How often a test repeats what fails rarely."""

from __future__ import annotations

import os


def rounds(few: int, all: int) -> range:
    """`all` rounds with OTEL_RUN_TEST_ROUNDS=all, else `few`, so that CI stays quick. Says so (pytest -s, and on failure)."""
    complete = os.environ.get("OTEL_RUN_TEST_ROUNDS") == "all"
    print(f"{all if complete else few} rounds" + ("" if complete else f"; {all} with OTEL_RUN_TEST_ROUNDS=all"))
    return range(all if complete else few)
