"""Commands one after the other, each in another way: `redis_calls.py WAY`. The server is at REDIS_PORT (of REDIS_HOST), or REDIS_SOCKET."""

import os
import ssl
import sys

import redis

HOST = os.environ.get("REDIS_HOST", "localhost")
PORT = int(os.environ.get("REDIS_PORT", "0"))


def connect(**more):
    return redis.Redis(HOST, PORT, retry=None, **more)


def commands(**more):
    store = connect(db=3, **more)
    print(store.set("q1", "canary"), store.get("q1"), store.exists("q1", "q2"))
    store.hset("h", mapping={"f": "canary", "g": "canary"})
    print(store.hgetall("h"))
    print(store.eval("return ARGV[1]", 0, "canary"), store.get(b"\xff canary"))


def resp3():
    commands(protocol=3)


def errors():
    store = connect()
    store.set("text", "canary")
    for wrong in (lambda: store.lpush("text", 1), lambda: store.execute_command("NO.SUCH", "canary")):
        try:
            wrong()
        except redis.ResponseError as error:
            print(str(error).split(" ")[0])


def pipelines():
    store = connect()
    flat = store.pipeline(transaction=False)
    flat.set("a", "canary").get("a").incr("n")
    print(len(flat.execute()))
    same = store.pipeline(transaction=False)
    same.get("a").get("b")
    print(same.execute())
    framed = store.pipeline()
    framed.incr("n").incr("m")
    print(len(framed.execute()))


def large():
    """A value of many reads and writes, and a pipeline of as many."""
    store = connect()
    value = os.urandom(3_000_000)
    print(store.set("large", value), store.get("large") == value)
    flat = store.pipeline(transaction=False)
    for number in range(2000):
        flat.set(f"k{number}", "x" * 100)
    print(len(flat.execute()))
    print(store.ping())


def subscribe():
    store = connect()
    listener = store.pubsub()
    listener.subscribe("news")
    print(listener.get_message(timeout=5)["type"])
    print(store.publish("news", "canary"))
    print(listener.get_message(timeout=5)["data"])
    listener.unsubscribe("news")
    print(listener.get_message(timeout=5)["type"])
    listener.close()


def refused():
    try:
        connect().ping()
    except redis.ConnectionError:
        print("refused")


def wrong_password():
    try:
        connect(username="acl", password="canary").ping()
    except redis.AuthenticationError:
        print("denied")


def password():
    print(connect(username="acl", password=os.environ["REDIS_PASSWORD"]).ping())


def socket():
    print(redis.Redis(unix_socket_path=os.environ["REDIS_SOCKET"]).ping())


def tls():
    print(redis.Redis("localhost", PORT, ssl=True, ssl_ca_certs=os.environ["CA"], ssl_cert_reqs=ssl.CERT_REQUIRED).ping())


def waits():
    """The server goes away while it is waited for."""
    store = connect()
    print(store.ping(), flush=True)
    try:
        store.blpop("nothing", timeout=60)
    except redis.ConnectionError:
        print("gone")


globals()[sys.argv[1]]()
