"""A server of MongoDB's protocol that compresses, in front of one that does not (FerretDB): it offers one compressor to whoever says
hello, and answers what came compressed likewise, as mongod does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import zlib
from typing import Callable, Iterator

import bson
import snappy

HEADER = struct.Struct("<iiii")  # length, id, the id that is answered, opcode
PACKED = struct.Struct("<iiB")  # opcode and length of what is compressed, and how
REPLY, COMPRESSED, MSG = 1, 2012, 2013

Codec = tuple[int, Callable[[bytes], bytes], Callable[[bytes], bytes]]
CODECS: dict[str, Codec] = {
    "snappy": (1, snappy.compress, snappy.uncompress),
    "zlib": (2, zlib.compress, zlib.decompress),
}


def receive(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """The messages that come: id, the id that is answered, opcode, content."""
    with contextlib.suppress(OSError), connection.makefile("rb") as stream:
        while header := stream.read(HEADER.size):
            length, number, answers, opcode = HEADER.unpack(header)
            yield number, answers, opcode, stream.read(length - HEADER.size)


def message(number: int, answers: int, opcode: int, content: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(content), number, answers, opcode) + content


class Compressing:
    """`counts` are the compressed messages that came and left."""

    def __init__(self, method: str, behind: int) -> None:
        self.method, self.behind = method, behind
        self.number, self.pack, self.unpack = CODECS[method]
        self.counts = [0, 0]
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]

    def __enter__(self) -> Compressing:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.behind))
                asked: set[int] = set()  # compressed, and not answered
                for way, one, other in ((self.ask, client, server), (self.answer, server, client)):
                    threading.Thread(target=self.pass_on, args=(way, one, other, asked), daemon=True).start()

    def pass_on(self, way: Callable[..., bytes], one: socket.socket, other: socket.socket, asked: set[int]) -> None:
        with contextlib.suppress(OSError):
            for parts in receive(one):
                other.sendall(way(asked, *parts))
            other.shutdown(socket.SHUT_WR)

    def ask(self, asked: set[int], number: int, answers: int, opcode: int, content: bytes) -> bytes:
        if opcode == COMPRESSED:
            self.counts[0] += 1
            asked.add(number)
            opcode, _, method = PACKED.unpack_from(content)
            assert method == self.number
            content = self.unpack(content[PACKED.size:])
        return message(number, answers, opcode, content)

    def answer(self, asked: set[int], number: int, answers: int, opcode: int, content: bytes) -> bytes:
        if answers in asked:
            self.counts[1] += 1
            packed = self.pack(content)
            return message(number, answers, COMPRESSED, PACKED.pack(opcode, len(content), self.number) + packed)
        front = 20 if opcode == REPLY else 5
        told = bson.decode(content[front:])
        if "maxWireVersion" in told:
            content = content[:front] + bson.encode(told | {"compression": [self.method]})
        return message(number, answers, opcode, content)
