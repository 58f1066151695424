"""A small OTLP/HTTP sink for counting spans: used when no `receiver` fixture is offered.

It has the interface that the programs' driver needs (`endpoint`, `wait_for_spans`, spans with `.kind`)
and reads only as much protobuf as that takes.
"""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


def fields(data: bytes):
    """Yields (number, value) of one message: ints for varints, bytes for everything with a length."""
    at = 0

    def varint() -> int:
        nonlocal at
        shift = value = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, varint()
        elif wire == 2:
            size = varint()
            yield number, data[at : at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[wire]
            yield number, data[at : at + size]
            at += size


@dataclass
class Span:
    kind: str
    trace_id: bytes = b""
    span_id: bytes = b""
    parent_id: bytes = b""
    name: str = ""


def spans_of(request: bytes):
    for n, resource_spans in fields(request):
        for m, scope_spans in fields(resource_spans) if n == 1 else ():
            for k, span in fields(scope_spans) if m == 2 else ():
                if k != 2:
                    continue
                f = dict(fields(span))
                yield Span(KINDS.get(f.get(6, 0), "?"), f.get(1, b""), f.get(2, b""), f.get(4, b""), f.get(5, b"").decode())


class Sink:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.changed = threading.Condition()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                arrived = list(spans_of(body))
                with sink.changed:
                    sink.spans.extend(arrived)
                    sink.changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.protocol = "http/protobuf"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for_spans(self, n: int, deadline: float = 5.0) -> list[Span]:
        """The spans so far, once there are n of them or the deadline has passed."""
        end = time.monotonic() + deadline
        with self.changed:
            while len(self.spans) < n and (left := end - time.monotonic()) > 0:
                self.changed.wait(left)
            return list(self.spans)

    def clear(self) -> None:
        with self.changed:
            self.spans.clear()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
