"""A plain trio server, one task a connection, with httpx: /async/WAY?id=.. (call, later, task, outliving)."""

import os
import re

import httpx
import trio
from parents_work import pause, url


async def serve(client, nursery, stream) -> None:
    buffer = b""
    async with stream:
        while True:
            while b"\r\n\r\n" not in buffer:
                data = await stream.receive_some(65536)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            way, query = re.match(r"GET /(?:async/)?([^ ?]*)\??([^ ]*) ", head.decode()).groups()
            if way == "call":
                await client.get(url(query))
            elif way == "later":
                await trio.sleep(pause(query))
                await client.get(url(query))
            elif way == "task":
                async with trio.open_nursery() as inner:
                    inner.start_soon(later, client, query, pause(query))
            elif way == "outliving":
                nursery.start_soon(later, client, query, 0.3)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def later(client, query, seconds) -> None:
    await trio.sleep(seconds)
    await client.get(url(query))


async def main() -> None:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=50)) as client, trio.open_nursery() as nursery:
        await trio.serve_tcp(lambda stream: serve(client, nursery, stream), int(os.environ["PORT"]), host="127.0.0.1")


trio.run(main)
