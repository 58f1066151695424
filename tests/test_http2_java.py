"""HTTP/2 of Java: the client of the JDK, which sends the requests of many on one connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import client
from harness.assertions import assert_child, assert_root, assert_spans, call, server, traceparent_of
from harness.jdks import compiled
from harness.parents import AT_ONCE, id_of
from harness.ports import free_port
from harness.processes import NONE, PYTHON, Launcher
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.java import JDKS, in_tls, make_stores, start_java
from harness.tls import certificates

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


def ask(port: int, way: str, ids: list[str]) -> dict[str, dict]:
    with ThreadPoolExecutor(len(ids)) as pool:
        return {id: reply.json for id, reply in zip(ids, pool.map(lambda id: client.get(port, f"/{way}?id={id}"), ids))}
