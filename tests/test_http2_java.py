"""HTTP/2 of Java: the clients of the JDK and OkHttp, which send the requests of many on one connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import client
from harness.assertions import assert_child, assert_exactly, assert_root, assert_spans, call, server, traceparent_of
from harness.jdks import LIBRARIES, compiled
from harness.parents import AT_ONCE, Counts, count_parents, id_of
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.java import JDKS, OPTIONS, in_tls, java, make_stores, start_java
from harness.tls import certificates

VERIFY = ("-XX:+UnlockDiagnosticVMOptions", "-XX:+BytecodeVerificationLocal")
OK_WAYS = {"get": "GET", "pool": "GET", "async": "GET", "post": "POST", "post-together": "POST", "post-async": "POST"}
WAYS = ["client", "client-async", "client-later", "client-newer", "client-then"]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("classes"), "Parents")


# The client of 17 says that its GETs have a body of no bytes, and then hypercorn does not upgrade.
@pytest.mark.parametrize("jdk,secure", [*((jdk, True) for jdk in JDKS), *((jdk, False) for jdk in JDKS if jdk > 17)])
def test_the_client_of_the_jdk(launcher: Launcher, receiver: Receiver, classes: Path, tmp_path: Path, jdk: int, secure: bool) -> None:
    """Twenty at once, on one connection when the first was through: each under its own request, and told so in the header."""
    port = free_port()
    if secure:
        env = {"TLS_CERT": str(certificates().cert), "TLS_KEY": str(certificates().key)}
        launcher.start("node", PROGRAMS / "http2.js", port=port, env=env, how=NONE)
        options, _ = in_tls(make_stores(tmp_path))
    else:
        launcher.start(PYTHON, "-m", "hypercorn", "http2_echo:app", "-b", f"127.0.0.1:{port}", port=port, cwd=PROGRAMS, how=NONE)
        options = ()
    url = f"{'https' if secure else 'http'}://{'localhost' if secure else '127.0.0.1'}:{port}"
    program = start_java(launcher, jdk, classes, url, options=options, env={"HTTP_VERSION": "2"})
    for way in WAYS:
        ask(program.port, way, ["warm"])
        receiver.wait_for(2)
        receiver.clear()
        ids = [f"{way}-{n}" for n in range(AT_ONCE)]
        answers = ask(program.port, way, ids)
        spans = receiver.wait_for(2 * AT_ONCE)
        assert len(spans) == 2 * AT_ONCE
        for id in ids:
            mine = [span for span in spans if id_of(span) == id]
            called, served = assert_spans(
                mine, call(f"{url}/echo?id={id}", version="2"), server(f"/{way}", program.port, query=f"id={id}"))
            assert_root(served)
            assert_child(called, served)
            assert answers[id]["id"] == id
            assert answers[id]["headers"]["traceparent"] == traceparent_of(called)
        receiver.clear()


@pytest.fixture(params=[False, True], ids=["h2c", "tls"])
def okhttp(request: pytest.FixtureRequest, launcher: Launcher, receiver: Receiver, tmp_path: Path) -> tuple[Program, str]:
    """A program that calls by OkHttp, with its one connection, and whom it calls."""
    secure, port = request.param, free_port()
    tls = {"TLS_CERT": str(certificates().cert), "TLS_KEY": str(certificates().key)} if secure else {}
    launcher.start("node", PROGRAMS / "http2.js", port=port, env=tls, how=NONE)
    options, _ = in_tls(make_stores(tmp_path)) if secure else ((), {})
    url = f"https://localhost:{port}" if secure else f"http://127.0.0.1:{port}"
    path = f"{compiled(tmp_path, 'OkHttp')}:{LIBRARIES}/*"
    program = launcher.start(java(17), *OPTIONS, *VERIFY, *options, "-cp", path, "OkHttp", env={"UPSTREAM": url, "AT_ONCE": str(AT_ONCE)}, port=free_port())
    ask(program.port, "get", ["warm"])
    receiver.wait_for(2)
    receiver.clear()
    return program, url


def test_okhttp(okhttp: tuple[Program, str], receiver: Receiver) -> None:
    """Heads wait in the connection's buffer for whoever writes next; each is under the request for which it was made."""
    program, url = okhttp
    for way, method in OK_WAYS.items():
        ids = [f"{way}-{n}" for n in range(AT_ONCE)]
        answers = ask(program.port, way, ids)
        spans = receiver.wait_for(2 * AT_ONCE)
        assert len(spans) == 2 * AT_ONCE
        for id in ids:
            mine = [span for span in spans if id_of(span) == id]
            called, served = assert_spans(
                mine, call(f"{url}/echo?id={id}", method=method, version="2"), server(f"/{way}", program.port, query=f"id={id}"))
            assert_root(served)
            assert_child(called, served)
            assert answers[id]["headers"]["traceparent"] == traceparent_of(called)
            assert (answers[id]["id"], answers[id]["body"]) == (id, 20000 if method == "POST" else 0)
        receiver.clear()
    assert client.get(program.port, "/connections").json == 1


def test_what_okhttp_writes_for_nobody(okhttp: tuple[Program, str], receiver: Receiver) -> None:
    """Threads that work for nobody call at the same time: the threads of requests write their heads, and the other way round."""
    program, _ = okhttp
    ids = [str(n) for n in range(AT_ONCE)]
    answers = ask(program.port, "strangers", ids)
    spans = receiver.wait_for(3 * AT_ONCE)
    assert len(spans) == 3 * AT_ONCE
    for id in ids:
        (stranger,) = [span for span in spans if span.url.endswith(f"?id=b{id}")]
        assert_root(stranger)
        assert [answer["id"] for answer in answers[id]] == [id, f"b{id}"]
        (called,) = [span for span in spans if span.kind == "CLIENT" and span.url.endswith(f"?id={id}")]
        for span, answer in zip((called, stranger), answers[id], strict=True):
            assert answer["headers"]["traceparent"] == traceparent_of(span)
    assert count_parents(span for span in spans if "?id=b" not in span.url) == Counts(AT_ONCE, 0, 0)
    assert client.get(program.port, "/connections").json == 1


def test_a_context_of_the_programs_own_in_okhttp(okhttp: tuple[Program, str], receiver: Receiver) -> None:
    """It is left alone, and the calls are the program's to make spans of."""
    program, _ = okhttp
    ids = [str(n) for n in range(AT_ONCE)]
    answers = ask(program.port, "own", ids)
    for span in assert_exactly(receiver, AT_ONCE, program.port):
        assert (span.kind, span.url.split("?")[0]) == ("SERVER", "/own")
    assert {answer["headers"]["traceparent"] for answer in answers.values()} == {f"00-{'1' * 32}-{'2' * 16}-01"}


def ask(port: int, way: str, ids: list[str]) -> dict[str, dict]:
    with ThreadPoolExecutor(len(ids)) as pool:
        return {id: reply.json for id, reply in zip(ids, pool.map(lambda id: client.get(port, f"/{way}?id={id}"), ids))}
