"""What a suite is, and how one part of it is run and its results are read."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.processes import BASE_ENV, OTEL_RUN

WHOLE = "(the whole part)"  # stands where a test's name would, for what a part did that no test did

Results = dict[str, str]  # test -> passed, failed, error, skipped; WHOLE -> how the part ended
SEVERITY = ("passed", "skipped", "failed", "error")


@dataclass(frozen=True)
class Part:
    """As much of a suite as one process runs. `command` gets the file for the results (JUnit's XML) and the tests to run, or none for all."""

    name: str
    command: Callable[[Path, Sequence[str]], list[str]]
    deadline: float = 900
    short: bool = False  # also in the short form
    directory: Path | None = None  # where it is run


@dataclass(frozen=True)
class Suite:
    name: str
    version: str
    install: Callable[[], None]
    parts: Callable[[], list[Part]]


@dataclass(frozen=True)
class Run:
    results: Results
    seconds: float
    output: str


def run(part: Part, work: Path, agent_env: dict[str, str] | None, only: Sequence[str] = ()) -> Run:
    """Runs a part in a process group of its own, of which nothing is left. `agent_env`: under otel-run, with this environment."""
    file = work / "results.xml"
    file.unlink(missing_ok=True)
    command = part.command(file, only)
    if agent_env is not None:
        command = [str(OTEL_RUN), "--", *command]
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    began = time.monotonic()
    with (work / "output").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                                   cwd=part.directory or work, env={**BASE_ENV, "TMPDIR": str(temporary), **(agent_env or {})})
        try:
            ended = f"ended with {process.wait(part.deadline)}"
        except subprocess.TimeoutExpired:
            ended = f"not done after {part.deadline:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = (work / "output").read_text(errors="replace")
    return Run({**read(file), WHOLE: ended}, time.monotonic() - began, text)


def read(file: Path) -> Results:
    """The outcome of every test case. One that is there several times (retries, subtests) is as bad as its worst."""
    results: Results = {}
    if not file.exists() or not file.stat().st_size:
        return results
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        kinds = {child.tag for child in case}
        outcome = next((o for tag, o in (("error", "error"), ("failure", "failed"), ("skipped", "skipped")) if tag in kinds), "passed")
        results[name] = max(outcome, results.get(name, "passed"), key=SEVERITY.index)
    return results


def differing(bare: Results, agent: Results) -> list[str]:
    """The tests with another outcome. How the part ended counts where no test tells why."""
    tests = [test for test in sorted(bare.keys() | agent.keys()) if bare.get(test) != agent.get(test)]
    return [test for test in tests if test != WHOLE] or tests
