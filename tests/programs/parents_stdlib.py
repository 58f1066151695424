"""A thread a connection, nothing but the standard library, as of Python 3.8: /def/WAY?id=.. calls UPSTREAM."""

import os
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

pool = ThreadPoolExecutor(40)


def call(query):
    urllib.request.urlopen("%s/echo?%s" % (os.environ["UPSTREAM"], query)).read()


def later(query):
    time.sleep(0.01)
    call(query)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        way = url.path.split("/")[-1]
        if way == "call":
            call(url.query)
        elif way == "submit":
            pool.submit(later, url.query).result()
        elif way == "thread":
            worker = threading.Thread(target=later, args=(url.query,))
            worker.start()
            worker.join()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
