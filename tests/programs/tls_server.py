"""http.server behind TLS, a thread a connection.

/echo?id=&delay=   the headers of the request       /fetch?id=   calls UPSTREAM/echo by the library LIBRARY
POST /blob         hashes of what came and of what goes back, which is as long and something else
"""

import hashlib
import json
import os
import random
import ssl
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tls_clients import LIBRARIES


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/fetch":
            (upstream,) = LIBRARIES[os.environ.get("LIBRARY", "requests")](
                [(f"{os.environ['UPSTREAM']}/echo?{url.query}", None)]
            )
            answer = {"id": query.get("id"), "upstream": json.loads(upstream)}
        else:
            time.sleep(int(query.get("delay", 0)) / 1000)
            answer = {"id": query.get("id"), "headers": {name.lower(): value for name, value in self.headers.items()}}
        self.answer(json.dumps(answer).encode(), {})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        answer = random.randbytes(len(data))
        self.answer(answer, {"X-Received": hashlib.sha256(data).hexdigest(), "X-Sent": hashlib.sha256(answer).hexdigest()})

    def answer(self, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
