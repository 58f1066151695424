"""Suites that come with the source distributions of Python packages: HTTP clients and servers, run by pytest."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torture.suites import Part, Suite

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"  # everything pinned, the package itself among it


@dataclass(frozen=True)
class Package:
    name: str
    tests: dict[str, Sequence[str]]  # part -> pytest's words

    @property
    def requirements(self) -> Path:
        return REQUIREMENTS / f"{self.name}.txt"

    @property
    def version(self) -> str:
        pins = dict(line.split("==") for line in self.requirements.read_text().splitlines() if "==" in line)
        return pins[self.name]

    def suite(self, cache: Path) -> Suite:
        home = cache / self.name
        source = home / f"{self.name}-{self.version}"
        python = home / "venv/bin/python"

        def install() -> None:
            key = hashlib.sha256(self.requirements.read_bytes() + sys.version.encode()).hexdigest()
            if (home / "key").exists() and (home / "key").read_text() == key:
                return
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
            wanted = f"{self.name}=={self.version}"
            subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
            subprocess.run([*pip, "install", "-r", self.requirements], check=True)
            subprocess.run([*pip, "download", "--no-deps", "--no-binary", self.name, "--dest", home, wanted], check=True)
            with tarfile.open(home / f"{self.name}-{self.version}.tar.gz") as archive:
                archive.extractall(home, filter="data")
            (home / "key").write_text(key)

        def node(test: str) -> str:
            """pytest's name for a test, of the one in its results: `tests.test_a.TestB.test_c[1.0]`."""
            plain, bracket, parameters = test.partition("[")
            words = plain.split(".")
            for length in range(len(words) - 1, 0, -1):
                file = Path(*words[:length]).with_suffix(".py")
                if (source / file).exists():
                    return "::".join([str(file), *words[length:]]) + bracket + parameters
            raise AssertionError(f"{test} is in no file of {source}")

        def part(name: str, words: Sequence[str]) -> Part:
            def command(results: Path, only: Sequence[str]) -> list[str]:
                options = [word for word in words if word.startswith("-")]
                chosen = [node(test) for test in only] or [word for word in words if not word.startswith("-")]
                return [str(python), "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "120", "--junit-xml", str(results), *options, *chosen]

            return Part(name, command, directory=source)

        return Suite(self.name, self.version, install, lambda: [part(name, words) for name, words in self.tests.items()])


PACKAGES = [
    Package("requests", {"tests": ["tests"]}),
    Package("httpx", {"tests": ["-mnot network", "tests"]}),
]
