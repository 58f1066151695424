"""memcached: in the clear and behind TLS, or on a Unix socket."""

from __future__ import annotations

from harness.databases.server import HOST, PASSWORD, USER, Server
from harness.ports import free_port
from harness.processes import accepts
from harness.tls import certificates


class Memcached(Server):
    """`unix`: only the socket. `auth`: clients of the text protocol must say user and password first."""

    name = "memcached"
    account = "memcache"
    slow_to_end = True

    def __init__(self, *options: str, unix: bool = False, auth: bool = False, **rest) -> None:
        self.unix, self.auth = unix, auth
        super().__init__(*options, **rest)

    def prepare(self) -> None:
        self.tls_port = free_port()
        if self.auth:
            (self.directory / "users").write_text(f"{USER}:{PASSWORD}\n")

    def command(self) -> list[str]:
        made = certificates()
        if self.unix:
            words = ["-s", str(self.socket), "-a", "0777"]
        else:
            words = ["-U", "0", "-l", f"notls:{HOST}:{self.port},{HOST}:{self.tls_port}", "-Z",
                     "-o", f"ssl_chain_cert={made.cert},ssl_key={made.key}"]
        if self.auth:
            words += ["-Y", str(self.directory / "users")]
        return ["memcached", *words]

    def serves(self) -> bool:
        """It says nothing: the connections that are tried are closed without a byte."""
        return self.socket.exists() if self.unix else accepts(self.port) and accepts(self.tls_port)
