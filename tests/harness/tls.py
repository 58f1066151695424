"""TLS without an agent in it: certificates of one run, an upstream, a client, a proxy for tunnels."""

from __future__ import annotations

import atexit
import contextlib
import functools
import http.client
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping

from harness import client
from harness.listener import Listener
from harness.upstream import Reader, Upstream

HOST = "localhost"


@dataclass(frozen=True)
class Certificates:
    """PEM files: a CA, and a server certificate for localhost and the loopback addresses that it signed."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def cert(self) -> Path:
        return self.directory / "server.pem"

    @property
    def key(self) -> Path:
        return self.directory / "server.key"

    @property
    def both(self) -> Path:
        """Certificate and key in one file, as haproxy wants them."""
        return self.directory / "both.pem"

    @property
    def env(self) -> dict[str, str]:
        """What makes programs trust the CA, each by its own variable, and where servers find their certificate."""
        trust = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")
        return {**dict.fromkeys(trust, str(self.ca)), "TLS_CERT": str(self.cert), "TLS_KEY": str(self.key)}

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        context.sslsocket_class = _Polite
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


class _Polite(ssl.SSLSocket):
    """Says goodbye when closed: for OpenSSL 3 an answer that ends without close_notify is an error."""

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.settimeout(0)  # the peer's own goodbye is not waited for
            self.unwrap()
        super().close()


@functools.cache
def certificates() -> Certificates:
    """Made once a process, gone with it. Readable by every user: workers of some servers are not root."""
    directory = Path(tempfile.mkdtemp(prefix="tls-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    made = Certificates(directory)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    ca_key = directory / "ca.key"
    _openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", made.ca, "-subj", "/CN=tests CA",
             "-addext", "keyUsage=critical,keyCertSign")
    _openssl("req", "-x509", *curve, "-keyout", made.key, "-out", made.cert, "-subj", f"/CN={HOST}",
             "-CA", made.ca, "-CAkey", ca_key, "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1,IP:::1",
             "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
    made.both.write_bytes(made.cert.read_bytes() + made.key.read_bytes())
    for path in directory.iterdir():
        path.chmod(0o644)
    return made


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TlsUpstream(Upstream):
    """The upstream behind TLS. What it keeps are the bytes after decryption."""

    def __post_init__(self) -> None:
        self._context = certificates().server_context()
        super().__post_init__()

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):  # a client that only wanted to see whether somebody listens
            sock.settimeout(20)
            secure = self._context.wrap_socket(sock, server_side=True)
            secure.settimeout(None)
            super()._serve(secure, number)


@dataclass(frozen=True)
class Reply(client.Reply):
    local_port: int  # the port that the request came from


class Connection:
    """A keep-alive HTTPS connection to a program of this machine."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self._http = http.client.HTTPSConnection(HOST, port, timeout=timeout, context=certificates().client_context())
        self._http._create_connection = lambda _, *rest: socket.create_connection(("127.0.0.1", port), *rest)
        self._http.connect()
        self.local_port = self._http.sock.getsockname()[1]
        self._http.auto_open = 0  # a connection that was lost is an error, not a reason for another one

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def sock(self) -> ssl.SSLSocket:
        return self._http.sock

    def exchange(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET",
                 body: bytes | None = None) -> Reply:
        self._http.request(method, path, body, {"User-Agent": client.USER_AGENT, **(headers or {})})
        response = self._http.getresponse()
        data = response.read()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, data, self.local_port)


def get(port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET",
        body: bytes | None = None) -> Reply:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        return connection.exchange(path, headers, method, body)


def get_many(port: int, paths: list[str], at_once: int = 20) -> list[Reply]:
    """All paths, so many at once."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda path: get(port, path), paths))


def control(port: int) -> Callable[[str], object]:
    """The positive control of `assert_exactly` for a TLS server."""
    return lambda path: get(port, path)


class ConnectProxy(Listener):
    """An HTTP proxy that does nothing but tunnels."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        super().__init__(self._tunnel)

    def _tunnel(self, sock: socket.socket) -> None:
        reader = Reader(sock)
        head = reader.until(b"\r\n\r\n")
        self.heads.append(head)
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as inner:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            inner.sendall(reader.buffer)
            back = threading.Thread(target=_pump, args=(inner, sock), daemon=True)
            back.start()
            _pump(sock, inner)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
