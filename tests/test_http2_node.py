"""Node: HTTP/2 on either side. Twenty streams of one connection at once; each call has the parent that asked for it."""

from __future__ import annotations

import re

import pytest

from harness import client, h2, tls
from harness.assertions import assert_child, assert_exactly, assert_root, assert_spans, call, server, traceparent_of
from harness.parents import Counts, count_parents, id_of
from harness.ports import free_port
from harness.processes import CACHE, NONE, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES, VERSIONS
from harness.spans import Span
from harness.tls import certificates
from harness.upstream import Upstream

MODULE_PATH = f"{MODULES}:{CACHE / 'node/node_modules'}"
CLIENTS = ["shared", "once", "narrow", "post", "own", "raw", "http"]
AFTER = ["none", "timer", "promise", "own", "queue"]


def start_upstream(launcher: Launcher, secure: bool = False) -> str:
    """A server of HTTP/2 without the agent; its URL."""
    env = {"TLS_CERT": str(certificates().cert), "TLS_KEY": str(certificates().key)} if secure else {}
    program = launcher.start("node", PROGRAMS / "http2.js", port=free_port(), env=env, how=NONE)
    return f"{'https' if secure else 'http'}://localhost:{program.port}"


def start(launcher: Launcher, upstream: Upstream, upstream2: str, api: str = "stream", version: str = "20",
          secure: bool = False, **env: str) -> Program:
    env = {"NODE_PATH": MODULE_PATH, "UPSTREAM": upstream.url, "UPSTREAM2": upstream2, "API": api, **certificates().env,
           **({"TLS": "1"} if secure else {}), **env}
    return launcher.start(VERSIONS[version], PROGRAMS / "parents_http2.js", env=env, port=free_port())


def address(program: Program, secure: bool = False) -> str:
    return f"{'https' if secure else 'http'}://localhost:{program.port}"


def paths(clients: list[str], after: list[str], each: int) -> list[str]:
    kinds = [(name, turn) for turn in after for name in clients] * each
    return [f"/fetch?with={name}&after={turn}&id={number}&delay={number % 7 * 5}" for number, (name, turn) in enumerate(kinds)]


def check(receiver: Receiver, url: str, wanted: list[str], method: str = "GET", **headers: str) -> list[Span]:
    """Each call is under its own request, and so is what its upstream was told; printed by client."""
    answers = h2.get_many(url, wanted, method=method, body=b'{"the": "body"}' if method == "POST" else None, headers=headers)
    assert {answer.status_code for answer in answers} == {200}
    spans = assert_exactly(receiver, 2 * len(wanted), h2.control(url))
    of = {id_of(span): span.url.split("with=")[1].split("&")[0] for span in spans if span.kind == "SERVER"}
    for name in sorted(set(of.values())):
        print(f"{name:10}", count_parents(span for span in spans if of[id_of(span)] == name))
    assert count_parents(spans) == Counts(right=len(wanted), wrong=0, none=0)
    calls = {id_of(span): span for span in spans if span.kind == "CLIENT"}
    for number, answer in enumerate(answers):
        told = answer.json()
        assert told["id"] == str(number)
        assert told["headers"]["traceparent"] == traceparent_of(calls[str(number)])
    return spans


@pytest.mark.parametrize("api", ["stream", "compat"])
@pytest.mark.parametrize("version", VERSIONS)
def test_clients_and_hand_offs(launcher: Launcher, receiver: Receiver, upstream: Upstream, version: str, api: str) -> None:
    program = start(launcher, upstream, start_upstream(launcher), api, version)
    check(receiver, address(program), paths(CLIENTS, AFTER, each=3))


@pytest.mark.parametrize("version", VERSIONS)
def test_tls(launcher: Launcher, receiver: Receiver, upstream: Upstream, version: str) -> None:
    program = start(launcher, upstream, start_upstream(launcher, True), "stream", version, True)
    check(receiver, address(program, True), paths([*CLIENTS, "undici", "slow"], ["none", "timer"], each=4))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("api", ["stream", "compat", "fastify"])
def test_when_the_body_has_come(launcher: Launcher, receiver: Receiver, upstream: Upstream, api: str, version: str) -> None:
    if (api, version) == ("fastify", "18"):
        version = "20"  # Fastify 5 needs 20
    program = start(launcher, upstream, start_upstream(launcher), api, version)
    wanted = paths(["shared", "http"], ["none", "timer"], each=10)
    check(receiver, address(program), wanted, "POST", **{"Content-Type": "application/json"})


@pytest.mark.parametrize("api", ["worker", "cluster", "koa"])
def test_servers(launcher: Launcher, receiver: Receiver, upstream: Upstream, api: str) -> None:
    program = start(launcher, upstream, start_upstream(launcher), api)
    check(receiver, address(program), paths(["shared", "once", "http"], ["none", "timer"], each=10))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_hundred_at_once(launcher: Launcher, receiver: Receiver, upstream: Upstream, secure: bool) -> None:
    program = start(launcher, upstream, start_upstream(launcher, secure), "compat", secure=secure)
    url, wanted = address(program, secure), paths(["shared", "narrow"], ["none", "timer"], each=25)
    answers = h2.get_many(url, wanted, at_once=100)
    assert {answer.status_code for answer in answers} == {200}
    spans = assert_exactly(receiver, 200, h2.control(url))
    assert count_parents(spans) == Counts(right=100, wrong=0, none=0)


def test_http1_and_http2_of_one_server(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """`allowHTTP1`: a client that offers no h2 is served by HTTP/1."""
    program = start(launcher, upstream, start_upstream(launcher, True), "compat", secure=True)
    wanted = paths(["shared", "http"], ["none", "timer"], each=10)
    assert {reply.status for reply in tls.get_many(program.port, wanted)} == {200}
    spans = assert_exactly(receiver, 80, tls.control(program.port))
    assert count_parents(spans) == Counts(right=40, wrong=0, none=0)
    versions = {span.attributes["network.protocol.version"] for span in spans if span.kind == "SERVER"}
    assert versions == {"1.1"}
    receiver.clear()
    check(receiver, address(program, True), wanted)


def test_http1_server_that_calls_by_http2(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """http2 is loaded in the middle of the first request: calls until the next one comes have no parent, none has a wrong one."""
    program = launcher.start("node", PROGRAMS / "h1_to_h2.js", port=free_port(), env={"UPSTREAM2": start_upstream(launcher)})
    wanted = [f"/fetch?id={number}&delay={number % 7 * 5}" for number in range(41)]
    assert client.get(program.port, wanted[0]).status == 200
    assert {reply.status for reply in client.get_many(program.port, wanted[1:])} == {200}
    spans = assert_exactly(receiver, 82, program.port)
    assert count_parents(spans) == Counts(right=40, wrong=0, none=1)


@pytest.mark.parametrize("version", VERSIONS)
def test_websocket(launcher: Launcher, receiver: Receiver, version: str) -> None:
    """Extended CONNECT (RFC 8441): one span on either side, and what passes through it is none."""
    def talk(how: str) -> tuple[Program, bytes]:
        program = launcher.start(VERSIONS[version], PROGRAMS / "websocket2.js", port=free_port(), how=how, service="server")
        done = launcher.run(VERSIONS[version], PROGRAMS / "websocket2.js", address(program), how=how, service="client")
        assert done.code == 0, done.err
        return program, done.out

    _, bare = talk(NONE)
    program, out = talk("")
    assert out == bare and out.startswith(b'"200 echo') and b"/inside?id=2" in out
    spans = assert_exactly(receiver, 2, h2.control(address(program)))
    url = f"{address(program)}/chat?room=1"
    called, served = assert_spans(
        spans,
        call(url, method="CONNECT", version="2"),
        server("/chat", program.port, query="room=1", method="CONNECT", version="2", host="localhost", user_agent=None),
    )
    assert_root(called)
    assert_child(served, called)


@pytest.mark.parametrize("framework, api", [("fastify", "fastify"), ("koa", "koa")])
def test_routes(launcher: Launcher, receiver: Receiver, upstream: Upstream, framework: str, api: str) -> None:
    """The template, not what the agent makes of the path; none of them for what no route matched."""
    program = start(launcher, upstream, "", api)
    prefix = "/api" if framework == "koa" else ""
    answers = h2.get_many(address(program), [f"{prefix}/items/one", f"{prefix}/items/two"])
    assert [answer.text for answer in answers] == ["one", "two"]
    spans = assert_exactly(receiver, 2, h2.control(address(program)))
    assert [span.attributes["http.route"] for span in spans] == [f"{prefix}/items/:id"] * 2
    assert {span.name for span in spans} == {f"GET {prefix}/items/:id"}


@pytest.mark.parametrize("api", ["stream", "compat"])
def test_without_the_bridge(launcher: Launcher, receiver: Receiver, upstream: Upstream, api: str) -> None:
    """The same spans, and none of them under the wrong one."""
    program = start(launcher, upstream, start_upstream(launcher), api, OTEL_INSTRUMENTATION_NODE_ENABLED="false")
    url = address(program)
    h2.get_many(url, paths(["shared", "narrow", "http"], ["timer"], each=10))
    right, wrong, none = count_parents(assert_exactly(receiver, 60, h2.control(url)))
    assert wrong == 0 and none > right


@pytest.mark.parametrize("version", VERSIONS)
def test_a_context_of_the_programs_own(launcher: Launcher, receiver: Receiver, upstream: Upstream, version: str) -> None:
    """A `traceparent` that the program sends goes out as it is, and such calls are left to who made it."""
    program = start(launcher, upstream, start_upstream(launcher), "stream", version)
    url = address(program)
    wanted = [f"/fetch?with=foreign&id={number}" for number in range(10)]
    answers = h2.get_many(url, wanted)
    assert [answer.json()["headers"]["traceparent"] for answer in answers] == [
        f"00-0af7651916cd43dd8448eb211c80319c-{number + 1:016x}-01" for number in range(10)]
    assert {span.kind for span in assert_exactly(receiver, 10, h2.control(url))} == {"SERVER"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_program_sees_itself_as_without(launcher: Launcher, version: str) -> None:
    """But for the place in node's emitter that calls the listeners of a session, which are one more; and for a frame in Node 18."""
    def look(how: str) -> tuple[int, str, bytes]:
        done = launcher.run(VERSIONS[version], PROGRAMS / "http2_introspection.js", how=how)
        text = re.sub(r"\(node:events:[0-9:]+\)", "(node:events)", done.out.decode())
        if version == "18":
            text = re.sub(r"\\n    at ClientHttp2Session.request \([^)]*libagent.so[^)]*\)", "", text)
        return done.code, text, done.err

    bare = look(NONE)
    assert look("") == bare
    assert bare[0] == 0 and "where" in bare[1]
