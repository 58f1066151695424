"""Microsoft's TDS as a server speaks it: messages in packets, TLS inside of them, values, and the tokens of an answer."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import Any, Sequence

BATCH, RPC, ANSWER, ATTENTION, BULK, TRANSACTION, LOGIN, PRELOGIN = 1, 3, 4, 6, 7, 14, 16, 18
LAST, RESET = 0x01, 0x18  # bits of a packet's status
PACKET = 4096
COLLATION = b"\x09\x04\xd0\x00\x34"
VERSION = struct.pack(">BBHH", 16, 0, 4135, 0)

DONE, DONE_PROCEDURE, DONE_IN_PROCEDURE = 0xFD, 0xFE, 0xFF
MORE, ERROR, COUNT, STOPPED = 0x01, 0x02, 0x10, 0x20  # bits of such a token's status


class Gone(Exception):
    """The client has left."""


class Wire:
    """The messages of one connection."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self.plain, self.context = plain, context
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: ssl.SSLObject | None = None
        self.resets = False  # the message read last wants the session to begin anew

    def take(self, n: int) -> bytes:
        taken = b""
        while len(taken) < n:
            taken += self._some(n - len(taken))
        return taken

    def _some(self, n: int) -> bytes:
        while self.tls:
            try:
                return self.tls.read(n) or self._gone()
            except ssl.SSLWantReadError:
                self.incoming.write(self._received(65536))
            except ssl.SSLError:
                return self._gone()
        return self._received(n)

    def _received(self, n: int) -> bytes:
        try:
            return self.plain.recv(n) or self._gone()
        except ConnectionError:
            return self._gone()

    def _gone(self) -> bytes:
        raise Gone

    def read(self) -> tuple[int, bytes]:
        """A message: its type, and what the packets had."""
        content, self.resets = b"", False
        while True:
            kind, status, length = struct.unpack(">BBH4x", self.take(8))
            content += self.take(length - 8)
            self.resets |= bool(status & RESET)
            if status & LAST:
                return kind, content

    def write(self, kind: int, content: bytes) -> None:
        most = PACKET - 8
        pieces = [content[at : at + most] for at in range(0, len(content), most)] or [b""]
        packets = (struct.pack(">BBHHBB", kind, LAST if number == len(pieces) else 0, len(piece) + 8, 0, number % 256, 0) + piece
                   for number, piece in enumerate(pieces, 1))
        self._send(b"".join(packets))

    def _send(self, data: bytes) -> None:
        if self.tls:
            self.tls.write(data)
            data = self.outgoing.read()
        self.plain.sendall(data)

    def is_asked_within(self, seconds: float) -> bool:
        """Whether the client says something meanwhile."""
        return bool(self.incoming.pending or select.select([self.plain], [], [], seconds)[0])

    def begin_tls(self, in_packets: bool) -> None:
        """The records of the handshake are inside of messages, as in version 7, or come as they are."""
        tls = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        while True:
            try:
                done = tls.do_handshake() is None
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                raise Gone from None
            if data := self.outgoing.read():
                self.write(PRELOGIN, data) if in_packets else self._send(data)
            if done:
                self.tls = tls
                return
            self.incoming.write(self.read()[1] if in_packets else self._received(65536))

    def end_tls(self) -> None:
        """What follows is in the clear."""
        self.tls = None


class Reader:
    """Takes numbers, texts and values from a message, in turn."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    @property
    def is_over(self) -> bool:
        return self.at >= len(self.content)

    def take(self, n: int) -> bytes:
        self.at += n
        assert self.at <= len(self.content), "the message is too short"
        return self.content[self.at - n : self.at]

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def text(self, units: int) -> str:
        return self.take(2 * units).decode("utf-16-le")

    def headers(self) -> None:
        self.take(self.number(4) - 4)

    def type(self) -> tuple[int, bytes]:
        """A type's code, and what is told of it: the longest value first."""
        code = self.number(1)
        if code in (0x24, 0x26, 0x68, 0x6D, 0x6F):
            return code, self.take(1)
        if code in (0x6A, 0x6C):
            return code, self.take(3)
        if code in (0xA5, 0xAD):
            return code, self.take(2)
        if code in (0xA7, 0xAF, 0xE7, 0xEF):
            return code, self.take(7)
        if code in (0x32, 0x38, 0x7F):
            return code, b""
        raise AssertionError(f"type {code:#x} is none of those that this server knows")

    def value(self, code: int, told: bytes) -> Any:
        fixed = {0x32: 1, 0x38: 4, 0x7F: 8}
        if code in fixed:
            return int.from_bytes(self.take(fixed[code]), "little", signed=True)
        if code >= 0xA0:
            raw = self._chunks() if told[:2] == b"\xff\xff" else self._counted(2)
            if raw is None or code in (0xA5, 0xAD):
                return raw
            return raw.decode("utf-16-le" if code in (0xE7, 0xEF) else "latin-1")
        raw = self._counted(1)
        if not raw:
            return None
        if code == 0x6D:
            return struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0]
        if code in (0x6A, 0x6C):
            return (1 if raw[0] else -1) * int.from_bytes(raw[1:], "little") / 10 ** told[2]
        return int.from_bytes(raw, "little", signed=code == 0x26)

    def _counted(self, width: int) -> bytes | None:
        length = self.number(width)
        return None if width == 2 and length == 0xFFFF else self.take(length)

    def _chunks(self) -> bytes | None:
        if self.take(8) == b"\xff" * 8:
            return None
        raw = b""
        while length := self.number(4):
            raw += self.take(length)
        return raw


def short_text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def _counted(token: int, content: bytes) -> bytes:
    return struct.pack("<BH", token, len(content)) + content


def error(number: int, message: str, level: int = 16) -> bytes:
    return _counted(0xAA, struct.pack("<IBBH", number, 1, level, len(message)) + message.encode("utf-16-le")
                    + short_text("made") + short_text("") + struct.pack("<I", 1))


def change(what: int, new: bytes, old: bytes) -> bytes:
    """Something of the connection's is another one now."""
    return _counted(0xE3, bytes([what]) + new + old)


def login_accepted() -> bytes:
    return _counted(0xAD, b"\x01\x74\x00\x00\x04" + short_text("Microsoft SQL Server") + VERSION[:4])


def done(status: int = 0, command: int = 0, count: int = 0, token: int = DONE) -> bytes:
    return struct.pack("<BHHQ", token, status, command, count)


def return_status(status: int = 0) -> bytes:
    return struct.pack("<Bi", 0x79, status)


def return_value(name: str, number: int) -> bytes:
    """The first parameter, a number."""
    return b"\xac\0\0" + short_text(name) + b"\1\0\0\0\0\0\0\x26\4\4" + struct.pack("<i", number)


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """The description of the columns, and the rows."""
    kinds = [_kind([row[at] for row in rows]) for at in range(len(names))]
    columns = (struct.pack("<IH", 0, 9) + told + short_text(name) for (told, _), name in zip(kinds, names))
    cells = (b"\xd1" + b"".join(write(value) for (_, write), value in zip(kinds, row)) for row in rows)
    return struct.pack("<BH", 0x81, len(names)) + b"".join(columns) + b"".join(cells)


def _kind(values: Sequence[Any]) -> tuple[bytes, Any]:
    """A type for a column with these values, and how they are written."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, int) for value in there):
        width = 4 if all(-(2**31) <= value < 2**31 for value in there) else 8
        return bytes([0x26, width]), lambda value: b"\0" if value is None else bytes([width]) + value.to_bytes(width, "little", signed=True)
    if there and all(isinstance(value, (int, float)) for value in there):
        return b"\x6d\x08", lambda value: b"\0" if value is None else b"\x08" + struct.pack("<d", value)
    raw = bool(there) and all(isinstance(value, bytes) for value in there)
    encoded = {value: value if raw else str(value).encode("utf-16-le") for value in there}
    is_long = any(len(value) > 8000 for value in encoded.values())
    most = b"\xff\xff" if is_long else struct.pack("<H", 8000)

    def write(value: Any) -> bytes:
        if value is None:
            return b"\xff" * (8 if is_long else 2)
        data = encoded[value]
        return struct.pack("<QI", len(data), len(data)) + data + bytes(4) if is_long else struct.pack("<H", len(data)) + data

    return (b"\xa5" + most if raw else b"\xe7" + most + COLLATION), write
