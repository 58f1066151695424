"""A server that ends while its threads are at work: daemon threads in a read, in a write, and waiting for the interpreter."""

import http.client
import http.server
import os
import sys
import threading

PORT = int(os.environ.get("PORT", "0"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
served = threading.Semaphore(0)


def visit():
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        while True:
            connection.request("GET", "/")
            connection.getresponse().read()
            served.release()
    except (OSError, http.client.HTTPException, AttributeError, TypeError):
        pass  # what a daemon thread meets while the interpreter goes away


sys.setswitchinterval(1e-4)
for _ in range(8):
    threading.Thread(target=visit, daemon=True).start()
for _ in range(100):
    served.acquire()
sum(range(300000))  # nobody else gets the interpreter's lock often meanwhile
print("done", flush=True)
