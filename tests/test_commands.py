"""curl and wget: short programs, CLIENT spans, every shape of request."""

from __future__ import annotations

import pytest

from harness.assertions import (
    assert_exactly,
    assert_root,
    assert_separate_traces,
    assert_spans,
    call,
    traceparent_of,
)
from harness.ports import free_port
from harness.processes import NONE, Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream


def curl(launcher: Launcher, *arguments: str, **options):
    return launcher.run("curl", "-sS", "--max-time", "20", *arguments, **options)


def control(launcher: Launcher, upstream: Upstream):
    """One more curl, for `assert_exactly`."""
    return lambda path: curl(launcher, upstream.url + path)


def test_get(both_ways: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    done = curl(both_ways, f"{upstream.url}/echo?id=7")
    assert done.code == 0 and done.err == b""
    (span,) = assert_spans(assert_exactly(receiver, 1, control(both_ways, upstream)),
                           call(f"{upstream.url}/echo?id=7"))
    assert_root(span)
    assert upstream.seen[0].value("traceparent") == traceparent_of(span)
    assert span.end - span.start < 5e9


@pytest.mark.parametrize("arguments, expected", [
    (["-0"], {"version": "1.0"}),
    (["--http1.1"], {}),
    (["-I"], {"method": "HEAD"}),
    (["-X", "DELETE"], {"method": "DELETE"}),
    (["-X", "PROPFIND"], {"method": "_OTHER", "http__request__method_original": "PROPFIND"}),
    (["-X", "get"], {"method": "_OTHER", "http__request__method_original": "get"}),
    (["-d", "a=b"], {"method": "POST"}),
    (["-H", "Transfer-Encoding: chunked", "-d", "@/etc/os-release"], {"method": "POST"}),
    (["--http2-prior-knowledge"], None),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_requests(launcher: Launcher, receiver: Receiver, upstream: Upstream, arguments: list[str],
                  expected: dict | None) -> None:
    if expected is None:  # a server that does not know HTTP/2 goes away: a request without an answer
        upstream.handler = lambda sock, seen: False
        assert curl(launcher, *arguments, f"{upstream.url}/echo").code != 0
        upstream.handler = None
        (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
        error = span.attributes.get("error.type")
        assert error in (None, "connection_reset")  # whether it had read all before it went
        assert_spans([span], call(f"{upstream.url}/echo", version="2", status=None, error=error))
        return
    assert curl(launcher, *arguments, f"{upstream.url}/echo?id=1").code == 0
    (span,) = assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                           call(f"{upstream.url}/echo?id=1", **expected))
    assert upstream.seen[0].value("traceparent") == traceparent_of(span)


def test_expect_continue(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """The 100 is not the response; the body arrives unaltered."""
    body = b"0123456789" * 20_000
    done = curl(launcher, "-H", "Expect: 100-continue", "--data-binary", "@-", f"{upstream.url}/post", stdin=body)
    assert done.out == b"ok\n"
    (span,) = assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                           call(f"{upstream.url}/post", method="POST"))
    assert upstream.seen[0].body == body
    assert upstream.seen[0].value("traceparent") == traceparent_of(span)


def test_through_a_proxy(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """-x: absolute-form. The URL names the server, the peer is the proxy."""
    done = curl(launcher, "-x", upstream.url, "http://shop.example/echo?id=7", env={"NO_PROXY": ""})
    assert done.code == 0
    assert upstream.wait_seen(1)[0].target == "http://shop.example/echo?id=7"
    (span,) = assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                           call("http://shop.example/echo?id=7", peer_port=upstream.port))
    assert upstream.seen[0].value("traceparent") == traceparent_of(span)


def test_connection_refused(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """No request was ever written: named as the conventions name a request whose method is not known."""
    port = free_port()
    assert curl(launcher, f"http://127.0.0.1:{port}/").code == 7
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert span.kind == "CLIENT" and span.status == "ERROR"
    assert span.attributes["error.type"] == "connection_refused"
    assert span.attributes["server.port"] == port
    assert span.name == "HTTP" and span.attributes["http.request.method"] == "_OTHER"
    assert not {"url.full", "http.response.status_code"} & span.attributes.keys()


@pytest.mark.parametrize("code", [200, 204, 301, 304, 400, 404, 500, 503])
def test_client_status(launcher: Launcher, receiver: Receiver, upstream: Upstream, code: int) -> None:
    """A client's 4xx and 5xx are errors."""
    curl(launcher, f"{upstream.url}/status/{code}")
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                 call(f"{upstream.url}/status/{code}", status=code))


def test_redirect_is_two_requests(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    curl(launcher, "-L", f"{upstream.url}/moved")
    spans = assert_exactly(receiver, 2, control(launcher, upstream))
    assert_spans(spans, call(f"{upstream.url}/moved", status=302), call(f"{upstream.url}/echo?id=moved"))
    assert_separate_traces(spans)


@pytest.mark.parametrize("path, status, error, code", [
    ("/reset", None, "connection_reset", 56),
    ("/truncate", 200, "response_truncated", 18),
    ("/chunked", 200, None, 0),
    ("/close", 200, None, 0),
])
def test_responses(launcher: Launcher, receiver: Receiver, upstream: Upstream, path: str, status: int | None,
                   error: str | None, code: int) -> None:
    assert curl(launcher, upstream.url + path).code == code
    assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                 call(upstream.url + path, status=status, error=error))


def test_wget(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """It looks at the response head with MSG_PEEK before it reads it: that never counts."""
    done = launcher.run("wget", "-q", "-O", "-", f"{upstream.url}/echo?id=7")
    assert done.code == 0
    (span,) = assert_spans(assert_exactly(receiver, 1, control(launcher, upstream)),
                           call(f"{upstream.url}/echo?id=7"))
    assert upstream.seen[0].value("traceparent") == traceparent_of(span)


def test_wget_keeps_its_connection(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    urls = [f"{upstream.url}/echo?id={number}" for number in range(5)]
    assert launcher.run("wget", "-q", "-O", "/dev/null", *urls).code == 0
    spans = assert_exactly(receiver, 5, control(launcher, upstream))
    assert_spans(spans, *map(call, urls))
    assert_separate_traces(spans)
    assert {seen.connection for seen in upstream.seen[:5]} == {1}


def test_credentials_stay_out(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """Neither the user name and password of the URL nor signatures in the query leave the process."""
    url = f"127.0.0.1:{upstream.port}/echo?q=a&sig=secret1&X-Amz-Signature=secret2&Sig=kept"
    assert curl(launcher, f"http://user:secret3@{url}").code == 0
    (span,) = assert_exactly(receiver, 1, control(launcher, upstream))
    assert span.attributes["url.full"] == (
        f"http://127.0.0.1:{upstream.port}/echo?q=a&sig=REDACTED&X-Amz-Signature=REDACTED&Sig=kept"
    )
    assert "secret" not in str(span.attributes) + str(span.resource)
    assert b"sig=secret1" in upstream.seen[0].head


def test_fifty_short_programs(launcher: Launcher, receiver: Receiver, upstream: Upstream) -> None:
    """One curl, one span, fifty of fifty; the shell that starts them has none."""
    script = f"for i in $(seq 50); do curl -sS '{upstream.url}/echo?id='$i -o /dev/null || exit 1; done"
    assert launcher.run("bash", "-c", script).code == 0
    spans = assert_exactly(receiver, 50, control(launcher, upstream))
    assert len({span.url for span in spans}) == len({span.pid for span in spans}) == 50
    assert_separate_traces(spans)


def test_output_is_the_same(launcher: Launcher, upstream: Upstream) -> None:
    upstream.handler = None
    for arguments in (["-i", f"{upstream.url}/chunked"], ["-v", "-o", "/dev/null", "http://127.0.0.1:1/"], ["-V"]):
        with_agent, without = (curl(launcher, *arguments, how=how) for how in ("", NONE))
        assert (with_agent.code, with_agent.out) == (without.code, without.out)
        if "-v" not in arguments:  # its error output holds times
            assert with_agent.err == without.err
