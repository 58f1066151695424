"""A shop as one finds it in tutorials: `/order?item=tea` reads the price from PostgreSQL, writes the order, and asks another
service, the stock."""

import os

import requests
from flask import Flask, jsonify, request
from sqlalchemy import create_engine, text

app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"], pool_size=4)
STOCK = os.environ.get("UPSTREAM", "http://127.0.0.1:5001")


@app.get("/")
def hello():
    return "the shop is open\n"


@app.get("/order")
def order():
    item = request.args["item"]
    with engine.begin() as connection:
        price = connection.execute(text("SELECT price FROM items WHERE name = :item"), {"item": item}).scalar_one()
        connection.execute(text("INSERT INTO orders (item, price) VALUES (:item, :price)"), {"item": item, "price": price})
    requests.get(f"{STOCK}/echo", params={"id": item}).raise_for_status()
    return jsonify(item=item, price=price)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
