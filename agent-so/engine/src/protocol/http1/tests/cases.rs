//! A table of connections and the exchanges they are to give. Every one is also run in all splits.

use super::super::super::tests::{Recorder, Step, whole};
use crate::exchange::Fault;
use crate::protocol::Direction;
use crate::protocol::Ended::{Eof, Failed};

pub(super) fn i(bytes: &str) -> Step {
    Step::In(bytes.into())
}

pub(super) fn o(bytes: &str) -> Step {
    Step::Out(bytes.into())
}

const IN_EOF: Step = Step::End(Direction::In, Eof);
const OUT_EOF: Step = Step::End(Direction::Out, Eof);
const IN_RESET: Step = Step::End(Direction::In, Failed(Fault::ConnectionReset));
const OUT_PIPE: Step = Step::End(Direction::Out, Failed(Fault::BrokenPipe));
const CLOSE: Step = Step::Close;
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK5: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Name, steps, and per exchange `method target status fault request/response-bytes start-end`.
type Case = (&'static str, Vec<Step>, Vec<&'static str>);

pub(super) fn cases() -> Vec<Case> {
    let mut all = bodies();
    all.extend(order());
    all.extend(ends());
    all.extend(odd());
    all
}

fn bodies() -> Vec<Case> {
    vec![
        (
            "server",
            vec![i(GET), o(OK5)],
            vec!["GET /a 200 ok 0/5 10-20"],
        ),
        (
            "client",
            vec![o(GET), i(OK5)],
            vec!["GET /a 200 ok 0/5 10-20"],
        ),
        (
            "response in parts ends with its last byte",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"),
                o("l"),
                o("lo"),
            ],
            vec!["GET /a 200 ok 0/5 10-40"],
        ),
        (
            "post",
            vec![
                i("POST /p HTTP/1.1\r\ncontent-LENGTH:\t4 \r\n\r\nGET "),
                i(""),
                o(EMPTY),
            ],
            vec!["POST /p 200 ok 4/0 10-30"],
        ),
        (
            "body that looks like a request",
            vec![
                i("PUT /p HTTP/1.1\r\nContent-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: evil\r\n"),
                o(EMPTY),
            ],
            vec!["PUT /p 200 ok 27/0 10-20"],
        ),
        (
            "chunked both ways with extensions and trailers",
            vec![
                o(
                    "POST /c HTTP/1.1\r\nTransfer-Encoding: gzip,\tChunked\r\n\r\n5;n=v\r\nhello\r\nA \r\n0123456789\r\n000\r\ntraceparent: no\r\nX: y\r\n\r\n",
                ),
                i("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0;x\r\n\r\n"),
            ],
            vec!["POST /c 200 ok 15/3 10-20"],
        ),
        (
            "chunked with bare LF",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"),
            ],
            vec!["GET /a 200 ok 0/3 10-20"],
        ),
        (
            "both lengths: chunked counts",
            vec![
                i(
                    "POST /b HTTP/1.1\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                ),
                o(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nyy\r\n0\r\n\r\n",
                ),
            ],
            vec!["POST /b 200 ok 1/2 10-20"],
        ),
        (
            "same length twice",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nab"),
            ],
            vec!["GET /a 200 ok 0/2 10-20"],
        ),
        (
            "two lengths in a request",
            vec![
                i("POST /x HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab"),
                o(EMPTY),
            ],
            vec!["POST /x 0 protocol_error 0/0 10-10"],
        ),
        (
            "two lengths in a response",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nab"),
            ],
            vec!["GET /a 200 protocol_error 0/0 10-20"],
        ),
        (
            "no number for a length",
            vec![o(GET), i("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")],
            vec!["GET /a 200 protocol_error 0/0 10-20"],
        ),
        (
            "request coding that is not chunked",
            vec![i(
                "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            )],
            vec!["POST /x 0 protocol_error 0/0 10-10"],
        ),
        (
            "bad chunk size",
            vec![
                o(GET),
                i("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
            ],
            vec!["GET /a 200 protocol_error 0/0 10-20"],
        ),
        (
            "huge chunk size",
            vec![
                o(GET),
                i("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n"),
            ],
            vec!["GET /a 200 protocol_error 0/0 10-20"],
        ),
        (
            "HEAD, 204 and 304 have no body",
            vec![
                i("HEAD /h HTTP/1.1\r\n\r\nGET /n HTTP/1.1\r\n\r\nGET /m HTTP/1.1\r\n\r\n"),
                o(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 304 NM\r\nContent-Length: 7\r\n\r\n",
                ),
            ],
            vec![
                "HEAD /h 200 ok 0/0 10-20",
                "GET /n 204 ok 0/0 10-20",
                "GET /m 304 ok 0/0 10-20",
            ],
        ),
        (
            "until close, server",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\n\r\nab"),
                o("c"),
                OUT_EOF,
                CLOSE,
            ],
            vec!["GET /a 200 ok 0/3 10-30"],
        ),
        (
            "until close, server closes",
            vec![i(GET), o("HTTP/1.0 200 OK\r\n\r\nab"), IN_EOF, CLOSE],
            vec!["GET /a 200 ok 0/2 10-20"],
        ),
        (
            "until close, client",
            vec![o(GET), i("HTTP/1.1 200\r\n\r\nab"), i("c"), IN_EOF],
            vec!["GET /a 200 ok 0/3 10-40"],
        ),
        (
            "unseen body bytes",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\na"),
                Step::Skip(Direction::Out, 40),
                Step::Skip(Direction::Out, 9),
                i(GET),
                o("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"),
                Step::Skip(Direction::Out, 4),
                o("\r\n0\r\n\r\n"),
            ],
            vec!["GET /a 200 ok 0/50 10-40", "GET /a 200 ok 0/4 50-80"],
        ),
        (
            "more unseen bytes than the body has",
            vec![
                i(GET),
                o("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
                Step::Skip(Direction::Out, 6),
            ],
            vec!["GET /a 200 ok 0/0 10-30"],
        ),
        (
            "unseen bytes outside of a body",
            vec![i(GET), Step::Skip(Direction::In, 1)],
            vec!["GET /a 0 ok 0/0 10-20"],
        ),
        (
            "unseen request body",
            vec![
                o("PUT /f HTTP/1.1\r\nContent-Length: 9\r\n\r\n"),
                Step::Skip(Direction::Out, 9),
                i(EMPTY),
                o(GET),
                i(EMPTY),
            ],
            vec!["PUT /f 200 ok 9/0 10-30", "GET /a 200 ok 0/0 40-50"],
        ),
    ]
}

fn order() -> Vec<Case> {
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

fn ends() -> Vec<Case> {
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

fn odd() -> Vec<Case> {
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

#[test]
fn every_case_gives_its_exchanges() {
    for (name, steps, expected) in cases() {
        let mut host = Recorder::default();
        host.run(&steps, whole);
        assert_eq!(host.summary(), expected, "{name}");
    }
}
