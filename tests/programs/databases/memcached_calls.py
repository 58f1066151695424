"""An HTTP server, a thread a request, that asks memcached: /WAY?id=.. runs the function of that name and answers with what it gives.

MEMCACHED: host:port or the path of a socket; MEMCACHED_TLS: host:port, MEMCACHED_CA. Values hold the word that must not be seen.
"""

import json
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pylibmc
import pymemcache
from pymemcache.client.base import PooledClient

SECRET = os.environ["SECRET"]
WHERE = os.environ["MEMCACHED"]
POOL = PooledClient(WHERE, max_pool_size=4, default_noreply=False)
TURNS = threading.Semaphore(4)  # the pool does not wait for a free one


def commands(number):
    client = pymemcache.Client(WHERE, default_noreply=False)
    done = [
        client.set("name", SECRET + "\r\nget other", expire=60),
        client.get("name"),
        client.get("absent"),
        client.get_many(["name", "second", "third"]),
        client.set_many({"one": SECRET, "two": SECRET}),
        client.add("name", SECRET),
        client.append("name", SECRET),
        client.gets("name")[0] != b"",
        client.incr("absent", 5),
        client.touch("name", 60),
        client.delete("name"),
        client.set("later", SECRET, noreply=True),
        client.get("later"),
    ]
    try:
        client.incr("later", 5)
    except pymemcache.MemcacheClientError as error:
        done.append(str(error))
    client.close()
    return done


def meta(number):
    client = pymemcache.Client(WHERE)
    done = [
        client.raw_command(b"ms name 3 T60\r\nabc", b"\r\n"),
        client.raw_command(b"mg name v q\r\nmg absent v q\r\nmn", b"MN\r\n"),
        client.raw_command(b"md name", b"\r\n"),
    ]
    client.close()
    return done


def libmemcached(number, **behaviors):
    client = pylibmc.Client([WHERE], **behaviors)
    done = [client.set("name", SECRET), client.get("name"), sorted(client.get_multi(["name", "absent"])), client.delete("name")]
    client.disconnect_all()
    return done


def binary(number):
    return libmemcached(number, binary=True)


def pooled(number):
    key = f"item-{number}"
    with TURNS:
        POOL.set(key, f"{SECRET}{number}")
    with TURNS:
        return POOL.get(key).decode().removeprefix(SECRET) == number


def tls(number):
    context = ssl.create_default_context(cafile=os.environ["MEMCACHED_CA"])
    client = pymemcache.Client(os.environ["MEMCACHED_TLS"], default_noreply=False, tls_context=context)
    done = [client.set("secure", SECRET), client.get("secure").decode()]
    client.close()
    return done


WAYS = {way.__name__: way for way in (commands, meta, libmemcached, binary, pooled, tls)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        way = WAYS.get(url.path.strip("/"))
        number = parse_qs(url.query).get("id", ["0"])[0]
        body = json.dumps(way(number) if way else None, default=bytes.decode).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 100
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
