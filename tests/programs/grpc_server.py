"""A gRPC server that does what each request says (JSON), in all four kinds of call: /test.Echo/unary_unary and so on.

MODE is sync or aio. `code`: the status to end with; `messages`: how many answers a stream has; `size`: bytes of each; `wait`: until
the call ends from outside, which may begin as soon as there is a file `mark`; `die`: with the process; `http`, `grpc`: an id with which to call UPSTREAM (a URL) or PEER (a server of
this kind) meanwhile, `twice` for a call behind the last answer too; `delay`: milliseconds before these. The answer tells the metadata that came.

INTERCEPTED: with an interceptor that calls `http` itself. TLS_CERT, TLS_KEY: behind TLS. WORKERS: so many processes, forked after the import.
OPTIONS: of the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from concurrent import futures

import aiohttp
import grpc
import grpc.aio
import requests

KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
SERVICE = "test.Echo"
STATUSES = {status.value[0]: status for status in grpc.StatusCode}
UPSTREAM, PEER = os.environ.get("UPSTREAM", ""), os.environ.get("PEER", "")
PORT = int(os.environ["PORT"])
OPTIONS = [tuple(option) for option in json.loads(os.environ.get("OPTIONS", "[]"))]


def answer(plan: dict, context) -> bytes:
    told = {"metadata": [[key, value] for key, value in context.invocation_metadata() if isinstance(value, str)]}
    return json.dumps(told).encode() + b" " * plan.get("size", 0)


def credentials() -> grpc.ServerCredentials | None:
    if "TLS_CERT" not in os.environ:
        return None
    with open(os.environ["TLS_KEY"], "rb") as key, open(os.environ["TLS_CERT"], "rb") as cert:
        return grpc.ssl_server_credentials([(key.read(), cert.read())])


def add_port(server) -> None:
    address, secret = f"127.0.0.1:{PORT}", credentials()
    bound = server.add_secure_port(address, secret) if secret else server.add_insecure_port(address)
    assert bound == PORT


def mark(plan: dict) -> None:
    if "mark" in plan:
        open(plan["mark"], "x").close()


def metadata(own: str) -> tuple:
    return (("x-id", own),)


class Sync:
    def __init__(self) -> None:
        self.peer = grpc.insecure_channel(PEER) if PEER else None

    def call(self, plan: dict) -> None:
        time.sleep(plan.get("delay", 0) / 1000)
        if "http" in plan:
            requests.get(f"{UPSTREAM}/echo?id={plan['http']}", timeout=30).raise_for_status()
        if "grpc" in plan:
            self.peer.unary_unary(f"/{SERVICE}/unary_unary")(b"{}", metadata=metadata(plan["grpc"]), timeout=30)

    def finish(self, plan: dict, context) -> None:
        if plan.get("die"):
            os._exit(1)
        mark(plan)
        if plan.get("wait"):
            over = threading.Event()
            if context.add_callback(over.set):
                over.wait()
        if plan.get("code"):
            context.abort(STATUSES[plan["code"]], "as told")

    def one(self, request, context) -> bytes:
        plan = json.loads(request if isinstance(request, bytes) else list(request)[0])
        self.call(plan)
        self.finish(plan, context)
        return answer(plan, context)

    def many(self, request, context):
        plan = json.loads(request if isinstance(request, bytes) else list(request)[0])
        for _ in range(plan.get("messages", 2)):
            yield answer(plan, context)
        self.call(plan)
        self.finish(plan, context)
        yield answer(plan, context)
        if plan.get("twice"):
            self.call(plan)

    def serve(self) -> None:
        interceptors = [Intercepting()] if "INTERCEPTED" in os.environ else []
        server = grpc.server(futures.ThreadPoolExecutor(64), interceptors=interceptors, options=OPTIONS)
        server.add_generic_rpc_handlers((handlers(self.one, self.many),))
        add_port(server)
        server.start()
        server.wait_for_termination()


class Intercepting(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        own = dict(details.invocation_metadata)["x-id"]
        requests.get(f"{UPSTREAM}/echo?id={own}", timeout=30).raise_for_status()
        return continuation(details)


class Aio:
    def __init__(self) -> None:
        self.peer = self.http = None

    async def call(self, plan: dict) -> None:
        await asyncio.sleep(plan.get("delay", 0) / 1000)
        if "http" in plan:
            async with self.http.get(f"{UPSTREAM}/echo?id={plan['http']}") as reply:
                await reply.read()
        if "grpc" in plan:
            await self.peer.unary_unary(f"/{SERVICE}/unary_unary")(b"{}", metadata=metadata(plan["grpc"]), timeout=30)

    async def finish(self, plan: dict, context) -> None:
        if plan.get("die"):
            os._exit(1)
        mark(plan)
        if plan.get("wait"):
            await asyncio.Event().wait()
        if plan.get("code"):
            await context.abort(STATUSES[plan["code"]], "as told")

    async def plan(self, request) -> dict:
        return json.loads(request if isinstance(request, bytes) else [part async for part in request][0])

    async def one(self, request, context) -> bytes:
        plan = await self.plan(request)
        await self.call(plan)
        await self.finish(plan, context)
        return answer(plan, context)

    async def many(self, request, context):
        plan = await self.plan(request)
        for _ in range(plan.get("messages", 2)):
            yield answer(plan, context)
        await self.call(plan)
        await self.finish(plan, context)
        yield answer(plan, context)
        if plan.get("twice"):
            await self.call(plan)

    async def serve(self) -> None:
        self.http = aiohttp.ClientSession()
        self.peer = grpc.aio.insecure_channel(PEER) if PEER else None
        interceptors = [AioIntercepting(self)] if "INTERCEPTED" in os.environ else []
        server = grpc.aio.server(interceptors=interceptors, options=OPTIONS)
        server.add_generic_rpc_handlers((handlers(self.one, self.many),))
        add_port(server)
        await server.start()
        await server.wait_for_termination()


class AioIntercepting(grpc.aio.ServerInterceptor):
    def __init__(self, aio: Aio) -> None:
        self.aio = aio

    async def intercept_service(self, continuation, details):
        await self.aio.call({"http": dict(details.invocation_metadata)["x-id"]})
        return await continuation(details)


def handlers(one, many) -> grpc.GenericRpcHandler:
    make = [grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler,
            grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler]
    return grpc.method_handlers_generic_handler(
        SERVICE, {kind: wrap(many if kind.endswith("stream") else one) for kind, wrap in zip(KINDS, make)})


workers = [os.fork() for _ in range(int(os.environ.get("WORKERS", "0")) - 1)]
if os.environ["MODE"] == "aio":
    asyncio.run(Aio().serve())
else:
    Sync().serve()
