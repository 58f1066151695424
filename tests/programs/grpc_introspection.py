"""What a program can see of grpcio and of its own calls: the same with and without the agent, apart from the header that comes."""

import asyncio
import inspect
import sys
import traceback
from concurrent import futures

import grpc
import grpc.aio
import grpc._channel
import grpc._compression
import grpc._server
import grpc.aio._call
import grpc.aio._server

SERVICE = "test.Seen"


def frames(what: str, stack) -> None:
    print(what, [frame.name for frame in stack])


class ClientInterceptor(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation, details, request):
        print("client", details.metadata)
        return continuation(details, request)


class AioClientInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, details, request):
        print("aio client", details.metadata)
        return await continuation(details, request)


class Interceptor(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        frames("interceptor", [frame for frame in traceback.extract_stack() if frame.filename != "<otel-run>"])
        return continuation(details)


class AioInterceptor(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation, details):
        frames("aio interceptor", [frame for frame in traceback.extract_stack() if frame.name != "run"])
        return await continuation(details)


def handle(request, context):
    frames("handler", [frame for frame in traceback.extract_stack() if frame.filename == "<otel-run>"])
    return request


def broken(request, context):
    try:
        grpc._channel._compression.augment_metadata(7, None)
    except TypeError as error:
        print("broken", error)
    return request


async def aio_handle(request, context):
    frames("aio handler", traceback.extract_stack())
    return request


def handlers(one, other):
    return grpc.method_handlers_generic_handler(SERVICE, {
        "one": grpc.unary_unary_rpc_method_handler(one), "other": grpc.unary_unary_rpc_method_handler(other)})


def sync() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[Interceptor()])
    server.add_generic_rpc_handlers((handlers(handle, broken),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        own = grpc.intercept_channel(channel, ClientInterceptor())
        for method in ("one", "other"):
            own.unary_unary(f"/{SERVICE}/{method}")(b"", metadata=(("x-id", "1"),), compression=grpc.Compression.Gzip)
        for metadata in (7, [7], [("x-id",)], [("x-id", 7)]):
            try:
                channel.unary_unary(f"/{SERVICE}/one")(b"", metadata=metadata)
            except Exception as error:
                print(type(error).__name__, error)
    server.stop(None).wait()


async def aio() -> None:
    server = grpc.aio.server(interceptors=[AioInterceptor()])
    server.add_generic_rpc_handlers((handlers(aio_handle, aio_handle),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    for interceptors in ([AioClientInterceptor()], []):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
            await channel.unary_unary(f"/{SERVICE}/one")(b"", metadata=(("x-id", "1"),), compression=grpc.Compression.Gzip)
    await server.stop(None)


for module in (grpc._channel, grpc._compression, grpc._server, grpc.aio._call, grpc.aio._server):
    print(module.__name__, type(module.__spec__.loader).__name__, sorted(vars(module.__loader__)))
    for name, member in sorted(vars(module).items()):
        if inspect.isfunction(member):
            print(name, member.__name__, member.__module__, inspect.signature(member))
print(grpc.aio._server.Server.__init__.__qualname__, inspect.signature(grpc.aio._server.Server.__init__))
print(grpc.aio._call.Call.__init__.__qualname__, inspect.signature(grpc.aio._call.Call.__init__))
print([getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path])
sync()
asyncio.run(aio())
