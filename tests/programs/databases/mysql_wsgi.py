"""GET /get?id=7: statements that name q7, by a connection of SQLAlchemy's pool of four that all requests share. DRIVER: which one."""

import os

from sqlalchemy import URL, create_engine, text

where = URL.create(f"mysql+{os.environ['DRIVER']}", "native", os.environ["MYSQL_PASSWORD"], "127.0.0.1", int(os.environ["MYSQL_PORT"]), "tests")
engine = create_engine(where, pool_size=4, max_overflow=0, pool_timeout=30)


def app(environ, start_response):
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    with engine.begin() as connection:
        connection.execute(text(f"SELECT 1 AS q{query['id']}"))
        if environ["PATH_INFO"] == "/twice":
            connection.execute(text(f"SELECT SLEEP({int(query['delay']) / 1000}) AS q{query['id']}"))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
