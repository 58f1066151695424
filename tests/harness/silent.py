"""An HTTP/2 server that says its settings and nothing more."""

from __future__ import annotations

import contextlib
import socket
import threading

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


class SilentHttp2:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._read, args=(sock,), daemon=True).start()

    def _read(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.sendall(SETTINGS)
            while sock.recv(65536):
                pass
