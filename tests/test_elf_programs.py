"""The hostile C programs of tests/elf: each must pass bare, under a preload library that does nothing, and
under the agent, and print the same. What a program proves, and which lesson it comes from, stands at its top.

The agent runs against a closed port (nothing may change when there is no collector), against a receiver
(the program's `spans` line is then the exact count that must arrive), and switched off. Without a built agent
those runs are skipped; set ELF_REQUIRE_AGENT=1 (CI) to make that a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "elf"
BUILT = Path(os.environ.get("ELF_BUILD", ROOT / ".cache" / "elf"))
AGENT = Path(os.environ.get("ELF_AGENT_SO", ROOT / "target" / "release" / "libagent.so"))

sys.path.insert(0, str(SOURCES))
from sink import Sink  # noqa: E402  (lives beside the programs)


@dataclass(frozen=True)
class Case:
    name: str
    args: tuple[str, ...] = ()
    seconds: int = 90

    def __str__(self) -> str:
        return "-".join((self.name, *self.args))


def cases(name: str, *args: str, seconds: int = 90) -> list[Case]:
    """One case, or one for each argument."""
    return [Case(name, (a,), seconds) for a in args] or [Case(name, (), seconds)]


CASES = [
    *cases("canary"),
    *cases("canary_noplt"),
    *cases("canary_asan"),
    *cases("canary_exec"),
    *cases("http_variants"),
    *cases("http_variants_noplt"),
    *cases("http_variants_nopie"),
    *cases("http_variants_lazy"),
    *cases("http_variants_asan"),
    *cases("dlopen_forms"),
    *cases("fork_threads", seconds=200),
    *cases("vfork_storm", seconds=250),
    *cases("prefork"),
    *cases("daemon_closes_all", "loop", "closefrom", "close_range", "procfd", "dup2"),
    *cases("dup_storm"),
    *cases("fd_reuse_race"),
    *cases("fd_high"),
    *cases("tight_limits", "nofile", "as", "nproc", "fsize"),
    *cases("small_stack"),
    *cases("signal_write"),
    *cases("signal_storm"),
    *cases("longjmp_io"),
    *cases("cancel_io"),
    *cases("closed_stdio"),
    *cases("ctor_linked"),
    *cases("ctor_dlopen"),
    *cases("exit_io", "return", "exit", "_exit", "_Exit", "quick_exit", "syscall", "pthread", "exec", "execfail"),
    *cases("tls_dtor"),
    *cases("no_socket"),
    *cases("unshare_user"),
    *cases("clone_raw"),
    *cases("fork_kinds", "fork", "_Fork", "syscall", "clone", "double", "exit"),
    *cases("passed_sockets"),
    *cases("file_reuse"),
    *cases("peek_server"),
    *cases("partial_writes", seconds=150),
    *cases("const_buffers", "pages", "fault", "body"),
    *cases("seccomp_box", "strict", "eperm", "eperm_send", "kill_unusual"),
    *cases("exec_storm"),
    *cases("setuid_drop"),
    *cases("thread_storm", seconds=130),
    *cases("families"),
    *cases("bodies"),
    *cases("half_close"),
    *cases("connect_fail"),
    *cases("tunnels"),
    *cases("head_sizes"),
    *cases("idle"),
    *cases("record_reuse"),
    *cases("sendmmsg_short"),
    *cases("control_data"),
    *cases("out_of_memory", "end", "work"),
    *cases("stderr_lost", "kept", "broken", "closed", "socket"),
    *cases("write_only_box", "fresh", "busy"),
    *cases("exit_in_malloc", "first", "busy"),
    *cases("fork_stale"),
    *cases("clone_vm_exit"),
    *cases("eagain_retry"),
    *cases("exec_fail_nproc"),
    *cases("seccomp_probe"),
    *cases("many_pieces"),
]
# programs that only other tests of this file run
HELPERS: set[str] = set()


@dataclass
class Run:
    status: int
    out: str
    err: str
    seconds: float

    @property
    def transcript(self) -> str:
        return "".join(line for line in self.out.splitlines(True) if not line.startswith("spans "))

    @property
    def spans(self) -> dict[str, tuple[int, int] | None]:
        found = re.search(r"^spans server=(\S+) client=(\S+)$", self.out, re.M)
        assert found, f"no spans line in {self.out!r}"
        return {kind: span_range(text) for kind, text in zip(("SERVER", "CLIENT"), found.groups())}


def span_range(text: str) -> tuple[int, int] | None:
    if text == "-":
        return None
    low, _, high = text.partition("..")
    return int(low), int(high or low)


def clean_environment() -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ELF_", "LD_", "PYTEST_"))}
    return keep | {
        "LC_ALL": "C",
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def run(command: list[str], preload: str = "", seconds: float = 90, **env: str) -> Run:
    """Runs a command in a session of its own, which ends with it."""
    environment = clean_environment() | env
    if preload:
        environment["LD_PRELOAD"] = preload
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=SOURCES,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"{command} did not end within {seconds} s\n{out[-2000:]}\n{err[-2000:]}")
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # children that the program left behind
        except ProcessLookupError:
            pass
    return Run(process.returncode, out, err, time.monotonic() - begin)


def run_case(case: Case, preload: str = "", **env: str) -> Run:
    return run([str(BUILT / case.name), *case.args], preload, case.seconds, **env)


def closed_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


@pytest.fixture(scope="module", autouse=True)
def build() -> None:
    made = subprocess.run(
        ["make", "-s", "-j2", "-C", str(SOURCES), f"OUT={BUILT}"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="session")
def agent() -> str:
    if not AGENT.exists():
        if os.environ.get("ELF_REQUIRE_AGENT") == "1":
            pytest.fail(f"{AGENT} is not built")
        pytest.skip(f"{AGENT} is not built")
    return str(AGENT)


@pytest.fixture
def spans_receiver() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


_bare: dict[Case, Run] = {}


def bare(case: Case) -> Run:
    if case not in _bare:
        result = run_case(case)
        check_passed(case, result)
        if result.status == 0:
            _bare[case] = result
    return _bare[case]


def check_passed(case: Case, result: Run) -> None:
    if result.status == 77:  # the kernel or the container refuses what the story needs, also bare
        pytest.skip(f"{case}: {result.out.strip()}")
    assert result.status == 0, f"{case}: status {result.status}\n{result.out[-2000:]}\n{result.err[-4000:]}"
    assert result.out.rstrip().endswith("ok") or "\nok\n" in result.out, result.out[-500:]


def check_same(case: Case, result: Run) -> None:
    """The program cannot tell: same status, same transcript byte for byte, nothing more on stderr."""
    expected = bare(case)
    check_passed(case, result)
    assert result.transcript == expected.transcript
    assert result.err == expected.err


def check_spans(result: Run, receiver) -> None:
    expected = result.spans
    least = sum(r[0] for r in expected.values() if r)
    arrived = receiver.wait_for_spans(least, 10.0)
    for kind, allowed in expected.items():
        count = sum(1 for span in arrived if span.kind == kind)
        if allowed:
            assert allowed[0] <= count <= allowed[1], f"{count} {kind} spans, expected {allowed[0]}..{allowed[1]}"


def agent_environment(endpoint: str, protocol: str = "http/protobuf") -> dict[str, str]:
    return {
        "ELF_AGENT": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }


# ---- every program in every setting ----


def test_every_program_is_run() -> None:
    with_main = {p.stem for p in SOURCES.glob("*.c") if re.search(r"^int main\(", p.read_text(), re.M)}
    assert with_main - {c.name for c in CASES} == HELPERS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bare(case: Case) -> None:
    check_passed(case, bare(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_under_a_preload_that_does_nothing(case: Case) -> None:
    check_same(case, run_case(case, str(BUILT / "preload_nothing.so")))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agent_without_collector(case: Case, agent: str) -> None:
    check_same(case, run_case(case, agent, **agent_environment(closed_port())))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agent_with_receiver(case: Case, agent: str, spans_receiver) -> None:
    protocol = getattr(spans_receiver, "protocol", "http/protobuf")
    environment = agent_environment(spans_receiver.endpoint, protocol)
    # Counts are exact, also when the exporter gets little of a busy machine.
    result = run_case(case, agent, **environment, OTEL_BSP_MAX_QUEUE_SIZE="65536")
    check_same(case, result)
    check_spans(result, spans_receiver)


@pytest.mark.parametrize("case", cases("canary") + cases("http_variants") + cases("closed_stdio"), ids=str)
def test_agent_switched_off(case: Case, agent: str) -> None:
    check_same(case, run_case(case, agent, OTEL_SDK_DISABLED="true"))


# ---- the programs notice what an agent may do wrong (preload_faulty.c) ----


@pytest.mark.parametrize("name", ["http_variants", "fork_threads", "small_stack", "signal_write", "dup_storm", "partial_writes", "bodies"])
def test_one_context_line_is_accepted(name: str) -> None:
    case = next(c for c in CASES if c.name == name)
    check_same(case, run_case(case, str(BUILT / "preload_faulty.so"), ELF_AGENT="1"))


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("double", "http_variants"),
        ("count", "http_variants"),
        ("server", "http_variants"),
        ("none", "http_variants"),  # a context although no agent is there
        ("errno", "canary"),
        ("lowfd", "canary"),
        ("files", "dup_storm"),
        ("files", "fd_reuse_race"),
        ("lowfd", "closed_stdio"),
        ("noise", "canary_exec"),
        ("thread", "no_socket"),
        ("thread", "unshare_user"),
        ("lowfd", "no_socket"),
        ("signal", "no_socket"),
        ("files", "file_reuse"),
        ("double", "partial_writes"),
        ("none", "seccomp_box"),  # calls of its own in a strict box
    ],
)
def test_a_wrong_agent_is_noticed(fault: str, name: str) -> None:
    case = Case(name, (), 30)
    agent_is_expected = {} if (fault, name) == ("none", "http_variants") else {"ELF_AGENT": "1"}
    result = run_case(case, str(BUILT / "preload_faulty.so"), ELF_FAULT=fault, **agent_is_expected)
    expected = bare(case)
    same = (result.status, result.transcript, result.err) == (expected.status, expected.transcript, expected.err)
    assert not same, f"{name} did not notice fault {fault}"


# ---- company: other preload libraries, our own second copy ----


@pytest.mark.parametrize("order", ["other before", "other after", "nothing before", "twice", "a copy elsewhere"])
@pytest.mark.parametrize("name", ["http_variants", "exit_io"])
def test_agent_beside_other_libraries(order: str, name: str, agent: str, spans_receiver, tmp_path: Path) -> None:
    other, nothing = str(BUILT / "preload_other.so"), str(BUILT / "preload_nothing.so")
    copy = tmp_path / "libagent.so"
    shutil.copy(agent, copy)
    preload, alone = {
        "other before": (f"{other}:{agent}", other),
        "other after": (f"{agent}:{other}", other),
        "nothing before": (f"{nothing} {agent}", ""),
        "twice": (f"{agent}:{agent}", ""),
        "a copy elsewhere": (f"{agent}:{copy}", ""),
    }[order]
    case = Case(name, () if name == "http_variants" else ("return",))
    expected = run_case(case, alone)
    assert expected.status == 0
    protocol = getattr(spans_receiver, "protocol", "http/protobuf")
    result = run_case(case, preload, **agent_environment(spans_receiver.endpoint, protocol))
    check_passed(case, result)
    assert (result.transcript, result.err) == (expected.transcript, expected.err)
    check_spans(result, spans_receiver)  # not twice as many


# Functions that libc can replace by system calls; the others (fork handlers, the resolver, the search in PATH) are libc's own,
# and a program whose libc has none of them cannot call them either.
@pytest.mark.parametrize("name", ["http_variants", "http_variants_noplt", "connect_fail", "fd_high", "partial_writes"])
@pytest.mark.parametrize("blind", ["own", "none"])
def test_real_functions_that_are_not_found(blind: str, name: str, agent: str, spans_receiver) -> None:
    """Lessons 36, 49: dlsym finds the agent itself, or nothing at all: calls reach the kernel, spans are as ever."""
    case = next(c for c in CASES if c.name == name)
    preload = f"{BUILT / 'preload_blind.so'}:{agent}"
    result = run_case(case, preload, ELF_BLIND=blind, **agent_environment(spans_receiver.endpoint))
    check_same(case, result)
    check_spans(result, spans_receiver)


# ---- exit time, silence, process counts ----


def test_exit_is_not_delayed_by_a_collector_that_never_reads(agent: str) -> None:
    """Lesson 13: the total exit budget is bounded, also for a peer that accepts and says nothing."""
    case = Case("exit_io", ("return",))
    with socket.socket() as stalled:
        stalled.bind(("127.0.0.1", 0))
        stalled.listen(64)
        result = run_case(case, agent, **agent_environment(f"http://127.0.0.1:{stalled.getsockname()[1]}"))
    check_same(case, result)
    assert result.seconds < bare(case).seconds + 1.0


COMMANDS = [
    ["bash", "-c", "for i in 1 2 3; do /bin/true; done; echo $? $BASHPID | cut -d' ' -f1; exit 3"],
    ["bash", "-c", "ulimit -n; umask; pwd; trap; type -t read; printf '%s\\n' \"$LANG\""],
    ["bash", "-c", "for i in $(seq 200); do /bin/true; done"],
    ["sh", "-c", "exec 3<&0 0<&- 1>&- 2>&-; /bin/true; exit 4"],
    ["sh", "-c", "env -i /bin/sh -c 'env | grep -c .'"],
    ["sh", "-c", "ls -l /proc/self/fd | awk '{print $9}'; grep Threads /proc/self/status"],
    ["sh", "-c", "echo a | sed s/a/b/ | tee /dev/null | sort | uniq -c"],
    ["unshare", "-U", "/bin/true"],
    ["git", "--version"],
    ["ldd", "/bin/ls"],
    ["curl", "--version"],
    ["timeout", "1", "sleep", "0.01"],
    ["/bin/false"],
    ["python3", "-c", "import subprocess, threading; print(subprocess.run(['true']).returncode, threading.active_count())"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: " ".join(c)[:50])
def test_ordinary_commands_behave_the_same(command: list[str], agent: str) -> None:
    """Lessons 17, 129, 131: nothing on stdout or stderr, same status, for programs that are not about HTTP."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    expected = run(command)
    result = run(command, agent, **agent_environment(closed_port()))
    hide = re.compile(r"\(0x[0-9a-f]+\)|^.*(libagent|linux-vdso).*\n", re.M)  # ldd names what is loaded, and where

    def visible(text: str) -> str | list[str]:
        text = hide.sub("", text)
        return sorted(text.splitlines()) if command[0] == "ldd" else text  # our libc is theirs, only earlier in the list

    assert (result.status, visible(result.out), hide.sub("", result.err)) == (
        expected.status,
        visible(expected.out),
        hide.sub("", expected.err),
    )


def test_no_process_is_started_by_the_agent(agent: str, tmp_path: Path) -> None:
    """Lesson 12, seen from outside: the same number of clones (threads apart) and execs."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")

    def calls(name: str, preload: str) -> tuple[int, int]:
        log = tmp_path / name
        tool = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=fork,vfork,clone,clone3,execve"]
        tool += ["-E", f"LD_PRELOAD={preload}"] if preload else []
        result = run([*tool, str(BUILT / "prefork")], **agent_environment(closed_port()) | {"ELF_AGENT": str(int(bool(preload)))})
        if result.status != 0 and "ptrace" in result.err:
            pytest.skip("ptrace is refused here")
        assert result.status == 0, result.err
        lines = log.read_text().splitlines()
        made = [line for line in lines if re.search(r"\b(fork|vfork|clone3?)\(", line) and "CLONE_THREAD" not in line]
        return len(made), sum("execve(" in line for line in lines)

    assert calls("agent", agent) == calls("bare", "")
