"""`http.route` in Node, as the routers of Express, Fastify and Koa matched it."""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import client, tls
from harness.assertions import assert_exactly
from harness.ports import free_port
from harness.processes import CACHE, NONE, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.scenarios.node import MODULES, VERSIONS
from harness.spans import Span
from harness.tls import certificates

NODE_PATH = f"{MODULES}:{CACHE / 'node/node_modules'}"
# The heuristic would give other routes of its own.
ONLY_MATCHED = {"OTEL_RUN_HTTP_ROUTE_HEURISTIC": "false"}
APPS = {
    "express4": {"FRAMEWORK": "express", "MODULE": "express4"},
    "express5": {"FRAMEWORK": "express", "MODULE": "express"},
    "express5-older-router": {"FRAMEWORK": "express", "MODULE": "express51"},
    "fastify3": {"FRAMEWORK": "fastify", "MODULE": "fastify3"},
    "fastify4": {"FRAMEWORK": "fastify", "MODULE": "fastify4"},
    "fastify5": {"FRAMEWORK": "fastify", "MODULE": "fastify"},
    "koa2": {"FRAMEWORK": "koa", "MODULE": "koa", "ROUTER": "@koa/router"},
    "koa3": {"FRAMEWORK": "koa", "MODULE": "koa3", "ROUTER": "koa-router15"},
}
# Paths with a number for {}, the status, and the route.
COMMON = [
    ("/", 200, "/"),
    ("/user/{}", 200, "/user/:id"),
    ("/late/{}", 200, "/late/:id"),
    ("/stream/{}", 200, "/stream/:id"),
    ("/stack/{}", 200, "/stack/:id"),
    ("/fail/{}", 500, "/fail/:id"),
    ("/shop/{}/item/7", 200, "/shop/:shop/item/:item"),
    ("/missing/{}", 404, None),
    ("/user", 404, None),
]
ROUTES = {
    "express": [
        *COMMON,
        ("/shop/{}", 200, "/shop/:shop"),
        ("/shop/{}/fail", 500, "/shop/:shop/fail"),
        ("/deep/in/{}", 200, "/deep/in/:id"),
        ("/twice/{}?of=deep", 200, "/twice/:id"),
        ("/bare/{}", 200, "/bare/:id"),
        ("/own/{}", 200, "/own/:id"),
        ("/one/{}", 200, "/one/:id,/other/:id"),
        ("/pass/{}", 404, None),  # the route let it go
        ("/hidden/{}/5", 200, None),  # by a router that a function calls: what is around it is not known
        ("/files/{}", 200, None),  # no route
    ],
    "fastify": [
        *COMMON,
        ("/shop/{}", 200, "/shop/:shop"),
        ("/shop/{}/in/7", 200, "/shop/:shop/in/:id"),
        ("/refused/{}", 403, "/refused/:id"),
        ("/checked/x{}", 400, "/checked/:id"),
    ],
    "koa": [*COMMON, ("/shop/{}", 200, "/shop/:shop"), ("/deep/in/{}", 200, "/deep/in/:id")],
}


def start(launcher: Launcher, app: str, version: str = "20", **env: str) -> Program:
    env = {"NODE_PATH": NODE_PATH, **ONLY_MATCHED, **certificates().env, **APPS[app], **env}
    return launcher.start(VERSIONS[version], PROGRAMS / "routes.js", env=env, port=free_port())


def wanted(app: str, each: int = 3) -> dict[str, tuple[int, str | None]]:
    """Every path so often, in an order in which neighbours differ; each is asked for once."""
    rows = ROUTES[APPS[app]["FRAMEWORK"]]
    numbered = [(path.format(10 * turn + 3), status, route) for turn in range(each) for path, status, route in rows]
    random.Random(7).shuffle(numbered)
    return {f"{path}{'&' if '?' in path else '?'}n={number}": (status, route)
            for number, (path, status, route) in enumerate(numbered)}


def routes(spans: list[Span]) -> dict[str, tuple[int, str | None]]:
    found = {}
    for span in spans:
        route = span.attributes.get("http.route")
        assert span.name == (f"GET {route}" if route else "GET"), span
        found[span.url] = (span.attributes["http.response.status_code"], route)
    return found


def check(receiver: Receiver, program: Program, paths: dict[str, tuple[int, str | None]]) -> None:
    client.get_many(program.port, list(paths))
    assert routes(assert_exactly(receiver, len(paths), program.port)) == paths


@pytest.mark.parametrize("app", APPS)
def test_routes(launcher: Launcher, receiver: Receiver, app: str) -> None:
    """Twenty requests at once for different routes: each span has its own."""
    check(receiver, start(launcher, app), wanted(app))


@pytest.mark.parametrize("version", ["18", "22", "24"])
@pytest.mark.parametrize("app", ["express4", "express5", "fastify4", "koa2"])
def test_versions_of_node(launcher: Launcher, receiver: Receiver, app: str, version: str) -> None:
    check(receiver, start(launcher, app, version), wanted(app, each=1))


@pytest.mark.parametrize("app, version", [
    ("express5", "20"), ("fastify4", "20"), ("koa2", "18"), ("koa2", "20"), ("koa2", "22"), ("koa2", "24"), ("koa3", "20")])
def test_imported(launcher: Launcher, receiver: Receiver, tmp_path: Path, app: str, version: str) -> None:
    """By `import`, which finds other files of some packages."""
    shutil.copy(PROGRAMS / "routes.js", tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES if app != "express5" else CACHE / "node/node_modules")
    env = {**ONLY_MATCHED, **APPS[app], "IMPORT": "1"}
    program = launcher.start(VERSIONS[version], tmp_path / "routes.js", env=env, port=free_port())
    check(receiver, program, wanted(app, each=1))


@pytest.mark.parametrize("app", ["express4", "express5", "fastify5", "koa2"])
def test_on_kept_connections(launcher: Launcher, receiver: Receiver, app: str) -> None:
    """Requests for different routes after each other, and pipelined."""
    program = start(launcher, app)
    paths = [f"/{name}/{number}" for number in range(10) for name in ("user", "fail", "late", "missing")]

    def ask(number: int) -> None:
        with client.Raw(program.port) as raw:
            for path in paths:
                raw.exchange(f"{path}?of={number}")
            raw.send("".join(f"GET {path}?of={number}-late HTTP/1.1\r\nHost: h\r\n\r\n" for path in paths[:8]).encode())
            for _ in paths[:8]:
                raw.response()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(ask, range(5)))
    spans = assert_exactly(receiver, 5 * (len(paths) + 8), program.port)
    for span in spans:
        name = span.url.split("/")[1]
        assert span.attributes.get("http.route") == (None if name == "missing" else f"/{name}/:id"), span


@pytest.mark.parametrize("app", ["express5", "fastify5", "koa2"])
def test_https(launcher: Launcher, receiver: Receiver, app: str) -> None:
    program = start(launcher, app, WAY="https")
    paths = wanted(app)
    tls.get_many(program.port, list(paths))
    assert routes(assert_exactly(receiver, len(paths), tls.control(program.port))) == paths


def test_cluster(launcher: Launcher, receiver: Receiver) -> None:
    program = start(launcher, "express5", WAY="cluster")
    check(receiver, program, wanted("express5"))
    assert len({span.pid for span in receiver.spans if span.kind == "SERVER"}) == 2


@pytest.mark.parametrize("app", ["express4", "express5", "express5-older-router"])
def test_a_path_in_capitals_is_no_other_route(launcher: Launcher, receiver: Receiver, app: str) -> None:
    """Only where the router does not keep what a layer was made of the letters may be those of the first request."""
    program = start(launcher, app)
    for path in ("/shop/a/item/1", "/SHOP/b/ITEM/2", "/Shop/c/item/3"):
        assert client.get(program.port, path).status == 200
    spans = assert_exactly(receiver, 3, program.port)
    assert {span.attributes.get("http.route") for span in spans} == {"/shop/:shop/item/:item"}


@pytest.mark.parametrize("app", ["express4", "express5-older-router"])
def test_a_value_that_is_also_a_word_of_the_path(launcher: Launcher, receiver: Receiver, app: str) -> None:
    """Which of the two is the parameter cannot be told there."""
    program = start(launcher, app)
    client.get(program.port, "/shop/shop/item/1")
    client.get(program.port, "/shop/a%20b/item/1")
    found = {span.url: span.attributes.get("http.route") for span in assert_exactly(receiver, 2, program.port)}
    assert found == {"/shop/shop/item/1": None, "/shop/a%20b/item/1": "/shop/:shop/item/:item"}


@pytest.mark.parametrize("app", ["express5", "fastify5", "koa2"])
def test_switched_off(launcher: Launcher, receiver: Receiver, app: str) -> None:
    name = APPS[app]["FRAMEWORK"].upper()
    program = start(launcher, app, **{f"OTEL_INSTRUMENTATION_{name}_ENABLED": "false",
                                      "OTEL_INSTRUMENTATION_HTTP_SERVER_ENABLED": "true"})
    client.get(program.port, "/user/7")
    [span] = assert_exactly(receiver, 1, program.port)
    assert (span.name, span.attributes.get("http.route")) == ("GET", None)


@pytest.mark.parametrize("app", ["express4", "fastify5", "koa2"])
def test_what_the_user_configured_comes_first(launcher: Launcher, receiver: Receiver, app: str) -> None:
    program = start(launcher, app, OTEL_RUN_HTTP_ROUTES="/user/{mine}", OTEL_RUN_HTTP_ROUTE_HEURISTIC="true")
    paths = {"/user/7": "/user/{mine}", "/late/7": "/late/:id"}
    client.get_many(program.port, list(paths))
    spans = assert_exactly(receiver, 2, program.port)
    assert {span.url: span.attributes.get("http.route") for span in spans} == paths


@pytest.mark.parametrize("app", APPS)
def test_answers_are_as_without(launcher: Launcher, app: str) -> None:
    """The same bytes, also the stack that an error of the program's shows; and no output."""
    def run(how: str) -> tuple[list[tuple[int, bytes]], bytes, bytes]:
        program = launcher.start("node", PROGRAMS / "routes.js", env={"NODE_PATH": NODE_PATH, **APPS[app]},
                                 port=free_port(), how=how)
        replies = [client.get(program.port, path.format(5)) for path, _, _ in ROUTES[APPS[app]["FRAMEWORK"]]]
        return [(reply.status, reply.body) for reply in replies], program.out, program.err

    bare, traced = run(NONE), run("")
    assert traced == bare
    assert any(b"    at " in body for _, body in bare[0]), "a stack was shown"


def test_users_own_sdk(launcher: Launcher, tmp_path: Path) -> None:
    """Nothing of ours is in Fastify's prototypes, and nobody listens where it tells of itself."""
    package = tmp_path / "node_modules/@opentelemetry/auto-instrumentations-node"
    package.mkdir(parents=True)
    (package / "register.js").write_text("")
    words = ["node", "-p", "require('diagnostics_channel').channel('fastify.initialization').hasSubscribers"]
    run = lambda **env: launcher.run(*words, cwd=tmp_path, env=env).out
    assert run() == b"true\n"
    assert run(NODE_OPTIONS="--require @opentelemetry/auto-instrumentations-node/register") == b"false\n"


def test_properties_that_are_caught_are_as_they_would_be(launcher: Launcher) -> None:
    """Of Fastify's requests and Koa's contexts, after the route was read."""
    code = """
      const show = (object, name) => JSON.stringify(Object.entries(Object.getOwnPropertyDescriptor(object, name))
        .map(([key, value]) => [key, typeof value === 'object' ? 'object' : value])) + Object.keys(object).join()
      const fastify = require('fastify')()
      const Koa = require('koa'), Router = require('@koa/router'), http = require('http')
      const app = new Koa(), router = new Router()
      fastify.get('/a', async (request) => show(request, 'raw'))
      router.get('/a', (context) => { context.body = show(context, '_matchedRoute') })
      app.use(router.routes())
      const ask = (port) => new Promise((resolve) => http.get({ port, path: '/a' }, (reply) => {
        let body = ''; reply.on('data', (part) => { body += part }).on('end', () => resolve(body)) }))
      const server = app.listen(0, async () => {
        console.log(await ask(server.address().port))
        await fastify.listen({ port: 0 })
        console.log(await ask(fastify.server.address().port))
        process.exit()
      })"""
    bare, traced = (launcher.run("node", "-e", code, env={"NODE_PATH": NODE_PATH}, how=how) for how in (NONE, ""))
    assert (traced.code, traced.out, traced.err) == (bare.code, bare.out, bare.err) == (0, bare.out, b"")
    assert bare.out.count(b"writable") == 2, bare
