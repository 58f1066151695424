//! A table of connections and the exchanges they are to give. Every one is also run in all splits.

mod ends;
mod odd;
mod order;

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
    all.extend(order::order());
    all.extend(ends::ends());
    all.extend(odd::odd());
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

#[test]
fn every_case_gives_its_exchanges() {
    for (name, steps, expected) in cases() {
        let mut host = Recorder::default();
        host.run(&steps, whole);
        assert_eq!(host.summary(), expected, "{name}");
    }
}
