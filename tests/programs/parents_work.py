"""The work of the parents tests: calls to UPSTREAM/echo?id=.. made in every way that Python programs hand work on.

Each way is a function of the request's query string. TLS: certificates by the usual variables.
"""

import asyncio
import contextvars
import os
import queue
import ssl
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import httpx
import requests
import urllib3

UPSTREAM = os.environ.get("UPSTREAM", "")
pool = ThreadPoolExecutor(40)
trusted = ssl.create_default_context()  # httpx makes one for each client, at 20 ms each
shared = requests.Session()
shared.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50))
shared.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=50))
manager = urllib3.PoolManager(maxsize=50)


def url(query: str) -> str:
    return f"{UPSTREAM}/echo?{query}"


def pause(query: str) -> float:
    """5 to 45 ms, by the id: requests overtake each other."""
    return 0.005 + int(parse_qs(query)["id"][0].split("-")[-1]) % 9 * 0.005


# Blocking ways.

def call(query: str) -> None:
    shared.get(url(query)).raise_for_status()


def later(query: str) -> None:
    time.sleep(pause(query))
    call(query)


def sync_httpx(query: str) -> None:
    httpx.get(url(query), verify=trusted).raise_for_status()


def sync_urllib3(query: str) -> None:
    assert manager.request("GET", url(query)).status == 200


def sync_urllib(query: str) -> None:
    urllib.request.urlopen(url(query)).read()


def submit(query: str) -> None:
    pool.submit(later, query).result()


def mapped(query: str) -> None:
    list(pool.map(later, [query]))


def thread(query: str) -> None:
    worker = threading.Thread(target=later, args=(query,))
    worker.start()
    worker.join()


class Own(threading.Thread):
    def __init__(self, query: str) -> None:
        super().__init__()
        self.query = query

    def run(self) -> None:
        later(self.query)


def subclass(query: str) -> None:
    worker = Own(query)
    worker.start()
    worker.join()


def timer(query: str) -> None:
    worker = threading.Timer(pause(query), call, (query,))
    worker.start()
    worker.join()


jobs: queue.Queue = queue.Queue()


def work() -> None:
    while True:
        query, context, done = jobs.get()
        (context.run if context else lambda f, *a: f(*a))(later, query)
        done.set()


threading.Thread(target=work, daemon=True).start()


def queued(query: str) -> None:
    """A worker that was there before: nobody can know, unless it is told."""
    done = threading.Event()
    jobs.put((query, None, done))
    done.wait()


def handed_over(query: str) -> None:
    done = threading.Event()
    jobs.put((query, contextvars.copy_context(), done))
    done.wait()


def outliving(query: str) -> None:
    """The call is made long after the response."""
    threading.Timer(0.3, call, (query,)).start()


BLOCKING = {f.__name__: f for f in (
    call, later, sync_httpx, sync_urllib3, sync_urllib, submit, mapped, thread, subclass, timer, queued, handed_over, outliving,
)}


# Ways of event loops. `get` is the client's coroutine function.

class Async:
    def __init__(self, get) -> None:
        self.get = get
        self.kept: set = set()

    async def call(self, query: str) -> None:
        await self.get(url(query))

    async def later(self, query: str) -> None:
        await asyncio.sleep(pause(query))
        await self.get(url(query))

    async def task(self, query: str) -> None:
        await asyncio.create_task(self.later(query))

    async def gathered(self, query: str) -> None:
        await asyncio.gather(self.later(query), asyncio.sleep(0))

    async def to_thread(self, query: str) -> None:
        await asyncio.to_thread(later, query)

    async def executor(self, query: str) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, later, query)

    async def outliving(self, query: str) -> None:
        async def call() -> None:
            await asyncio.sleep(0.3)
            await self.get(url(query))

        self.keep(asyncio.create_task(call()))

    def keep(self, task: asyncio.Task) -> None:
        self.kept.add(task)
        task.add_done_callback(self.kept.discard)

    WAYS = ("call", "later", "task", "gathered", "to_thread", "executor", "outliving")

    async def run(self, way: str, query: str) -> None:
        await getattr(self, way)(query)
