"""Loopback ports for programs that must be told theirs: below the kernel's ephemeral range, a block a worker."""

from __future__ import annotations

import itertools
import os
import socket

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_BLOCK = 2000
_FIRST = 20000 + _WORKER % 5 * _BLOCK
_NEXT = itertools.cycle(range(_FIRST + os.getpid() % 500, _FIRST + _BLOCK))


def free_port() -> int:
    """A port that nothing listens on. Not reused until the whole block was."""
    for port in itertools.islice(_NEXT, _BLOCK):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port")
