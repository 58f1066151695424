"""`http.route` in Ruby, as Sinatra and Rails matched it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import client, tls
from harness.assertions import assert_exactly
from harness.ports import free_port
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span
from harness.tls import certificates

# The heuristic would give other routes of its own.
ENV = {"OTEL_RUN_HTTP_ROUTE_HEURISTIC": "false", "RACK_ENV": "production", "RAILS_ENV": "production"}
# Paths with a number for {}, the status, and the route.
ROUTES = {
    "sinatra": [
        ("/", 200, "/"),
        ("/user/{}", 200, "/user/:id"),
        ("/late/{}", 200, "/late/:id"),
        ("/fail/{}", 500, "/fail/:id"),
        ("/shop/{}/item/7", 200, "/shop/:shop/item/:item"),
        ("/in/{}", 200, "/in/:id"),
        ("/below/user/{}", 200, "/user/:id"),  # as the SDK has it: where it is mounted is not in it
        ("/files/{}.txt", 200, "/files/*.*"),
        ("/page/{}", 200, r"\/page\/(\d+)"),
        ("/missing/{}", 404, None),
    ],
    "rails": [
        ("/", 200, "/"),
        ("/user/{}", 200, "/user/:id(.:format)"),
        ("/user/{}.txt", 200, "/user/:id(.:format)"),
        ("/late/{}", 200, "/late/:id(.:format)"),
        ("/fail/{}", 500, "/fail/:id(.:format)"),
        ("/optional/{}", 200, "/optional(/:id)(.:format)"),
        ("/admin/{}/user/7", 200, "/admin/:tenant/user/:id(.:format)"),
        ("/shop/{}/item/7", 200, "/item/:item(.:format)"),  # as the SDK has it: where the engine is mounted is not in it
        ("/old/{}", 301, None),  # no controller
        ("/rack/{}", 200, None),
        ("/missing/{}", 404, None),
    ],
}


def puma(launcher: Launcher, app: str, *words: str, how: str = "", **env: str) -> Program:
    port, files = free_port(), certificates()
    bind = f"ssl://127.0.0.1:{port}?cert={files.cert}&key={files.key}" if "tls" in words else f"tcp://127.0.0.1:{port}"
    words = tuple(word for word in words if word != "tls")
    return launcher.start("puma", "-b", bind, "-t", "5:10", "-q", *words, PROGRAMS / f"routes_{app}.ru",
                          env={**ENV, **env}, port=port, how=how)


def webrick(launcher: Launcher, app: str, **env: str) -> Program:
    port = free_port()
    return launcher.start("rackup", "-s", "webrick", "-o", "127.0.0.1", "-p", str(port), "-q", PROGRAMS / f"routes_{app}.ru",
                          env={**ENV, **env}, port=port)


def wanted(app: str, each: int = 4) -> dict[str, tuple[int, str | None]]:
    """Every path so often, in an order in which neighbours differ; each is asked for once."""
    rows = [(path.format(10 * turn + 3), status, route) for turn in range(each) for path, status, route in ROUTES[app]]
    random.Random(7).shuffle(rows)
    return {f"{path}?n={number}": (status, route) for number, (path, status, route) in enumerate(rows)}


def routes(spans: list[Span]) -> dict[str, tuple[int, str | None]]:
    found = {}
    for span in spans:
        route = span.attributes.get("http.route")
        assert span.name == (f"GET {route.removesuffix('(.:format)')}" if route else "GET"), span
        found[span.url] = (span.attributes["http.response.status_code"], route)
    return found


def check(receiver: Receiver, program: Program, paths: dict[str, tuple[int, str | None]]) -> None:
    client.get_many(program.port, list(paths))
    assert routes(assert_exactly(receiver, len(paths), program.port)) == paths


@pytest.mark.parametrize("app", ROUTES)
@pytest.mark.parametrize("words", [(), ("-w", "2"), ("-w", "2", "--preload")], ids=["threads", "workers", "preload"])
def test_puma(launcher: Launcher, receiver: Receiver, app: str, words: tuple[str, ...]) -> None:
    """Twenty requests at once for different routes: each span has its own."""
    check(receiver, puma(launcher, app, *words), wanted(app))


@pytest.mark.parametrize("app", ROUTES)
def test_webrick(launcher: Launcher, receiver: Receiver, app: str) -> None:
    check(receiver, webrick(launcher, app), wanted(app))


def test_puma_inside_tls(launcher: Launcher, receiver: Receiver) -> None:
    program = puma(launcher, "sinatra", "tls")
    paths = wanted("sinatra")
    tls.get_many(program.port, list(paths))
    assert routes(assert_exactly(receiver, len(paths), tls.control(program.port))) == paths


@pytest.mark.parametrize("app", ROUTES)
def test_on_kept_connections(launcher: Launcher, receiver: Receiver, app: str) -> None:
    program = puma(launcher, app)
    paths = [f"/{name}/{number}" for number in range(5) for name in ("user", "fail", "late", "missing")]

    def ask(number: int) -> None:
        with client.Raw(program.port) as raw:
            for path in paths:
                raw.exchange(f"{path}?of={number}")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(ask, range(5)))
    for span in assert_exactly(receiver, 5 * len(paths), program.port):
        name = span.url.split("/")[1]
        route = (span.attributes.get("http.route") or "").removesuffix("(.:format)")
        assert route == ("" if name == "missing" else f"/{name}/:id"), span


def test_a_route_that_rails_tries_before_another(launcher: Launcher, receiver: Receiver) -> None:
    """The first that was given to a controller counts."""
    program = puma(launcher, "rails")
    assert client.get(program.port, "/user/pass").status == 200
    [span] = assert_exactly(receiver, 1, program.port)
    assert span.attributes.get("http.route") == "/user/pass(.:format)"


@pytest.mark.parametrize("app", ROUTES)
def test_switched_off(launcher: Launcher, receiver: Receiver, app: str) -> None:
    program = puma(launcher, app, **{f"OTEL_INSTRUMENTATION_{app.upper()}_ENABLED": "false",
                                     "OTEL_INSTRUMENTATION_HTTP_SERVER_ENABLED": "true"})
    client.get(program.port, "/user/7")
    [span] = assert_exactly(receiver, 1, program.port)
    assert (span.name, span.attributes.get("http.route")) == ("GET", None)


def test_what_the_user_configured_comes_first(launcher: Launcher, receiver: Receiver) -> None:
    program = puma(launcher, "sinatra", OTEL_RUN_HTTP_ROUTES="/user/{mine}")
    paths = {"/user/7": "/user/{mine}", "/late/7": "/late/:id"}
    client.get_many(program.port, list(paths))
    assert {span.url: span.attributes.get("http.route") for span in assert_exactly(receiver, 2, program.port)} == paths


@pytest.mark.parametrize("app", ROUTES)
def test_answers_are_as_without(launcher: Launcher, app: str) -> None:
    def run(how: str) -> tuple[list[tuple[int, bytes]], bytes]:
        program = puma(launcher, app, how=how)
        replies = [client.get(program.port, path.format(5)) for path, _, _ in ROUTES[app]]
        return [(reply.status, reply.body.replace(b"%d" % program.port, b"")) for reply in replies], program.err

    assert run("") == run(NONE)


def test_the_programs_own_sdk(launcher: Launcher, tmp_path: Path) -> None:
    """Nothing of ours is around Sinatra's methods."""
    (tmp_path / "opentelemetry-auto-instrumentation.rb").write_text("")
    shown = ["ruby", "-rsinatra/base", "-e", "p Sinatra::Base.instance_method(:call!).owner == Sinatra::Base"]
    assert launcher.run(*shown).out == b"false\n"
    sdk = {"RUBYOPT": f"-r{tmp_path}/opentelemetry-auto-instrumentation"}
    assert launcher.run(*shown, env=sdk).out == b"true\n"
