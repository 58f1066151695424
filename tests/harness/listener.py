"""A server in the tests' own process that hands each connection to a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Callable


class Listener:
    def __init__(self, serve: Callable[[socket.socket], object]) -> None:
        """`serve` is called with each connection, which is closed behind it; the peer's going away ends it."""
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
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
                self.connections += 1
                threading.Thread(target=self._handle, args=(sock,), daemon=True).start()

    def _handle(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(EOFError, OSError):
            self._serve(sock)
