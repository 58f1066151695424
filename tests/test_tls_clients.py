"""HTTPS clients of many languages and TLS libraries: one CLIENT span a request, its id in the header that arrives."""

from __future__ import annotations

import select
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import apps, client, tls
from harness.apps import Site
from harness.assertions import (
    Expect,
    assert_child,
    assert_exactly,
    assert_pairs,
    assert_root,
    assert_separate_traces,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.processes import APPS, CACHE, NONE, Finished, Launcher
from harness.receiver import Receiver
from harness.tls import HOST, TlsUpstream, certificates
from harness.upstream import Reader, Upstream

PROGRAMS = Path(__file__).parent / "programs"
CURL = ["curl", "-sS", "--max-time", "20"]
CLIENTS: dict[str, list[str | Path]] = {
    "curl": [*CURL, "--http1.1"],
    "curl-tls1.2": [*CURL, "--http1.1", "--tls-max", "1.2"],
    "libcurl-gnutls": ["libcurl-gnutls.so.4"],
    "wget": ["wget", "-q", "-O", "-"],
    "perl": ["perl", APPS / "perl/fetch.pl"],
    "reqwest-openssl": [CACHE / "rust/fetch-native-tls"],
}
# Programs whose TLS is out of reach: nothing is seen of it, and nothing is made up.
UNSEEN: dict[str, list[str | Path]] = {
    "libcurl-nss": ["libcurl-nss.so.4"],
    "reqwest-rustls": [CACHE / "rust/fetch-rustls"],
}


@pytest.fixture(scope="session")
def libcurl(tmp_path_factory: pytest.TempPathFactory):
    """programs/curl_easy.c linked with the libcurl of that name."""

    def build(library: str) -> Path:
        path = directory / library.removesuffix(".so.4")
        if not path.exists():
            subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path, PROGRAMS / "curl_easy.c",
                            f"-l:{library}"], check=True)
        return path

    directory = tmp_path_factory.mktemp("libcurl")
    return build


@dataclass
class Client:
    """One of the programs above."""

    launcher: Launcher
    argv: list[str | Path]

    def run(self, *urls: str, **options) -> Finished:
        files = certificates()
        trust = {**files.env, "PERL_LWP_SSL_CA_FILE": str(files.ca)}
        if self.argv[0] == "wget":  # the only one without a variable for it
            return self.launcher.run(*self.argv, f"--ca-certificate={files.ca}", *urls, env=trust, **options)
        return self.launcher.run(*self.argv, *urls, env=trust, **options)


@pytest.fixture
def program(request: pytest.FixtureRequest, launcher: Launcher, libcurl) -> Client:
    argv = {**CLIENTS, **UNSEEN}[request.param]
    return Client(launcher, [libcurl(argv[0])] if str(argv[0]).startswith("libcurl") else argv)


def address(upstream: Upstream) -> str:
    return f"https://127.0.0.1:{upstream.port}"


def control(launcher: Launcher, plain: Upstream):
    """One more request without TLS, for `assert_exactly`."""
    return lambda path: launcher.run("curl", "-sS", plain.url + path)


@pytest.mark.parametrize("program", CLIENTS, indirect=True)
def test_client(program: Client, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream) -> None:
    """Three requests one after the other; the output is that without the agent."""
    urls = [f"{address(tls_upstream)}/status/200?id={number}" for number in range(3)]
    without = program.run(*urls, how=NONE)
    tls_upstream.seen.clear()
    done = program.run(*urls)
    assert (done.code, done.out, done.err) == (without.code, without.out, without.err) == (0, b"status 200\n" * 3, b"")
    spans = assert_spans(assert_exactly(receiver, 3, control(program.launcher, upstream)), *map(call, urls))
    assert_separate_traces(spans)
    for number, span in enumerate(spans):
        assert_root(span)
        assert tls_upstream.by_id()[str(number)].value("traceparent") == traceparent_of(span)


@pytest.mark.parametrize("program", CLIENTS, indirect=True)
def test_client_and_nginx_are_one_trace(program: Client, site: Site, receiver: Receiver,
                                        tls_upstream: TlsUpstream) -> None:
    """Three spans: the client's, nginx's and that of nginx's own call, with TLS on both ways."""
    nginx = site.start_nginx(tls_upstream.port, tls=True, upstream_tls=True, service="nginx")
    url = f"https://127.0.0.1:{nginx.port}/echo?id=7"
    assert program.run(url, service="client").code == 0
    sent, served, called = assert_spans(
        assert_exactly(receiver, 3, tls.control(nginx.port)),
        call(url),
        server("/echo", nginx.port, query="id=7", scheme="https", user_agent=tls_upstream.seen[0].value("user-agent")
               if tls_upstream.seen[0].values("user-agent") else None),
        call(url, peer_port=tls_upstream.port),
    )
    assert (sent.service, served.service, called.service) == ("client", "nginx", "nginx")
    assert_root(sent)
    assert_child(served, sent)
    assert_child(called, served)
    assert tls_upstream.seen[0].value("traceparent") == traceparent_of(called)


@pytest.mark.parametrize("program", UNSEEN, indirect=True)
def test_out_of_reach(program: Client, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream) -> None:
    done = program.run(f"{address(tls_upstream)}/status/200")
    assert (done.code, done.out, done.err) == (0, b"status 200\n", b"")
    assert tls_upstream.seen[0].values("traceparent") == []
    assert_exactly(receiver, 0, lambda path: program.run(upstream.url + path))


def test_host_name(launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream) -> None:
    """The name is that of the request; the peer is the address behind it."""
    name, port = "shop.example", tls_upstream.port
    done = launcher.run(*CURL, "--http1.1", "-k", "--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/a")
    assert done.out == b"ok\n"
    (span,) = assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                           call(f"https://{name}:{port}/a", network__peer__address="127.0.0.1"))
    assert tls_upstream.seen[0].value("traceparent") == traceparent_of(span)


def test_post(launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream) -> None:
    body = b"0123456789" * 200_000
    done = launcher.run(*CURL, "--http1.1", "-k", "--data-binary", "@-", f"{address(tls_upstream)}/post", stdin=body)
    assert done.out == b"ok\n"
    (span,) = assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                           call(f"{address(tls_upstream)}/post", method="POST"))
    assert tls_upstream.seen[0].body == body
    assert tls_upstream.seen[0].value("traceparent") == traceparent_of(span)


@pytest.mark.parametrize("path, status, error, code", [
    ("/status/503", 503, None, 0),
    ("/truncate", 200, "response_truncated", 18),
    ("/chunked", 200, None, 0),
    ("/close", 200, None, 0),
])
def test_responses(launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream, path: str,
                   status: int, error: str | None, code: int) -> None:
    """What ends a response is its own framing, or close_notify."""
    url = address(tls_upstream) + path
    assert launcher.run(*CURL, "--http1.1", "-k", url).code == code
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)), call(url, status=status, error=error))


def test_curl_in_parallel(launcher: Launcher, receiver: Receiver, upstream: Upstream,
                          tls_upstream: TlsUpstream) -> None:
    """One thread, twenty TLS connections whose handshakes and answers interleave."""
    urls = [f"{address(tls_upstream)}/echo?delay={30 + n % 7 * 10}&id={n}" for n in range(40)]
    outputs = [word for _ in urls for word in ("-o", "/dev/null")]
    done = launcher.run(*CURL, "--http1.1", "-k", "-Z", "--parallel-immediate", "--parallel-max", "20", *urls, *outputs)
    assert done.code == 0
    spans = assert_spans(assert_exactly(receiver, 40, control(launcher, upstream)), *map(call, urls))
    assert_separate_traces(spans)
    for number, span in enumerate(spans):
        assert tls_upstream.by_id()[str(number)].value("traceparent") == traceparent_of(span)


def test_s_client(launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream) -> None:
    """The bytes of standard input, as they come: two requests in one SSL_write. The second one's head is in the
    middle of a call: it may go without a header, never with a wrong one."""
    first = f"GET /echo?id=1 HTTP/1.1\r\nHost: {HOST}:{tls_upstream.port}\r\n\r\n"
    last = f"GET /echo?id=2 HTTP/1.1\r\nHost: {HOST}:{tls_upstream.port}\r\nConnection: close\r\n\r\n"
    done = launcher.run("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{tls_upstream.port}",
                        "-servername", HOST, "-verify_return_error", "-CAfile", certificates().ca,
                        stdin=(first + last).encode())
    assert done.code == 0 and done.out.count(b"HTTP/1.1 200") == 2
    spans = assert_spans(assert_exactly(receiver, 2, control(launcher, upstream)),
                         call(f"{tls_upstream.url}/echo?id=1"), call(f"{tls_upstream.url}/echo?id=2"))
    assert tls_upstream.seen[0].value("traceparent") == traceparent_of(spans[0])
    assert tls_upstream.seen[1].values("traceparent") in ([traceparent_of(spans[1])], [])


@dataclass
class TlsProxy:
    """An HTTPS proxy that only tunnels: TLS in TLS. One thread a tunnel, since an SSL object is not to be shared."""

    heads: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.upstream = TlsUpstream()
        self.upstream._serve = self._serve  # type: ignore[method-assign]

    @property
    def port(self) -> int:
        return self.upstream.port

    def _serve(self, sock: socket.socket, _: int) -> None:
        with certificates().server_context().wrap_socket(sock, server_side=True) as outer:
            reader = Reader(outer)
            self.heads.append(reader.until(b"\r\n\r\n"))
            port = int(self.heads[-1].split(b" ")[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as inner:
                outer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                while True:
                    ready = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
                    for source in ready:
                        data = source.recv(16_384)
                        if not data:
                            return
                        (inner if source is outer else outer).sendall(data)


@pytest.mark.parametrize("kind", ["http", "https"])
def test_through_a_proxy(launcher: Launcher, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream,
                         kind: str) -> None:
    """CONNECT is a request of its own; then the program speaks to the server through the tunnel. With an HTTPS proxy
    the inner TLS is written through the outer: a span for each request, none for records."""
    proxy = tls.ConnectProxy() if kind == "http" else TlsProxy()
    ca = certificates().ca
    done = launcher.run(*CURL, "--http1.1", "--cacert", ca, "--proxy-cacert", ca, "-x",
                        f"{kind}://127.0.0.1:{proxy.port}", *[f"{address(tls_upstream)}/echo?id={n}" for n in range(2)],
                        env={"NO_PROXY": ""})
    assert done.code == 0 and len(proxy.heads) == 1
    authority = f"127.0.0.1:{tls_upstream.port}"
    _, *called = assert_spans(
        assert_exactly(receiver, 3, control(launcher, upstream)),
        call(f"http://{authority}", method="CONNECT", url__full=authority, peer_port=proxy.port),
        *[call(f"{address(tls_upstream)}/echo?id={n}", peer_port=proxy.port) for n in range(2)],
    )
    for span, seen in zip(called, tls_upstream.seen, strict=True):
        assert seen.value("traceparent") == traceparent_of(span)


@pytest.mark.parametrize("command, with_tls, code", [
    ([*CURL, "https://127.0.0.1:{port}/"], True, 60),
    ([*CURL, "https://127.0.0.1:{port}/"], False, 35),
    (["perl", "-MIO::Socket::SSL", "-e", "IO::Socket::SSL->new('127.0.0.1:{port}') or exit 1"], True, 1),
    (["perl", "-MIO::Socket::SSL", "-e", "IO::Socket::SSL->new('127.0.0.1:{port}') or exit 1"], False, 1),
    (["openssl", "s_client", "-verify_return_error", "-connect", "127.0.0.1:{port}"], True, 1),
    (["openssl", "s_client", "-verify_return_error", "-connect", "127.0.0.1:{port}"], False, 1),
], ids=["curl-untrusted", "curl-not-tls", "perl-untrusted", "perl-not-tls", "s_client-untrusted", "s_client-not-tls"])
def test_handshake_that_fails(launcher: Launcher, site: Site, receiver: Receiver, command: list[str], with_tls: bool,
                              code: int) -> None:
    """For the client an error without a request, as a refused connection is. For the server nothing: nobody asked, and
    a ClientHello is no bad HTTP request. curl's calls do not block, those of Perl do; s_client writes nothing to begin."""
    nginx = site.start_nginx(tls=with_tls, service="nginx")
    assert launcher.run(*[word.format(port=nginx.port) for word in command], service="client").code == code
    (span,) = assert_spans(
        assert_exactly(receiver, 1, tls.control(nginx.port) if with_tls else nginx.port),
        Expect("CLIENT", "HTTP", {
            "http.request.method": "_OTHER", "error.type": "tls_handshake",
            "server.address": "127.0.0.1", "server.port": nginx.port,
            "network.peer.address": "127.0.0.1", "network.peer.port": nginx.port,
        }, "ERROR"),
    )
    assert span.service == "client"
    assert_root(span)


@pytest.mark.parametrize("path", ["/fetch", "/fetch-curl"], ids=["streams", "curl"])
def test_php(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, path: str) -> None:
    """file_get_contents and the curl extension: PHP's OpenSSL, and that of a libcurl loaded with DEEPBIND."""
    php = apps.start(launcher, "php", address(tls_upstream), env=certificates().env)
    for number in range(2):
        assert client.get(php.port, f"{path}?id={number}").json["upstream"]["id"] == str(number)
    version = tls_upstream.seen[0].lines[0].decode()[-3:]
    spans = assert_spans(assert_exactly(receiver, 4, php.port), *[
        span for number in range(2) for span in (
            server(path, php.port, query=f"id={number}"),
            call(f"{address(tls_upstream)}/echo?id={number}", version=version),
        )
    ])
    for number, (served, called) in enumerate(zip(spans[::2], spans[1::2])):
        assert_root(served)
        assert_child(called, served)
        assert tls_upstream.by_id()[str(number)].value("traceparent") == traceparent_of(called)


def start_ruby(launcher: Launcher, app: str, upstream: Upstream, with_tls: bool):
    env = certificates().env if with_tls else {"SSL_CERT_FILE": str(certificates().ca)}
    return apps.start(launcher, app, address(upstream), env=env)


@pytest.mark.parametrize("app", ["ruby", "puma"])
@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_ruby(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, app: str, with_tls: bool) -> None:
    """WEBrick (a socket in the SSL object) and Puma (memory buffers) in front of net/http."""
    program = start_ruby(launcher, app, tls_upstream, with_tls)
    reply = (tls if with_tls else client).get(program.port, "/fetch?id=7")
    assert reply.json["upstream"]["id"] == "7"
    wanted = {"scheme": "https", "host": HOST} if with_tls else {}
    served, called = assert_spans(
        assert_exactly(receiver, 2, tls.control(program.port) if with_tls else program.port),
        server("/fetch", program.port, query="id=7", **wanted),
        call(f"{address(tls_upstream)}/echo?id=7"),
    )
    assert_root(served)
    assert_child(called, served)
    assert tls_upstream.seen[0].value("traceparent") == traceparent_of(called)


@pytest.mark.parametrize("app", ["ruby", "puma"])
def test_ruby_twenty_at_once(launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream, app: str) -> None:
    program = start_ruby(launcher, app, tls_upstream, with_tls=True)
    ids = [str(number) for number in range(20)]
    replies = tls.get_many(program.port, [f"/fetch?delay={30 + int(n) % 5 * 10}&id={n}" for n in ids])
    assert [reply.json["upstream"]["id"] for reply in replies] == ids
    spans = assert_exactly(receiver, 40, tls.control(program.port))
    assert_pairs(spans, ids)
    called = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    assert len(called) == 20
    for wanted, seen in tls_upstream.by_id().items():
        assert called[seen.value("traceparent").split("-")[2]].url.endswith(f"&id={wanted}")
