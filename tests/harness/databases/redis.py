"""Redis: in the clear, behind TLS, on a Unix socket; alone, copied, and as a cluster."""

from __future__ import annotations

import contextlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Iterator

from harness.databases.server import HOST, PASSWORD, READY, Server
from harness.ports import free_port
from harness.processes import wait_until
from harness.tls import certificates

ACL_USER = "acl"  # has a password; the default user has one when it is required


@dataclass
class Node:
    """A server's place in a cluster: the slots that it has, or the node that it copies."""

    id: str
    slots: str = ""
    copies: Node | None = None
    port: int = field(default_factory=free_port)
    bus: int = field(default_factory=free_port)

    def line(self, me: Node) -> str:
        flags = ("myself," if self is me else "") + ("slave" if self.copies else "master")
        of = self.copies.id if self.copies else "-"
        return f"{self.id} {HOST}:{self.port}@{self.bus} {flags} {of} 0 0 {int(self.id[0], 16)} connected {self.slots}".rstrip() + "\n"


class Redis(Server):
    """`requirepass`: the default user has the password. `cluster`: the only node of one, with all slots, or the first of
    these nodes. `replica_of`: copies that server."""

    name = "redis"
    ready = b"Ready to accept connections"

    def __init__(self, *options: str, requirepass: bool = False, cluster: bool | list[Node] = False, replica_of: Redis | None = None,
                 **rest) -> None:
        self.requirepass, self.replica_of = requirepass, replica_of
        self.cluster = [Node("1" * 40, "0-16383")] if cluster is True else cluster or []
        super().__init__(*options, **rest)

    def prepare(self) -> None:
        self.tls_port = free_port()
        if self.cluster:
            me = self.node
            self.port = me.port
            lines = "".join(node.line(me) for node in self.cluster)
            (self.directory / "nodes.conf").write_text(f"{lines}vars currentEpoch {len(self.cluster)} lastVoteEpoch 0\n")

    def serves(self) -> bool:
        said = [self.ready]
        if self.cluster:  # not before it has waited two seconds
            said.append(b"Cluster state changed: ok")
        if self.replica_of or (self.cluster and self.node.copies):
            said.append(b"sync: Finished with success")
        return all(words in self.log for words in said)

    @property
    def node(self) -> Node:
        """Its place in the cluster."""
        return self.cluster[0]

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
            words += ["--cluster-enabled", "yes", "--cluster-port", self.node.bus]
        if self.replica_of:
            words += ["--replicaof", HOST, self.replica_of.port]
            if self.replica_of.requirepass:
                words += ["--masterauth", PASSWORD]
        return [str(word) for word in words]


@contextlib.contextmanager
def cluster() -> Iterator[tuple[Redis, Redis, Redis]]:
    """Three nodes: each of two has half of the slots, the third copies the first."""
    first, second = Node("1" * 40, "0-8191"), Node("2" * 40, "8192-16383")
    nodes = [first, second, Node("3" * 40, copies=first)]

    def start(me: Node) -> Redis:
        return stack.enter_context(Redis(cluster=[me, *(node for node in nodes if node is not me)]))

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(nodes)) as pool:
        servers = tuple(pool.map(start, nodes))
        # A replica counts as one when it has copied something and the others have heard of it.
        ask(servers[0], "SET", "k3", "copied")
        for server in servers:
            wait_until(lambda: str(servers[2].port).encode() in ask(server, "CLUSTER", "SLOTS"), READY, server.program.describe)
        yield servers


def ask(server: Redis, *words: object) -> bytes:
    """What redis-cli, without the agent, is told by the server."""
    done = subprocess.run(["redis-cli", "-p", str(server.port), *map(str, words)], capture_output=True)
    assert done.returncode == 0 and not done.stdout.startswith(b"ERR"), done.stdout + done.stderr
    return done.stdout
