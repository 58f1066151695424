"""One keep-alive connection, the requests of standard input one after the other; prints the statuses.

Lines are `METHOD URL [NAME:VALUE...]`. Uses http.client: a program that nobody prepared for tracing.
"""

import http.client
import sys
from urllib.parse import urlsplit

connection = None
for line in sys.stdin:
    method, url, *headers = line.split()
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if connection is None:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        connection.request(method, target, headers=dict(h.split(":", 1) for h in headers))
        response = connection.getresponse()
        response.read()
        print(response.status)
    except (http.client.HTTPException, OSError) as error:
        print(type(error).__name__)
        connection.close()
