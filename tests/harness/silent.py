"""An HTTP/2 server that says its settings and nothing more."""

from __future__ import annotations

import socket

from harness.listener import Listener

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


class SilentHttp2(Listener):
    def __init__(self) -> None:
        super().__init__(self._read)

    def _read(self, sock: socket.socket) -> None:
        sock.sendall(SETTINGS)
        while sock.recv(65536):
            pass
