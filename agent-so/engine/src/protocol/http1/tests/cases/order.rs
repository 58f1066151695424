//! Several exchanges on a connection: order, interim responses, changes of protocol, persistence.

use super::*;

pub(super) fn order() -> Vec<Case> {
    vec![
        (
            "keep-alive",
            vec![
                i(GET),
                o(OK5),
                i("GET /b HTTP/1.1\r\n\r\n"),
                o(EMPTY),
                CLOSE,
            ],
            vec!["GET /a 200 ok 0/5 10-20", "GET /b 200 ok 0/0 30-40"],
        ),
        (
            "pipelining",
            vec![
                o(
                    "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\n\r\n",
                ),
                i(
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 2\r\n\r\nbb",
                ),
            ],
            vec![
                "GET /1 200 ok 0/1 10-20",
                "POST /2 201 ok 1/0 10-20",
                "GET /3 404 ok 0/2 10-20",
            ],
        ),
        (
            "responses behind a response until close are not seen",
            vec![
                i("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
                o("HTTP/1.1 200 OK\r\n\r\nx"),
                CLOSE,
            ],
            vec!["GET /1 200 ok 0/1 10-20", "GET /2 0 ok 0/0 10-30"],
        ),
        (
            "interim responses",
            vec![
                i("POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                o("HTTP/1.1 100 Continue\r\n\r\n"),
                i("ab"),
                o(
                    "HTTP/1.1 103 Early Hints\r\nX-Id: no\r\nContent-Length: 9\r\n\r\nHTTP/1.1 102 P\r\n\r\n",
                ),
                o(EMPTY),
                i(GET),
                o(EMPTY),
            ],
            vec!["POST /p 200 ok 2/0 10-50", "GET /a 200 ok 0/0 60-70"],
        ),
        (
            "refused before the body: what follows cannot be told",
            vec![
                o("POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                i("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
                o(GET),
            ],
            vec!["POST /p 417 ok 0/0 10-20"],
        ),
        (
            "refused when the body was on its way",
            vec![
                o("POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\na"),
                i("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
                o("b"),
                o(GET),
                i(EMPTY),
            ],
            vec!["POST /p 417 ok 1/0 10-20", "GET /a 200 ok 0/0 40-50"],
        ),
        (
            "answered before the request body was whole",
            vec![
                i("POST /p HTTP/1.1\r\nContent-Length: 6\r\n\r\nab"),
                o("HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n"),
                i("cdef"),
                i("GET /next HTTP/1.1\r\n\r\n"),
                o(EMPTY),
            ],
            vec!["POST /p 413 ok 2/0 10-20", "GET /next 200 ok 0/0 40-50"],
        ),
        (
            "answered before the request head was whole",
            vec![
                i("GET /slow HTTP/1.1\r\nHost: h\r\n"),
                o("HTTP/1.1 408 T\r\nContent-Length: 0\r\n\r\n"),
                i("X: y\r\n\r\n"),
                i(GET),
                o(EMPTY),
            ],
            vec!["GET /slow 408 ok 0/0 10-20", "GET /a 200 ok 0/0 40-50"],
        ),
        (
            "answered before the request line was whole",
            vec![
                i("GET /slow"),
                o("HTTP/1.1 408 T\r\nContent-Length: 0\r\n\r\n"),
            ],
            vec![],
        ),
        (
            "upgrade",
            vec![
                o(
                    "GET /ws HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
                ),
                i(
                    "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX-Id: w\r\n\r\n\x01\x02GET / HTTP/1.1\r\n\r\n",
                ),
                o(GET),
            ],
            vec!["GET /ws 101 ok 0/0 10-20"],
        ),
        (
            "upgrade refused",
            vec![
                o("GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
                i(OK5),
                o(GET),
                i(EMPTY),
            ],
            vec!["GET /ws 200 ok 0/5 10-20", "GET /a 200 ok 0/0 30-40"],
        ),
        (
            "bytes before an upgrade was accepted",
            vec![
                i(
                    "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nGET /no HTTP/1.1\r\n\r\n",
                ),
                o("HTTP/1.1 101 S\r\n\r\n"),
            ],
            vec!["GET /ws 101 ok 0/0 10-20"],
        ),
        (
            "tunnel",
            vec![
                o("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"),
                i("HTTP/1.1 200 Established\r\n\r\n"),
                o(GET),
            ],
            vec!["CONNECT h:443 200 ok 0/0 10-20"],
        ),
        (
            "tunnel refused",
            vec![
                o("CONNECT [::1]:443 HTTP/1.1\r\n\r\n"),
                i("HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno"),
                o("CONNECT h:443 HTTP/1.1\r\n\r\n"),
                i("HTTP/1.1 200 Established\r\nContent-Length: 3\r\n\r\n"),
            ],
            vec![
                "CONNECT [::1]:443 407 ok 0/2 10-20",
                "CONNECT h:443 200 ok 0/0 30-40",
            ],
        ),
        (
            "HTTP/1.0 closes",
            vec![
                i("GET /a HTTP/1.0\r\n\r\n"),
                o("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"),
                i(GET),
            ],
            vec!["GET /a 200 ok 0/1 10-20"],
        ),
        (
            "HTTP/1.0 kept alive",
            vec![
                i("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
                o("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"),
                i("GET /b HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
                o(EMPTY),
            ],
            vec!["GET /a 200 ok 0/1 10-20", "GET /b 200 ok 0/0 30-40"],
        ),
        (
            "close option",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 0\r\n\r\n"),
                i(GET),
                o(OK5),
            ],
            vec!["GET /a 200 ok 0/0 10-20"],
        ),
    ]
}
