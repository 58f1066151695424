"""Statements one after the other, each in another way: `sqlite_calls.py WAY FILE`."""

import contextlib
import os
import sqlite3
import sys
import threading

FILE = sys.argv[2]


def made(file=FILE, **more):
    store = sqlite3.connect(file, **more)
    store.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)")
    return store


def failed(call, *args):
    try:
        call(*args)
    except sqlite3.Error as error:
        print(type(error).__name__)


def statements():
    store = made()
    store.execute("INSERT INTO t VALUES (?, ?)", (1, "canary1"))
    store.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"canary{n}") for n in range(2, 6)])
    store.commit()
    print(store.execute("SELECT v FROM t WHERE v <> 'canary9' AND id > ?", (2,)).fetchall())
    print(store.execute("UPDATE t SET v = 'canary7' WHERE id = 5").rowcount)
    store.rollback()
    print(store.execute("SELECT v FROM t WHERE id = 77").fetchall(), store.execute("PRAGMA user_version").fetchone())
    store.close()


def halfway():
    """A cursor of which some rows are taken, one that is asked anew, and one that nobody ends."""
    store = made()
    store.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"canary{n}") for n in range(9)])
    store.commit()
    cursor = store.execute("SELECT id FROM t")
    print(cursor.fetchmany(3))
    cursor.close()
    cursor = store.cursor()
    print(cursor.execute("SELECT v FROM t").fetchone(), cursor.execute("SELECT id, v FROM t").fetchall()[-1])
    global left
    left = store.execute("SELECT v, id FROM t")
    print(left.fetchone())
    sys.stdout.flush()
    os._exit(0)


def errors():
    store = made(isolation_level=None)
    store.execute("INSERT INTO t VALUES (1, 'canary')")
    failed(store.execute, "INSERT INTO t VALUES (2, 'canary')")
    failed(store.execute, "SELEC 'canary'")
    failed(store.execute, "SELECT 'canary' FROM nothing")
    store.create_function("fails", 0, lambda: 1 // 0)
    failed(store.execute, "SELECT fails() FROM t")
    other = sqlite3.connect(FILE, isolation_level=None, timeout=0)
    store.execute("BEGIN IMMEDIATE")
    failed(other.execute, "BEGIN IMMEDIATE")
    failed(other.execute, "INSERT INTO t VALUES (3, 'canary')")
    store.execute("COMMIT")
    store.set_progress_handler(lambda: 1, 1)
    failed(lambda: store.execute("SELECT id FROM t").fetchall())


def transactions():
    store = made()
    with contextlib.suppress(ZeroDivisionError), store:
        store.execute("INSERT INTO t VALUES (1, 'canary')")
        1 // 0
    with store:
        store.execute("INSERT INTO t VALUES (2, 'canary')")
    print(store.execute("SELECT id FROM t").fetchall())
    store.executescript("SAVEPOINT one; -- canary\nDELETE FROM t; ROLLBACK TO one; RELEASE one;")
    print(store.execute("SELECT count(*) FROM t").fetchall())


def own():
    """What the library asks of itself is nobody's statement."""
    store = made(":memory:", isolation_level=None)
    store.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    store.execute("INSERT INTO words VALUES ('canary hello')")
    print(store.execute("SELECT text FROM words WHERE words MATCH 'hello'").fetchall())
    store.execute("CREATE TABLE log (id)")
    store.execute("CREATE TRIGGER watch AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END")
    store.execute("INSERT INTO t VALUES (1, 'canary')")
    other = made(FILE, isolation_level=None)
    other.execute("CREATE TABLE b (d)")
    other.execute("INSERT INTO b VALUES (zeroblob(3))")
    with contextlib.closing(sqlite3.connect(FILE)) as third, third.blobopen("b", "d", 1) as blob:
        print(blob.read())  # which reads the schema first
    # The program's own function asks another connection.
    store.create_function("asks", 0, lambda: len(other.execute("SELECT 'canary' FROM t").fetchall()))
    print(store.execute("SELECT asks()").fetchall())
    print(store.execute("SELECT count(*) FROM log").fetchall())
    store.execute("VACUUM")


def threads():
    """One connection, used by many threads in turn."""
    store = made(check_same_thread=False, isolation_level=None)
    lock = threading.Lock()

    def work(number):
        for turn in range(5):
            with lock:
                store.execute("INSERT INTO t (v) VALUES (?)", (f"canary{number}.{turn}",))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(store.execute("SELECT count(*) FROM t").fetchall())


def many():
    """A thousand statements are under way at once."""
    store = made(":memory:", isolation_level=None, cached_statements=2000)
    store.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"canary{n}") for n in range(3)])
    cursors = [store.execute(f"SELECT id AS q{n} FROM t") for n in range(1000)]
    print(sum(cursor.fetchone()[0] for cursor in cursors), sum(len(cursor.fetchall()) for cursor in cursors))


globals()[sys.argv[1]]()
