"""HTTP clients that no agent is in."""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Mapping

from harness.upstream import Reader

USER_AGENT = "harness/1"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET",
        body: bytes | None = None, timeout: float = 30) -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, {"User-Agent": USER_AGENT, **(headers or {})})
        response = connection.getresponse()
        data = response.read()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, data)
    finally:
        connection.close()


def get_many(port: int, paths: list[str], at_once: int = 20) -> list[Reply]:
    """All paths, so many at once."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda path: get(port, path), paths))


class Raw:
    """A connection on which bytes are sent as they are."""

    def __init__(self, port: int, timeout: float = 20) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.reader = Reader(self.sock)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def response(self, head_only: bool = False) -> bytes:
        """The next response, byte for byte (its length must be announced)."""
        head = self.reader.until(b"\r\n\r\n")
        return head if head_only else head + self.reader.body(head)

    def exchange(self, path: str, extra: str = "") -> bytes:
        self.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n{extra}\r\n".encode())
        return self.response()
