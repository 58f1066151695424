"""FastAPI: /WAY?id=.. works as parents_work.py says. With uvicorn, hypercorn, gunicorn's worker class."""

import contextlib

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from parents_work import BLOCKING, Async


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with httpx.AsyncClient(limits=limits) as client:
        app.state.ways = Async(client.get)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/async/{way}")
async def on_the_loop(request: Request, way: str) -> str:
    await request.app.state.ways.run(way, request.url.query)
    return way


@app.get("/def/{way}")
def in_a_thread(request: Request, way: str) -> str:
    BLOCKING[way](request.url.query)
    return way


@app.get("/background")
async def background(request: Request, tasks: BackgroundTasks) -> str:
    tasks.add_task(request.app.state.ways.run, "call", request.url.query)
    return "background"


@app.get("/{rest:path}")
async def other(rest: str) -> str:
    return rest
