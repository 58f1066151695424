"""asyncio's own streams on both sides, HTTP/1.1 by hand: start_server(ssl=) and open_connection(ssl=)."""

import asyncio
import contextlib
import json
import os
import re
import ssl
from urllib.parse import urlsplit


async def message(reader: asyncio.StreamReader) -> tuple[list[str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:")), 0)
    return head, await reader.readexactly(length)


async def call(url: str, trust: ssl.SSLContext) -> bytes:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=trust)
    writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    _, body = await message(reader)
    writer.close()
    await writer.wait_closed()
    return body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head, _ = await message(reader)
            url = urlsplit(head[0].split(" ")[1])
            values = dict(re.findall(r"(\w+)=(\w+)", url.query))
            if url.path == "/fetch":
                upstream = await call(f"{os.environ['UPSTREAM']}/echo?{url.query}", trust)
                answer = {"id": values.get("id"), "upstream": json.loads(upstream)}
            else:
                await asyncio.sleep(int(values.get("delay", 0)) / 1000)
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                answer = {"id": values.get("id"), "headers": {name.lower(): value for name, value in pairs}}
            data = json.dumps(answer).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
            writer.write(data)
            await writer.drain()


async def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]), ssl=context)
    await server.serve_forever()


trust = ssl.create_default_context()
asyncio.run(main())
