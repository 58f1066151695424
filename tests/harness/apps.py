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
from harness.tls import HOST, certificates

APACHE_MODULES = "/usr/lib/apache2/modules"
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
    "puma": ["puma", "-C", APPS / "ruby/puma.rb"],
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

    def start_nginx(self, upstream_port: int = 9, keepalive: int = 0, workers: int = 1, tls: bool = False,
                    upstream_tls: bool = False, listen: str = "", tls_options: str = "", http: str = "",
                    location: str = "", upstream: str = "", **options: Any) -> Program:
        """`tls` is the server's side, `upstream_tls` the proxy's; the other texts are nginx's words."""
        port, files = free_port(), certificates()
        config = self.config(
            APPS / "nginx/nginx.conf.template", PORT=port, UPSTREAM=f"127.0.0.1:{upstream_port}", WORKERS=workers,
            KEEPALIVE=f"{upstream} keepalive {keepalive};" if keepalive else upstream, HTTP=http, LOCATION=location, USER="user root;" if os.getuid() == 0 else "",
            LISTEN=f"{'ssl ' if tls else ''}{listen}", SCHEME="https" if upstream_tls else "http",
            TLS=f"ssl_certificate {files.cert}; ssl_certificate_key {files.key}; {tls_options}" if tls else "",
            PROXY_TLS="proxy_ssl_verify on; proxy_ssl_server_name on; "
                      f"proxy_ssl_name {HOST}; proxy_ssl_trusted_certificate {files.ca};" if upstream_tls else "",
        )
        return self.launcher.start("nginx", "-p", self.directory, "-c", config, "-e", "stderr", port=port, **options)

    def start_apache(self, mpm: str, upstream_port: int = 9, tls: bool = False, upstream_tls: bool = False,
                     scheme: str = "", directives: list[str] | None = None, **options: Any) -> Program:
        """`scheme` is the upstream's, where it is none of HTTP/1."""
        port, files = free_port(), certificates()
        words = list(directives or [])
        if tls:
            words += ["SSLEngine on", f"SSLCertificateFile {files.cert}", f"SSLCertificateKeyFile {files.key}"]
        if upstream_tls:
            words += ["SSLProxyEngine on", "SSLProxyVerify require", f"SSLProxyCACertificateFile {files.ca}",
                      "SSLProxyCheckPeerName off"]  # it knows names only, and the upstream is an address
        config = self.config(
            APPS / "apache/httpd.conf.template", PORT=port, UPSTREAM=f"127.0.0.1:{upstream_port}", MPM=mpm,
            MODULES=APACHE_MODULES, SCHEME=scheme or ("https" if upstream_tls else "http"), TLS="\n".join(words),
        )
        return self.launcher.start("apache2", "-f", config, "-DFOREGROUND",
                                   port=port, **options)

    def start_haproxy(self, upstream_port: int = 9, tls: bool = False, upstream_tls: bool = False,
                      mode: str = "http", master: bool = False, server: str = "", backend: str = "", bind: str = "",
                      **options: Any) -> Program:
        """`master`: a process that starts the ones which serve; `server`, `backend`, `bind`: more of haproxy's words."""
        port, files = free_port(), certificates()
        config = self.config(
            APPS / "haproxy/haproxy.cfg.template", PORT=port, MODE=mode, UPSTREAM=f"127.0.0.1:{upstream_port}",
            BIND=f"{f'ssl crt {files.both}' if tls else ''} {bind}", BACKEND=backend,
            SERVER=f"{server} ssl verify required ca-file {files.ca} sni str({HOST}) verifyhost {HOST}" if upstream_tls else server,
        )
        return self.launcher.start("haproxy", "-W" if master else "-db", "-f", config, port=port, **options)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
