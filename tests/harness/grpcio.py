"""A caller by grpcio, of many at once on one channel, and a service that keeps what it sees: in the tests' own process, where no agent is, or
in one of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable, Iterator
from urllib.parse import parse_qsl

import grpc

KINDS = {"Unary": "unary_unary", "Collect": "stream_unary", "List": "unary_stream", "Chat": "stream_stream"}


@dataclass(frozen=True)
class Answer:
    code: int
    message: str
    answers: list[dict[str, str]]


def call_all(port: int, calls: list[str], context: dict[str, str] | None = None,
             before_close: Callable[[], object] = lambda: None) -> dict[str, Answer]:
    """All at once. A call is `Kind?id=..`; `context` are headers of calls, by id. Gives the answers by id."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ThreadPoolExecutor(len(calls)) as pool:
        answers = dict(pool.map(lambda call: _one(channel, call, context or {}), calls))
        before_close()
        return answers


def _one(channel: grpc.Channel, call: str, context: dict[str, str]) -> tuple[str, Answer]:
    kind, _, text = call.partition("?")
    options = dict(parse_qsl(text))
    metadata = [("x-id", options["id"])]
    if options["id"] in context:
        metadata.append(("traceparent", context[options["id"]]))
    how = {"timeout": int(options["timeout"]) / 1000} if "timeout" in options else {}
    stub = getattr(channel, KINDS[kind])(f"/tests.Calls/{kind}")
    messages = [text.encode()] * int(options.get("count", 3))
    answers, code, message = [], 0, ""
    try:
        answer = stub(iter(messages) if kind in ("Collect", "Chat") else messages[0], metadata=metadata, **how)
        answers = [one.decode() for one in ([answer] if kind in ("Unary", "Collect") else answer)]
    except grpc.RpcError as error:
        code, message = error.code().value[0], error.details()
    return options["id"], Answer(code, message, [dict(pair.split("=", 1) for pair in one.split("&")) for one in answers])


@dataclass
class Peer:
    """Answers each unary call with its message."""

    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: dict[str, list[str]] = field(default_factory=dict)  # by the ids of the calls: their traceparents

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = list(context.invocation_metadata())
        (id,) = [value for key, value in metadata if key == "x-id"]
        with self.lock:
            assert id not in self.seen
            self.seen[id] = [value for key, value in metadata if key == "traceparent"]
        return message


@contextlib.contextmanager
def peer() -> Iterator[Peer]:
    made = Peer()
    server = grpc.server(ThreadPoolExecutor(50), handlers=[made])
    made.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield made
    finally:
        server.stop(None).wait()


def serve() -> None:
    """In a program of its own."""
    server = grpc.server(ThreadPoolExecutor(50), handlers=[Peer()], options=[("grpc.so_reuseport", 0)])
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    server.stop(None).wait()
