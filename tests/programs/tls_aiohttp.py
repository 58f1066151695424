"""aiohttp on both sides: a TLS server whose /fetch?id= calls UPSTREAM/echo."""

import asyncio
import os
import ssl

import aiohttp
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)


async def echo(request: web.Request) -> web.Response:
    await asyncio.sleep(int(request.query.get("delay", 0)) / 1000)
    return web.json_response({"id": request.query.get("id"), "headers": {k.lower(): v for k, v in request.headers.items()}})


async def fetch(request: web.Request) -> web.Response:
    async with request.app[SESSION].get(f"{os.environ['UPSTREAM']}/echo?{request.query_string}") as reply:
        return web.json_response({"id": request.query.get("id"), "upstream": await reply.json()})


async def session(app: web.Application):
    async with aiohttp.ClientSession() as app[SESSION]:
        yield


app = web.Application()
app.cleanup_ctx.append(session)
app.add_routes([web.get("/fetch", fetch), web.get("/{any:.*}", echo)])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), ssl_context=context, print=None)
