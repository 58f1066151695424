"""aiohttp on both sides: /async/WAY?id=.. works as parents_work.py says. With LOOP=uvloop on that; with TLS_CERT and TLS_KEY
behind TLS."""

import os
import ssl

import aiohttp
from aiohttp import web
from parents_work import Async


async def fetch(request: web.Request) -> web.Response:
    await request.app["ways"].run(request.match_info["way"], request.query_string)
    return web.Response(text="done")


async def other(request: web.Request) -> web.Response:
    return web.Response(text="other")


async def session(app: web.Application):
    async with aiohttp.ClientSession() as client:

        async def get(url: str) -> None:
            async with client.get(url) as reply:
                await reply.read()

        app["ways"] = Async(get)
        yield


app = web.Application()
app.cleanup_ctx.append(session)
app.add_routes([web.get("/async/{way}", fetch), web.get("/{rest:.*}", other)])
if os.environ.get("LOOP") == "uvloop":
    import uvloop

    uvloop.install()
context = None
if os.environ.get("TLS_CERT"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), ssl_context=context, print=None)
