"""The demo apps as running programs."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.ports import free_port
from harness.processes import APPS, CACHE, PYTHON, Launcher, Program

GUNICORN = str(CACHE / "venv/bin/gunicorn")

COMMANDS: dict[str, list[str | Path]] = {
    "flask": [PYTHON, APPS / "python/app.py"],
    "django": [PYTHON, APPS / "python/django_app.py", "runserver", "127.0.0.1:{port}"],
    "gunicorn-sync": [GUNICORN, "app:app", "--chdir", APPS / "python", "-b", "127.0.0.1:{port}", "-w", "4"],
    "gunicorn-gthread": [GUNICORN, "app:app", "--chdir", APPS / "python", "-b", "127.0.0.1:{port}",
                         "-w", "2", "-k", "gthread", "--threads", "10"],
    "node": ["node", APPS / "node/server.js"],
    "express": ["node", APPS / "node/express.js"],
    "java": ["java", "-XX:+UseSerialGC", "-Xmx128m", "-cp", CACHE / "java", "DemoServer"],
    "php": ["php", "-S", "127.0.0.1:{port}", APPS / "php/router.php"],
    "ruby": ["ruby", APPS / "ruby/server.rb"],
}



def start(launcher: Launcher, app: str, upstream: str = "", port: int = 0, **options: Any) -> Program:
    """Starts a demo app on a free port; `options` as for `Launcher.start`."""
    port = port or free_port()
    env = {**({"UPSTREAM": upstream} if upstream else {}), **options.pop("env", {})}
    argv = [str(word).format(port=port) for word in COMMANDS[app]]
    return launcher.start(*argv, port=port, env=env, **options)


@dataclass
class Site:
    """A configured nginx or Apache with a directory of its own that its workers, another user, can read."""

    launcher: Launcher
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="site-")))

    def __post_init__(self) -> None:
        self.directory.chmod(0o755)
        (self.directory / "static").mkdir()

    def add_file(self, name: str, data: bytes) -> None:
        (self.directory / "static" / name).write_bytes(data)

    def config(self, template: Path, **values: object) -> Path:
        text = template.read_text()
        for name, value in {"ROOT": self.directory, **values}.items():
            text = text.replace(f"@{name}@", str(value))
        path = self.directory / template.name.removesuffix(".template")
        path.write_text(text)
        return path

    def start_nginx(self, upstream_port: int = 9, keepalive: int = 0, workers: int = 1, **options: Any) -> Program:
        port = free_port()
        config = self.config(
            APPS / "nginx/nginx.conf.template", PORT=port, UPSTREAM=f"127.0.0.1:{upstream_port}", WORKERS=workers,
            KEEPALIVE=f"keepalive {keepalive};" if keepalive else "", USER="user root;" if os.getuid() == 0 else "",
        )
        return self.launcher.start("nginx", "-p", self.directory, "-c", config, "-e", "stderr", port=port, **options)

    def start_apache(self, mpm: str, upstream_port: int = 9, **options: Any) -> Program:
        port = free_port()
        config = self.config(
            APPS / "apache/httpd.conf.template", PORT=port, UPSTREAM=f"127.0.0.1:{upstream_port}", MPM=mpm,
            MODULES="/usr/lib/apache2/modules",
        )
        return self.launcher.start("apache2", "-f", config, "-DFOREGROUND",
                                   port=port, **options)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
