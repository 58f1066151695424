"""A Flask app as one finds it in tutorials: `/` answers, `/fetch` calls another HTTP server."""

import os
import time

import requests
from flask import Flask, jsonify, request

app = Flask(__name__)
UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:5001")


@app.get("/")
def hello():
    return "hello from flask\n"


@app.get("/fetch")
def fetch():
    reply = requests.get(f"{UPSTREAM}/echo", params=request.args)
    return jsonify(id=request.args.get("id"), upstream=reply.json())


@app.get("/chain")
def chain():
    """Like /fetch, but calls a path of the upstream that calls on."""
    reply = requests.get(f"{UPSTREAM}{request.args['path']}", params={"id": request.args["id"]})
    return jsonify(id=request.args["id"], upstream=reply.json())


@app.get("/echo")
def echo():
    time.sleep(int(request.args.get("delay", 0)) / 1000)
    headers = {name.lower(): value for name, value in request.headers}
    return jsonify(id=request.args.get("id"), headers=headers)


@app.route("/status/<int:code>", methods=["GET", "POST"])
def status(code: int):
    return f"status {code}\n", code


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")), debug=True)
