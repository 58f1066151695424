"""PostgreSQL, with TLS for those who ask for it. It refuses to run as root, so it then runs as the user `postgres`."""

from __future__ import annotations

import atexit
import functools
import shutil
import signal
import tempfile
from pathlib import Path

from harness.databases.server import HOST, PASSWORD, USER, Server, own, run
from harness.tls import certificates

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=Path())
ACCOUNT = "postgres"

# The ways to prove who one is that have a user of their name each; everybody else is believed.
METHODS = {"scram": "scram-sha-256", "md5": "md5", "cleartext": "password"}


class Postgres(Server):
    name = "postgresql"
    account = ACCOUNT
    ready = b"database system is ready to accept connections"
    end = signal.SIGINT  # the shutdown that does not wait for clients
    database = "postgres"

    def prepare(self) -> None:
        for name in ("cert", "key"):
            shutil.copy(getattr(certificates(), name), self.directory / name)
        (self.directory / "key").chmod(0o600)
        shutil.copytree(template(), self.directory / "data", symlinks=True)

    def command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": HOST, "port": self.port, "unix_socket_directories": self.directory, "fsync": "off",
            "ssl": "on", "ssl_cert_file": self.directory / "cert", "ssl_key_file": self.directory / "key",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [PROGRAMS / "postgres", "-D", self.directory / "data", *words]

    @property
    def socket(self) -> Path:
        return self.directory / f".s.PGSQL.{self.port}"

    @property
    def address(self) -> str:
        return f"host={HOST} port={self.port} user={USER} dbname={self.database}"

    def url(self, user: str = USER, sslmode: str = "disable") -> str:
        """With the password of those who have one; `sslmode` is libpq's."""
        secret = f":{PASSWORD}" if user in METHODS else ""
        return f"postgresql://{user}{secret}@{HOST}:{self.port}/{self.database}?sslmode={sslmode}"


@functools.cache
def template() -> Path:
    """A data directory with the users, made once a process."""
    directory = Path(tempfile.mkdtemp(prefix="postgresql-template-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    own(directory, ACCOUNT)
    data = directory / "data"
    run(ACCOUNT, PROGRAMS / "initdb", "-A", "trust", "-U", USER, "--no-sync", "--no-locale", "-E", "UTF8", "-D", data)
    statements = []
    for user, method in METHODS.items():
        kept = "md5" if method == "md5" else "scram-sha-256"
        statements += [f"SET password_encryption = '{kept}';", f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{PASSWORD}';"]
    run(ACCOUNT, PROGRAMS / "postgres", "--single", "-D", data, "postgres", stdin="\n".join(statements) + "\n")
    rules = [(user, method) for user, method in METHODS.items()] + [("all", "trust")]
    lines = [f"local all {user} {method}\nhost all {user} {HOST}/32 {method}\n" for user, method in rules]
    (data / "pg_hba.conf").write_text("".join(lines))
    return data
