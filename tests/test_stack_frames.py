"""A hook runs on whatever stack the program has: a thread's 16 KiB, a signal handler's. So no function on its path takes a KiB of it, and
none with all that it calls takes more than a third."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field

from harness.processes import AGENT

MOST = 1024
MOST_TOGETHER = 6 * 1024
WORD = 8
HOOKS = ("read", "recv", "recvmsg", "write", "writev", "send", "sendto", "sendmsg", "connect", "close")
# What runs before main, at the end, where a library is loaded (the loader itself takes far more), or on the agent's own thread.
ELSEWHERE = re.compile(r"\bagent::(export::(otlp|worker|start|console|encode)|load|patch)\b")
FUNCTION = re.compile(r"^0*([0-9a-f]+) <(.+)>:$")
TAKES = re.compile(r"\bsub\s+\$0x([0-9a-f]+),%rsp")
CALLS = re.compile(r"\b(?:call|jmp)\s+([0-9a-f]+) <")


@dataclass
class Function:
    name: str
    frame: int = 0
    pushes: int = 0
    calls: set[str] = field(default_factory=set)

    @property
    def is_ours(self) -> bool:
        return ("agent" in self.name or self.name in HOOKS) and not ELSEWHERE.search(self.name)


def functions() -> dict[str, Function]:
    """Those of the library by their addresses: bytes that each takes of the stack, and whom it calls by name (a call by pointer is not seen)."""
    words = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(AGENT)]
    found: dict[str, Function] = {}
    now = Function("")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listing:
        for line in listing.stdout:
            if begins := FUNCTION.match(line):
                now = found.setdefault(begins[1], Function(begins[2]))
            elif takes := TAKES.search(line):
                now.frame += int(takes[1], 16)  # a big frame is taken a page at a time
            elif calls := CALLS.search(line):
                now.calls.add(calls[1])
            now.pushes += "\tpush " in line
    assert listing.returncode == 0
    return found


def test_no_function_of_a_hook_takes_a_kib() -> None:
    found = [function for function in functions().values() if "agent" in function.name]
    big = {function.name: function.frame for function in found if function.frame > MOST}
    assert any(ELSEWHERE.search(name) for name in big), "the exporter's own thread has big frames: they should have been found"
    assert {name: size for name, size in big.items() if not ELSEWHERE.search(name)} == {}
    assert any("Stream::feed" in function.name for function in found), "the names of functions are there to be looked for"


def test_a_hook_with_all_that_it_calls_takes_less_than_a_small_stack_has() -> None:
    found = functions()
    known: dict[str, tuple[int, list[str]]] = {}

    def deepest(address: str, above: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        """The most that it takes at a time, and by way of whom; more than can be, where no call makes all of these."""
        if address not in known:
            function = found[address]
            below = [deepest(call, (*above, address)) for call in function.calls
                     if call in found and found[call].is_ours and call not in (*above, address)]
            most, way = max(below, default=(0, []))
            known[address] = (WORD * (1 + function.pushes) + function.frame + most, [function.name, *way])
        return known[address]

    hooks = {function.name: deepest(address) for address, function in found.items() if function.name in HOOKS}
    assert set(hooks) == set(HOOKS)
    size, way = max(hooks.values())
    assert any("Stream::feed" in name for name in way), "the deepest way is one that reads bytes"
    assert size < MOST_TOGETHER, f"{size} bytes: {way}"
