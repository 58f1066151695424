"""OTEL_TRACES_SAMPLER: what is exported, and what is still carried on."""

from __future__ import annotations

import pytest

from harness import apps, client
from harness.assertions import assert_exactly
from harness.processes import Launcher
from harness.receiver import Receiver
from harness.upstream import Upstream

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

ROOT, SAMPLED, UNSAMPLED = "", f"traceparent: 00-{TRACE}-{PARENT}-01\r\n", f"traceparent: 00-{TRACE}-{PARENT}-00\r\n"

# sampler, argument, and whether it records a root, a child of a sampled parent, a child of an unsampled one
ROWS = [
    ("always_on", "", True, True, True),
    ("always_off", "", False, False, False),
    ("traceidratio", "1", True, True, True),
    ("traceidratio", "0", False, False, False),
    ("traceidratio", "", True, True, True),
    ("parentbased_always_on", "", True, True, False),
    ("parentbased_always_off", "", False, True, False),
    ("parentbased_traceidratio", "1.0", True, True, False),
    ("parentbased_traceidratio", "0.0", False, True, False),
    ("PARENTBASED_ALWAYS_OFF", "", False, True, False),
    ("", "", True, True, False),
    ("", "0", True, True, False),  # the argument is read only if the sampler is set
]


@pytest.mark.parametrize("sampler, argument, root, sampled, unsampled", ROWS)
def test_samplers(launcher: Launcher, receiver: Receiver, upstream: Upstream, sampler: str, argument: str,
                  root: bool, sampled: bool, unsampled: bool) -> None:
    """A request that is not sampled exports nothing and goes on with flag 00; its trace id is kept."""
    app = apps.start(launcher, "ruby", upstream.url,
                     env={"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument})
    cases = {"root": (ROOT, root), "sampled": (SAMPLED, sampled), "unsampled": (UNSAMPLED, unsampled)}
    for name, (headers, _) in cases.items():
        with client.Raw(app.port) as raw:
            raw.exchange(f"/fetch?id={name}", headers)
    wanted = 2 * sum(recorded for _, recorded in cases.values())
    # The control has a sampler of its own: most of these record no request of ours on purpose.
    spans = assert_exactly(receiver, wanted, lambda path: launcher.run("curl", "-sS", upstream.url + path))
    seen = {request.id: request for request in upstream.seen if request.id}
    for name, (headers, recorded) in cases.items():
        mine = [span for span in spans if f"id={name}" in span.url]
        assert len(mine) == (2 if recorded else 0), name
        version, trace, span_id, flags = seen[name].value("traceparent").split("-")
        assert version == "00" and (int(flags, 16) & 1 == 1) == recorded, f"{name}: flags {flags}"
        assert (trace == TRACE) == bool(headers) and span_id not in (PARENT, "0" * 16)
    assert app.err == b""


def test_ratio(launcher: Launcher, receiver: Receiver) -> None:
    """A quarter of 2,000 roots, give or take five standard deviations."""
    app = apps.start(launcher, "node", env={"OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                                            "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    with client.Raw(app.port) as raw:
        for _ in range(2000):
            raw.exchange("/")
        path = "/control"  # sampled in any case: it says so
        raw.exchange(path, SAMPLED)
    spans = receiver.wait_for(lambda spans: any(span.url == path for span in spans))
    assert 500 - 97 <= len(spans) - 1 <= 500 + 97
