"""asyncio's own streams on both sides, HTTP/1.1 by hand, and only what Python 3.8 has: /async/WAY?id=.. calls UPSTREAM."""

import asyncio
import os
import re
from urllib.parse import urlsplit


async def message(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"content-length: *(\d+)", head.lower())
    await reader.readexactly(int(length[1]) if length else 0)
    return head


async def call(query):
    parts = urlsplit(os.environ["UPSTREAM"])
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET /echo?{query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    await message(reader)
    writer.close()


async def later(query, pause=0.0):
    await asyncio.sleep(pause or 0.005 + int(re.search(r"id=(?:\w+-)*(\d+)", query)[1]) % 9 * 0.005)
    await call(query)


def blocking(query):
    import http.client

    parts = urlsplit(os.environ["UPSTREAM"])
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("GET", f"/echo?{query}")
    connection.getresponse().read()
    connection.close()


kept = set()


async def serve(reader, writer):
    me = asyncio.current_task()
    kept.add(me)  # up to 3.11 nothing else does, and the garbage collector may take a task that waits
    try:
        while True:
            url = urlsplit((await message(reader)).split(" ")[1])
            way = url.path.split("/")[-1]
            if way == "call":
                await call(url.query)
            elif way == "later":
                await later(url.query)
            elif way == "task":
                await asyncio.ensure_future(later(url.query))
            elif way == "gathered":
                await asyncio.gather(later(url.query), asyncio.sleep(0))
            elif way == "executor":
                await asyncio.get_event_loop().run_in_executor(None, blocking, url.query)
            elif way == "outliving":
                task = asyncio.ensure_future(later(url.query, 0.3))
                kept.add(task)
                task.add_done_callback(kept.discard)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        kept.discard(me)
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
