"""Other people's test suites, for scripts/torture."""

from torture import cpython

ALL = [cpython.SUITE]
