"""HTTPS requests by one of the usual client libraries: tls_clients.py LIBRARY URL...

All by one session, one after the other; prints the SHA-256 of each answer. A URL with `size=N` gets a POST of N bytes.
The libraries trust what the environment says.
"""

import asyncio
import hashlib
import os
import random
import re
import sys

Requests = list[tuple[str, bytes | None]]  # URL, body of a POST


def by_requests(wanted: Requests) -> list[bytes]:
    import requests

    with requests.Session() as session:
        return [(session.get(url) if body is None else session.post(url, body)).content for url, body in wanted]


def by_urllib3(wanted: Requests) -> list[bytes]:
    import urllib3

    with urllib3.PoolManager(ca_certs=os.environ["SSL_CERT_FILE"]) as pool:
        return [pool.request("GET" if body is None else "POST", url, body=body).data for url, body in wanted]


def by_urllib(wanted: Requests) -> list[bytes]:
    """A connection a request."""
    import urllib.request

    answers = []
    for url, body in wanted:
        with urllib.request.urlopen(url, body) as response:
            answers.append(response.read())
    return answers


def by_httpx(wanted: Requests) -> list[bytes]:
    import httpx

    with httpx.Client(timeout=60) as client:
        return [client.request("GET" if body is None else "POST", url, content=body).content for url, body in wanted]


def by_httpx_async(wanted: Requests) -> list[bytes]:
    import httpx

    async def run() -> list[bytes]:
        async with httpx.AsyncClient(timeout=60) as client:
            return [(await client.request("GET" if body is None else "POST", url, content=body)).content
                    for url, body in wanted]

    return asyncio.run(run())


def by_aiohttp(wanted: Requests) -> list[bytes]:
    import aiohttp

    async def run() -> list[bytes]:
        answers = []
        async with aiohttp.ClientSession() as session:
            for url, body in wanted:
                async with session.request("GET" if body is None else "POST", url, data=body) as response:
                    answers.append(await response.read())
        return answers

    return asyncio.run(run())


LIBRARIES = {
    "requests": by_requests, "urllib3": by_urllib3, "urllib": by_urllib, "httpx": by_httpx,
    "httpx-async": by_httpx_async, "aiohttp": by_aiohttp,
}


def blob(size: int) -> bytes:
    """The same on both ends."""
    return random.Random(size).randbytes(size)


def main(library: str, *urls: str) -> None:
    sizes = [re.search(r"size=(\d+)", url) for url in urls]
    wanted = [(url, blob(int(size[1])) if size else None) for url, size in zip(urls, sizes)]
    for answer in LIBRARIES[library](wanted):
        print(hashlib.sha256(answer).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
