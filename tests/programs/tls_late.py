"""Four threads: three send plain HTTP without a pause while the fourth imports ssl; then all send HTTPS.

Nothing may be imported here that imports ssl. PLAIN and SECURE are the ports of the two upstreams on localhost.
"""

import os
import socket
import sys
import threading

TURNS = 5  # HTTPS requests of each thread
started = threading.Barrier(4)
imported = threading.Event()
counts = [0] * 4


def exchange(sock: socket.socket, name: str) -> None:
    host = f"localhost:{sock.getpeername()[1]}"
    sock.sendall(f"GET /echo?id={name} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)


def secure(number: int) -> None:
    import ssl

    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", int(os.environ["SECURE"]))) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as sock:
            for turn in range(TURNS):
                exchange(sock, f"s{number}-{turn}")


def plain(number: int) -> None:
    with socket.create_connection(("127.0.0.1", int(os.environ["PLAIN"]))) as sock:
        exchange(sock, f"p{number}-0")
        counts[number] = 1
        started.wait()
        while not imported.is_set():
            exchange(sock, f"p{number}-{counts[number]}")
            counts[number] += 1
        exchange(sock, f"p{number}-{counts[number]}")  # one that surely comes after
        counts[number] += 1
    secure(number)


def importer(number: int) -> None:
    started.wait()
    assert "ssl" not in sys.modules and "_ssl" not in sys.modules
    import ssl  # noqa: F401

    imported.set()
    secure(number)


threads = [threading.Thread(target=target, args=(number,))
           for number, target in enumerate((importer, plain, plain, plain))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*counts[1:])
