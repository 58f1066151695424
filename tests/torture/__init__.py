"""Other people's test suites, for scripts/torture."""

from __future__ import annotations

from pathlib import Path

from torture import cpython
from torture.packages import PACKAGES
from torture.suites import Suite


def suites(cache: Path) -> list[Suite]:
    return [cpython.SUITE, *(package.suite(cache) for package in PACKAGES)]
