"""aiohttp: routes with parameters, an application in an application, a handler that raises. With LOOP=uvloop on that."""

import asyncio
import os

from aiohttp import web


async def answer(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query.get("delay", 0)) / 1000)
    return web.Response(text=str(dict(request.match_info)))


async def fail(request: web.Request) -> web.Response:
    raise ValueError(request.match_info["what"])


orders = web.Application()
orders.add_routes([web.get("/{order}/items/{item}", answer)])
app = web.Application()
app.add_routes(
    [
        web.get("/", answer),
        web.get("/user/{id}", answer),
        web.get(r"/page/{page:\d+}", answer),
        web.get("/raise/{what}", fail),
    ]
)
app.add_subapp("/orders", orders)
if os.environ.get("LOOP") == "uvloop":
    import uvloop

    uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
