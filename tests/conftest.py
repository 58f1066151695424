"""Fixtures of the end-to-end tests. They need a built agent and what scripts/setup installs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.apps import Site  # noqa: E402
from harness.collector import Collector  # noqa: E402
from harness.processes import AGENT, COMMAND, OTEL_RUN, PRELOAD, Launcher  # noqa: E402
from harness.receiver import Receiver  # noqa: E402
from harness.tls import TlsUpstream  # noqa: E402
from harness.upstream import Upstream  # noqa: E402

pytest_plugins = ["harness.databases.fixtures"]


def _require_agent() -> None:
    """Without the agent every test would fail for the same reason: say it once."""
    missing = [str(path) for path in (AGENT, OTEL_RUN) if not path.exists()]
    if missing:
        pytest.exit(f"not built: {', '.join(missing)} (cargo build --release, or set OTEL_RUN_TARGET)", 1)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None):  # the workers cannot end the run
        _require_agent()


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or all(item.get_closest_marker("harness") for item in session.items):
        return
    _require_agent()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()
    assert not receiver.errors, receiver.errors


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def tls_upstream() -> Iterator[TlsUpstream]:
    upstream = TlsUpstream()
    yield upstream
    upstream.close()


@pytest.fixture
def otel_env(receiver: Receiver) -> dict[str, str]:
    return receiver.agent_env


@pytest.fixture
def launcher(otel_env: dict[str, str], tmp_path: Path) -> Iterator[Launcher]:
    """Starts programs by `otel-run`; a test that cares says `how=`."""
    launcher = Launcher(tmp_path, otel_env)
    yield launcher
    launcher.close()


@pytest.fixture(params=[COMMAND, PRELOAD])
def both_ways(launcher: Launcher, request: pytest.FixtureRequest) -> Launcher:
    launcher.how = request.param
    return launcher


@pytest.fixture
def collector(receiver: Receiver, tmp_path: Path) -> Iterator[Collector]:
    collector = Collector(tmp_path, receiver)
    yield collector
    collector.close()


@pytest.fixture
def site(launcher: Launcher) -> Iterator[Site]:
    site = Site(launcher)
    yield site
    launcher.close()
    site.remove()
