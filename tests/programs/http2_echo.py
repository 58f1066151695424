"""ASGI: answers with the id and the headers of the request, as http2.js does."""

import json
from urllib.parse import parse_qs


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    query = parse_qs(scope["query_string"].decode())
    headers: dict = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode(), []).append(value.decode())
    body = json.dumps({"id": query["id"][0], "version": scope["http_version"], "headers": {n: ", ".join(v) for n, v in headers.items()}})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body.encode()})
