"""A gRPC client: grpc_client.py MODE TARGET CALLS, where MODE is sync or aio and CALLS a JSON list.

Each call is {"id", "kind", "request", ...}: `how` is call, with_call or future; `timeout`; `cancel`: once there is a file of this
name; `method`, if not that of its kind; `traceparent`: the caller's own; `gzip`; `ready`: wait for the server; `parts`: messages of a streamed request; `pad`: blanks in each.
With AT_ONCE so many are made at once, on CHANNELS in turn. It prints a list of {"id", "code", "answers"} as JSON, and what is done meanwhile
to its error output. CA: TLS with this certificate. OPTIONS: of the channels.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import threading
import time
from concurrent import futures

import grpc
import grpc.aio

MODE, TARGET, CALLS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
AT_ONCE, CHANNELS = int(os.environ.get("AT_ONCE", "1")), int(os.environ.get("CHANNELS", "1"))
LOOP = None
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


def body(call: dict) -> bytes:
    return json.dumps(call.get("request", {})).encode() + b" " * call.get("pad", 0)


def multicallable(channel, call: dict):
    return getattr(channel, call["kind"])(call.get("method", f"/test.Echo/{call['kind']}"))


def cancel(call: dict, made) -> None:
    if "cancel" in call:
        while not os.path.exists(call["cancel"]):
            time.sleep(0.01)
        LOOP.call_soon_threadsafe(made.cancel) if LOOP else made.cancel()


def result(call: dict, answers: list[bytes], code: grpc.StatusCode) -> dict:
    print(call["id"], code.name, file=sys.stderr, flush=True)
    told = [json.loads(answer) for answer in answers]
    return {"id": call["id"], "code": code.name, "answers": told, "sizes": [len(answer) for answer in answers]}


def sync(channel: grpc.Channel, call: dict) -> dict:
    make, request = multicallable(channel, call), body(call)
    streamed = call["kind"].startswith("stream")
    given = iter([request] * call.get("parts", 2)) if streamed else request
    answers: list[bytes] = []
    try:
        if call["kind"].endswith("stream"):
            made = make(given, **arguments(call))
            threading.Thread(target=cancel, args=(call, made)).start()
            answers.extend(made)
            code = made.code()
        elif call.get("how") == "future" or call.get("cancel"):
            made = make.future(given, **arguments(call))
            cancel(call, made)
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
    make, request = multicallable(channel, call), body(call)
    streamed = call["kind"].startswith("stream")
    given = iter([request] * call.get("parts", 2)) if streamed else request
    made, answers = make(given, **arguments(call)), []
    cancelling = asyncio.get_running_loop().run_in_executor(None, cancel, call, made)
    try:
        if call["kind"].endswith("stream"):
            async for answer in made:
                answers.append(answer)
        else:
            answers.append(await made)
    except (grpc.RpcError, asyncio.CancelledError):
        pass
    await cancelling
    return result(call, answers, await made.code())


async def all_aio() -> list[dict]:
    global LOOP
    LOOP = asyncio.get_running_loop()
    limit = asyncio.Semaphore(AT_ONCE)
    async with contextlib.AsyncExitStack() as stack:
        own = [await stack.enter_async_context(channel(grpc.aio)) for _ in range(CHANNELS)]

        async def one(number: int, call: dict) -> dict:
            async with limit:
                return await aio(own[number % CHANNELS], call)

        return await asyncio.gather(*itertools.starmap(one, enumerate(CALLS)))


def all_sync() -> list[dict]:
    with contextlib.ExitStack() as stack:
        own = [stack.enter_context(channel(grpc)) for _ in range(CHANNELS)]
        pool = stack.enter_context(futures.ThreadPoolExecutor(AT_ONCE))
        return list(pool.map(sync, itertools.cycle(own), CALLS))


print(json.dumps(asyncio.run(all_aio()) if MODE == "aio" else all_sync()))
