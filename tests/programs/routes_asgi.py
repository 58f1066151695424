"""FastAPI and Starlette: routers in routers, applications in applications, a mount with a parameter, a websocket, a handler
that raises. `routes_asgi:plain` is Starlette alone."""

import anyio

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket


async def answer(request: Request) -> PlainTextResponse:
    await anyio.sleep(float(request.query_params.get("delay", 0)) / 1000)
    return PlainTextResponse(str(request.path_params))


async def fail(request: Request) -> PlainTextResponse:
    raise ValueError(request.path_params["what"])


async def hang_up(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


plain = Starlette(
    routes=[
        Route("/", answer),
        Route("/user/{id:int}", answer, methods=["GET", "POST"]),
        Route("/raise/{what}", fail),
        WebSocketRoute("/chat/{room}", hang_up),
        Mount("/shop", routes=[Mount("/orders", app=Router([Route("/{order}", answer)]))]),
        Mount("/of/{tenant}", routes=[Route("/item/{item}", answer)]),
    ]
)

app, sub, orders, items = FastAPI(), FastAPI(), APIRouter(prefix="/orders"), APIRouter(prefix="/{order}/items")


@app.get("/")
@app.get("/user/{id}")
@orders.get("/{order}")
@items.get("/{item}")
@sub.get("/item/{item}")
async def on_the_loop(delay: int = 0) -> str:
    await anyio.sleep(delay / 1000)
    return "done"


@app.get("/thread/{id}")
def in_a_thread(id: int) -> int:
    return id


@app.get("/raise/{what}")
async def raises(what: str) -> str:
    raise ValueError(what)


orders.include_router(items)
app.include_router(orders, prefix="/v1")
app.mount("/sub", sub)
app.mount("/plain", plain)
