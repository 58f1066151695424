//! Unusual spellings, and what is not HTTP.

use super::*;

pub(super) fn odd() -> Vec<Case> {
    vec![
        (
            "empty lines and bare LF",
            vec![
                i("\r\n\n\r\nGET /a HTTP/1.1\nHost: h\n\n\r\n"),
                o("\r\nHTTP/1.1 200 OK\nContent-Length:1\n\nx\r\n"),
                i("\nGET /b HTTP/1.1\n\n"),
            ],
            vec!["GET /a 200 ok 0/1 10-20"],
        ),
        (
            "targets",
            vec![
                i(
                    "OPTIONS * HTTP/1.1\r\n\r\nGET http://h/p?q=1 HTTP/1.1\r\n\r\nGET HTTPS://h HTTP/1.1\r\n\r\nGET /\u{fc} HTTP/1.1\r\n\r\n",
                ),
                o(EMPTY),
                o(EMPTY),
                o(EMPTY),
                o(EMPTY),
            ],
            vec![
                "OPTIONS * 200 ok 0/0 10-20",
                "GET http://h/p?q=1 200 ok 0/0 10-30",
                "GET HTTPS://h 200 ok 0/0 10-40",
                "GET /\u{fc} 200 ok 0/0 10-50",
            ],
        ),
        (
            "methods and blanks",
            vec![
                i(
                    "PROPFIND  /x   HTTP/1.1  \r\n\r\nGeT /y HTTP/1.7\r\n\r\nUPDATEREDIRECTREF / HTTP/1.1\r\n\r\n",
                ),
                o(
                    "HTTP/1.1  207 \r\nContent-Length: 0\r\n\r\nHTTP/1.1 799 a b\r\nContent-Length: 0\r\n\r\n",
                ),
                o(EMPTY),
            ],
            vec![
                "PROPFIND /x 207 ok 0/0 10-20",
                "GeT /y 799 ok 0/0 10-20",
                "UPDATEREDIRECTREF / 200 ok 0/0 10-30",
            ],
        ),
        (
            "not HTTP after all",
            vec![i("GET /a RTSP/1.0\r\n\r\n")],
            vec![],
        ),
        (
            "control character in the target",
            vec![i(
                "GET /abcdefghijklmnopqrstuvwxyz0123456789\x01 HTTP/1.1\r\n\r\n",
            )],
            vec![],
        ),
        (
            "method too long",
            vec![
                i("GET /a HTTP/1.1\r\n\r\nABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n\r\n"),
                o(OK5),
            ],
            vec!["GET /a 200 ok 0/5 10-20"],
        ),
        (
            "binary in a field name",
            vec![i("GET /a HTTP/1.1\r\nHost: h\r\n\x17\x03\x03: x\r\n\r\n")],
            vec![],
        ),
        (
            "line without colon, blank before colon",
            vec![
                i("GET /a HTTP/1.1\r\nnonsense\r\n: x\r\nContent-Length : 1\r\n\r\nx"),
                o(EMPTY),
            ],
            vec!["GET /a 200 ok 1/0 10-20"],
        ),
        (
            "garbage behind a request",
            vec![i("GET /a HTTP/1.1\r\n\r\n\x16\x03\x01"), o(OK5), i(GET)],
            vec!["GET /a 200 ok 0/5 10-20"],
        ),
        (
            "no HTTP answers",
            vec![o(GET), i("SSH-2.0-x\r\n")],
            vec!["GET /a 0 protocol_error 0/0 10-20"],
        ),
        (
            "status of two digits",
            vec![o(GET), i("HTTP/1.1 99 x\r\n\r\n")],
            vec!["GET /a 0 protocol_error 0/0 10-20"],
        ),
        (
            "status below 100",
            vec![o(GET), i("HTTP/1.1 099 x\r\n\r\n")],
            vec!["GET /a 0 protocol_error 0/0 10-20"],
        ),
        (
            "status of four digits",
            vec![o(GET), i("HTTP/1.1 2000 x\r\n\r\n")],
            vec!["GET /a 0 protocol_error 0/0 10-20"],
        ),
        (
            "a response nobody asked for",
            vec![
                i(GET),
                o(EMPTY),
                o("HTTP/1.1 408 T\r\nContent-Length: 2\r\n\r\nno"),
                i(GET),
                o(OK5),
            ],
            vec!["GET /a 200 ok 0/0 10-20", "GET /a 200 ok 0/5 40-50"],
        ),
        (
            "a response nobody asked for, without end",
            vec![
                i(GET),
                o(EMPTY),
                o("HTTP/1.1 408 T\r\n\r\nno"),
                i(GET),
                o(OK5),
            ],
            vec!["GET /a 200 ok 0/0 10-20"],
        ),
        (
            "bytes nobody asked for",
            vec![i(GET), o(EMPTY), o("x"), i(GET)],
            vec!["GET /a 200 ok 0/0 10-20"],
        ),
        (
            "texts of all kinds",
            vec![
                i(
                    "GET /t HTTP/1.1\r\nhost:a\r\nX-Request-ID: 1\r\nUser-Agent:  u a \t\r\nTraceState: a=1\r\ntraceparent: t\r\n",
                ),
                i(
                    "tracestate:\r\n b=2 \r\nbaggage: k=v \r\nForwarded: for=x;\r\n\tby=y\r\nbaggage: l=w\r\nHost: b\r\n\r\n",
                ),
                o(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain \r\nx-id: 7\r\nContent-Length: 0\r\nX-Id: 8\r\n\r\n",
                ),
            ],
            vec!["GET /t 200 ok 0/0 10-30"],
        ),
        (
            "signed",
            vec![
                i("GET /s HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\n\r\n"),
                o(EMPTY),
            ],
            vec!["GET /s 200 ok 0/0 10-20"],
        ),
    ]
}
