"""Node: HTTP/2 on either side. Twenty streams of one connection at once; each call has the parent that asked for it."""

from __future__ import annotations

import json

import pytest

from harness import client, h2, tls
from harness.assertions import assert_exactly, traceparent_of
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
    answers = h2.get_many(url, wanted, method=method, body=b"the body of it" if method == "POST" else None, headers=headers)
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
    more = {"Content-Type": "application/json"} if api == "fastify" else {}
    url, wanted = address(program), paths(["shared", "http"], ["none", "timer"], each=10)
    if api == "fastify":
        wanted_get = wanted
        check(receiver, url, wanted_get)
        return
    check(receiver, url, wanted, "POST", **more)


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
    """The program's own server is HTTP/1's (programs/parents.js); http2 is loaded by what it calls with."""
    program = launcher.start("node", PROGRAMS / "h1_to_h2.js", port=free_port(), env={"UPSTREAM2": start_upstream(launcher)})
    wanted = [f"/fetch?id={number}&delay={number % 7 * 5}" for number in range(40)]
    replies = client.get_many(program.port, wanted)
    assert {reply.status for reply in replies} == {200}
    spans = assert_exactly(receiver, 80, program.port)
    right, wrong, none = count_parents(spans)
    print(right, wrong, none)
    assert wrong == 0 and right > 0
