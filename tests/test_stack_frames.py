"""A hook runs on whatever stack the program has: a thread's 16 KiB, a signal handler's. So no function on its path takes a KiB of it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

from harness.processes import AGENT

MOST = 1024
# What runs before main, at the end, where a library is loaded (the loader itself takes far more), or on the agent's own thread.
ELSEWHERE = re.compile(r"\bagent::(export::(otlp|worker|start|console|encode)|load|patch)\b")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
TAKES = re.compile(r"\bsub\s+\$0x([0-9a-f]+),%rsp")


def frames() -> Counter[str]:
    """Bytes that each of the agent's functions takes of the stack, the most of those with the same name."""
    words = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(AGENT)]
    found: Counter[str] = Counter()
    name, total = "", 0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listing:
        for line in listing.stdout:
            if begins := FUNCTION.match(line):
                name, total = begins[1], 0
            elif "agent" in name and (takes := TAKES.search(line)):
                total += int(takes[1], 16)  # a big frame is taken a page at a time
                found[name] = max(found[name], total)
    assert listing.returncode == 0
    return found


def test_no_function_of_a_hook_takes_a_kib() -> None:
    found = frames()
    big = {name: size for name, size in found.items() if size > MOST}
    assert any(ELSEWHERE.search(name) for name in big), "the exporter's own thread has big frames: they should have been found"
    assert {name: size for name, size in big.items() if not ELSEWHERE.search(name)} == {}
    assert any("Stream::feed" in name for name in found), "the names of functions are there to be looked for"
