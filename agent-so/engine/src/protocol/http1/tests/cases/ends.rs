//! Ends of connections with exchanges open, and what is put down to whom.

use super::*;

pub(super) fn ends() -> Vec<Case> {
    let head5 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe";
    vec![
        (
            "server, client gone",
            vec![i(GET), IN_EOF, CLOSE],
            vec!["GET /a 0 ok 0/0 10-30"],
        ),
        (
            "server closes unanswered",
            vec![i(GET), CLOSE],
            vec!["GET /a 0 ok 0/0 10-20"],
        ),
        (
            "server, reset",
            vec![i(GET), IN_RESET, CLOSE],
            vec!["GET /a 0 connection_reset 0/0 10-30"],
        ),
        (
            "server, half-closed client",
            vec![i(GET), IN_EOF, o(OK5), CLOSE],
            vec!["GET /a 200 ok 0/5 10-30"],
        ),
        (
            "server, client gone in its body",
            vec![
                i("POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"),
                IN_EOF,
                CLOSE,
            ],
            vec!["POST /p 0 ok 2/0 10-30"],
        ),
        (
            "server, client gone in the head",
            vec![i("GET /a HTTP/1.1\r\nHo"), IN_EOF, CLOSE],
            vec![],
        ),
        (
            "close in the request line",
            vec![i("GET /a HT"), CLOSE],
            vec![],
        ),
        (
            "server closes in its response",
            vec![i(GET), o(head5), CLOSE],
            vec!["GET /a 200 response_truncated 0/2 10-30"],
        ),
        (
            "server, write fails in the response",
            vec![i(GET), o(head5), OUT_PIPE, CLOSE],
            vec!["GET /a 200 broken_pipe 0/2 10-30"],
        ),
        (
            "server, reset seen before it closes in its response",
            vec![i(GET), o(head5), IN_RESET, CLOSE],
            vec!["GET /a 200 connection_reset 0/2 10-40"],
        ),
        (
            "server, reset in a response until close",
            vec![i(GET), o("HTTP/1.1 200 OK\r\n\r\nab"), IN_RESET, CLOSE],
            vec!["GET /a 200 connection_reset 0/2 10-40"],
        ),
        (
            "client, no response",
            vec![o(GET), IN_EOF],
            vec!["GET /a 0 ok 0/0 10-20"],
        ),
        (
            "client, body broken off",
            vec![o(GET), i(head5), IN_EOF],
            vec!["GET /a 200 response_truncated 0/2 10-30"],
        ),
        (
            "client, chunks broken off",
            vec![o(GET), i(chunk), IN_EOF],
            vec!["GET /a 200 response_truncated 0/2 10-30"],
        ),
        (
            "client, head broken off",
            vec![o(GET), i("HTTP/1.1 200 OK\r\nCont"), IN_EOF],
            vec!["GET /a 200 response_truncated 0/0 10-30"],
        ),
        (
            "client, only an interim response",
            vec![o(GET), i("HTTP/1.1 102 P\r\nX: y\r\n"), IN_EOF],
            vec!["GET /a 0 ok 0/0 10-30"],
        ),
        (
            "client closes early",
            vec![o(GET), i(head5), CLOSE],
            vec!["GET /a 200 ok 0/2 10-30"],
        ),
        (
            "client closes in a response until close",
            vec![o(GET), i("HTTP/1.1 200 OK\r\n\r\nab"), CLOSE],
            vec!["GET /a 200 ok 0/2 10-30"],
        ),
        (
            "client, reset",
            vec![
                o("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
                i(head5),
                IN_RESET,
            ],
            vec![
                "GET /1 200 connection_reset 0/2 10-30",
                "GET /2 0 connection_reset 0/0 10-30",
            ],
        ),
        (
            "client, reset in a response until close",
            vec![o(GET), i("HTTP/1.1 200 OK\r\n\r\nab"), IN_RESET],
            vec!["GET /a 200 connection_reset 0/2 10-30"],
        ),
        (
            "client, write failed but answered",
            vec![
                o("POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"),
                OUT_PIPE,
                i("HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n"),
            ],
            vec!["POST /p 413 ok 2/0 10-30"],
        ),
        (
            "client, write failed in the head",
            vec![o("GET /a HTTP/1.1\r\nHost: h\r\n"), OUT_PIPE, CLOSE],
            vec!["GET /a 0 broken_pipe 0/0 10-30"],
        ),
        (
            "client, shut down after the request",
            vec![o(GET), OUT_EOF, i(OK5)],
            vec!["GET /a 200 ok 0/5 10-30"],
        ),
    ]
}
