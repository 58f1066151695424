"""A server that speaks TDS and has SQLite behind it: `tds_server.py PORT CERTIFICATE KEY FILE USER PASSWORD`.

There is no SQL Server to be had for the tests. This one is made for them: it says what the specification wants said to the drivers, and
carries out the little of Transact-SQL that SQLite knows as well. What a real server does otherwise is not seen with it.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import ssl
import struct
import sys
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator

import tds

DATABASES = ("tests", "other", "master")
PROCEDURES = {"twice": "SELECT 1; SELECT 2 UNION SELECT 3", "fails": "SELECT 1 FROM missing"}
COMMANDS = {"SELECT": 0xC1, "INSERT": 0xC3, "DELETE": 0xC4, "UPDATE": 0xC5}
# What a client wants of encryption, and what it gets: none, of the login, of all.
LOGIN_ONLY, ALL, NONE = 0, 1, 2
TERMS = {0: LOGIN_ONLY, 1: ALL, 2: NONE, 3: ALL}
TLS_RECORD = b"\x16"


class Failed(Exception):
    """With the number of the error."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number

    @property
    def token(self) -> bytes:
        return tds.error(self.number, str(self))


class Stopped(Exception):
    """The client does not want the answer any more."""


@dataclass
class Session:
    wire: tds.Wire
    store: sqlite3.Connection
    user: str
    password: str
    database: str = "master"
    home: str = "master"
    prepared: dict[int, tuple[str, str]] = field(default_factory=dict)
    handle: int = 0
    transactions: int = 0

    def serve(self) -> None:
        if self.open():
            while True:
                self.answer(*self.wire.read())

    def open(self) -> bool:
        """Up to the answer to the login."""
        if self.wire.plain.recv(1, socket.MSG_PEEK) == TLS_RECORD:
            self.wire.begin_tls(in_packets=False)
            self.agree()
        elif (terms := self.agree()) != NONE:
            self.wire.begin_tls(in_packets=True)
            name, password, database = self.read_login()
            if terms == LOGIN_ONLY:
                self.wire.end_tls()
            return self.let_in(name, password, database)
        return self.let_in(*self.read_login())

    def agree(self) -> int:
        kind, content = self.wire.read()
        assert kind == tds.PRELOGIN
        options = dict(self.options(content))
        terms = TERMS[options[1][0]]
        answers = {0: tds.VERSION, 1: bytes([terms]), 2: b"\0", 3: b"", 4: b"\0"}
        at = 5 * len(answers) + 1
        heads = data = b""
        for what, value in answers.items():
            heads += struct.pack(">BHH", what, at + len(data), len(value))
            data += value
        self.wire.write(tds.ANSWER, heads + b"\xff" + data)
        return terms

    @staticmethod
    def options(content: bytes) -> Iterator[tuple[int, bytes]]:
        place = 0
        while content[place] != 0xFF:
            what, at, length = struct.unpack_from(">BHH", content, place)
            yield what, content[at : at + length]
            place += 5

    def read_login(self) -> tuple[str, str, str]:
        kind, content = self.wire.read()
        assert kind == tds.LOGIN

        def raw(place: int) -> bytes:
            at, units = struct.unpack_from("<HH", content, place)
            return content[at : at + 2 * units]

        shown = bytes(((byte ^ 0xA5) << 4 | (byte ^ 0xA5) >> 4) & 0xFF for byte in raw(44))
        return raw(40).decode("utf-16-le"), shown.decode("utf-16-le"), raw(68).decode("utf-16-le")

    def let_in(self, name: str, password: str, database: str) -> bool:
        self.home = self.database = database or "master"
        if (name, password) != (self.user, self.password):
            self.say(tds.error(18456, f"Login failed for user '{name}'.", 14) + tds.done(tds.ERROR))
        elif self.database not in DATABASES:
            self.say(tds.error(4060, f'Cannot open database "{database}" requested by the login.', 11)
                     + tds.error(18456, f"Login failed for user '{name}'.", 14) + tds.done(tds.ERROR))
        else:
            collation = tds.change(7, bytes([5]) + tds.COLLATION, b"\0")
            size = tds.change(4, tds.short_text(str(tds.PACKET)), tds.short_text(str(tds.PACKET)))
            self.say(self.changed_database("master") + collation + tds.login_accepted() + size + tds.done())
            return True
        return False

    def changed_database(self, old: str) -> bytes:
        return tds.change(1, tds.short_text(self.database), tds.short_text(old))

    def say(self, tokens: bytes) -> None:
        self.wire.write(tds.ANSWER, tokens)

    def answer(self, kind: int, content: bytes) -> None:
        if self.wire.resets:
            self.database = self.home
            self.prepared.clear()
            self.end_transaction("ROLLBACK")
        reader = tds.Reader(content)
        try:
            if kind == tds.ATTENTION:
                self.say(tds.done(tds.STOPPED))
            elif kind == tds.BATCH:
                reader.headers()
                self.say(self.batch(reader.text((len(content) - reader.at) // 2)))
            elif kind == tds.RPC:
                reader.headers()
                self.say(self.calls(reader))
            elif kind == tds.TRANSACTION:
                reader.headers()
                self.say(self.transaction(reader.number(2)))
            elif kind == tds.BULK:
                self.say(tds.done(tds.COUNT, 0xF0, self.count_bulk(reader)))
            else:
                raise AssertionError(f"a message of type {kind}")
        except Stopped:
            self.say(tds.done(tds.ERROR))
            self.say(tds.done(tds.STOPPED))

    # What is asked.

    def batch(self, text: str) -> bytes:
        tokens = self.run(text, {}, tds.DONE)
        return tokens or tds.done()

    def run(self, text: str, values: dict[str, Any], end: int) -> bytes:
        """All statements of a text, up to one that fails."""
        answers, failed = [], b""
        for statement in statements(text):
            try:
                answers.append(self.statement(statement, values))
            except Failed as why:
                failed = why.token
                break
        tokens = b""
        for number, (content, command, count) in enumerate(answers):
            more = tds.MORE if failed or number + 1 < len(answers) else 0
            counted = 0 if count is None else tds.COUNT
            tokens += content + tds.done(more | counted, command, count or 0, end)
        return tokens + (failed + tds.done(tds.ERROR, token=end) if failed else b"")

    def statement(self, text: str, values: dict[str, Any]) -> tuple[bytes, int, int | None]:
        """What is said of one: tokens, the command's number, the count of rows."""
        word, _, rest = text.rstrip("; \n").partition(" ")
        word, rest = word.upper(), rest.strip()
        if word == "SET" or text.lower().startswith("insert bulk"):
            return b"", 0, None
        if word == "USE":
            return self.use(rest.strip("[]")), 0, None
        if word in ("EXEC", "EXECUTE"):
            return more_follows(self.run(procedure(rest), {}, tds.DONE_IN_PROCEDURE)), 0xE0, None
        if word == "WAITFOR":
            self.wait(*map(float, re.findall(r"(\d+):(\d+):([\d.]+)", rest)[0]))
            return b"", 0, None
        if word == "IF":  # @@TRANCOUNT > 0
            return self.statement(rest.split("0", 1)[1].strip(), values) if self.transactions else (b"", 0, None)
        if word in ("BEGIN", "COMMIT", "ROLLBACK"):
            return self.begin_transaction() if word == "BEGIN" else self.end_transaction(word), 0, None
        try:
            cursor = self.store.execute(re.sub(r"(?<=[ (,])N'", "'", text), {name: value for name, value in values.items() if f"@{name}" in text})
        except sqlite3.Error as why:
            raise failure(why) from None
        if cursor.description:
            rows = cursor.fetchall()
            return tds.table([column[0] for column in cursor.description], rows), COMMANDS["SELECT"], len(rows)
        return b"", COMMANDS.get(word, 0), cursor.rowcount if word in COMMANDS else None

    def use(self, name: str) -> bytes:
        if name not in DATABASES:
            raise Failed(911, f"Database '{name}' does not exist.")
        old, self.database = self.database, name
        return self.changed_database(old)

    def wait(self, hours: float, minutes: float, seconds: float) -> None:
        if self.wire.is_asked_within(3600 * hours + 60 * minutes + seconds):
            kind, _ = self.wire.read()
            assert kind == tds.ATTENTION
            raise Stopped

    def begin_transaction(self) -> bytes:
        if not self.store.in_transaction:
            self.store.execute("BEGIN")
        self.transactions += 1
        return tds.change(8, bytes([8]) + struct.pack("<Q", 1), b"\0")

    def end_transaction(self, how: str) -> bytes:
        if self.store.in_transaction:
            self.store.execute(how)
        self.transactions = 0
        return tds.change(9 if how == "COMMIT" else 10, b"\0", bytes([8]) + struct.pack("<Q", 1))

    def transaction(self, what: int) -> bytes:
        if what == 5:
            return self.begin_transaction() + tds.done()
        if not self.transactions:
            return tds.error(3902, "The request has no corresponding BEGIN TRANSACTION.") + tds.done(tds.ERROR)
        return self.end_transaction({7: "COMMIT", 8: "ROLLBACK"}[what]) + tds.done()

    def calls(self, reader: tds.Reader) -> bytes:
        """Each call of a message, and of each what it gives."""
        tokens = []
        while not reader.is_over:
            units = reader.number(2)
            name = reader.number(2) if units == 0xFFFF else reader.text(units)
            reader.take(2)
            parameters: list[tuple[str, Any]] = []
            while not reader.is_over:
                length = reader.number(1)
                if length in (0x80, 0xFE, 0xFF):
                    break
                called = reader.text(length)
                reader.take(1)
                parameters.append((called, reader.value(*reader.type())))
            tokens.append(self.call(name, parameters))
        more = [tokens_of(tds.MORE) for tokens_of in tokens[:-1]]
        return b"".join([*more, tokens[-1](0)])

    def call(self, name: int | str, parameters: list[tuple[str, Any]]) -> Callable[[int], bytes]:
        """The answer, for the bits of the status at its end."""
        values = [value for _, value in parameters]
        declared, rest, given = "", [], b""
        known = {"sp_executesql": 10, "sp_prepare": 11, "sp_execute": 12, "sp_prepexec": 13, "sp_unprepare": 15}
        number = known.get(name.lower(), name) if isinstance(name, str) else name
        try:
            if number == 10:
                text, declared, rest = values[0], (values[1:2] or [""])[0], parameters[2:]
            elif number in (11, 13):
                self.handle += 1
                self.prepared[self.handle] = text, declared = values[2], values[1]
                given = tds.return_value(parameters[0][0], self.handle)
                text, rest = (text, parameters[3:]) if number == 13 else ("", [])
            elif number == 12:
                if values[0] not in self.prepared:
                    raise Failed(8179, "Could not find the prepared statement.")
                (text, declared), rest = self.prepared[values[0]], parameters[1:]
            elif number == 15:
                self.prepared.pop(values[0], None)
                text = ""
            else:
                text = procedure(str(name))
        except Failed as why:
            token = why.token
            return lambda bits: token + tds.done(bits | tds.ERROR, token=tds.DONE_PROCEDURE)
        names = re.findall(r"@(\w+)", declared or "")
        bound = dict(zip(names, (value for _, value in rest))) | {name[1:]: value for name, value in rest if name}
        tokens = self.run(text, bound, tds.DONE_IN_PROCEDURE)
        is_bad = tokens[-13:] == tds.done(tds.ERROR, token=tds.DONE_IN_PROCEDURE)
        end = tds.ERROR if is_bad else 0
        # The one token that says of each statement how it went has more behind it.
        return lambda bits: more_follows(tokens) + tds.return_status() + given + tds.done(bits | end, 0xE0, token=tds.DONE_PROCEDURE)

    @staticmethod
    def count_bulk(reader: tds.Reader) -> int:
        """How many rows there are behind the description of their columns."""
        assert reader.number(1) == 0x81
        types = []
        for _ in range(reader.number(2)):
            reader.take(6)
            types.append(reader.type())
            reader.text(reader.number(1))
        count = 0
        while reader.number(1) == 0xD1:
            count += 1
            for one in types:
                reader.value(*one)
        return count


def procedure(words: str) -> str:
    """What it does."""
    name = words.split(" ")[0].split(".")[-1].strip("[]")
    if name not in PROCEDURES:
        raise Failed(2812, f"Could not find stored procedure '{name}'.")
    return PROCEDURES[name]


def more_follows(tokens: bytes) -> bytes:
    """The last of them is the end of a statement."""
    if not tokens:
        return b""
    _, status = struct.unpack_from("<BH", tokens, len(tokens) - 13)
    return tokens[:-12] + struct.pack("<H", status | tds.MORE) + tokens[-10:]


def statements(text: str) -> Iterator[str]:
    """Those of a text. One that sets something may end with its line."""
    rest = text.strip("; \t\r\n")
    while rest:
        if found := re.match(r"set\s[^\n;]*", rest, re.IGNORECASE):
            one = found.group()
        else:
            ends = (at for at, letter in enumerate(rest, 1) if letter == ";" and sqlite3.complete_statement(rest[:at]))
            one = rest[: next(ends, len(rest))]
        yield one
        rest = rest[len(one) :].strip("; \t\r\n")


def failure(why: sqlite3.Error) -> Failed:
    for words, number in (("no such table", 208), ("syntax error", 102), ("no such column", 207), ("UNIQUE", 2627)):
        if words in str(why):
            return Failed(number, str(why))
    return Failed(50000, str(why))


def main(port: str, certificate: str, key: str, file: str, user: str, password: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["tds/8.0"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # inside of messages there is no newer one

    def serve(plain: socket.socket) -> None:
        store = sqlite3.connect(file, timeout=30, isolation_level=None)
        with plain, store:
            try:
                Session(tds.Wire(plain, context), store, user, password).serve()
            except tds.Gone:
                pass

    with socket.create_server(("127.0.0.1", int(port)), backlog=64) as listener:
        print("ready", flush=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
