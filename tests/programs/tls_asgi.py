"""An ASGI app: /echo?id=&delay= and /fetch?id=, which calls UPSTREAM/echo by httpx.

UPSTREAM may be several, with commas: the id says which."""

import asyncio
import functools
import json
import os
from urllib.parse import parse_qs

import httpx


@functools.cache
def client() -> httpx.AsyncClient:
    """One for the process: its connections are kept."""
    return httpx.AsyncClient(timeout=60)


async def app(scope, receive, send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError  # uvicorn then does without lifespan events
    raw = scope["query_string"].decode()
    query = {name: values[0] for name, values in parse_qs(raw).items()}
    if scope["path"] == "/fetch":
        upstreams = os.environ["UPSTREAM"].split(",")
        reply = await client().get(f"{upstreams[int(query['id']) % len(upstreams)]}/echo?{raw}")
        answer = {"id": query.get("id"), "upstream": reply.json()}
    else:
        await asyncio.sleep(int(query.get("delay", 0)) / 1000)
        answer = {"id": query.get("id"), "headers": {k.decode(): v.decode() for k, v in scope["headers"]}}
    data = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
