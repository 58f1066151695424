"""HTTP/2 by servers, proxies and tools in C and Rust: as many spans as requests, and one trace through all of them."""

from __future__ import annotations

import json
import re

import pytest

from harness import client
from harness import grpc
from harness.apps import APACHE_MODULES, Site
from harness.assertions import Expect, assert_child, assert_root, assert_span, assert_spans, call, matching, server, traceparent_of
from harness.grpc import TONIC
from harness.parents import id_of
from harness.ports import free_port
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.scenarios import PROGRAMS
from harness.spans import Span
from harness.tls import certificates

ROOM = {"OTEL_BSP_MAX_QUEUE_SIZE": "20000"}  # as many spans as come in a moment
PAGE = b"p" * 1000

NGHTTP2 = matching(r"nghttp2/[0-9.]+")
H2LOAD = matching(r"h2load nghttp2/[0-9.]+")
CURL = ["curl", "-sS", "--fail", "-A", client.USER_AGENT, "-k"]


def start(name: str, launcher: Launcher, site: Site, secure: bool) -> tuple[Program, str]:
    """A server of HTTP/2 and the path of a page that it has."""
    options = {"env": ROOM, "service": "server"}
    match name:
        case "nginx":
            site.add_file("page.html", PAGE)
            return site.start_nginx(tls=secure, listen="http2", **options), "/static/page.html"
        case "apache":
            site.add_file("page.html", PAGE)
            return start_apache(site, secure, **options), "/static/page.html"
        case "node":
            files = certificates()
            env = {"TLS_CERT": str(files.cert), "TLS_KEY": str(files.key)} if secure else {}
            return launcher.start("node", PROGRAMS / "http2.js", port=free_port(), env={**ROOM, **env}, service="server"), "/echo"
        case _:
            return grpc.serve(launcher, TONIC, env=ROOM), "/echo"


def start_apache(site: Site, secure: bool = False, proxy: int = 0, **options) -> Program:
    directives = [f"LoadModule http2_module {APACHE_MODULES}/mod_http2.so", "Protocols h2 h2c http/1.1"]
    if proxy:
        directives.append(f"LoadModule proxy_http2_module {APACHE_MODULES}/mod_proxy_http2.so")
    return site.start_apache("event", tls=secure, upstream_port=proxy or 9, scheme="h2c" if proxy else "", directives=directives, **options)


def address(program: Program, secure: bool) -> str:
    return f"{'https' if secure else 'http'}://127.0.0.1:{program.port}"


def assert_all_in_pairs(spans: list[Span], count: int, called: Expect, served: Expect) -> None:
    """So many traces, each a CLIENT span and the SERVER span under it."""
    assert len(spans) == 2 * count, len(spans)
    calls = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    assert len(calls) == count
    for span in calls.values():
        assert_span(span, called)
        assert_root(span)
    answered = [span for span in spans if span.kind == "SERVER"]
    assert {span.parent_id for span in answered} == calls.keys()
    for span in answered:
        assert_span(span, served)
        assert_child(span, calls[span.parent_id])
    assert len({span.trace_id for span in spans}) == count


@pytest.mark.parametrize("name, secure", [("nginx", False), ("nginx", True), ("apache", False), ("apache", True), ("node", False),
                                          ("node", True), ("hyper", False)])
def test_load(launcher: Launcher, site: Site, receiver: Receiver, name: str, secure: bool) -> None:
    """2000 requests on two connections, 100 at once on each."""
    program, path = start(name, launcher, site, secure)
    url = address(program, secure) + path
    done = launcher.run("h2load", "-n", "2000", "-c", "2", "-m", "100", url, env=ROOM, service="client")
    assert done.code == 0 and b"2000 succeeded, 0 failed, 0 errored" in done.out and b"2000 2xx" in done.out
    spans = receiver.wait_for(4000)

    assert_all_in_pairs(
        spans, 2000, call(url, version="2"),
        server(path, program.port, version="2", scheme="https" if secure else "http", user_agent=H2LOAD))


NGHTTP = {
    "priorities": ["-m10", "-p", "200"],
    "no dependencies": ["-m10", "--no-dep"],
    "padding": ["-m10", "-b", "100"],
    "no dynamic table": ["-m10", "-c", "0", "--encoder-header-table-size", "0"],
    "tables that change": ["-m10", "-c", "100", "-c", "8000"],
    "small windows": ["-m10", "-w", "8", "-W", "10"],
    "a body and trailers": ["-m10", "-d", "body", "--trailer", "x-more: 1", "--expect-continue"],
}


@pytest.mark.parametrize("words", NGHTTP.values(), ids=[name.replace(" ", "-") for name in NGHTTP])
@pytest.mark.parametrize("name, secure", [("nginx", False), ("nginx", True), ("apache", False), ("apache", True)])
def test_nghttp(launcher: Launcher, site: Site, receiver: Receiver, name: str, secure: bool, words: list[str]) -> None:
    """What the frames between and in the requests may be; the tool says the same of each request as without the agent."""
    program, path = start(name, launcher, site, secure)
    (launcher.directory / "body").write_bytes(b"b" * 40_000)
    url = address(program, secure) + path
    bare = launcher.run("nghttp", "-nsy", *words, url, how=NONE)
    receiver.wait_for(10)
    receiver.clear()

    done = launcher.run("nghttp", "-nsy", *words, url, service="client")
    assert timeless(done.out) == timeless(bare.out) and len(timeless(done.out)) == 10
    method, status = ("GET", 200)
    if "-d" in words:
        method, status = "POST", {code for _, code, *_ in timeless(done.out)}.pop()
    assert_all_in_pairs(
        receiver.wait_for(20), 10, call(url, version="2", method=method, status=status),
        server(path, program.port, version="2", scheme="https" if secure else "http", user_agent=NGHTTP2, method=method, status=status))


def timeless(statistics: bytes) -> list[tuple[int, int, str, str]]:
    """Of each request in nghttp's table the stream, the status, the size and the path."""
    rows = re.findall(r"^ +(\d+) .* (\d{3}) +(\d+\w?) (/\S*)$", statistics.decode(), re.MULTILINE)
    return sorted((int(stream), int(status), size, path) for stream, status, size, path in rows)


def test_header_blocks_of_several_frames(launcher: Launcher, site: Site, receiver: Receiver) -> None:
    """A first frame that is full has no room for a context: both sides are seen, each alone."""
    program, path = start("nginx", launcher, site, True)
    url = address(program, True) + path
    done = launcher.run("nghttp", "-nsy", "--continuation", url, service="client")
    ((_, status, _, _),) = timeless(done.out)
    called, served = assert_spans(receiver.wait_for(2), call(url, version="2", status=status),
                                  server(path, program.port, version="2", scheme="https", user_agent=NGHTTP2, status=status))
    assert_root(called)
    assert_root(served)


@pytest.mark.parametrize("name", ["nginx", "apache"])
def test_a_page_with_assets(launcher: Launcher, site: Site, receiver: Receiver, name: str) -> None:
    program, _ = start(name, launcher, site, True)
    add_assets(site)
    url = f"{address(program, True)}/static"
    done = launcher.run("nghttp", "-nsya", f"{url}/index.html", service="client")
    assert [(code, path) for _, code, _, path in timeless(done.out)] == [(200, f"/static/{name}") for name in ("index.html", "a.css", "a.js")]
    spans = receiver.wait_for(6)
    assert len(spans) == 6
    for name in ("index.html", "a.css", "a.js"):
        called, served = assert_spans(
            [span for span in spans if span.url.endswith(name)], call(f"{url}/{name}", version="2"),
            server(f"/static/{name}", program.port, version="2", scheme="https", user_agent=NGHTTP2,
                   **({} if name == "index.html" else {"http__route": "/static/{file}." + name.rpartition(".")[2]})))
        assert_root(called)
        assert_child(served, called)


def add_assets(site: Site) -> None:
    site.add_file("index.html", b'<html><link rel="stylesheet" href="a.css"><script src="a.js"></script></html>')
    site.add_file("a.css", b"p{}")
    site.add_file("a.js", b"1;")


def test_pushed_responses_make_no_spans(launcher: Launcher, site: Site, receiver: Receiver) -> None:
    add_assets(site)
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port} http2; location / {{ root {site.directory}; }} " \
           f"location /static/index.html {{ root {site.directory}; http2_push /static/a.css; http2_push /static/a.js; }} }}"
    site.start_nginx(http=http, service="server")
    url = f"http://127.0.0.1:{port}/static/index.html"
    done = launcher.run("nghttp", "-ns", url, service="client")
    assert [(stream, code) for stream, code, _, _ in timeless(done.out.replace(b"*", b" "))] == [(2, 200), (4, 200), (13, 200)]
    launcher.run("nghttp", "-ns", "--no-push", f"{url}?id=control", service="client")
    spans = receiver.wait_for(4)
    expected = [expect for query in ("", "id=control")
                for expect in (call(url + (f"?{query}" if query else ""), version="2"),
                               server("/static/index.html", port, query=query, version="2", user_agent=NGHTTP2))]
    called, served, second, other = assert_spans(spans, *expected)
    assert_child(served, called)
    assert_child(other, second)


@pytest.mark.parametrize("name", ["nginx", "apache", "node"])
def test_curl_asks_for_much_at_once(launcher: Launcher, site: Site, receiver: Receiver, name: str) -> None:
    """20 transfers in parallel, multiplexed when the first has shown that the server can (in the clear curl 7.88 breaks by itself)."""
    program, path = start(name, launcher, site, True)
    urls = [f"{address(program, True)}{path}?id={n}" for n in range(20)]
    words = [word for url in urls for word in ("-o", "/dev/null", url)]
    done = launcher.run(*CURL, "-Z", "--parallel-max", "20", "-w", "%{http_code} %{http_version} %{num_connects}\n", *words, service="client")
    answers = sorted(done.out.decode().split("\n"))[1:]
    assert done.code == 0 and len(answers) == 20
    assert {answer[:5] for answer in answers} == {"200 2"} and sum(answer.endswith("1") for answer in answers) == 1
    spans = receiver.wait_for(40)
    assert len(spans) == 40
    for n, url in enumerate(urls):
        called, served = assert_spans(
            [span for span in spans if id_of(span) == str(n)], call(url, version="2"),
            server(path, program.port, query=f"id={n}", version="2", scheme="https"))
        assert_root(called)
        assert_child(served, called)
    assert len({span.trace_id for span in spans}) == 20


@pytest.mark.parametrize("words", [["-H", "Expect: 100-continue"], ["-H", "Expect:"], ["-T", "body"]], ids=["expect", "post", "put"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_curl_sends_a_body(launcher: Launcher, site: Site, receiver: Receiver, secure: bool, words: list[str]) -> None:
    program, path = start("node", launcher, site, secure)
    (launcher.directory / "body").write_bytes(b"b" * 1_000_000)
    url = f"{address(program, secure)}{path}?id=1"
    data = [] if "-T" in words else ["--data-binary", "@body"]
    how = [] if secure else ["--http2-prior-knowledge"]
    done = launcher.run(*CURL, *how, *words, *data, url, service="client")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["body"] == 1_000_000
    method = "PUT" if "-T" in words else "POST"
    called, served = assert_spans(
        receiver.wait_for(2), call(url, version="2", method=method),
        server(path, program.port, query="id=1", method=method, version="2", scheme="https" if secure else "http"))
    assert_child(served, called)
    assert answer["headers"]["traceparent"] == traceparent_of(called)


@pytest.mark.parametrize("command", [CURL + ["--http2", "-o", "/dev/null"], ["nghttp", "-nsu"]], ids=["curl", "nghttp"])
def test_apache_is_upgraded(launcher: Launcher, site: Site, receiver: Receiver, command: list[str]) -> None:
    """From HTTP/1: the request is answered on stream 1."""
    program, path = start("apache", launcher, site, False)
    url = address(program, False) + path
    done = launcher.run(*command, url, service="client")
    assert done.code == 0
    called, served = assert_spans(receiver.wait_for(2), call(url, version="2"),
                                  server(path, program.port, version="2", user_agent=client.USER_AGENT if command[0] == "curl" else NGHTTP2))
    assert_child(served, called)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_reqwest_and_hyper(launcher: Launcher, site: Site, receiver: Receiver, threads: str) -> None:
    """20 at once on one connection, in the clear; each is answered with its own context."""
    program = grpc.serve(launcher, TONIC, env={"THREADS": threads})
    urls = [f"{program.url}/echo?id={n}&delay={n % 5 * 5}" for n in range(21)]
    done = launcher.run(*TONIC, "get", *urls, env={"THREADS": threads}, service="client")
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in done.out.splitlines()]
    spans = receiver.wait_for(42)
    assert len(spans) == 42
    for n, (url, answer) in enumerate(zip(urls, answers, strict=True)):
        called, served = assert_spans([span for span in spans if id_of(span) == str(n)], call(url, version="2"),
                                      server("/echo", program.port, query=url.partition("?")[2], version="2", user_agent="calls/1"))
        assert_root(called)
        assert_child(served, called)
        assert (answer["status"], answer["version"]) == (200, "HTTP/2.0")
        assert answer["body"] == matching(f"id={n}&traceparent=00-{called.trace_id}-{called.span_id}-(01|03)")
    assert len({span.attributes["network.peer.port"] for span in spans if span.kind == "SERVER"}) == 1


def test_reqwest_with_openssl(launcher: Launcher, site: Site, receiver: Receiver) -> None:
    program, path = start("nginx", launcher, site, True)
    urls = [f"https://localhost:{program.port}{path}?id={n}" for n in range(21)]
    done = launcher.run(*TONIC, "get", *urls, env={"TLS_CA": str(certificates().ca)}, service="client")
    assert done.code == 0, done.err
    assert {json.loads(line)["version"] for line in done.out.splitlines()} == {"HTTP/2.0"}
    spans = receiver.wait_for(42)
    assert len(spans) == 42
    for n, url in enumerate(urls):
        called, served = assert_spans(
            [span for span in spans if id_of(span) == str(n)], call(url, version="2"),
            server(path, program.port, query=f"id={n}", version="2", scheme="https", host="localhost", user_agent="calls/1"))
        assert_root(called)
        assert_child(served, called)
