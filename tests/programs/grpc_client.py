"""A gRPC client: grpc_client.py MODE TARGET CALLS, where MODE is sync or aio and CALLS a JSON list.

Each call is {"id", "kind", "request", ...}: `how` is call, with_call or future; `timeout`; `cancel`: once the first answer of a stream is here, or at
once; `method`, if not that of its kind; `traceparent`: the caller's own; `gzip`; `ready`: wait for the server; `parts`: messages of a streamed request.
With AT_ONCE so many are made at once. It prints a list of {"id", "code", "answers"} as JSON. CA: TLS with this certificate. OPTIONS: of the channel.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent import futures

import grpc
import grpc.aio

MODE, TARGET, CALLS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
AT_ONCE = int(os.environ.get("AT_ONCE", "1"))
OPTIONS = [tuple(option) for option in json.loads(os.environ.get("OPTIONS", "[]"))]


def channel(module):
    if "CA" not in os.environ:
        return module.insecure_channel(TARGET, options=OPTIONS)
    with open(os.environ["CA"], "rb") as ca:
        return module.secure_channel(TARGET, grpc.ssl_channel_credentials(ca.read()), options=OPTIONS)


def arguments(call: dict) -> dict:
    own = [("x-id", call["id"]), *(("traceparent", call[key]) for key in ("traceparent",) if key in call)]
    return {
        "metadata": tuple(own),
        "timeout": call.get("timeout", 30),
        "wait_for_ready": call.get("ready"),
        "compression": grpc.Compression.Gzip if call.get("gzip") else None,
    }


def multicallable(channel, call: dict):
    return getattr(channel, call["kind"])(call.get("method", f"/test.Echo/{call['kind']}"))


def result(call: dict, answers: list[bytes], code: grpc.StatusCode) -> dict:
    told = [json.loads(answer) for answer in answers]
    return {"id": call["id"], "code": code.name, "answers": told, "sizes": [len(answer) for answer in answers]}


def sync(channel: grpc.Channel, call: dict) -> dict:
    make, request = multicallable(channel, call), json.dumps(call.get("request", {})).encode()
    streamed = call["kind"].startswith("stream")
    given = iter([request] * call.get("parts", 2)) if streamed else request
    answers: list[bytes] = []
    try:
        if call["kind"].endswith("stream"):
            made = make(given, **arguments(call))
            for answer in made:
                answers.append(answer)
                if call.get("cancel"):
                    made.cancel()
            code = made.code()
        elif call.get("how") == "future" or call.get("cancel"):
            made = make.future(given, **arguments(call))
            if call.get("cancel"):
                made.cancel()
            answers.append(made.result())
            code = made.code()
        elif call.get("how") == "with_call":
            answer, made = make.with_call(given, **arguments(call))
            answers.append(answer)
            code = made.code()
        else:
            answers.append(make(given, **arguments(call)))
            code = grpc.StatusCode.OK
    except grpc.RpcError as error:
        code = error.code()
    except grpc.FutureCancelledError:
        code = grpc.StatusCode.CANCELLED
    return result(call, answers, code)


async def aio(channel: grpc.aio.Channel, call: dict) -> dict:
    make, request = multicallable(channel, call), json.dumps(call.get("request", {})).encode()
    streamed = call["kind"].startswith("stream")
    given = iter([request] * call.get("parts", 2)) if streamed else request
    made, answers = make(given, **arguments(call)), []
    try:
        if call["kind"].endswith("stream"):
            async for answer in made:
                answers.append(answer)
                if call.get("cancel"):
                    made.cancel()
        else:
            if call.get("cancel"):
                made.cancel()
            answers.append(await made)
    except (grpc.RpcError, asyncio.CancelledError):
        pass
    return result(call, answers, await made.code())


async def all_aio() -> list[dict]:
    limit = asyncio.Semaphore(AT_ONCE)
    async with channel(grpc.aio) as own:

        async def one(call: dict) -> dict:
            async with limit:
                return await aio(own, call)

        return await asyncio.gather(*map(one, CALLS))


def all_sync() -> list[dict]:
    with channel(grpc) as own, futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda call: sync(own, call), CALLS))


print(json.dumps(asyncio.run(all_aio()) if MODE == "aio" else all_sync()))
