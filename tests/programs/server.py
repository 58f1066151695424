"""The harness's upstream as a program of its own, so that it can run under the agent: PORT says where."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.upstream import Upstream  # noqa: E402

Upstream(port=int(os.environ["PORT"]))
signal.sigwait({signal.SIGTERM})
