"""Flask: routes with parameters, a nested blueprint, a handler that raises. `python routes_flask.py` is the development server,
`routes_flask:late` imports Flask when the first request comes."""

import os
import time


def make():
    from flask import Blueprint, Flask, request

    app = Flask(__name__)

    @app.before_request
    def wait() -> None:
        time.sleep(float(request.args.get("delay", 0)) / 1000)

    @app.get("/")
    def index() -> str:
        return "index"

    @app.route("/user/<int:id>", methods=["GET", "POST"])
    def user(id: int) -> str:
        return str(id)

    @app.get("/file/<path:name>")
    def file(name: str) -> str:
        return name

    @app.get("/inner/<int:id>")
    def inner(id: int) -> bytes:
        return app.test_client().get(f"/user/{id}").data

    @app.get("/raise/<what>")
    def fail(what: str) -> str:
        raise ValueError(what)

    @app.get("/" + "long/" * 60 + "<end>")
    def long(end: str) -> str:
        return end

    orders = Blueprint("orders", __name__, url_prefix="/<tenant>/orders")
    items = Blueprint("items", __name__, url_prefix="/items")

    @items.get("/<uuid:item>")
    def item(tenant: str, item: object) -> str:
        return f"{tenant} {item}"

    orders.register_blueprint(items)
    app.register_blueprint(orders)
    return app


made = []


def late(environ, start_response):
    if not made:
        made.append(make())
    return made[0](environ, start_response)


if not os.environ.get("LATE"):
    app = make()

if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]))
