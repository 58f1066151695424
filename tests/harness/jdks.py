"""The JDKs of this machine, other versions' runtimes, and the Java programs of the tests."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

from harness.processes import CACHE

PROGRAMS = Path(__file__).parent.parent / "programs/java"
LIBRARIES = CACHE / "java-libraries"
OPENTELEMETRY = CACHE / "java-agent/opentelemetry-javaagent.jar"
GRPC = CACHE / "java-grpc"  # a directory for each version
DATABASES = CACHE / "java-databases"
RUNTIMES = CACHE / "java-runtimes"


@functools.cache
def jdks() -> dict[int, Path]:
    """Their homes by version."""
    found: dict[int, Path] = {}
    for home in sorted({path.resolve() for path in Path("/usr/lib/jvm").glob("*")}):
        if (home / "bin/javac").exists():
            told = subprocess.run([home / "bin/java", "-version"], capture_output=True, text=True).stderr
            version = re.search(r'version "(?:1\.)?(\d+)', told)
            assert version, told
            found.setdefault(int(version[1]), home)
    assert found, "no JDK under /usr/lib/jvm"
    return dict(sorted(found.items()))


@functools.cache
def runtimes() -> dict[int, Path]:
    """The homes of JDKs and, of further versions, of what only runs programs (scripts/setup)."""
    others = {int(home.name): home for home in RUNTIMES.iterdir()}
    return dict(sorted({**others, **jdks()}.items()))


def compiled(directory: Path, *programs: str, libraries: Path = LIBRARIES) -> Path:
    """A directory with the classes of these programs, for every version from 11 on."""
    javac = jdks()[17] / "bin/javac"
    sources = [str(PROGRAMS / f"{program}.java") for program in programs]
    words = [javac, "-nowarn", "-Xlint:-options", "-source", "11", "-target", "11", "-cp", f"{libraries}/*", "-d", directory]
    done = subprocess.run([*words, *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return directory
