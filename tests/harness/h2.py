"""An HTTP/2 client that no agent is in: all requests on one connection."""

from __future__ import annotations

import asyncio
from typing import Callable, Mapping

import httpx

from harness import client
from harness.tls import certificates


def get_many(url: str, paths: list[str], at_once: int = 20, method: str = "GET",
             headers: Mapping[str, str] | None = None, body: bytes | None = None) -> list[httpx.Response]:
    """All paths, so many at once, in plain text by prior knowledge."""
    return asyncio.run(_get_many(url, paths, at_once, method, headers or {}, body))


async def _get_many(url: str, paths: list[str], at_once: int, method: str, headers: Mapping[str, str],
                    body: bytes | None) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=1)
    verify = certificates().client_context() if url.startswith("https") else True
    gate = asyncio.Semaphore(at_once)
    async with httpx.AsyncClient(http1=False, http2=True, limits=limits, verify=verify, timeout=60,
                                 headers={"User-Agent": client.USER_AGENT, **headers}) as session:

        async def one(path: str) -> httpx.Response:
            async with gate:
                answer = await session.request(method, url + path, content=body and _parts(body))
            assert answer.http_version == "HTTP/2"
            return answer

        return await asyncio.gather(*map(one, paths))


async def _parts(body: bytes):
    """The head first, then the body in two parts."""
    for part in (body[:5], body[5:]):
        await asyncio.sleep(0)
        yield part


def control(url: str) -> Callable[[str], object]:
    """The positive control of `assert_exactly`."""
    return lambda path: get_many(url, [path])
