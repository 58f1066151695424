"""Process life: fork, exec, posix_spawn, odd environments; and the program cannot tell that the agent is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import apps, client
from harness.assertions import assert_exactly, assert_separate_traces, assert_spans, call
from harness.ports import free_port
from harness.processes import AGENT, COMMAND, NONE, PRELOAD, PYTHON, Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream

GET = """import urllib.request
def get(n):
    return urllib.request.urlopen(f"{URL}/echo?id={n}", timeout=10).read()
"""


def python(launcher: Launcher, upstream: Upstream, program: str, **options):
    done = launcher.run(PYTHON, "-c", f"URL = {upstream.url!r}\n{GET}{program}", **options)
    assert done.code == 0, done.err
    return done


def control(launcher: Launcher, upstream: Upstream):
    return lambda path: launcher.run("curl", "-sS", upstream.url + path)


def ids(spans) -> list[str]:
    return sorted(span.url.partition("id=")[2] for span in spans)


def test_fork_from_a_threaded_program(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Eight threads at work while the main one forks 40 times; each child makes one call and leaves by _exit."""
    python(launcher, upstream, """
import os, threading
stop = threading.Event()
def work(name):
    n = 0
    while not stop.is_set(): get(f"{name}.{n}"); n += 1
threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(8)]
for t in threads: t.start()
children = []
for i in range(40):
    pid = os.fork()
    if pid == 0:
        get(f"c{i}"); os._exit(0)
    children.append(pid)
    if i % 8 == 7:
        while children: assert os.waitpid(children.pop(), 0)[1] == 0
stop.set()
for t in threads: t.join()
""", deadline=60)
    requests = len(upstream.seen)
    spans = assert_exactly(receiver, requests, control(launcher, upstream))
    assert ids(spans) == sorted(seen.id for seen in upstream.seen[:requests])
    assert len({span.pid for span in spans if "id=c" in span.url}) == 40
    assert len({span.resource["service.instance.id"] for span in spans}) == 41
    assert_separate_traces(spans)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_parent_and_children_export(launcher: Launcher, receiver: Receiver, upstream: Upstream, protocol: str) -> None:
    """A child never speaks over its parent's connection to the collector, nor sends what the parent had queued."""
    env = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_BSP_SCHEDULE_DELAY": "30",
           "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint}
    python(launcher, upstream, """
import os
for i in range(20):
    get(f"p{i}")
    if os.fork() == 0:
        get(f"c{i}"); raise SystemExit(0)
    os.wait()
get("p20")
""", env=env)
    spans = assert_exactly(receiver, 41, control(launcher, upstream))
    assert ids(spans) == sorted([f"p{i}" for i in range(21)] + [f"c{i}" for i in range(20)])


def test_multiprocessing(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Forked without exec: spans of every worker, none twice."""
    python(launcher, upstream, """
import multiprocessing
get("first")
with multiprocessing.get_context("fork").Pool(4) as pool:
    pool.map(get, [f"w{i}" for i in range(20)], chunksize=1)
    pool.close(); pool.join()
""")
    spans = assert_exactly(receiver, 21, control(launcher, upstream))
    assert ids(spans) == sorted(["first", *[f"w{i}" for i in range(20)]])


CHILDREN = {
    "subprocess": "subprocess.run(['curl', '-sS', f'{URL}/echo?id=child'], check=True)",
    "posix_spawn": "os.waitpid(os.posix_spawn('/usr/bin/curl', ['curl', '-sS', f'{URL}/echo?id=child'], os.environ), 0)",
    "fork and exec": "os.fork() or os.execvp('curl', ['curl', '-sS', f'{URL}/echo?id=child']); os.wait()",
    "shell": "os.system(f\"curl -sS '{URL}/echo?id=child'\")",
    "exec": "os.execvp('curl', ['curl', '-sS', f'{URL}/echo?id=child'])",
    "exec of itself": "os.execv(sys.executable, [sys.executable, '-c', f'import urllib.request as u; u.urlopen(\"{URL}/echo?id=child\").read()'])",
}


@pytest.mark.parametrize("statement", CHILDREN.values(), ids=CHILDREN)
def test_children_are_traced(both_ways: Launcher, receiver: Receiver, upstream: Upstream, statement: str) -> None:
    """And what the program did before it became another one is not lost."""
    python(both_ways, upstream, f"import os, subprocess, sys\nget('own')\n{statement}")
    spans = assert_exactly(receiver, 2, control(both_ways, upstream))
    assert ids(spans) == ["child", "own"]


def test_emptied_environment(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Library and configuration are inherited together or not at all: such a child runs untraced and unharmed."""
    for command in (["env", "-i", "/usr/bin/curl"], [PYTHON, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], env={}).returncode)",
                                                     "/usr/bin/curl"]):
        done = launcher.run(*command, "-sS", f"{upstream.url}/echo?id=7")
        assert done.code == 0 and done.err == b"" and b'"id": "7"' in done.out
    assert all(seen.values("traceparent") == [] for seen in upstream.seen)
    assert_exactly(receiver, 0, control(launcher, upstream))


def test_vfork_children(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """500 of them between calls of the parent, whose memory they run in."""
    python(launcher, upstream, """
import subprocess
for i in range(50):
    get(i)
    for _ in range(10): subprocess.run(["/bin/true"], check=True, close_fds=True)
""")
    assert len(ids(assert_exactly(receiver, 50, control(launcher, upstream)))) == 50


EXITS = ["pass", "sys.exit(3)", "os._exit(3)", "raise RuntimeError", "os.kill(os.getpid(), 15)", "ctypes.CDLL(None).quick_exit(3)",
         "ctypes.CDLL(None).exit(3)"]


@pytest.mark.parametrize("statement", EXITS)
def test_ends(launcher: Launcher, receiver: Receiver, upstream: Upstream, statement: str) -> None:
    """Nothing is lost at the end, however it comes (a signal without handler: what is older than 250 ms)."""
    program = f"import ctypes, os, sys, time\nget(1)\n{'time.sleep(0.5)' if 'kill' in statement else ''}\n{statement}"
    argv = [PYTHON, "-c", f"URL = {upstream.url!r}\n{GET}{program}"]
    env = {"OTEL_BSP_SCHEDULE_DELAY": "200" if "kill" in statement else "60000"}
    ours, bare = launcher.run(*argv, env=env), launcher.run(*argv, how=NONE)
    assert (ours.code, ours.out, ours.err) == (bare.code, bare.out, bare.err)
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)), call(f"{upstream.url}/echo?id=1"))


def test_no_socket_no_trace_of_us(launcher: Launcher) -> None:
    """A program that never touches the network: one thread, no descriptor, the same signals and environment."""
    program = """import os, signal, sys
print(len(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd"), key=int))
print([str(signal.getsignal(n)) for n in range(1, 65) if n not in (32, 33)])
print(os.umask(0), os.getcwd(), open("/proc/self/status").read().split("SigBlk")[1].split("CapInh")[0])
print(sorted(n for n in os.environ if not n.startswith(("OTEL_", "LD_PRELOAD"))))
"""
    runs = [launcher.run(PYTHON, "-c", program, how=how) for how in (NONE, PRELOAD, COMMAND)]
    assert {run.out for run in runs} == {runs[0].out} and {run.err for run in runs} == {b""}
    assert runs[0].out.startswith(b"1 ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(launcher: Launcher, receiver: Receiver, upstream: Upstream, closed: str) -> None:
    """Descriptors 0 to 2 are the program's even when they are closed at the start: none of ours may take them."""
    out = launcher.directory / "reply"
    program = f"{PYTHON} -c \"$1\" {closed}"
    code = f"URL = {upstream.url!r}\n{GET}open({str(out)!r}, 'wb').write(get(7))\nget(8)"
    done = launcher.run("bash", "-c", program, "-", code, env={"OTEL_TRACES_SAMPLER": "wrong"})
    assert done.code == 0 and b'"id": "7"' in out.read_bytes()
    assert ids(assert_exactly(receiver, 2, control(launcher, upstream))) == ["7", "8"]


def test_program_that_closes_everything(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """As daemons do, also after the exporter began: the agent's descriptors go, spans still arrive, no byte of OTLP
    gets onto a socket of the program."""
    python(launcher, upstream, """
import os, resource, socket
for n in range(5):
    get(f"a{n}")
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0] if n % 2 else 65536)
    pairs = [socket.socketpair() for _ in range(300)]
    get(f"b{n}")
    for a, b in pairs:
        for end in (a, b):
            end.setblocking(False)
            try: assert False, end.recv(100)
            except BlockingIOError: pass
        a.close(); b.close()
""")
    expected = sorted(f"{kind}{n}" for n in range(5) for kind in "ab")
    assert ids(assert_exactly(receiver, 10, control(launcher, upstream))) == expected


@pytest.mark.parametrize("number", [1023, 1024, 5000])
def test_high_descriptors(launcher: Launcher, receiver: Receiver, upstream: Upstream, number: int) -> None:
    python(launcher, upstream, f"""
import os, resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (6000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
s = socket.socket()
os.dup2(s.fileno(), {number}); s = socket.socket(fileno={number})
s.connect(("127.0.0.1", {upstream.port}))
s.sendall(b"GET /echo?id=high HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n")
while s.recv(4096): pass
""")
    assert ids(assert_exactly(receiver, 1, control(launcher, upstream))) == ["high"]
    assert upstream.seen[0].value("traceparent")


def test_descriptor_passed_to_another_process(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A socket connected by one process and used by another, over SCM_RIGHTS: the role comes from the bytes."""
    python(launcher, upstream, f"""
import os, socket
a, b = socket.socketpair(socket.AF_UNIX)
if os.fork() == 0:
    _, fds, _, _ = socket.recv_fds(b, 1, 1)
    s = socket.socket(fileno=fds[0])
    s.sendall(b"GET /echo?id=passed HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n")
    while s.recv(4096): pass
    raise SystemExit
s = socket.create_connection(("127.0.0.1", {upstream.port}))
socket.send_fds(a, [b"x"], [s.fileno()]); s.close(); os.wait()
""")
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert span.kind == "CLIENT" and ids([span]) == ["passed"]


def test_preloaded_twice(launcher: Launcher, receiver: Receiver, upstream: Upstream, tmp_path: Path) -> None:
    """Two copies by two paths, otel-run within otel-run: one of them stays inert."""
    copy = tmp_path / "copy.so"
    shutil.copy(AGENT, copy)
    launcher.run("curl", "-sS", f"{upstream.url}/echo?id=1", how=PRELOAD, env={"LD_PRELOAD": str(copy)})
    launcher.run(*launcher.command(["curl", "-sS", f"{upstream.url}/echo?id=2"], COMMAND), how=COMMAND)
    assert ids(assert_exactly(receiver, 2, control(launcher, upstream))) == ["1", "2"]
    assert all(len(seen.values("traceparent")) == 1 for seen in upstream.seen)


@pytest.mark.parametrize("command", [["ls", "-la", "/usr/share/doc"], ["bash", "-c", "echo out; echo err >&2; exit 7"], ["env"],
                                     [PYTHON, "-V"], ["node", "-p", "process.versions.node"], ["gcc", "--version"],
                                     ["ldd", "/bin/ls"], ["id"], ["git", "--version"]], ids=lambda c: Path(c[0]).name)
def test_output_is_the_same(launcher: Launcher, command: list[str]) -> None:
    def visible(run):
        hidden = (b"OTEL_", b"LD_PRELOAD=", b"libagent", b"linux-vdso", b"0x0000")
        lines = [line for line in run.out.splitlines() if not any(word in line for word in hidden)]
        if command == ["env"]:
            lines.sort()  # otel-run sets variables, and environments have no order
        return run.code, lines, run.err

    assert visible(launcher.run(*command)) == visible(launcher.run(*command, how=NONE))


def test_strace_counts(launcher: Launcher, upstream: Upstream) -> None:
    """The agent starts no process, and a program without sockets sees no socket call of ours."""
    def calls(how: str) -> list[bytes]:
        env = launcher.environment(None, how)
        preload = ["-E", f"LD_PRELOAD={AGENT}"] if how == PRELOAD else []
        env.pop("LD_PRELOAD", None)
        done = subprocess.run(["strace", "-f", "-qq", "-e", "trace=clone,clone3,vfork,execve,socket,connect", *preload, "/bin/ls", "/"],
                              env=env, capture_output=True, timeout=30)
        return sorted(line.split(b"(")[0] for line in done.stderr.splitlines())

    assert calls(PRELOAD) == calls(NONE) == [b"execve"]


def test_unix_socket_server(launcher: Launcher, receiver: Receiver, tmp_path: Path) -> None:
    """curl to a gunicorn on a UNIX socket: one trace over it."""
    path = tmp_path / "s"
    gunicorn = launcher.start(apps.GUNICORN, "app:app", "--chdir", apps.APPS / "python", "-b", f"unix:{path}", service="back")
    gunicorn.wait_output(b"Booting worker")
    assert launcher.run("curl", "-sS", "--unix-socket", path, "http://shop/", service="front").code == 0
    spans = receiver.wait_for(2)
    by = {span.kind: span for span in spans}
    assert by["SERVER"].parent_id == by["CLIENT"].span_id and len(spans) == 2
    assert by["CLIENT"].attributes["server.address"] == "shop"


def test_resolves_names(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A failing connect to a name: the name that was asked for, not the address alone."""
    port = free_port()
    connect = f"import socket; socket.create_connection(('localhost', {port}))"  # tries ::1, then 127.0.0.1
    assert launcher.run(PYTHON, "-c", connect).code == 1
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert span.attributes["server.address"] == "localhost"
    assert span.attributes["network.peer.address"] == "127.0.0.1"


def test_reader_of_the_last_request(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """A call made after the answer is complete has no parent: the request that set it is over."""
    port = free_port()
    program = f"""
import os, socket
URL = {upstream.url!r}
{GET}
l = socket.create_server(("127.0.0.1", {port}))
while True:
    s, _ = l.accept()
    if not s.recv(4096): continue
    s.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n"); get("during")
    s.sendall(b"ok"); get("after"); s.close()
"""
    launcher.start(PYTHON, "-c", program, port=port)
    client.get(port, "/")
    receiver.wait_for(3)
    during, after = (next(span for span in receiver.spans if f"id={name}" in span.url) for name in ("during", "after"))
    served = next(span for span in receiver.spans if span.kind == "SERVER")
    assert during.parent_id == served.span_id, "the head of the answer does not end the request"
    assert after.parent_id == "" and after.trace_id != served.trace_id
