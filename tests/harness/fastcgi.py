"""PHP-FPM and the web servers in front of it, and a FastCGI application without agent that keeps every byte."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from harness.apps import Site
from harness.listener import Listener
from harness.ports import free_port
from harness.processes import APPS, ROOT, Program, accepts, wait_until
from harness.upstream import Reader

TEMPLATES = APPS / "fastcgi"
BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def start_fpm(site: Site, address: str, children: int = 1, **options: Any) -> Program:
    """PHP-FPM listening at `address`: a path or a port. Returns when it accepts."""
    config = site.config(
        TEMPLATES / "php-fpm.conf.template", LISTEN=address if address.startswith("/") else f"127.0.0.1:{address}",
        CHILDREN=children, USER="user = www-data\ngroup = www-data" if os.getuid() == 0 else "",
    )
    env = {"ROUTER": str(APPS / "php/router.php"), **options.pop("env", {})}
    fpm = site.launcher.start("php-fpm8.2", "-n", "-d", "extension=curl", "-y", config, env=env,
                              service=options.pop("service", "fpm"), **options)
    wait_until(lambda: listens(address), 30, fpm.describe)
    return fpm


def listens(address: str) -> bool:
    if not address.startswith("/"):
        return accepts(int(address))
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(address) == 0


def script(site: Site) -> Path:
    """The tests' script where FPM's user can read it."""
    path = site.directory / "fpm.php"
    path.write_bytes((ROOT / "tests/programs/fpm.php").read_bytes())
    return path


def start_nginx(site: Site, address: str, keep: bool = False, **options: Any) -> Program:
    port = free_port()
    config = site.config(
        TEMPLATES / "nginx.conf.template", PORT=port, SCRIPT=script(site), KEEP_CONN="on" if keep else "off",
        FPM=f"unix:{address}" if address.startswith("/") else f"127.0.0.1:{address}",
        KEEPALIVE="keepalive 8;" if keep else "", USER="user root;" if os.getuid() == 0 else "",
    )
    return site.launcher.start("nginx", "-p", site.directory, "-c", config, "-e", "stderr", port=port,
                               service=options.pop("service", "web"), **options)


def start_apache(site: Site, address: str, mpm: str = "event", **options: Any) -> Program:
    port = free_port()
    config = site.config(
        TEMPLATES / "httpd.conf.template", PORT=port, SCRIPT=script(site), MPM=mpm, MODULES="/usr/lib/apache2/modules",
        FPM=f"unix:{address}|fcgi://localhost/" if address.startswith("/") else f"fcgi://127.0.0.1:{address}",
    )
    return site.launcher.start("apache2", "-f", config, "-DFOREGROUND", port=port,
                               service=options.pop("service", "web"), **options)


def start_haproxy(site: Site, address: str, **options: Any) -> Program:
    port = free_port()
    config = site.config(
        TEMPLATES / "haproxy.cfg.template", PORT=port, SCRIPT=script(site),
        FPM=f"unix@{address}" if address.startswith("/") else f"127.0.0.1:{address}",
    )
    return site.launcher.start("haproxy", "-db", "-f", config, port=port, service=options.pop("service", "web"), **options)


@dataclass(frozen=True)
class Record:
    """One FastCGI record, byte for byte."""

    kind: int
    request: int
    content: bytes
    raw: bytes


class FastCgiUpstream(Listener):
    """A FastCGI application that no agent is in: keeps the records of each request, answers "ok"."""

    def __init__(self) -> None:
        self.seen: list[list[Record]] = []
        super().__init__(self._answer)
        self.address = str(self.port)

    def _answer(self, sock: socket.socket) -> None:
        records = self._records(Reader(sock))
        while True:
            request = [next(records)]
            while (request[-1].kind, request[-1].content) != (STDIN, b""):
                request.append(next(records))
            self.seen.append(request)
            number = request[0].request
            answer = b"Content-Type: text/plain\r\n\r\nok\n"
            sock.sendall(record(STDOUT, number, answer) + record(STDOUT, number) + record(END, number, bytes(8)))
            if not request[0].content[2] & 1:
                return

    def _records(self, reader: Reader) -> Iterator[Record]:
        while True:
            header = reader.exactly(8)
            _, kind, number, length, padding, _ = struct.unpack(">BBHHBB", header)
            rest = reader.exactly(length + padding)
            yield Record(kind, number, rest[:length], header + rest)


def record(kind: int, number: int, content: bytes = b"") -> bytes:
    return struct.pack(">BBHHBB", 1, kind, number, len(content), 0, 0) + content


def params(records: list[Record]) -> list[tuple[str, str]]:
    """The name-value pairs of a request, in order."""
    data = b"".join(record.content for record in records if record.kind == PARAMS)
    pairs = []
    while data:
        lengths = []
        for _ in range(2):
            if data[0] < 0x80:
                lengths.append(data[0])
                data = data[1:]
            else:
                lengths.append(struct.unpack(">I", data[:4])[0] & 0x7FFFFFFF)
                data = data[4:]
        name, value = data[:lengths[0]], data[lengths[0]:sum(lengths)]
        data = data[sum(lengths):]
        pairs.append((name.decode("latin-1"), value.decode("latin-1")))
    return pairs
