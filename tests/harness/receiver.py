"""A small OTLP receiver for the quick cases: HTTP/protobuf and gRPC, with faults on demand."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from harness.spans import Span, decode, draw

DEADLINE = float(os.environ.get("OTEL_RUN_TEST_DEADLINE", "20"))  # seconds


@dataclass(frozen=True)
class Fault:
    """How one export is answered instead of with success."""

    status: int = 0  # an HTTP status
    retry_after: str = ""
    grpc: grpc.StatusCode | None = None
    reset: bool = False  # the connection is reset without an answer
    stall: bool = False  # no answer until Receiver.release()
    rejected: int = 0  # partial success: so many spans rejected
    message: str = ""
    garbage: bool = False  # HTTP 200 with bytes that are no protobuf


@dataclass(frozen=True)
class Export:
    """One export request as it came."""

    protocol: str
    path: str
    headers: dict[str, str]
    gzip: bool
    spans: list[Span]
    at: float
    fault: Fault | None


@dataclass
class Receiver:
    """Collects spans on two loopback ports. Spans of a request that is answered with a fault do not count."""

    http_port_wanted: int = 0
    exports: list[Export] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _faults: deque[Fault] = field(default_factory=deque)
    _always: Fault | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(_HttpHandler):
            pass

        Handler.receiver = receiver
        self._http = _HttpServer(("127.0.0.1", self.http_port_wanted), Handler)
        self._http_thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._http_thread.start()
        self._grpc = grpc.server(
            ThreadPoolExecutor(8),
            options=[("grpc.so_reuseport", 0)],
            compression=grpc.Compression.NoCompression,
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Servicer(self), self._grpc)
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()

    @property
    def http_port(self) -> int:
        return self._http.server_address[1]

    @property
    def http_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.grpc_port}"

    @property
    def agent_env(self) -> dict[str, str]:
        """The agent's configuration in most tests."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "app",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_RUN_EXIT_FLUSH_TIMEOUT": "5000",  # exact counts also when the collector gets little of a busy machine
        }

    def close(self) -> None:
        self._released.set()
        self._grpc.stop(None)
        self._http.shutdown()
        self._http.server_close()

    # What arrived

    @property
    def spans(self) -> list[Span]:
        with self._changed:
            return self._accepted()

    def _accepted(self) -> list[Span]:
        return [span for export in self.exports if not _refused(export.fault) for span in export.spans]

    def clear(self) -> None:
        with self._changed:
            self.exports.clear()

    def wait_for(self, wanted: int | Callable[[list[Span]], bool], deadline: float = DEADLINE) -> list[Span]:
        """Waits until `wanted` spans are there, or `wanted(spans)` holds. Gives all spans so far."""
        check = wanted if callable(wanted) else (lambda spans: len(spans) >= wanted)
        with self._changed:
            if not self._changed.wait_for(lambda: check(self._accepted()), deadline):
                spans = self._accepted()
                raise AssertionError(
                    f"waited {deadline} s for {wanted if not callable(wanted) else 'a condition'}, "
                    f"got {len(spans)} spans in {len(self.exports)} exports:\n{draw(spans)}"
                )
            spans = self._accepted()
        assert not self.errors, self.errors
        return spans

    def wait_for_exports(self, count: int, deadline: float = DEADLINE) -> list[Export]:
        """Waits until `count` export requests came, however they were answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.exports) >= count, deadline), (
                f"waited {deadline} s for {count} exports, got {len(self.exports)}"
            )
            return list(self.exports)

    # Faults

    def fail_next(self, *faults: Fault) -> None:
        """The next exports get these answers, one each; then all is well again."""
        self._faults.extend(faults)

    def fail_always(self, fault: Fault | None) -> None:
        self._always = fault

    def release(self) -> None:
        """Ends every stall, and all faults with it."""
        self._always = None
        self._faults.clear()
        self._released.set()

    # Used by the two servers

    def take_fault(self) -> Fault | None:
        try:
            return self._faults.popleft()
        except IndexError:
            return self._always

    def record(self, protocol: str, path: str, headers: dict[str, str], zipped: bool,
               message: ExportTraceServiceRequest, fault: Fault | None) -> None:
        try:
            spans = decode(message)
        except AssertionError as error:
            self.errors.append(str(error))
            spans = []
        with self._changed:
            self.exports.append(Export(protocol, path, headers, zipped, spans, time.monotonic(), fault))
            self._changed.notify_all()

    def stall(self) -> None:
        self._released.wait()


def _refused(fault: Fault | None) -> bool:
    return fault is not None and not fault.rejected and not fault.message and not fault.garbage


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _HttpHandler(BaseHTTPRequestHandler):
    receiver: Receiver
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        zipped = self.headers.get("Content-Encoding") == "gzip"
        if zipped:
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest()
        if self.headers.get("Content-Type") != "application/x-protobuf":
            self.receiver.errors.append(f"content type {self.headers.get('Content-Type')}")
        message.ParseFromString(body)
        fault = self.receiver.take_fault()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.record("http/protobuf", self.path, headers, zipped, message, fault)
        if fault and fault.stall:
            self.receiver.stall()
            self.close_connection = True
            return
        if fault and fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        reply = ExportTraceServiceResponse()
        if fault and (fault.rejected or fault.message):
            reply.partial_success.rejected_spans = fault.rejected
            reply.partial_success.error_message = fault.message
        payload = b"\xff\xff\xff garbage" if fault and fault.garbage else reply.SerializeToString()
        self.send_response(fault.status if fault and fault.status else 200)
        if fault and fault.retry_after:
            self.send_header("Retry-After", fault.retry_after)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


class _Servicer(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        fault = self.receiver.take_fault()
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        # gRPC undoes the compression before it gets here: the Collector's test checks that it was on the wire.
        self.receiver.record("grpc", "", headers, False, request, fault)
        if fault and fault.stall:
            self.receiver.stall()
        if fault and fault.grpc is not None:
            context.abort(fault.grpc, fault.message)
        reply = ExportTraceServiceResponse()
        if fault and (fault.rejected or fault.message):
            reply.partial_success.rejected_spans = fault.rejected
            reply.partial_success.error_message = fault.message
        return reply
