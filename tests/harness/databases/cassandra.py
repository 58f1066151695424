"""Cassandra, from Maven's artifacts, as one node that is the whole cluster. It takes some eight seconds to start."""

from __future__ import annotations

import json
from pathlib import Path

from harness.databases.server import HOST, PASSWORD, USER, Server
from harness.ports import free_port
from harness.processes import CACHE
from harness.tls import certificates

LIBRARIES = CACHE / "java-cassandra"

# What it does with the JDK's inner parts, and only from Java 9 on has to ask for.
OPENED = ("java.io java.lang java.lang.reflect java.nio java.util java.util.concurrent java.util.concurrent.atomic "
          "jdk.internal.misc jdk.internal.ref sun.nio.ch").split()
EXPORTED = ("java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch java.rmi/sun.rmi.registry "
            "java.rmi/sun.rmi.server java.rmi/sun.rmi.transport.tcp java.management.rmi/com.sun.jmx.remote.internal.rmi "
            "jdk.attach/sun.tools.attach jdk.unsupported/sun.misc").split()

LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>
<pattern>%level %logger{0} %msg%n</pattern></encoder></appender><root level="INFO"><appender-ref ref="out"/></root></configuration>"""


class Cassandra(Server):
    """TLS and clear text on one port. `auth`: everybody must log in; the user is made by a connection to it."""

    name = "cassandra"
    ready = b"CassandraDaemon Startup complete"
    slow_to_end = True

    def __init__(self, *options: str, auth: bool = False, **rest) -> None:
        self.auth = auth
        if auth:
            self.ready = b"Created default superuser role"
        super().__init__(*options, **rest)

    def prepare(self) -> None:
        data, inner = self.directory / "data", free_port()
        settings = {
            "cluster_name": "tests", "num_tokens": 1, "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "listen_address": HOST, "storage_port": inner, "rpc_address": HOST,
            "start_native_transport": True, "native_transport_port": self.port,
            "endpoint_snitch": "SimpleSnitch", "auto_snapshot": False, "disk_optimization_strategy": "ssd",
            "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                               "parameters": [{"seeds": f"{HOST}:{inner}"}]}],
            "data_file_directories": [str(data / "data")], "commitlog_directory": str(data / "commitlog"),
            "saved_caches_directory": str(data / "caches"), "hints_directory": str(data / "hints"),
            "cdc_raw_directory": str(data / "cdc"), "commitlog_sync": "periodic", "commitlog_sync_period": "10000ms",
            "commitlog_total_space": "64MiB", "commitlog_segment_size": "8MiB",
            "memtable_heap_space": "32MiB", "memtable_offheap_space": "32MiB",
            "client_encryption_options": {
                "enabled": True, "optional": True, "keystore": str(certificates().both),
                "ssl_context_factory": {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"},
            },
        }
        if self.auth:
            settings |= {"authenticator": "PasswordAuthenticator", "role_manager": "CassandraRoleManager"}
        (self.directory / "cassandra.yaml").write_text(json.dumps(settings))
        (self.directory / "logback.xml").write_text(LOGBACK)

    def command(self) -> list[str]:
        properties = {
            "cassandra.config": f"file://{self.directory}/cassandra.yaml", "cassandra.storagedir": self.directory / "data",
            "logback.configurationFile": self.directory / "logback.xml", "jdk.attach.allowAttachSelf": "true",
            "cassandra.boot_without_jna": "true", "cassandra.superuser_setup_delay_ms": 0, "cassandra.ring_delay_ms": 1,
            "cassandra.skip_wait_for_gossip_to_settle": 0, "cassandra-foreground": "yes",  # else it closes its output
        }
        return [
            "java", "-Xmx512m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",  # a short life
            *(f"-D{name}={value}" for name, value in properties.items()),
            *(word for package in OPENED for word in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")),
            *(word for package in EXPORTED for word in ("--add-exports", f"{package}=ALL-UNNAMED")),
            "-cp", f"{LIBRARIES}/*", "org.apache.cassandra.service.CassandraDaemon",
        ]

    def started(self) -> None:
        if not self.auth:
            return
        from cassandra.auth import PlainTextAuthProvider
        from cassandra.cluster import Cluster

        first = PlainTextAuthProvider("cassandra", "cassandra")  # whom every new cluster has
        with Cluster([HOST], port=self.port, auth_provider=first) as cluster:
            cluster.connect().execute(f"CREATE ROLE {USER} WITH PASSWORD = '{PASSWORD}' AND LOGIN = true AND SUPERUSER = true")
