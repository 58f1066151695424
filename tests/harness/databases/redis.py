"""Redis: in the clear, behind TLS, on a Unix socket."""

from __future__ import annotations

from harness.databases.server import HOST, PASSWORD, Server
from harness.ports import free_port
from harness.tls import certificates

ACL_USER = "acl"  # has a password; the default user has one when it is required
NODE = "0123456789abcdef" * 2 + "01234567"


class Redis(Server):
    """`requirepass`: the default user has the password. `cluster`: the only node of one, with all slots.
    `replica_of`: copies that server."""

    name = "redis"
    ready = b"Ready to accept connections"

    def __init__(self, *options: str, requirepass: bool = False, cluster: bool = False, replica_of: Redis | None = None,
                 **rest) -> None:
        self.requirepass, self.cluster, self.replica_of = requirepass, cluster, replica_of
        if cluster:  # not before it has waited two seconds
            self.ready = b"Cluster state changed: ok"
        elif replica_of:
            self.ready = b"sync: Finished with success"
        super().__init__(*options, **rest)

    def prepare(self) -> None:
        self.tls_port = free_port()
        if self.cluster:
            self._bus = free_port()
            (self.directory / "nodes.conf").write_text(
                f"{NODE} {HOST}:{self.port}@{self._bus} myself,master - 0 0 1 connected 0-16383\n"
                "vars currentEpoch 1 lastVoteEpoch 0\n")

    def command(self) -> list[str]:
        made = certificates()
        words = [
            "redis-server", "--bind", HOST, "--port", self.port, "--dir", self.directory, "--save", "",
            "--unixsocket", self.socket, "--unixsocketperm", "777", "--repl-diskless-sync-delay", "0",
            "--tls-port", self.tls_port, "--tls-cert-file", made.cert, "--tls-key-file", made.key,
            "--tls-ca-cert-file", made.ca, "--tls-auth-clients", "no",
            "--user", ACL_USER, "on", f">{PASSWORD}", "~*", "&*", "+@all",
        ]
        if self.requirepass:
            words += ["--requirepass", PASSWORD]
        if self.cluster:
            words += ["--cluster-enabled", "yes", "--cluster-port", self._bus]
        if self.replica_of:
            words += ["--replicaof", HOST, self.replica_of.port]
            if self.replica_of.requirepass:
                words += ["--masterauth", PASSWORD]
        return [str(word) for word in words]
