"""Many keep-alive HTTPS connections at once, with bodies both ways that are hashed at both ends."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from harness.assertions import assert_span, server
from harness.spans import Span
from harness.tls import HOST, Connection

# Around a TLS record (16 KiB), a read, and what fits no buffer; the large ones few.
SMALL = [1, 2, 100, 1023, 1024, 1025, 4095, 16_383, 16_384, 16_385, 40_000, 65_537]
LARGE = [262_144, 1_048_577, 8_388_608]


def sizes(connections: int, each: int) -> list[list[int]]:
    """One large body on every tenth connection, the other bodies small."""
    order = random.Random(connections)
    return [
        [order.choice(SMALL) for _ in range(each - 1)] + [LARGE[number // 10 % 3] if number % 10 == 0 else order.choice(SMALL)]
        for number in range(connections)
    ]


def exchange_blobs(port: int, connections: int, each: int) -> dict[str, int]:
    """POSTs to /blob of a server that answers with X-Received, X-Sent and as many other bytes. All connections are open
    before the first request. Gives the id of each request and the port from which it came."""
    together = threading.Barrier(connections)

    def run(number: int, mine: list[int]) -> dict[str, int]:
        with Connection(port) as connection:
            together.wait(60)
            for turn, size in enumerate(mine):
                sent = os.urandom(size)
                got = connection.exchange(f"/blob?id={number}-{turn}", method="POST", body=sent)
                assert got.headers["x-received"] == hashlib.sha256(sent).hexdigest(), f"{size} bytes came as others"
                assert got.headers["x-sent"] == hashlib.sha256(got.body).hexdigest(), f"not the {size} bytes that were sent"
                assert len(got.body) == size
        return {f"{number}-{turn}": connection.local_port for turn in range(each)}

    with ThreadPoolExecutor(connections) as pool:
        results = list(pool.map(run, range(connections), sizes(connections, each)))
    return {name: source for result in results for name, source in result.items()}


def assert_blob_spans(spans: list[Span], port: int, sources: dict[str, int]) -> None:
    """A span for each request, complete, with the address of just its connection."""
    by_id = {span.url.rpartition("=")[2]: span for span in spans}
    assert by_id.keys() == sources.keys() and len(spans) == len(sources)
    for name, source in sources.items():
        assert_span(by_id[name], server("/blob", port, query=f"id={name}", method="POST", scheme="https", host=HOST,
                                        network__peer__address="127.0.0.1", network__peer__port=source))
