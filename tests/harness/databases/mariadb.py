"""MariaDB, with TLS for those who ask for it."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from harness.databases.server import HOST, PASSWORD, USER, Server, own, run
from harness.tls import certificates

ACCOUNT = "mysql"

# The plugins by which a user proves who he is, each with a user of their name; USER has no password.
METHODS = {"native": "mysql_native_password", "ed25519": "ed25519"}

USERS = [
    f"CREATE OR REPLACE USER {USER}@'%';",
    *(f"CREATE OR REPLACE USER {user}@'%' IDENTIFIED VIA {plugin} USING PASSWORD('{PASSWORD}');" for user, plugin in METHODS.items()),
    *(f"GRANT ALL ON *.* TO {user}@'%' WITH GRANT OPTION;" for user in (USER, *METHODS)),
    "CREATE DATABASE IF NOT EXISTS tests;",
]


class MariaDb(Server):
    name = "mariadb"
    account = ACCOUNT
    ready = b"ready for connections"
    database = "tests"

    def prepare(self) -> None:
        shutil.copytree(template(), self.directory / "data")
        (self.directory / "tmp").mkdir()
        (self.directory / "users.sql").write_text("\n".join(USERS) + "\n")

    def command(self) -> list[str | Path]:
        made = certificates()
        settings = {
            "datadir": self.directory / "data", "tmpdir": self.directory / "tmp", "socket": self.socket, "port": self.port, "bind-address": HOST,
            "pid-file": self.directory / "pid", "init-file": self.directory / "users.sql", "plugin-load-add": "auth_ed25519",
            "ssl-cert": made.cert, "ssl-key": made.key, "ssl-ca": made.ca, "skip-name-resolve": 1,
            "innodb-flush-log-at-trx-commit": 0, "innodb-buffer-pool-size": "16M", "innodb-fast-shutdown": 2,
            "innodb-buffer-pool-dump-at-shutdown": 0,
        }
        return ["mariadbd", "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]


@functools.cache
def template() -> Path:
    """An empty data directory, made once a process."""
    directory = Path(tempfile.mkdtemp(prefix="mariadb-template-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    # One of its own: a server that starts removes all temporary tables that it finds.
    (directory / "tmp").mkdir()
    own(directory, ACCOUNT)
    run(ACCOUNT, "mariadb-install-db", "--no-defaults", f"--datadir={directory}/data", f"--tmpdir={directory}/tmp", "--skip-test-db",
        "--skip-name-resolve", "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M",
        "--aria-log-file-size=8M")
    return directory / "data"
