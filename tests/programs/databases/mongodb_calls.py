"""An HTTP server that asks MongoDB by pymongo: /WAY?id=.. runs the function of that name and answers with what it gives.

With ASYNC set it is aiohttp's and AsyncMongoClient's, else a thread a request and MongoClient. MONGODB: the URL. What is stored
holds the word that must not be seen.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pymongo
from pymongo.errors import BulkWriteError, OperationFailure

SECRET = os.environ["SECRET"]
URL = os.environ["MONGODB"]
PORT = int(os.environ["PORT"])


def commands(number):
    with pymongo.MongoClient(URL, heartbeatFrequencyMS=500) as client:
        items = client.shop[f"items{os.getpid()}"]
        done = [
            items.insert_one({"_id": 0, "text": SECRET}).inserted_id,
            len(items.insert_many([{"_id": n, "text": SECRET} for n in range(1, 5)]).inserted_ids),
            len(list(items.find({"text": SECRET}, batch_size=2))),
            items.find_one({"_id": 7}),
            items.update_one({"_id": 1}, {"$set": {"text": SECRET * 2}}).modified_count,
            list(items.aggregate([{"$count": "all"}]))[0]["all"],
            items.delete_many({"text": SECRET}).deleted_count,
            client.admin.command("ping")["ok"],
        ]
        for wrong in (lambda: items.insert_one({"_id": 1}), lambda: client.shop.command("nonsense", SECRET)):
            try:
                wrong()
            except (BulkWriteError, OperationFailure, pymongo.errors.DuplicateKeyError) as error:
                done.append(error.code)
        items.drop()
    return done


def large(number):
    """More than a megabyte there and back, in one document and in many."""
    with pymongo.MongoClient(URL) as client:
        items = client.shop[f"items{os.getpid()}"]
        text = "".join(f"{SECRET} {n * n} " for n in range(40_000))
        items.insert_one({"_id": 0, "text": text})
        items.insert_many([{"_id": n, "text": text[:5000]} for n in range(1, 300)])
        done = [items.find_one({"_id": 0})["text"] == text, len(list(items.find({"_id": {"$gt": 0}}, batch_size=280)))]
        items.drop()
    return done


def refused(number):
    try:
        with pymongo.MongoClient(URL, username="tests", password="wrong-" + SECRET) as client:
            client.shop.items.find_one({})
    except OperationFailure as error:
        return error.code


def pooled(number):
    one = POOL.shop[f"items-{number}"]
    one.insert_one({"text": SECRET})
    return one.count_documents({"text": SECRET}) > 0


async def pooled_async(number):
    one = POOL.shop[f"items-{number}"]
    await one.insert_one({"text": SECRET})
    return await one.count_documents({"text": SECRET}) > 0


WAYS = {way.__name__: way for way in (commands, large, refused, pooled)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        way = WAYS.get(url.path.strip("/"))
        number = parse_qs(url.query).get("id", ["0"])[0]
        body = json.dumps(way(number) if way else None).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 100
    daemon_threads = True


if os.environ.get("ASYNC"):
    from aiohttp import web

    async def answer(request):
        return web.json_response(await pooled_async(request.query["id"]) if request.path == "/pooled" else None)

    async def application():
        global POOL
        POOL = pymongo.AsyncMongoClient(URL, maxPoolSize=4)
        app = web.Application()
        app.router.add_get("/{rest:.*}", answer)
        return app

    web.run_app(application(), host="127.0.0.1", port=PORT, print=None)
else:
    POOL = pymongo.MongoClient(URL, maxPoolSize=4, connect=False)
    Server(("127.0.0.1", PORT), Handler).serve_forever()
