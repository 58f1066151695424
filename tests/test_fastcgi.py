"""PHP-FPM behind nginx and Apache: the FastCGI request is the SERVER span, and the web server's trace goes on in it."""

from __future__ import annotations

import json

import pytest

from harness import client, fastcgi
from harness.apps import Site
from harness.assertions import assert_child, assert_exactly, assert_root, assert_spans, call, server, traceparent_of
from harness.processes import NONE
from harness.ports import free_port
from harness.receiver import Receiver
from harness.spans import Span, draw
from harness.upstream import Upstream

WAYS = ["unix", "tcp"]


def address(site: Site, way: str) -> str:
    return str(site.directory / "fpm.sock") if way == "unix" else str(free_port())


@pytest.mark.parametrize("way", WAYS)
def test_one_trace_through_nginx(site: Site, receiver: Receiver, way: str) -> None:
    at = address(site, way)
    fastcgi.start_fpm(site, at)
    nginx = fastcgi.start_nginx(site, at)
    print(client.get(nginx.port, "/params?a=1").json)
    spans = receiver.wait_for(3)
    print(draw(spans))
    for span in spans:
        print(span, span.attributes)
    assert 0
