"""In place of a Microsoft SQL Server, which is not to be had: `tds_server.py`."""

from __future__ import annotations

from pathlib import Path

from harness.databases.server import PASSWORD, Server
from harness.processes import PYTHON
from harness.tls import certificates

USER = "secret"  # there is no other


class SqlServer(Server):
    name = "sqlserver"
    ready = b"ready"
    slow_to_end = True

    def command(self) -> list[str | Path]:
        made = certificates()
        program = Path(__file__).with_name("tds_server.py")
        return [PYTHON, program, str(self.port), made.cert, made.key, self.directory / "store", USER, PASSWORD]

    def close(self) -> None:
        log = self.log if self.program else b""
        super().close()
        assert b"Traceback" not in log, log.decode()
