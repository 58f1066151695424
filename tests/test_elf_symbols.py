"""What libagent.so is as a file: exported names, needed libraries, memory protections, versions.

Lessons 121 (leaked symbols), 124 (executable stack), 126 (glibc floor), 127 (libgcc_s in slim images).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
AGENT = Path(os.environ.get("ELF_AGENT_SO", ROOT / "target" / "release" / "libagent.so"))
EXPORTED = ROOT / "tests" / "elf" / "exported-symbols.txt"
HOOKS = ROOT / "tests" / "elf" / "hooks.def"
# libgcc_s is what a plain gcc link adds; a portable build must do without it (see the note in the test)
NEEDED = {"libc.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libdl.so.2", "libpthread.so.0", "libm.so.6"}


def tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def agent() -> str:
    if not AGENT.exists():
        if os.environ.get("ELF_REQUIRE_AGENT") == "1":
            pytest.fail(f"{AGENT} is not built")
        pytest.skip(f"{AGENT} is not built")
    return str(AGENT)


def checked_in() -> set[str]:
    lines = (line.strip() for line in EXPORTED.read_text().splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def test_the_list_covers_every_hook_of_the_programs() -> None:
    assert set(re.findall(r"HOOK\((\w+)\)", HOOKS.read_text())) <= checked_in()


def test_exported_symbols_are_exactly_the_list(agent: str) -> None:
    exported = {line.split()[-1].split("@")[0] for line in tool("nm", "-D", "--defined-only", agent).splitlines()}
    assert exported == checked_in(), f"more: {exported - checked_in()}, missing: {checked_in() - exported}"


FIND = """import ctypes, sys
class Info(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("address", ctypes.c_void_p)]
program = ctypes.CDLL(None)
program.dlsym.restype, program.dlsym.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
for name in sys.argv[1:]:
    found, info = program.dlsym(None, name.encode()), Info()
    print(name, info.file.decode() if program.dladdr(ctypes.c_void_p(found), ctypes.byref(info)) else "nowhere")
"""


def test_every_name_that_a_program_looks_up_is_ours(agent: str) -> None:
    """Lesson 53: each function of the list, looked up as the linker does, is the agent's. (A hook that is written but
    not exported, or exported under a version that nobody asks for, would be missed here.)"""
    command = [sys.executable, "-c", FIND, *sorted(checked_in())]
    done = subprocess.run(command, env={**os.environ, "LD_PRELOAD": agent}, check=True, capture_output=True, text=True)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert {name: file for name, file in found.items() if file != agent} == {} and set(found) == checked_in()
    bare = subprocess.run(command, env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}, check=True, capture_output=True,
                          text=True).stdout
    assert "libagent" not in bare and "nowhere" not in bare


def test_needed_libraries_are_few(agent: str) -> None:
    needed = set(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", tool("readelf", "-dW", agent)))
    print("needed:", ", ".join(sorted(needed)))
    assert needed <= NEEDED


def test_memory_protections(agent: str) -> None:
    dynamic = tool("readelf", "-dW", agent)
    segments = tool("readelf", "-lW", agent)
    stack = re.search(r"GNU_STACK.*?\s(R[W ][E ])\s", segments)
    assert stack and "E" not in stack.group(1), "GNU_STACK missing or executable"
    assert "TEXTREL" not in dynamic
    assert not re.search(r"LOAD.*\sRWE\s", segments), "a segment is writable and executable"
    assert "GNU_RELRO" in segments


def test_thread_word_is_initial_exec(agent: str) -> None:
    """The thread word is read with one instruction: STATIC_TLS must be set and a TPOFF relocation present.
    `__tls_get_addr` may remain for the exporter thread's std; it is reported, not refused."""
    assert "STATIC_TLS" in tool("readelf", "-dW", agent)
    assert re.search(r"R_X86_64_TPOFF64|R_AARCH64_TLS_TPREL64", tool("readelf", "-rW", agent))
    if "__tls_get_addr" in tool("nm", "-D", "--undefined-only", agent):
        print("note: __tls_get_addr is imported; check that no hook path reaches it")


def test_no_load_time_pollution(agent: str) -> None:
    """Nothing in the object may be unique or carry names that other libraries look up (allocator, unwinder, C++)."""
    names = checked_in()
    assert not any(n.startswith(("rust_", "_ZN", "_R", "_Unwind")) for n in names)
    assert not {"malloc", "free", "calloc", "realloc", "memcpy", "sigaction", "signal", "setrlimit"} & names
    assert "UNIQUE" not in tool("readelf", "--dyn-syms", "-W", agent)


def test_glibc_floor_is_printed(agent: str) -> None:
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_(\d+(?:\.\d+)+)", tool("readelf", "-VW", agent))}
    assert versions, "no versioned glibc symbol: is this a glibc build?"
    print("newest glibc symbol version:", ".".join(map(str, max(versions))))
