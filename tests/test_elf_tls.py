"""The hostile C programs of tests/elf/tls: what they print bare and under the agent is the same, and the spans are exactly
those that they say must be reported, each with all of its attributes, each server's under its client's.

A program prints `span KIND METHOD PATH STATUS port=N peer=N [WORD...]` for each (http_tls.h); a status of 0 is none, a peer of 0
one that cannot be known.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.assertions import ANY_IP, ANY_PORT, Expect, assert_child, assert_root, call, server
from harness.processes import AGENT
from harness.receiver import Receiver
from harness.spans import Span, draw

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "elf" / "tls"
# Not a folder "tls" below the other programs: the linker looks for libraries in there too.
BUILT = Path(os.environ.get("ELF_BUILD", ROOT / ".cache" / "elf")).with_name("elf-tls")
SECONDS = 60

CASES = [
    "writes 2",
    "writes 3",
    "reads",
    "handshakes",
    "callbacks",
    "bios carriers",
    "bios after",
    "threads fork",
    "threads threads",
    "threads signals",
    "threads cancel",
    "threads jump",
    "gnutls ways",
    "gnutls ends",
    "simple",
    "simple_exported",
    "simple_symtab",
    "simple_stripped none",
    *(f"loading {how}" for how in ("local", "lazy", "deep", "dlmopen", "copies", "again", "many", "constructor", "beside")),
]


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    err: str

    @property
    def transcript(self) -> str:
        """All but the ports, which are the kernel's choice."""
        return re.sub(r"(port|peer)=[1-9]\d*", r"\1=N", self.out)


def run(command: str, **env: str) -> Run:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ELF_", "LD_", "PYTEST_"))}
    program, *arguments = command.split()
    done = subprocess.run(
        [BUILT / program, *arguments], env=keep | {"LC_ALL": "C"} | env, cwd=BUILT, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=SECONDS, check=False, text=True, errors="replace",
    )
    return Run(done.returncode, done.stdout, done.stderr)


def under_agent(command: str, otel_env: dict[str, str], **env: str) -> Run:
    return run(command, ELF_AGENT="1", LD_PRELOAD=str(AGENT), **otel_env, **env)


@pytest.fixture(scope="module", autouse=True)
def build() -> None:
    made = subprocess.run(["make", "-s", "-C", SOURCES, f"OUT={BUILT}"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def check_passed(result: Run) -> None:
    if result.status == 77:  # the kernel refuses what the story needs, also bare
        pytest.skip(result.out.strip())
    assert result.status == 0, f"status {result.status}\n{result.out[-1000:]}\n{result.err[-3000:]}"
    assert result.out.endswith("ok\n"), result.out[-500:]


def wanted(line: str) -> Expect:
    _, kind, method, path, status, *words = line.split()
    values = dict(word.partition("=")[::2] for word in words)
    port, peer = int(values["port"]), int(values["peer"])
    scheme, host = values.get("scheme", "https"), values.get("host", "elf.test")
    peers = {"network.peer.address": ANY_IP, "network.peer.port": ANY_PORT if "anypeer" in values else peer} if peer else {}
    if "failed" in values:  # a handshake
        attributes = {"http.request.method": "_OTHER", "server.address": host, "server.port": port, "error.type": values["failed"], **peers}
        return Expect("CLIENT", "HTTP", attributes, "ERROR")
    code = int(status) or None
    if kind == "CLIENT":
        authority = host if "noport" in values else f"{host}:{port}"
        url = authority if method == "CONNECT" else f"{scheme}://{authority}{path}"
        expect = call(url if "://" in url else f"//{url}", method=method, status=code, error=values.get("error"))
        expect.attributes["url.full"] = url
    else:
        expect = server(path, 80 if "noport" in values else port, method=method, status=code, host=host, scheme=scheme, user_agent=None,
                        error=values.get("error"))
        if method == "CONNECT":  # its target is no path
            expect.attributes.pop("http.route")
            expect = replace(expect, name=method)
    for name in ("network.peer.address", "network.peer.port", *(() if peer else ("client.address",))):
        expect.attributes.pop(name, None)
    expect.attributes.update(peers)
    return expect


def check_spans(result: Run, receiver: Receiver) -> None:
    """The process has ended, and with it its exporter: what it sent is there."""
    lines = [wanted(line) for line in result.out.splitlines() if line.startswith("span ")]
    spans = receiver.wait_for(len(lines))
    left = list(spans)
    for line in lines:
        best = min(left, key=lambda span: len(line.differences(span)), default=None)
        differences = line.differences(best) if best else ["nothing is left"]
        assert not differences, f"{line}\n  nearest: {best}\n  " + "\n  ".join(differences)
        left.remove(best)
    assert not left, f"{len(left)} more than wanted:\n{draw(left)}"
    check_parents(spans)


def check_parents(spans: list[Span]) -> None:
    """The programs' requests are made under no other, and a server's span is under that of the request it answered."""
    def url(span: Span) -> str:
        full = span.attributes.get("url.full", "")
        return full.partition("://")[2].partition("/")[2] if full else span.attributes.get("url.path", "").removeprefix("/")

    clients = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    called = {url(span) for span in clients.values()}
    for span in spans:
        if span.kind == "CLIENT" or url(span) not in called or url(span).endswith("none"):
            assert_root(span)
        else:
            assert span.parent_id in clients, f"no parent: {span}"
            assert url(clients[span.parent_id]) == url(span), f"wrong parent:\n{draw([clients[span.parent_id], span])}"
            assert_child(span, clients[span.parent_id], remote=True)


_bare: dict[str, Run] = {}


def bare(command: str) -> Run:
    if command not in _bare:
        _bare[command] = run(command)
    check_passed(_bare[command])
    return _bare[command]


@pytest.mark.parametrize("command", CASES)
def test_program(command: str, receiver: Receiver, otel_env: dict[str, str]) -> None:
    expected = bare(command)
    result = under_agent(command, otel_env)
    check_passed(result)
    assert (result.transcript, result.err) == (expected.transcript, expected.err)
    if "uncounted\n" not in result.out:
        check_spans(result, receiver)


@pytest.mark.parametrize("policy", ["seccomp", "mdwe"])
def test_memory_policy(policy: str, receiver: Receiver, otel_env: dict[str, str]) -> None:
    """Where no memory may be writable and executable, TLS is not seen: one line says so, and all else is as ever."""
    expected = bare(f"simple {policy}")
    result = under_agent(f"simple {policy}", otel_env, OTEL_LOG_LEVEL="warn")
    check_passed(result)
    assert result.transcript == expected.transcript
    lines = [line for line in result.err.splitlines() if "writable and executable is refused" in line]
    assert len(lines) == 1 and result.err.splitlines() == lines, result.err
    check_spans(result, receiver)
