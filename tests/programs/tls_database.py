"""One process, two copies of libssl: psycopg2-binary brings its own, requests uses the system's.

tls_database.py FIRST URL...: which of the two is used first, and what to get between the statements. DATABASE says where.
"""

import os
import re
import sys

first, *urls = sys.argv[1:]
if first == "psycopg2":
    import psycopg2
    import requests
else:
    import requests
    import psycopg2

with requests.Session() as session:
    if first == "requests":
        print(session.get(urls.pop(0)).json()["id"])
    connection = psycopg2.connect(os.environ["DATABASE"], sslmode="require")
    with connection.cursor() as cursor:
        for number, url in enumerate(urls):
            cursor.execute("SELECT ssl, repeat('x', 100000) FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            encrypted, text = cursor.fetchone()
            assert encrypted and len(text) == 100000
            print(session.get(url).json()["id"])
    connection.close()
print("copies", len(set(re.findall(r"\S*/libssl[-.]\S*", open("/proc/self/maps").read()))))
