"""The service and the client of tests/tonic, by grpcio: the same commands, calls and options (but `call=`)."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator
from urllib.parse import parse_qsl

import grpc

KINDS = {"Unary": "unary_unary", "Collect": "stream_unary", "List": "unary_stream", "Chat": "stream_stream"}
CODES = {code.value[0]: code for code in grpc.StatusCode}


def options_of(text: str) -> dict[str, str]:
    return dict(parse_qsl(text))


class Service(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, _, kind = details.method[1:].partition("/")
        if service != "tests.Calls" or kind not in KINDS:
            return None
        return getattr(grpc, f"{KINDS[kind]}_rpc_method_handler")(getattr(self, kind.lower()))

    def _work(self, first: bytes, context: grpc.ServicerContext) -> tuple[dict[str, str], str]:
        options = options_of(first.decode())
        self._wait(options, "delay", context)
        values = [value for key, value in context.invocation_metadata() if key == "traceparent"]
        return options, f"id={options['id']}&traceparent={','.join(values)}"

    def _wait(self, options: dict[str, str], key: str, context: grpc.ServicerContext) -> None:
        if milliseconds := int(options.get(key, 0)):
            print("got", options["id"], flush=True)
            until = time.monotonic() + milliseconds / 1000
            while context.is_active() and time.monotonic() < until:
                time.sleep(0.01)

    def _end(self, options: dict[str, str], context: grpc.ServicerContext) -> None:
        if code := int(options.get("code", 0)):
            context.abort(CODES[code], "as asked: 100 %")

    def _message(self, text: str, options: dict[str, str], number: int) -> bytes:
        return f"{text}&n={number}&pad={'p' * int(options.get('size', 0))}".encode()

    def unary(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        options, text = self._work(message, context)
        self._end(options, context)
        return self._message(text, options, 0)

    def collect(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        options, text = self._work(next(messages), context)
        count = 1 + sum(1 for _ in messages)
        self._end(options, context)
        return self._message(text, options, count)

    def list(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        options, text = self._work(message, context)
        if options.get("early"):
            self._end(options, context)
        for number in range(int(options.get("count", 3))):
            yield self._message(text, options, number)
            if number == 0:
                self._wait(options, "pause", context)
        self._end(options, context)

    def chat(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        options, text = self._work(next(messages), context)
        if options.get("early"):
            self._end(options, context)
        yield self._message(text, options, 0)
        self._wait(options, "pause", context)
        for number, _ in enumerate(messages, 1):
            yield self._message(text, options, number)
        self._end(options, context)


def serve() -> None:
    server = grpc.server(ThreadPoolExecutor(50), handlers=[Service()], options=[("grpc.so_reuseport", 0)])
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    server.stop(None).wait()


def call(url: str, calls: list[str]) -> None:
    given_up = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: given_up.set())
    with grpc.insecure_channel(url.removeprefix("http://")) as channel, ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(one, channel, call, given_up) for call in calls]
        while not all(task.done() for task in running):
            time.sleep(0.01)  # the main thread is the one that signals reach
        for task in running:
            print(json.dumps(task.result()))


def one(channel: grpc.Channel, call: str, given_up: threading.Event) -> dict:
    kind, _, text = call.partition("?")
    options = options_of(text)
    method = "/" + (options.get("method") or f"tests.Calls/{kind}")
    first = text.encode()
    padded = f"{text}&pad={'p' * int(options.get('size', 0))}".encode()
    messages = iter([first, *[padded] * (int(options.get("count", 3)) - 1)])
    stub = getattr(channel, KINDS[kind])(method)
    timeout = int(options["timeout"]) / 1000 if "timeout" in options else None
    metadata = [("x-id", options["id"])]
    argument = messages if kind in ("Collect", "Chat") else first
    answers, code, message = [], 0, ""
    try:
        if kind in ("Unary", "Collect"):
            started = stub.future(argument, timeout=timeout, metadata=metadata)
            if options.get("drop"):
                given_up.wait()
                started.cancel()
            answers.append(started.result().decode())
        else:
            started = stub(argument, timeout=timeout, metadata=metadata)
            if options.get("drop"):
                given_up.wait()
                started.cancel()
            answers.extend(answer.decode() for answer in started)
    except grpc.FutureCancelledError:
        code = -1
    except grpc.RpcError as error:
        code, message = error.code().value[0], error.details()
        if options.get("drop") and error.code() == grpc.StatusCode.CANCELLED:
            code, message = -1, ""
    return {"id": options["id"], "code": code, "message": message, "answers": answers}


if sys.argv[1] == "serve":
    serve()
else:
    call(sys.argv[2], sys.argv[3:])
