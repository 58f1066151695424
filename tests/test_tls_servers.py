"""nginx, Apache and haproxy with TLS in front, behind and on both sides: the spans of HTTP with another scheme."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

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
    assert_span,
    assert_spans,
    call,
    server,
    traceparent_of,
)
from harness.blobs import assert_blob_spans, exchange_blobs
from harness.processes import NONE, Launcher, Program
from harness.receiver import Receiver
from harness.tls import HOST, TlsUpstream, certificates
from harness.upstream import Seen, Upstream, answer, reply

SERVERS = ["nginx", "apache-event", "apache-prefork", "haproxy"]
FILE_SERVERS = SERVERS[:3]


@dataclass
class Front:
    """A server under the agent, and what it makes of a request."""

    program: Program
    tls: bool
    prefix: str  # the path under which it proxies
    host: str  # host and port in the request that it sends on

    @property
    def port(self) -> int:
        return self.program.port

    @property
    def control(self) -> int | Callable[[str], object]:
        return tls.control(self.port) if self.tls else self.port

    def served(self, path: str, **more) -> Expect:
        if self.tls:
            more = {"scheme": "https", "host": HOST, **more}
        return server(self.prefix + path, self.port, **more)

    def get_many(self, paths: list[str]) -> list[client.Reply]:
        return (tls if self.tls else client).get_many(self.port, [self.prefix + path for path in paths])


def start(site: Site, which: str, upstream: Upstream | None = None, front: bool = True, **options) -> Front:
    """The server `which`, TLS on its own side if `front`, and on the other if the upstream wants it."""
    name, _, mpm = which.partition("-")
    arguments = [mpm] if mpm else []
    program = getattr(site, f"start_{name}")(
        *arguments, upstream.port if upstream else 9, tls=front, upstream_tls=isinstance(upstream, TlsUpstream),
        **options,
    )
    if name == "apache":
        return Front(program, front, "/app", f"127.0.0.1:{upstream.port if upstream else 9}")
    return Front(program, front, "", f"{HOST if front else '127.0.0.1'}:{program.port}")


@pytest.mark.parametrize("which", SERVERS)
@pytest.mark.parametrize("mode", ["front", "back", "both"])
def test_reverse_proxy(site: Site, receiver: Receiver, upstream: Upstream, tls_upstream: TlsUpstream, which: str,
                       mode: str) -> None:
    """TLS on either side or both: every attribute, the parent, and the header that the upstream got."""
    behind = upstream if mode == "front" else tls_upstream
    front = start(site, which, behind, front=mode != "back")
    connect = tls.Connection if front.tls else PlainConnection
    with connect(front.port) as connection:
        replies = [connection.exchange(f"{front.prefix}/echo?id={number}").json for number in range(3)]
        peer = connection.local_port
    assert [got["id"] for got in replies] == ["0", "1", "2"]
    scheme = "http" if mode == "front" else "https"
    expected = [span for number in range(3) for span in (
        front.served("/echo", query=f"id={number}", network__peer__port=peer),
        call(f"{scheme}://{front.host}/echo?id={number}", peer_port=behind.port),
    )]
    spans = assert_spans(assert_exactly(receiver, 6, front.control), *expected)
    for number, (served, called) in enumerate(zip(spans[::2], spans[1::2])):
        assert_root(served)
        assert_child(called, served)
        assert behind.by_id()[str(number)].value("traceparent") == traceparent_of(called)
    assert_separate_traces(spans[::2])


class PlainConnection(client.Raw):
    """`tls.Connection` without TLS."""

    @property
    def local_port(self) -> int:
        return self.sock.getsockname()[1]

    def exchange(self, path: str) -> client.Reply:  # type: ignore[override]
        self.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.sock.getpeername()[1]}\r\n"
                  f"User-Agent: {client.USER_AGENT}\r\n\r\n".encode())
        head, _, body = self.response().partition(b"\r\n\r\n")
        return client.Reply(int(head.split(b" ")[1]), {}, body)


def test_haproxy_without_tls(site: Site, receiver: Receiver, upstream: Upstream) -> None:
    haproxy = start(site, "haproxy", upstream, front=False)
    assert client.get(haproxy.port, "/echo?id=7").json["id"] == "7"
    served, called = assert_spans(
        assert_exactly(receiver, 2, haproxy.port),
        haproxy.served("/echo", query="id=7"),
        call(f"http://{haproxy.host}/echo?id=7", peer_port=upstream.port),
    )
    assert_root(served)
    assert_child(called, served)
    assert upstream.seen[0].value("traceparent") == traceparent_of(called)


@pytest.mark.parametrize("which", FILE_SERVERS)
def test_large_file(site: Site, receiver: Receiver, which: str) -> None:
    """`sendfile on` means reading into a buffer here, many times SSL_write."""
    check_files(start(site, which), site, receiver)


def test_large_file_with_ktls(site: Site, receiver: Receiver) -> None:
    """Where the kernel has TLS the file leaves by SSL_sendfile; where not, OpenSSL falls back by itself."""
    check_files(start(site, "nginx", tls_options="ssl_conf_command Options KTLS;"), site, receiver)


def check_files(front: Front, site: Site, receiver: Receiver) -> None:
    data = os.urandom(3_000_000)
    site.add_file("large.html", data)
    front.prefix = ""  # no proxy in this test
    with tls.Connection(front.port) as connection:
        assert connection.exchange("/static/large.html").body == data
        assert connection.exchange("/static/none.html").status == 404
        assert connection.exchange("/static/large.html", method="HEAD").body == b""
        peer = connection.local_port
    spans = assert_spans(
        assert_exactly(receiver, 3, front.control),
        front.served("/static/large.html", network__peer__port=peer),
        front.served("/static/none.html", status=404, network__peer__port=peer),
        front.served("/static/large.html", method="HEAD", network__peer__port=peer),
    )
    assert_separate_traces(spans)


@pytest.mark.parametrize("keepalive", [0, 8], ids=["close", "keepalive"])
def test_nginx_twenty_at_once(site: Site, receiver: Receiver, tls_upstream: TlsUpstream, keepalive: int) -> None:
    """One worker, one thread, one event loop: handshakes and requests of all clients interleave."""
    front = start(site, "nginx", tls_upstream, keepalive=keepalive)
    check_twenty(front, receiver, tls_upstream)
    if keepalive:
        assert tls_upstream.connections < 60, "upstream connections were not reused: the test would prove nothing"


@pytest.mark.parametrize("which", ["apache-event", "apache-prefork"])
def test_apache_twenty_at_once(site: Site, receiver: Receiver, tls_upstream: TlsUpstream, which: str) -> None:
    check_twenty(start(site, which, tls_upstream), receiver, tls_upstream)


def check_twenty(front: Front, receiver: Receiver, upstream: Upstream) -> None:
    ids = [str(number) for number in range(60)]
    replies = front.get_many([f"/echo?id={n}&delay={30 + int(n) % 7 * 20}" for n in ids])
    assert [got.json["id"] for got in replies] == ids
    receiver.wait_for(lambda spans: sum("id=" in span.url for span in spans) >= 120)
    spans = [span for span in receiver.spans if span.url != "*"]  # Apache wakes its children by OPTIONS *
    assert len(spans) == 120
    for wanted, (_, called) in assert_pairs(spans, ids).items():
        assert upstream.by_id()[wanted].value("traceparent") == traceparent_of(called)


def test_haproxy_twenty_at_once(site: Site, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """Two threads, each a loop: every span is there, and every parent is right."""
    front = start(site, "haproxy", tls_upstream)
    ids = [str(number) for number in range(60)]
    replies = front.get_many([f"/echo?id={n}&delay={30 + int(n) % 7 * 20}" for n in ids])
    assert [got.json["id"] for got in replies] == ids
    spans = assert_exactly(receiver, 120, front.control)
    assert_spans(spans, *[
        span for n in ids for span in (
            front.served("/echo", query=f"id={n}&delay={30 + int(n) % 7 * 20}"),
            call(f"https://{front.host}/echo?id={n}&delay={30 + int(n) % 7 * 20}", peer_port=tls_upstream.port),
        )
    ])
    assert_pairs(spans, ids)
    called = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    for seen in tls_upstream.by_id().values():
        assert called[seen.value("traceparent").split("-")[2]].url.endswith(seen.target)


def send_other_bytes(sock: socket.socket, seen: Seen) -> bool:
    """What `exchange_blobs` wants of the server; anything else is answered as ever."""
    if not seen.target.startswith("/blob"):
        return answer(sock, seen)
    body = os.urandom(len(seen.body))
    received, sent = (hashlib.sha256(data).hexdigest() for data in (seen.body, body))
    sock.sendall(reply(200, body, f"X-Received: {received}\r\nX-Sent: {sent}\r\n"))
    return True


def test_two_hundred_at_once(site: Site, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """200 connections through four workers, three requests on each, bodies from 1 byte to 8 MiB in both directions:
    no span is lost, no byte differs, and each span has the port of the connection that it came on."""
    tls_upstream.handler = send_other_bytes
    front = start(site, "nginx", tls_upstream, workers=4, keepalive=32)
    sources = exchange_blobs(front.port, 200, 3)
    spans = assert_exactly(receiver, 1200, front.control)
    answered = [span for span in spans if span.kind == "SERVER"]
    assert_blob_spans(answered, front.port, sources)
    assert_separate_traces(answered)
    calls = {span.url.rpartition("=")[2]: span for span in spans if span.kind == "CLIENT"}
    received = tls_upstream.by_id()
    for served in answered:
        wanted = served.url.rpartition("=")[2]
        called = calls[wanted]
        assert_child(called, served)
        assert_span(called, call(f"https://{front.host}/blob?id={wanted}", method="POST", peer_port=tls_upstream.port))
        assert received[wanted].value("traceparent") == traceparent_of(called)


def test_nginx_before_gunicorn_is_one_trace(site: Site, launcher: Launcher, receiver: Receiver) -> None:
    """TLS up to nginx, TLS again to Flask in gunicorn: three spans, one under the other."""
    files = certificates()
    flask = apps.start(launcher, "gunicorn-sync", service="flask",
                       env={"GUNICORN_CMD_ARGS": f"--certfile={files.cert} --keyfile={files.key}"})
    proxy = site.start_nginx(flask.port, tls=True, upstream_tls=True, service="proxy")
    assert tls.get(proxy.port, "/echo?id=7").json["id"] == "7"
    asked = f"{HOST}:{proxy.port}"  # nginx sends on the name that it was asked by
    by_end = {(span.service, span.kind): span for span in assert_exactly(receiver, 3, tls.control(flask.port))}
    front, called, back = by_end["proxy", "SERVER"], by_end["proxy", "CLIENT"], by_end["flask", "SERVER"]
    assert_span(front, server("/echo", proxy.port, query="id=7", scheme="https", host=HOST))
    assert_span(called, call(f"https://{asked}/echo?id=7", peer_port=flask.port))
    assert_span(back, server("/echo", flask.port, query="id=7", scheme="https", host=HOST, host_port=proxy.port))
    assert_root(front)
    assert_child(called, front)
    assert_child(back, called)


def test_plain_http_to_the_tls_port(site: Site, receiver: Receiver) -> None:
    """nginx looks at the first byte and answers 400 in the clear: a request like any other, and not https."""
    front = start(site, "nginx")
    assert client.get(front.port, "/plain").status == 400
    assert_spans(assert_exactly(receiver, 1, front.control), server("/plain", front.port, status=400))


def test_early_data(site: Site, launcher: Launcher, receiver: Receiver) -> None:
    """0-RTT: the request comes with the ClientHello, and nginx takes it by SSL_read_early_data. It is sent no second
    time: the answer shows that it was taken."""
    site.add_file("page.html", b"page")
    front = start(site, "nginx", tls_options="ssl_early_data on;")

    def request(path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {HOST}:{front.port}\r\nConnection: close\r\n\r\n".encode()

    def s_client(*arguments: str | Path, stdin: bytes = b"") -> bytes:
        return launcher.run("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{front.port}", "-servername", HOST,
                            "-CAfile", certificates().ca, *arguments, stdin=stdin, how=NONE).out

    session, early = site.directory / "session", site.directory / "early"
    early.write_bytes(request("/static/page.html?early"))
    assert s_client("-sess_out", session, stdin=request("/static/page.html")).endswith(b"page")
    assert s_client("-sess_in", session, "-early_data", early).endswith(b"page")
    spans = assert_spans(
        assert_exactly(receiver, 2, front.control),
        front.served("/static/page.html", user_agent=None),
        front.served("/static/page.html", user_agent=None, query="early"),
    )
    assert_separate_traces(spans)


def test_tls_that_passes_through(site: Site, launcher: Launcher, receiver: Receiver, tls_upstream: TlsUpstream) -> None:
    """haproxy with `mode tcp` carries the records of others: the ends are one trace, and it has no part in it."""
    nginx = start(site, "nginx", tls_upstream, service="nginx")
    haproxy = site.start_haproxy(nginx.port, mode="tcp", service="haproxy")
    url = f"https://127.0.0.1:{haproxy.port}/echo?id=7"
    assert launcher.run("curl", "-sSk", "--http1.1", "-A", client.USER_AGENT, url, service="curl").code == 0
    sent, served, called = assert_spans(
        assert_exactly(receiver, 3, nginx.control),
        call(url),
        server("/echo", nginx.port, query="id=7", scheme="https", host_port=haproxy.port),
        call(f"https://127.0.0.1:{nginx.port}/echo?id=7", peer_port=tls_upstream.port),
    )
    assert (sent.service, served.service, called.service) == ("curl", "nginx", "nginx")
    assert_root(sent)
    assert_child(served, sent)
    assert_child(called, served)
