"""ClickHouse: Debian's, which is of 2018. Its native protocol, also behind TLS, and its HTTP."""

from __future__ import annotations

from harness.databases.server import HOST, PASSWORD, USER, Server
from harness.ports import free_port
from harness.processes import accepts
from harness.tls import certificates

WITH_PASSWORD = "secret"  # the user; USER and `default` have none

CONFIG = """<yandex>
<logger><level>warning</level><console>1</console></logger>
<listen_host>{host}</listen_host><tcp_port>{port}</tcp_port><tcp_port_secure>{tls_port}</tcp_port_secure><http_port>{http_port}</http_port>
<openSSL><server><certificateFile>{cert}</certificateFile><privateKeyFile>{key}</privateKeyFile><verificationMode>none</verificationMode>
<loadDefaultCAFile>false</loadDefaultCAFile><cacheSessions>true</cacheSessions></server></openSSL>
<path>{directory}/data/</path><tmp_path>{directory}/tmp/</tmp_path><users_config>{directory}/users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database><mark_cache_size>67108864</mark_cache_size>
</yandex>"""
ACCOUNT = "<{name}><password>{password}</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></{name}>"


class ClickHouse(Server):
    name = "clickhouse"
    slow_to_end = True

    def prepare(self) -> None:
        self.tls_port, self.http_port = free_port(), free_port()
        made = certificates()
        (self.directory / "config.xml").write_text(CONFIG.format(
            host=HOST, port=self.port, tls_port=self.tls_port, http_port=self.http_port, cert=made.cert, key=made.key,
            directory=self.directory))
        accounts = "".join(ACCOUNT.format(name=name, password=password)
                           for name, password in (("default", ""), (USER, ""), (WITH_PASSWORD, PASSWORD)))
        (self.directory / "users.xml").write_text(
            "<yandex><profiles><default></default></profiles><quotas><default></default></quotas>"
            f"<users>{accounts}</users></yandex>")

    def command(self) -> list[str]:
        return ["clickhouse-server", f"--config-file={self.directory}/config.xml"]

    def serves(self) -> bool:
        """It says nothing on this level: the connections that are tried are closed without a byte."""
        return all(accepts(port) for port in (self.port, self.tls_port, self.http_port))
