"""W3C Trace Context and Baggage: what comes in, what goes on."""

from __future__ import annotations

import pytest

from harness import apps, client
from harness.assertions import assert_child, assert_exactly, assert_root, matching, traceparent_of
from harness.processes import PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.spans import FLAG_REMOTE, FLAG_REMOTE_KNOWN, Span
from harness.upstream import Seen, Upstream

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
INCOMING = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def app(launcher: Launcher, upstream: Upstream) -> Program:
    """A threaded server that calls the upstream."""
    return apps.start(launcher, "ruby", upstream.url)


def fetch(app: Program, receiver: Receiver, upstream: Upstream, headers: str) -> tuple[Span, Span, Seen]:
    """One request with these header lines; its SERVER span, its CLIENT span, what the upstream got."""
    with client.Raw(app.port) as raw:
        raw.exchange("/fetch?id=7", headers)
    served, called = sorted(assert_exactly(receiver, 2, app.port), key=lambda span: span.kind, reverse=True)
    assert (served.kind, called.kind) == ("SERVER", "CLIENT")
    assert_child(called, served)
    (seen,) = upstream.seen
    return served, called, seen


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
def test_continues(app: Program, receiver: Receiver, upstream: Upstream, name: str) -> None:
    headers = f"{name}: {INCOMING}\r\ntracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\r\nbaggage: a=1,b=%20;p=q\r\n"
    served, called, seen = fetch(app, receiver, upstream, headers)
    assert (served.trace_id, served.parent_id) == (TRACE, PARENT)
    assert served.flags & (FLAG_REMOTE_KNOWN | FLAG_REMOTE) == FLAG_REMOTE_KNOWN | FLAG_REMOTE
    assert served.trace_state == called.trace_state == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    assert seen.value("traceparent") == f"00-{TRACE}-{called.span_id}-01"
    assert seen.value("tracestate") == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    assert seen.value("baggage") == "a=1,b=%20;p=q"


VALID = {
    "blanks around": (f"traceparent: \t{INCOMING} \t\r\n", "01"),
    "other flags": (f"traceparent: 00-{TRACE}-{PARENT}-ff\r\n", "0[13]"),
    "random flag": (f"traceparent: 00-{TRACE}-{PARENT}-03\r\n", "03"),
    "later version": (f"traceparent: 01-{TRACE}-{PARENT}-01\r\n", "01"),
    "later version, longer": (f"traceparent: cc-{TRACE}-{PARENT}-01-what-the-future\r\n", "01"),
    "behind 16 kB of cookies": (f"Cookie: {'c' * 16000}\r\ntraceparent: {INCOMING}\r\n", "01"),
}


@pytest.mark.parametrize("headers, flags", VALID.values(), ids=VALID)
def test_valid(launcher: Launcher, receiver: Receiver, upstream: Upstream, headers: str, flags: str) -> None:
    app = apps.start(launcher, "node", upstream.url)  # takes heads up to 16 KiB by default
    if "Cookie" in headers:
        headers = headers.replace("c" * 16000, "c" * 15000)
    served, called, seen = fetch(app, receiver, upstream, headers)
    assert (served.trace_id, served.parent_id) == (TRACE, PARENT)
    assert seen.value("traceparent") == matching(f"00-{TRACE}-{called.span_id}-{flags}")


INVALID = {
    "none": "",
    "tracestate alone": "tracestate: a=b\r\n",
    "two": f"traceparent: {INCOMING}\r\ntraceparent: {INCOMING}\r\ntracestate: a=b\r\n",
    "wrong name": f"trace-parent: {INCOMING}\r\n",
    "version ff": f"traceparent: ff-{TRACE}-{PARENT}-01\r\n",
    "upper case": f"traceparent: 00-{TRACE.upper()}-{PARENT}-01\r\ntracestate: a=b\r\n",
    "zero trace": f"traceparent: 00-{'0' * 32}-{PARENT}-01\r\n",
    "zero parent": f"traceparent: 00-{TRACE}-{'0' * 16}-01\r\n",
    "too short": f"traceparent: 00-{TRACE}-{PARENT}-1\r\n",
    "more than version 00 has": f"traceparent: {INCOMING}-extra\r\n",
    "later version, wrong end": f"traceparent: cc-{TRACE}-{PARENT}-01.what\r\n",
    "no hexadecimal": f"traceparent: 00-{TRACE[:-1]}g-{PARENT}-01\r\n",
}


@pytest.mark.parametrize("headers", INVALID.values(), ids=INVALID)
def test_invalid_starts_a_new_trace(app: Program, receiver: Receiver, upstream: Upstream, headers: str) -> None:
    """And takes the tracestate with it."""
    served, called, seen = fetch(app, receiver, upstream, headers)
    assert_root(served)
    assert served.trace_id != TRACE and served.trace_state == called.trace_state == ""
    assert seen.value("traceparent") == traceparent_of(called)
    assert seen.values("tracestate") == []


STATES = {
    "several lines": ("tracestate: a=1\r\ntracestate: b=2\r\n", ["a=1,b=2", "a=1, b=2"]),
    "empty members": ("tracestate: a=1,,b=2\r\n", ["a=1,b=2", "a=1,,b=2"]),
    "32 members": ("tracestate: " + ",".join(f"k{n}=v" for n in range(32)) + "\r\n",
                   [",".join(f"k{n}=v" for n in range(32))]),
    "512 characters": (f"tracestate: a={'x' * 256},b={'y' * 250}\r\n", [f"a={'x' * 256},b={'y' * 250}"]),
    "bad key": ("tracestate: FOO=1\r\n", [None]),
    "two equal signs": ("tracestate: foo=bar=baz\r\n", [None]),
    "33 members": ("tracestate: " + ",".join(f"k{n}=v" for n in range(33)) + "\r\n", [None]),
}


@pytest.mark.parametrize("line, expected", STATES.values(), ids=STATES)
def test_tracestate(app: Program, receiver: Receiver, upstream: Upstream, line: str, expected: list) -> None:
    """A bad one is dropped alone: the traceparent stays valid."""
    served, called, seen = fetch(app, receiver, upstream, f"traceparent: {INCOMING}\r\n{line}")
    assert served.trace_id == TRACE
    passed = seen.values("tracestate")
    assert (passed[0] if passed else None) in expected and len(passed) <= 1
    assert called.trace_state == (passed[0] if passed else "")


def test_large_baggage(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """64 members, 8,192 bytes: must be passed on whole."""
    app = apps.start(launcher, "node", upstream.url)
    baggage = ",".join(f"k{n:02}={'v' * 123}" for n in range(64))[:8192]
    _, _, seen = fetch(app, receiver, upstream, f"traceparent: {INCOMING}\r\nbaggage: {baggage}\r\n")
    assert len(baggage) == 8191 and seen.value("baggage") == baggage


def test_context_ends_with_its_request(app: Program, receiver: Receiver, upstream: Upstream) -> None:
    """The next request on the connection, without headers, is a trace of its own with an empty tracestate."""
    with client.Raw(app.port) as raw:
        raw.exchange("/fetch?id=1", f"traceparent: {INCOMING}\r\ntracestate: a=b\r\nbaggage: x=y\r\n")
        raw.exchange("/fetch?id=2")
    assert_exactly(receiver, 4, app.port)
    first, second = upstream.by_id()["1"], upstream.by_id()["2"]
    assert first.value("traceparent").split("-")[1] == TRACE and first.value("baggage") == "x=y"
    assert second.value("traceparent").split("-")[1] != TRACE
    assert second.values("tracestate") == second.values("baggage") == []


@pytest.mark.parametrize("propagators, expected", [
    ("tracecontext", {"traceparent"}), ("baggage", {"baggage"}), ("none", set()), ("baggage,tracecontext", {"traceparent", "baggage"}),
])
def test_propagators(launcher: Launcher, receiver: Receiver, upstream: Upstream, propagators: str, expected: set) -> None:
    app = apps.start(launcher, "ruby", upstream.url, env={"OTEL_PROPAGATORS": propagators})
    served, called, seen = fetch(app, receiver, upstream, f"traceparent: {INCOMING}\r\nbaggage: x=y\r\n")
    assert (served.trace_id == TRACE) == ("traceparent" in expected)
    assert {name for name in ("traceparent", "tracestate", "baggage") if seen.values(name)} == expected


@pytest.mark.parametrize("spelling", ["traceparent", "TraceParent", "TRACEPARENT"])
def test_foreign_context_is_left_alone(launcher: Launcher, receiver: Receiver, upstream: Upstream, spelling: str) -> None:
    """A request that carries a context already is an instrumented one: not a byte is added, no span of ours."""
    request = (f"GET /echo?id=7 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n{spelling}: {INCOMING}\r\n"
               "User-Agent: sdk\r\nConnection: close\r\n\r\n").encode()
    program = """import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(sys.stdin.buffer.read())
while s.recv(4096): pass
"""
    done = launcher.run(PYTHON, "-c", program, str(upstream.port), stdin=request)
    assert done.code == 0, done.err
    assert upstream.wait_seen(1)[0].head == request
    assert_exactly(receiver, 0, lambda path: launcher.run("curl", "-sS", upstream.url + path))
