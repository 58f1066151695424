"""Bugs that other agents had in the field, where no other file has a test (docs/lessons.md says which; numbers are its rows)."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from harness import apps, client
from harness.apps import Site
from harness.assertions import (
    assert_child,
    assert_exactly,
    assert_root,
    assert_separate_traces,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher
from harness.receiver import Receiver
from harness.spans import Span
from harness.upstream import Upstream

GET = """import urllib.request
def get(n, **headers):
    return urllib.request.urlopen(urllib.request.Request(f"{URL}/echo?id={n}", headers=headers), timeout=10).read()
"""


def source(upstream: Upstream, program: str) -> str:
    return f"URL = {upstream.url!r}\n{GET}{program}"


def python(launcher: Launcher, upstream: Upstream, program: str, **options):
    done = launcher.run(PYTHON, "-c", source(upstream, program), **options)
    assert done.code == 0, done.err
    return done


def control(launcher: Launcher, upstream: Upstream):
    return lambda path: launcher.run("curl", "-sS", upstream.url + path)


def by_id(spans: list[Span]) -> dict[str, Span]:
    """CLIENT spans by the id in their URL, each id once."""
    result = {span.url.partition("id=")[2]: span for span in spans if span.kind == "CLIENT"}
    assert len(result) == sum(span.kind == "CLIENT" for span in spans)
    return result


# ---- A: life of the process ----


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_short_programs_and_a_tls_collector_that_says_nothing(launcher: Launcher, upstream: Upstream, protocol: str) -> None:
    """Row 14: they end in mid-handshake, in time and as ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{silent.getsockname()[1]}",
               "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_RUN_EXIT_FLUSH_TIMEOUT": None}
        runs = [launcher.run("curl", "-sS", f"{upstream.url}/status/200", env=env) for _ in range(20)]
    assert {(run.code, run.out, run.err) for run in runs} == {(0, b"status 200\n", b"")}
    assert min(run.seconds for run in runs) < 1.5


@pytest.mark.parametrize("file, argv0, spans", [
    ("curl", "ld", 0), ("curl", "/usr/bin/cc1plus", 0), ("curl", "anything", 1),  # by what it is called
    ("otelcol", "x", 0), ("otelcol-contrib", "x", 0), ("jspawnhelper", "x", 0),  # by what it is
])
def test_programs_that_are_left_alone(launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path, file: str,
                                      argv0: str, spans: int) -> None:
    """Rows 18, 118: known by the executable or by argv[0], whichever is on the list."""
    program = tmp_path / file
    shutil.copy("/usr/bin/curl", program)
    done = launcher.run("bash", "-c", f"exec -a {argv0} '{program}' -sS {upstream.url}/echo")
    assert (done.code, done.err) == (0, b"")
    assert len(upstream.seen[0].values("traceparent")) == spans
    assert_exactly(receiver, spans, control(launcher, upstream))


def test_configuration_is_read_once(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 22: a program that changes its environment, C side included, changes nothing for itself or a forked child."""
    python(launcher, upstream, f"""
import os
os.environ.update(OTEL_SDK_DISABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:{free_port()}",
                  OTEL_SERVICE_NAME="other", OTEL_PROPAGATORS="none", OTEL_TRACES_SAMPLER="always_off")
get("first")
for name in list(os.environ): os.unsetenv(name)
get("second")
if os.fork() == 0: get("child"); os._exit(0)
os.wait()
""")
    spans = by_id(assert_exactly(receiver, 3, control(launcher, upstream)))
    assert {span.service for span in spans.values()} == {"app"}
    for wanted, seen in ((seen.id, seen) for seen in upstream.seen if seen.id):
        assert seen.value("traceparent") == traceparent_of(spans[wanted])


# ---- C: hooks ----


def test_what_the_process_is_stays_after_spans_were_sent(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 40: dispositions, mask, umask, directory, limits, locale and descriptors with the exporter at work."""
    program = source(upstream, """
import locale, os, resource, signal, sys
get("first")
print(sys.stdin.readline(), [str(signal.getsignal(n)) for n in range(1, 65) if n not in (32, 33)])
print(sorted(os.listdir("/proc/self/fd"), key=int), os.umask(0), os.getcwd(), locale.setlocale(locale.LC_ALL))
status = open("/proc/self/status").read()
print([line for line in status.splitlines() if line.startswith(("Sig", "Shd", "NoNewPrivs", "Seccomp:", "Name"))])
print([resource.getrlimit(n) for n in range(16)], sorted(n for n in os.environ if not n.startswith(("OTEL_", "LD_PRELOAD"))))
""")

    def run(how: str) -> bytes:
        with subprocess.Popen(launcher.command([PYTHON, "-c", program], how), env=launcher.environment(None, how),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            if how != NONE:
                receiver.wait_for(1)
            out, err = process.communicate(b"go\n", timeout=30)
        assert (process.returncode, err) == (0, b"")
        out = re.sub(rb"SigQ:\\t\d+", b"", out)  # counts the user's other programs
        # Signals 32 and 33 belong to libc, which takes the second one with the first thread.
        return re.sub(rb"(SigCgt:\\t)([0-9a-f]+)", lambda m: m[1] + b"%x" % (int(m[2], 16) & ~(3 << 31)), out)

    assert run(launcher.how) == run(NONE)


def test_threads_that_are_terminated(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 39: Node ends worker threads in the middle of their I/O; what they held, if anything, holds nobody up."""
    program = """
const { Worker } = require("worker_threads"), http = require("http"), url = process.argv[1];
const worker = `const http = require("http"), { parentPort } = require("worker_threads");
const go = () => http.get(${JSON.stringify(url)} + "/echo?id=w", r => { r.resume(); parentPort.postMessage(0); go(); }).on("error", () => {}); go()`;
const one = () => new Promise(done => { const w = new Worker(worker, { eval: true }); w.once("message", () => w.terminate().then(done)); });
(async () => {
  for (let i = 0; i < 20; i++) {
    await Promise.all([one(), one()]);
    await new Promise(done => http.get(`${url}/echo?id=m${i}`, r => r.resume().on("end", done)));
  }
})();
"""
    done = launcher.run("node", "-e", program, upstream.url)
    assert (done.code, done.err) == (0, b"")
    spans = receiver.wait_for(lambda spans: sum("id=m" in span.url for span in spans) >= 20)
    mine = [span for span in spans if "id=m" in span.url]
    assert_spans(mine, *[call(f"{upstream.url}/echo?id=m{i}") for i in range(20)])


def test_logging_variables_of_the_program_are_not_ours(launcher: Launcher, upstream: Upstream) -> None:
    """Row 48: programs in Rust have RUST_LOG; the agent has a variable of its own."""
    env = {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "RUST_LOG_STYLE": "always"}
    done = launcher.run("curl", "-sS", f"{upstream.url}/status/200", env=env)
    assert (done.code, done.out, done.err) == (0, b"status 200\n", b"")
    assert upstream.seen[0].value("traceparent")


TRUE = "b'/bin/true'"
LEAVE = {
    "_exit": "c._exit(0)",
    "_Exit": "c._Exit(0)",
    "quick_exit": "c.quick_exit(0)",
    "syscall exit_group": "c.syscall(231, 0)",
    "syscall execve": f"c.syscall(59, {TRUE}, argv, envp)",
    "execv": f"c.execv({TRUE}, argv)",
    "execve": f"c.execve({TRUE}, argv, envp)",
    "execvp": "c.execvp(b'true', argv)",
    "execvpe": "c.execvpe(b'true', argv, envp)",
    "execl": f"c.execl({TRUE}, b'true', None)",
    "execlp": "c.execlp(b'true', b'true', None)",
    "execle": f"c.execle({TRUE}, b'true', None, envp)",
    "execveat": f"c.execveat(-100, {TRUE}, argv, envp, 0)",
    "fexecve": f"c.fexecve(os.open({TRUE}, os.O_RDONLY), argv, envp)",
}


@pytest.mark.parametrize("statement", LEAVE.values(), ids=LEAVE)
def test_each_way_to_leave_is_hooked(launcher: Launcher, receiver: Receiver, upstream: Upstream, statement: str) -> None:
    """Row 53: without the hook, a span that waits for a minute would be lost with the program."""
    program = f"""
import ctypes, os
c = ctypes.CDLL(None, use_errno=True)
argv = (ctypes.c_char_p * 2)(b"true", None)
envp = (ctypes.c_char_p * 1)(None)
get(1)
{statement}
raise SystemExit(f"came back: {{os.strerror(ctypes.get_errno())}}")
"""
    python(launcher, upstream, program, env={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)), call(f"{upstream.url}/echo?id=1"))


SAME = {
    "dup": "os.dup(s.fileno())",
    "dup2": "os.dup2(s.fileno(), 70)",
    "dup3": "c.dup3(s.fileno(), 71, 0)",
    "F_DUPFD": "fcntl.fcntl(s, fcntl.F_DUPFD, 72)",
    "F_DUPFD_CLOEXEC": "fcntl.fcntl(s, fcntl.F_DUPFD_CLOEXEC, 73)",
    "fcntl64": "c.fcntl64(s.fileno(), fcntl.F_DUPFD, 74)",
    "syscall dup": "c.syscall(32, s.fileno())",
    "syscall dup3": "c.syscall(292, s.fileno(), 75, 0)",
}


@pytest.mark.parametrize("expression", SAME.values(), ids=SAME)
def test_two_numbers_of_one_connection(launcher: Launcher, receiver: Receiver, upstream: Upstream, expression: str) -> None:
    """Rows 28, 53: half a request under one number, the rest under the other, the answer under the first: one span."""
    python(launcher, upstream, f"""
import ctypes, fcntl, os, socket
c = ctypes.CDLL(None)
s = socket.create_connection(("127.0.0.1", {upstream.port}))
other = {expression}
assert other > 2
s.sendall(b"GET /echo?id=7 HTTP/1.1\\r\\nHo")
os.write(other, b"st: h\\r\\nConnection: close\\r\\n\\r\\n")
while s.recv(4096): pass
""")
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert (span.kind, span.attributes["http.response.status_code"], span.attributes["server.address"]) == ("CLIENT", 200, "h")


# ---- E: bytes ----


@pytest.mark.parametrize("field", ["Signature-Input: sig1=(\"@method\");keyid=\"k\"", "signature: sig1=:AAAA:",
                                   "Authorization: Signature keyId=\"k\",headers=\"(request-target) host\",signature=\"AAAA\"",
                                   "AUTHORIZATION:AWS4-ECDSA-P256-SHA256 Credential=x"])
def test_signed_requests_are_not_altered(launcher: Launcher, receiver: Receiver, upstream: Upstream, field: str) -> None:
    """Row 73: not a byte is added to a signed request, by whatever scheme; it is a span all the same."""
    request = f"GET /echo?id=7 HTTP/1.1\r\nHost: h\r\n{field}\r\nConnection: close\r\n\r\n"
    python(launcher, upstream, f"""
import socket
s = socket.create_connection(("127.0.0.1", {upstream.port}))
s.sendall({request.encode()!r})
while s.recv(4096): pass
""")
    assert upstream.wait_seen(1)[0].head == request.encode()
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert (span.kind, span.attributes["http.response.status_code"]) == ("CLIENT", 200)


def test_own_contexts_between_others(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 65: a connection on which some requests carry a context already, as pools of proxies and SDKs make them: never a
    second one. Which requests are ours is decided for each of them."""
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    python(launcher, upstream, f"""
import http.client
c = http.client.HTTPConnection("127.0.0.1", {upstream.port})
for n in range(12):
    c.request("GET", f"/echo?id={{n}}", headers={{"TraceParent": {own!r}}} if n % 3 == 1 else {{}})
    c.getresponse().read()
""")
    spans = by_id(assert_exactly(receiver, 8, control(launcher, upstream)))
    assert {seen.connection for seen in upstream.seen if seen.id} == {1} and len(upstream.by_id()) == 12
    for wanted, seen in upstream.by_id().items():
        assert seen.values("traceparent") == [own if int(wanted) % 3 == 1 else traceparent_of(spans[wanted])]


# ---- F: parents ----


def test_ten_thousand_requests_on_one_connection(launcher: Launcher, receiver: Receiver) -> None:
    """Row 79: as many traces."""
    app = apps.start(launcher, "node", env={"OTEL_BSP_MAX_QUEUE_SIZE": "20000"})
    with client.Raw(app.port) as raw:
        for _ in range(10_000):
            raw.exchange("/")
    assert_separate_traces(assert_exactly(receiver, 10_000, app.port))


def test_poller_that_a_request_started(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 80: what goes on in the background when the answer is out belongs to no request, while another one is served too."""
    port = free_port()
    launcher.start(PYTHON, "-c", source(upstream, f"""
import socket, threading
answered, again = threading.Event(), threading.Event()
def poll():
    answered.wait()
    for i in range(5): get(f"poll{{i}}")
    again.wait()
    for i in range(5, 10): get(f"poll{{i}}")
l = socket.create_server(("127.0.0.1", {port}))
number = 0
while True:
    s, _ = l.accept()
    if not s.recv(4096): continue
    number += 1
    get(f"own{{number}}")
    poller = threading.Thread(target=poll) if number == 1 else poller
    if number == 1: poller.start()
    else: again.set(); poller.join()
    s.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    s.close()
    answered.set()
"""), port=port)
    client.get(port, "/one")
    receiver.wait_for(7)
    client.get(port, "/two")
    spans = receiver.wait_for(14)
    assert len(spans) == 14
    served = {span.url: span for span in spans if span.kind == "SERVER"}
    calls = by_id(spans)
    assert_child(calls["own1"], served["/one"])
    assert_child(calls["own2"], served["/two"])
    polls = [calls[f"poll{i}"] for i in range(10)]
    for span in polls:
        assert_root(span)
    assert_separate_traces([*polls, *served.values()])


def test_child_forked_in_a_request(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 82: the child may outlive the request, so it has no parent in it; the process that goes on has."""
    port = free_port()
    launcher.start(PYTHON, "-c", source(upstream, f"""
import os, socket
l = socket.create_server(("127.0.0.1", {port}))
while True:
    s, _ = l.accept()
    if not s.recv(4096): continue
    if os.fork() == 0:
        get("child"); os._exit(0)
    os.wait()
    get("own")
    s.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n"); s.close()
"""), port=port)
    client.get(port, "/")
    spans = assert_exactly(receiver, 3, control(launcher, upstream))
    (served,) = (span for span in spans if span.kind == "SERVER")
    calls = by_id(spans)
    assert_child(calls["own"], served)
    assert_root(calls["child"])
    assert calls["child"].trace_id != served.trace_id and calls["child"].pid != served.pid == calls["own"].pid


def test_server_that_calls_itself_on_four_ports(launcher: Launcher, receiver: Receiver) -> None:
    """Row 89: one process, each call under the request of its own port, each request under its call."""
    ports = [free_port() for _ in range(4)]
    launcher.start(PYTHON, "-c", f"""
import threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
PORTS = {ports}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        at = PORTS.index(self.server.server_port)
        if at < 3: urllib.request.urlopen(f"http://127.0.0.1:{{PORTS[at + 1]}}{{self.path}}", timeout=10).read()
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
servers = [ThreadingHTTPServer(("127.0.0.1", port), Handler) for port in reversed(PORTS)]
for s in servers[:-1]: threading.Thread(target=s.serve_forever).start()
servers[-1].serve_forever()
""", port=ports[0])
    for number in range(3):
        client.get(ports[0], f"/hop?id={number}")
    spans = assert_exactly(receiver, 21, ports[3])
    for number in range(3):
        mine = [span for span in spans if span.url.endswith(f"/hop?id={number}")]
        served = {span.attributes["server.port"]: span for span in mine if span.kind == "SERVER"}
        called = {span.attributes["server.port"]: span for span in mine if span.kind == "CLIENT"}
        assert (len(mine), set(served), set(called)) == (7, set(ports), set(ports[1:]))
        assert_root(served[ports[0]])
        for at in range(1, 4):
            assert_child(called[ports[at]], served[ports[at - 1]], remote=False)
            assert_child(served[ports[at]], called[ports[at]], remote=True)


def test_answer_that_nobody_asked_for(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Row 92: a 408 before any request is no span; the exchange after it on the same connection is one, of its own status."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = launcher.start(PYTHON, "-c", f"""
import socket
s = socket.create_connection(("127.0.0.1", {port}))
assert s.recv(4096).startswith(b"HTTP/1.1 408")
s.sendall(b"GET /asked HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
data = b""
while part := s.recv(4096): data += part
assert data.startswith(b"HTTP/1.1 201"), data
""")
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            assert peer.recv(4096).startswith(b"GET /asked HTTP/1.1\r\n")
            peer.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        assert process.wait() == 0, process.describe()
    spans = assert_exactly(receiver, 1, control(launcher, upstream))
    assert_spans(spans, call("http://h/asked", status=201, peer_port=port))


# ---- H: names ----


@pytest.mark.parametrize("which", ["nginx", "apache2"])
def test_programs_that_rename_themselves(site: Site, receiver: Receiver, which: str) -> None:
    """Row 105: nginx writes "worker process" over its arguments; it is called by its file all the same."""
    site.add_file("page.html", b"p")
    start = site.start_nginx if which == "nginx" else lambda **options: site.start_apache("prefork", **options)
    program = start(env={"OTEL_SERVICE_NAME": None})
    client.get(program.port, "/static/page.html")
    (span,) = assert_exactly(receiver, 1, program.port)
    assert (span.service, span.resource["process.executable.name"]) == (f"unknown_service:{which}", which)
    assert span.pid != program.pid
    if which == "nginx":
        assert b"worker process" in Path(f"/proc/{span.pid}/cmdline").read_bytes()


def test_many_routes(launcher: Launcher, receiver: Receiver) -> None:
    """Row 106: paths of random words do not make names without end: at most 2000 routes (docs), then the method alone."""
    app = apps.start(launcher, "node")
    words = ["".join(chr(ord("a") + (n * 7919 + i * 104_729) // 26 ** i % 26) for i in range(6)) for n in range(3000)]
    assert len(set(words)) == 3000
    with client.Raw(app.port) as raw:
        for word in words:
            raw.exchange(f"/{word}")
    spans = assert_exactly(receiver, 3000, app.port)
    assert {span.attributes["url.path"] for span in spans} == {f"/{word}" for word in words}
    assert len({span.name for span in spans}) <= 2001
    assert {span.name for span in spans} == {f"GET {route}" if (route := span.attributes.get("http.route")) else "GET" for span in spans}


def test_no_host(launcher: Launcher, receiver: Receiver) -> None:
    """Row 107: HTTP/1.0 without Host, HTTP/1.1 with an empty one: no name that nobody gave, and no empty one."""
    app = launcher.start(PYTHON, Path(__file__).parent / "programs/server.py", port=free_port())
    for head in ("GET /echo HTTP/1.0\r\n\r\n", "GET /echo HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"):
        with client.Raw(app.port) as raw:
            raw.send(head.encode())
            assert b" 200 " in raw.response()
    spans = assert_exactly(receiver, 2, app.port)
    unnamed = {"user_agent": None, "server__address": None, "server__port": None}
    assert_spans(spans, server("/echo", app.port, version="1.0", **unnamed), server("/echo", app.port, **unnamed))


def test_decimal_comma(launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path) -> None:
    """Row 109: a program in a locale that writes 0,5 is traced as any other; a ratio with a point is understood."""
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", "--no-archive", tmp_path / "de_DE.UTF-8"], capture_output=True)
    if not (tmp_path / "de_DE.UTF-8" / "LC_NUMERIC").exists():
        pytest.skip(f"no German locale here: {made.stderr!r}")
    env = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "LOCPATH": str(tmp_path),
           "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.9999999"}
    done = python(launcher, upstream, """
import locale
locale.setlocale(locale.LC_ALL, "")
get(1)
print(locale.format_string("%.1f", 1.5), locale.setlocale(locale.LC_ALL))
""", env=env)
    assert (done.out, done.err) == (b"1,5 de_DE.UTF-8\n", b"")
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)), call(f"{upstream.url}/echo?id=1"))


# ---- I: export ----


def test_sixteen_processes_write_one_file(launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path) -> None:
    """Row 117: spans as text from all of them into one file: each line whole."""
    file = tmp_path / "spans"
    script = f"""
import os
fd = os.open({str(file)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(fd, 2)
children = []
for p in range(16):
    pid = os.fork()
    if pid == 0:
        for n in range(20): get(f"{{p}}.{{n}}")
        raise SystemExit(0)
    children.append(pid)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
"""
    python(launcher, upstream, script, env={"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "1"})
    lines = file.read_text().splitlines()
    whole = re.compile(r'CLIENT "GET" \d+us trace=[0-9a-f]{32} span=[0-9a-f]{16}( [a-z_.]+=("[^"]*"|\d+))+')
    assert [line for line in lines if not whole.fullmatch(line)] == []
    found = [re.search(r'url\.full="[^"]*id=([\d.]+)"', line)[1] for line in lines]
    assert sorted(found) == sorted(f"{p}.{n}" for p in range(16) for n in range(20))


@pytest.mark.parametrize("coexist, ours", [(None, 0), ("always", 1)])
def test_sdk_that_is_loaded_from_outside(launcher: Launcher, receiver: Receiver, upstream: Upstream, coexist: str | None,
                                         ours: int) -> None:
    """Row 119: the variable that loads the auto-instrumentation is enough: not a byte, not a span, unless both are wanted.
    The children of that program are looked at anew: the variable means nothing to curl."""
    env = {"PYTHONPATH": "/opt/x/opentelemetry/instrumentation/auto_instrumentation", "OTEL_RUN_COEXIST": coexist}
    python(launcher, upstream, "import subprocess\nget(1)\nsubprocess.run(['curl', '-sS', f'{URL}/echo?id=2'], check=True)", env=env)
    seen = upstream.by_id()
    assert (len(seen["1"].values("traceparent")), len(seen["2"].values("traceparent"))) == (ours, 1)
    assert set(by_id(assert_exactly(receiver, 1 + ours, control(launcher, upstream)))) == ({"1", "2"} if ours else {"2"})
