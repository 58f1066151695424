"""GET /get?id=7: statements that name q7, by SQLAlchemy on the SQLite file SQLITE_FILE; a pool of four connections for all
requests. Flask's own server: a thread a request."""

import os
import sys

import flask
import sqlalchemy
from sqlalchemy import text

engine = sqlalchemy.create_engine(f"sqlite:///{os.environ['SQLITE_FILE']}", poolclass=sqlalchemy.pool.QueuePool, pool_size=4,
                                  max_overflow=0, connect_args={"check_same_thread": False, "timeout": 60})
app = flask.Flask(__name__)


@app.get("/get")
def get():
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT v AS q{flask.request.args['id']} FROM t WHERE id < :id"), {"id": 3}).fetchall()
    return f"{len(rows)}\n"


@app.get("/halfway")
def halfway():
    with engine.connect() as connection:
        connection.execute(text(f"SELECT v AS q{flask.request.args['id']} FROM t")).fetchone()
    return "ok\n"


@app.get("/write")
def write():
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE t SET v = v /* one */ WHERE id IN (SELECT id AS q{flask.request.args['id']} FROM t)"))
    return "ok\n"


app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
