"""Whose call is it: the programs of the parents tests, and what they are asked. `scripts/parents` counts all of them.

A file for each runtime, with `scenarios()`; the tests of the runtime use the same tables.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator

from harness.apps import Site
from harness.processes import BASE_ENV, ROOT, Launcher, Program
from harness.receiver import Receiver
from harness.tls import TlsUpstream
from harness.upstream import Upstream

PROGRAMS = ROOT / "tests/programs"
IMMEDIATE, LATER, HAND_OFF = "immediate", "after a delay or await", "hand-off"
KINDS = (IMMEDIATE, LATER, HAND_OFF)


@dataclass(frozen=True)
class Way:
    """One path, to which an id is added, and what stands between the request and its call."""

    path: str
    kind: str
    name: str = ""  # in the table; else the path
    calls: int = 1  # CLIENT spans that a request makes
    header: str = ""  # a line that requests carry; `{n}` in it becomes the id

    @property
    def label(self) -> str:
        return self.name or self.path.strip("/")


@dataclass
class Stage:
    """What a program is started with."""

    launcher: Launcher
    receiver: Receiver
    upstream: Upstream
    site: Site


@dataclass(frozen=True)
class Scenario:
    """A program and the ways in which it is asked. Ids are `runtime/name`."""

    runtime: str
    name: str
    version: str  # the runtime's
    software: str  # server and client, with versions
    start: Callable[[Stage], Program]
    ways: tuple[Way, ...]
    keep: bool = True  # connections are kept by the server
    secure: bool = False  # TLS on both sides
    many: bool = False  # asked by 200 clients at once, too
    served: int = 1  # SERVER spans that a request makes

    @property
    def id(self) -> str:
        return f"{self.runtime}/{self.name}".lower().replace(" ", "-")


@contextlib.contextmanager
def stage(secure: bool) -> Iterator[Stage]:
    """A receiver, an upstream and a launcher of their own, and their end."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parents-")))
        receiver = Receiver()
        stack.callback(receiver.close)
        upstream = TlsUpstream() if secure else Upstream()
        stack.callback(upstream.close)
        launcher = Launcher(directory, receiver.agent_env)
        site = Site(launcher)
        stack.callback(site.remove)
        stack.callback(launcher.close)
        yield Stage(launcher, receiver, upstream, site)


PARTS = ("python", "node", "java", "ruby", "native")  # a file here each


def everything(parts: Iterable[str] = PARTS) -> list[Scenario]:
    """All scenarios of these parts."""
    files = [importlib.import_module(f"harness.scenarios.{part}") for part in parts]
    return [scenario for file in files for scenario in file.scenarios()]


@functools.cache
def output(*command: str | Path, pattern: str = r"\d+(?:\.\d+)+") -> str:
    """The first version number that a command prints."""
    done = subprocess.run([str(word) for word in command], env=BASE_ENV, capture_output=True, text=True, check=True)
    found = re.search(pattern, done.stdout + done.stderr)
    assert found, f"{command} told no version: {done.stdout}{done.stderr}"
    return found[0]


def packages(*names: str) -> str:
    """Python packages with their versions."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


@functools.cache
def debian(package: str) -> str:
    """The upstream version of an installed Debian package."""
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True).stdout
    return re.sub(r"^\d+:|[-+~].*$", "", shown)


def ways(paths: Iterable[str], kinds: dict[str, str]) -> tuple[Way, ...]:
    """The paths with the kind of their last part."""
    return tuple(Way(path, kinds[path.rpartition("/")[2]]) for path in paths)
