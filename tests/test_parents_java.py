"""Java: whatever hands the work on, a call is under the request that it belongs to, or under none; the machine's own TLS."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import client, tls
from harness.assertions import assert_child, assert_exactly, assert_root, assert_spans, call, server, traceparent_of
from harness.jdks import OPENTELEMETRY, compiled, jdks, runtimes
from harness.parents import AT_ONCE, Counts, count_parents, fire
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Finished, Launcher, Program
from harness.receiver import Receiver
from harness.rounds import rounds
from harness.scenarios.java import IN_TLS, IN_VIRTUAL, JDKS, OPTIONS, SERVERS, TASKS, THREAD, VIRTUAL, in_tls, java, make_stores, start_java
from harness.tls import TlsUpstream
from harness.upstream import Upstream

ROUNDS = len(rounds(few=2, all=10))
ALL = ROUNDS * AT_ONCE
RIGHT, NOBODY = Counts(ALL, 0, 0), Counts(0, 0, ALL)
ALL_JDKS = list(runtimes())
HARDENED = Path(__file__).parent / "programs/hardened.py"
VERIFY = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+BytecodeVerificationLocal")  # also the classes of the JDK


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("classes"), "Parents", "Libraries", "Unchanged")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates as Java wants them."""
    return make_stores(tmp_path_factory.mktemp("stores"))


@pytest.mark.parametrize("jdk", JDKS)
def test_every_parent(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, jdk: int) -> None:
    """On a JDK that verifies all of its own classes: what was changed in them is well formed."""
    program = start_java(launcher, jdk, classes, upstream.url, options=VERIFY)
    ways = TASKS + (VIRTUAL if jdk >= 21 else [])
    counts = {way: fire(receiver, program.port, f"/{way}", rounds=ROUNDS) for way in ways}
    assert counts == dict.fromkeys(ways, RIGHT)
    # A thread that is started by hand may live longer than its request, and work for others.
    assert fire(receiver, program.port, f"/{THREAD}", rounds=ROUNDS) == NOBODY
    assert program.err == b""


@pytest.mark.parametrize("jdk", [jdk for jdk in JDKS if jdk >= 21])
def test_a_server_of_virtual_threads(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, jdk: int) -> None:
    program = start_java(launcher, jdk, classes, upstream.url, env={"SERVE": "virtual"})
    assert {way: fire(receiver, program.port, f"/{way}", rounds=ROUNDS) for way in IN_VIRTUAL} == dict.fromkeys(IN_VIRTUAL, RIGHT)


@pytest.mark.parametrize("jdk", JDKS)
def test_every_parent_over_tls(
    launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, classes: Path, stores: Path, jdk: int
) -> None:
    """SSLSocket (HttpURLConnection) and SSLEngine (the server, java.net.http)."""
    program = secure(launcher, jdk, classes, stores, tls_upstream)
    ways = [*IN_TLS, *(VIRTUAL if jdk >= 21 else [])]
    counts = {way: fire(receiver, program.port, f"/{way}", rounds=ROUNDS, secure=True) for way in ways}
    assert counts == dict.fromkeys(ways, RIGHT)


def secure(launcher: Launcher, jdk: int, classes: Path, stores: Path, upstream: TlsUpstream, **more: Any) -> Program:
    trust, env = in_tls(stores)
    return start_java(launcher, jdk, classes, upstream.url, options=(*trust, *VERIFY), env={**env, **more.pop("env", {})}, **more)


@pytest.mark.parametrize("jdk", JDKS)
def test_spans_inside_tls(
    launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, classes: Path, stores: Path, jdk: int
) -> None:
    program = secure(launcher, jdk, classes, stores, tls_upstream)
    context = {"traceparent": f"00-{'3' * 32}-{'4' * 16}-01", "tracestate": "a=1", "baggage": "b=2"}
    for way in ("direct", "client"):
        receiver.clear()
        tls_upstream.seen.clear()
        assert tls.get(program.port, f"/{way}?id=7", context).json["id"] == "7"
        served, called = assert_spans(
            assert_exactly(receiver, 2, tls.control(program.port)),
            server(f"/{way}", program.port, query="id=7", scheme="https", host=tls.HOST),
            call(f"{tls_upstream.url}/echo?id=7"),
        )
        assert_child(called, served)
        (seen,) = tls_upstream.seen
        assert seen.value("traceparent") == traceparent_of(called)
        assert (seen.value("tracestate"), seen.value("baggage")) == ("a=1", "b=2")


@pytest.mark.parametrize("jdk", JDKS)
def test_bodies_are_what_they_were(
    launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, classes: Path, stores: Path, jdk: int
) -> None:
    """Half a megabyte out, and back, inside TLS: byte for byte as without the agent, except for the header."""
    seen = []
    for how in (NONE, launcher.how):
        program = secure(launcher, jdk, classes, stores, tls_upstream, how=how)
        tls_upstream.seen.clear()
        for way in ("post", "post-chunked", "post-plain"):
            assert tls.get(program.port, f"/{way}?id={way}").json["id"] == way
        seen.append([one.without_context() for one in tls_upstream.seen])
        large = tls.get(program.port, "/large?id=8").body
        assert hashlib.sha256(large).hexdigest() == hashlib.sha256(b"0123456789abcdef" * (1 << 15)).hexdigest()
        program.stop()
    assert seen[0] == seen[1]
    assert len(receiver.wait_for(7)) == 7


ON_OTHERS = [(11, "tomcat"), (11, "netty"), (21, "tomcat"), (25, "tomcat"), (25, "jetty"), (25, "netty")]


@pytest.mark.parametrize("jdk,name", [*((17, name) for name in SERVERS), *ON_OTHERS])
def test_libraries(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, jdk: int, name: str) -> None:
    program = start_java(launcher, jdk, classes, upstream.url, env={"SERVER": name})
    counts = {way: fire(receiver, program.port, f"/{way}", rounds=ROUNDS) for way in SERVERS[name]}
    assert counts == dict.fromkeys(counts, RIGHT)
    # What a loop's thread sends may be what another request waited to send: its parent is that of the request that waited, or none.
    for way in ("apache-async", "reactor") + (() if "plain" in SERVERS[name] else ("plain",)):
        assert fire(receiver, program.port, f"/{way}", rounds=ROUNDS).wrong == 0, way


@pytest.mark.parametrize("jdk,name", [*((17, name) for name in SERVERS if name != "reactor"), (11, "tomcat"), (21, "netty"), (25, "tomcat")])
def test_libraries_inside_tls(
    launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, classes: Path, stores: Path, jdk: int, name: str
) -> None:
    program = secure(launcher, jdk, classes, stores, tls_upstream, env={"SERVER": name})
    counts = {way: fire(receiver, program.port, f"/{way}", rounds=ROUNDS, secure=True) for way in SERVERS[name]}
    assert counts == dict.fromkeys(counts, RIGHT)


def test_what_outlives_its_request_has_no_parent(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path) -> None:
    program = start_java(launcher, 17, classes, upstream.url)
    for number in range(AT_ONCE):
        client.get(program.port, f"/outliving?id={number}")
    client.get(program.port, "/go")
    with_id = lambda spans: [span for span in spans if "id=" in span.url]
    spans = receiver.wait_for(lambda spans: len(with_id(spans)) >= 2 * AT_ONCE)
    assert count_parents(spans) == Counts(0, 0, AT_ONCE)


@pytest.mark.parametrize("jdk", JDKS)
def test_redirects_and_own_headers(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, jdk: int) -> None:
    """A request of java.net.http that is made again has a span of its own each time; a context of the program's is its own."""
    program = start_java(launcher, jdk, classes, upstream.url)
    client.get(program.port, "/moved?id=7")
    spans = assert_exactly(receiver, 3, program.port)
    (served,) = [span for span in spans if span.kind == "SERVER"]
    calls = [span for span in spans if span.kind == "CLIENT"]
    for span in calls:
        assert_child(span, served)
    calls.sort(key=lambda span: span.start)
    assert [seen.value("traceparent") for seen in upstream.seen] == [traceparent_of(span) for span in calls]
    upstream.seen.clear()
    client.get(program.port, "/own?id=8")
    assert upstream.wait_seen(1)[0].value("traceparent") == f"00-{'1' * 32}-{'2' * 16}-01"


@pytest.mark.parametrize("switch", ["JAVA", "EXECUTORS"])
def test_switched_off(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, switch: str) -> None:
    program = start_java(launcher, 17, classes, upstream.url, env={f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false"})
    assert fire(receiver, program.port, "/pool", rounds=ROUNDS) == NOBODY
    assert fire(receiver, program.port, "/direct", rounds=ROUNDS) == RIGHT


@pytest.mark.parametrize("switch", ["JSSE", "TLS"])
def test_tls_switched_off(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream, classes: Path, stores: Path, switch: str
) -> None:
    env = {f"OTEL_INSTRUMENTATION_{switch}_ENABLED": "false", "KEYSTORE": None}
    program = secure(launcher, 17, classes, stores, tls_upstream, env=env)
    client.get(program.port, "/direct?id=7")
    (served,) = assert_exactly(receiver, 1, program.port)
    assert_root(served)
    assert tls_upstream.wait_seen(1)[0].values("traceparent") == []


@pytest.mark.parametrize("variable", [None, "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"])
@pytest.mark.parametrize("jdk", ALL_JDKS)
def test_programs_see_nothing(launcher: Launcher, classes: Path, jdk: int, variable: str | None) -> None:
    """Tasks are those that were handed in, variables those of the user, and nothing is printed, not even by checks."""
    env = {variable: "-Dsome=thing"} if variable else {}
    words = [java(jdk), "-Xcheck:jni", "-Xlog:all=warning:stderr:tags", "-cp", classes, "Unchanged"]
    bare, under = (launcher.run(*words, env=env, how=how) for how in (NONE, launcher.how))
    assert (under.code, under.out, under.err) == (bare.code, bare.out, bare.err)
    assert bare.code == 0 and b"compute true" in bare.out


@pytest.mark.parametrize("jdk", jdks())
def test_commands_of_the_jdk(launcher: Launcher, classes: Path, jdk: int) -> None:
    home = jdks()[jdk] / "bin"
    for words in ([home / "java", "-version"], [home / "java", "-Xshare:auto", "--version"], [home / "javac", "-version"],
                  [home / "jar", "--version"], [home / "java", "-Xint", "-cp", classes, "Unchanged"]):
        bare, under = (launcher.run(*words, how=how) for how in (NONE, launcher.how))
        assert (under.code, under.out, under.err) == (bare.code, bare.out, bare.err), words


AGENT = """
import java.lang.instrument.Instrumentation;
public class Other {
    public static void premain(String a, Instrumentation all) throws Exception {
        all.addTransformer(new java.lang.instrument.ClassFileTransformer() {
            @Override public byte[] transform(ClassLoader l, String n, Class<?> c, java.security.ProtectionDomain d, byte[] b) {
                return n != null && n.startsWith("java/util/concurrent/") ? b.clone() : null;
            }
        }, true);
        Thread later = new Thread(() -> {
            try {
                Thread.sleep(1000);
                all.retransformClasses(java.util.concurrent.ThreadPoolExecutor.class, java.util.concurrent.ForkJoinTask.class);
                System.out.println("changed again");
            } catch (Exception e) { e.printStackTrace(); }
        });
        later.setDaemon(true);
        later.start();
    }
}
"""


@pytest.mark.parametrize("jdk", JDKS)
def test_another_agent(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, jdk: int, tmp_path: Path
) -> None:
    """One of the user's, which changes the same classes, also later on."""
    (tmp_path / "Other.java").write_text(AGENT)
    (tmp_path / "manifest").write_text("Premain-Class: Other\nCan-Retransform-Classes: true\n")
    home = jdks()[17] / "bin"
    subprocess.run([home / "javac", "-d", tmp_path / "agent", tmp_path / "Other.java"], check=True)
    subprocess.run([home / "jar", "-cfm", tmp_path / "agent.jar", tmp_path / "manifest", "-C", tmp_path / "agent", "."], check=True)
    program = start_java(launcher, jdk, classes, upstream.url, options=(f"-javaagent:{tmp_path}/agent.jar",))
    assert fire(receiver, program.port, "/pool", rounds=ROUNDS) == RIGHT
    program.wait_output(b"changed again")
    assert fire(receiver, program.port, "/nested", rounds=ROUNDS) == RIGHT


@pytest.mark.parametrize("coexist", ["auto", "always"])
def test_the_agent_of_opentelemetry(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, coexist: str
) -> None:
    """It has the telemetry to itself; with OTEL_RUN_COEXIST=always both change the same classes, and follow the same tasks."""
    env = {"OTEL_RUN_COEXIST": coexist, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    program = start_java(launcher, 17, classes, upstream.url, options=(f"-javaagent:{OPENTELEMETRY}",), env=env)
    ways = ["direct", "pool", "client-async"]
    for way in ways:
        assert client.get(program.port, f"/{way}?id={way}").json["id"] == way
    theirs = lambda spans: [span for span in spans if span.scope.startswith("io.opentelemetry.")]
    ours = lambda spans: [span for span in spans if span.scope == "otel-run" and "id=" in span.url]
    both = coexist == "always"
    spans = receiver.wait_for(lambda spans: len(theirs(spans)) >= 6 and len(ours(spans)) >= 6 * both)
    assert count_parents(theirs(spans)) == Counts(3, 0, 0)
    # The request of java.net.http carries what the other agent has put in: our parent is right if its own thread wrote it, else none.
    assert count_parents(ours(spans)) in ((Counts(3, 0, 0), Counts(2, 0, 1)) if both else (Counts(0, 0, 0),))
    calls = {span.span_id for span in theirs(spans) if span.kind == "CLIENT"}
    assert {seen.value("traceparent").split("-")[2] for seen in upstream.seen} == calls


@pytest.mark.parametrize("jdk", ALL_JDKS)
def test_nothing_is_written(launcher: Launcher, classes: Path, jdk: int, tmp_path: Path) -> None:
    """Not one file is made that Java does not make by itself, so a read-only file system is no different."""
    made = []
    for number, how in enumerate((NONE, launcher.how)):
        log = tmp_path / f"strace-{number}"
        trace = "trace=open,openat,creat,mkdir,symlink,link,rename,memfd_create"
        done = launcher.run("strace", "-f", "-o", log, "-e", trace, java(jdk), "-XX:-UsePerfData", *OPTIONS, "-cp", classes, "Unchanged",
                            how=how)
        assert done.code == 0, done.err
        calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
        made.append({call for call in calls if any(word in call for word in ("O_CREAT", "O_WRONLY", "O_RDWR|", "memfd_create", "mkdir"))})
    assert made[0] == made[1]


@pytest.mark.parametrize("policy", ["mdwe", "seccomp"])
def test_no_memory_becomes_executable(launcher: Launcher, classes: Path, policy: str) -> None:
    """Java cannot run like that, and says so as it does without the agent."""
    words = (PYTHON, HARDENED, policy, java(17), "-cp", classes, "Unchanged")
    bare, under = (launcher.run(*words, how=how) for how in (NONE, launcher.how))
    assert bare.code != 0
    assert (under.code, without_numbers(under)) == (bare.code, without_numbers(bare))


def without_numbers(done: Finished) -> bytes:
    """What it said, but for addresses and process ids."""
    return re.sub(rb"\b(0x)?[0-9a-f]{4,}\b|\d+", b"", done.out + done.err)


def test_an_image_without_instrumentation(
    launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path, tmp_path: Path
) -> None:
    """What jlink makes has no module java.instrument."""
    home = jdks()[17]
    image = tmp_path / "image"
    subprocess.run([home / "bin/jlink", "--add-modules", "java.base,java.net.http,jdk.httpserver", "--output", image], check=True)
    assert "java.instrument" not in subprocess.run([image / "bin/java", "--list-modules"], capture_output=True, text=True).stdout
    program = launcher.start(image / "bin/java", "-cp", classes, "Parents", env={"UPSTREAM": upstream.url}, port=free_port())
    for way in ("pool", "client"):
        assert fire(receiver, program.port, f"/{way}", rounds=ROUNDS) == RIGHT
    assert program.err == b""


MACHINE = """
#include <stdio.h>
typedef int (*get_t)(void *, void **, int);
static int asked;
static int get(void *vm, void **env, int version) { (void)vm; (void)env; asked = version; return -3; }
static void *invoke[] = {0, 0, 0, 0, 0, 0, (void *)get, 0};
static void *machine = invoke;
__attribute__((noinline)) int JNI_CreateJavaVM(void **vm, void **env, void *args) {
    volatile int work = args != 0;
    for (int i = 0; i < 8; i++) work += i;
    *vm = &machine; *env = &machine;
    return work - 28;
}
int main(void) {
    void *vm = 0, *env = 0;
    int result = JNI_CreateJavaVM(&vm, &env, 0);
    printf("%d %d %#x\\n", result, vm == &machine, asked);
    return 0;
}
"""


def test_a_machine_without_a_tool_interface(launcher: Launcher, tmp_path: Path) -> None:
    """As in a library made by GraalVM's native-image: asked once, then left alone."""
    source = tmp_path / "machine.c"
    source.write_text(MACHINE)
    subprocess.run(["gcc", "-O1", "-rdynamic", "-o", tmp_path / "machine", source], check=True)
    done = launcher.run(tmp_path / "machine", env={"OTEL_LOG_LEVEL": "info"})
    assert (done.code, done.out) == (0, b"0 1 0x30010200\n")
    assert b"Java's tasks are not followed: a tool environment: error -3" in done.err


def test_a_jdk_that_is_not_as_it_is_known(launcher: Launcher, receiver: Receiver, upstream: Upstream, classes: Path,
                                         tmp_path: Path) -> None:
    """Without the method that begins a turn of a selector the bridge would tell wrong things: it is off, and says so."""
    original = jdks()[17] / "jmods/java.base.jmod"
    subprocess.run([jdks()[17] / "bin/jmod", "extract", "--dir", tmp_path / "base", original], check=True)
    name = "sun/nio/ch/SelectionKeyImpl.class"
    file = (tmp_path / "base/classes" / name).read_bytes()
    other = tmp_path / "patch" / name
    other.parent.mkdir(parents=True)
    # Another name of the same length: the method is there, and not known.
    other.write_bytes(file.replace(b"\x00\x08readyOps", b"\x00\x08readyOpt"))
    option = f"--patch-module=java.base={tmp_path}/patch"
    program = start_java(launcher, 17, classes, upstream.url, options=(option,), env={"OTEL_LOG_LEVEL": "info"}, listens=False)
    program.wait_output(b"SelectionKeyImpl: not as it is known")


def test_the_classes_are_those_of_the_sources(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    env = {**os.environ, "PATH": f"{jdks()[17]}/bin:{os.environ['PATH']}"}
    subprocess.run([root / "scripts/java-bridge", tmp_path], check=True, env=env)
    kept = root / "agent-so/src/context/bridge/assets/java/classes"
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.class") if path.name != "Sample.class"}
    assert made == {path.name: path.read_bytes() for path in kept.iterdir()}
    sample = root / "agent-so/engine/src/classfile/tests/Sample.class"
    assert (tmp_path / "Sample.class").read_bytes() == sample.read_bytes()
