"""CPython's own suite, the one that belongs to the interpreter behind the tests' virtual environment."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.processes import PYTHON
from torture.suites import Part, Suite

RESOURCES = "all,-largefile,-network,-urlfetch,-walltime,-gui,-audio,-cpu"  # loopback only
ON_LOOPBACK = ("test_socketserver",)  # asks for the resource `network` and stays on loopback
VSOCK = "*VSOCK*"  # not on loopback: in a virtual machine these ask its host, and wait for ever

SHORT = ("test_httplib", "test_httpservers", "test_urllib2_localnet", "test_select", "test_selectors", "test_socketserver", "test_ftplib",
         "test_smtplib", "test_fork1", "test_posix", "test_poll", "test_epoll")
LONG = ("test_socket", "test_ssl", "test_asyncio", "test_subprocess", "test_os", "test_threading", "test_signal")


def asked(code: str) -> str:
    return subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def interpreter() -> str:
    """Not the one of the virtual environment: tests compare paths with those of an installation."""
    return asked("import sys; print(sys._base_executable)")


def parts() -> list[Part]:
    python = interpreter()

    def part(module: str) -> Part:
        def command(results: Path, only: Sequence[str]) -> list[str]:
            resources = RESOURCES + ",network" if module in ON_LOOPBACK else RESOURCES
            words = [python, "-m", "test", "-v", "-u", resources, "--timeout", "300", "-i", VSOCK, "--junit-xml", str(results)]
            for test in only:
                words += ["-m", test]
            return [*words, module]

        return Part(module, command, short=module in SHORT)

    return [part(module) for module in (*SHORT, *LONG)]


def check() -> None:
    asked("import test.test_socket")


SUITE = Suite("cpython", asked("import platform; print(platform.python_version())"), check, parts)
