"""FerretDB, which speaks MongoDB's protocol and keeps its documents in SQLite."""

from __future__ import annotations

from harness.databases.server import HOST, PASSWORD, USER, Server
from harness.ports import free_port
from harness.processes import CACHE
from harness.tls import certificates


class FerretDb(Server):
    """`auth`: everybody must prove who he is (SCRAM-SHA-1, SCRAM-SHA-256); else nobody."""

    name = "ferretdb"
    slow_to_end = True

    def __init__(self, *options: str, auth: bool = False, **rest) -> None:
        self.auth = auth
        super().__init__(*options, **rest)

    def prepare(self) -> None:
        self.tls_port = free_port()
        (self.directory / "data").mkdir()

    def command(self) -> list[str]:
        made = certificates()
        options = {
            "handler": "sqlite", "sqlite-url": f"file:{self.directory}/data/", "state-dir": self.directory,
            "listen-addr": f"{HOST}:{self.port}", "listen-unix": self.socket, "listen-tls": f"{HOST}:{self.tls_port}",
            "listen-tls-cert-file": made.cert, "listen-tls-key-file": made.key, "debug-addr": "-", "telemetry": "disable",
        }
        if self.auth:
            options |= {"setup-username": USER, "setup-password": PASSWORD, "setup-database": "admin"}
        words = [f"--{name}={value}" for name, value in options.items()]
        return [str(CACHE / "ferretdb"), *words, *(["--test-enable-new-auth"] if self.auth else [])]

    def serves(self) -> bool:
        return self.log.count(b"Listening on ") == 3
