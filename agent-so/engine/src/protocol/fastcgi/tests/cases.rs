//! Connections and what comes of them.

use super::super::super::tests::{Recorder, Step, whole};
use super::*;
use crate::exchange::Fault;
use crate::protocol::{Direction, Ended, Verdict};

/// Name, steps, summary (see [`Recorder::summary`]).
pub(super) fn cases() -> Vec<(&'static str, Vec<Step>, Vec<&'static str>)> {
    use Direction::{In, Out};
    let get_200 = "GET /a 200 ok 0/5 10-20";
    vec![
        (
            "server",
            vec![i(get(1, false)), o(answer(1, OK))],
            vec![get_200],
        ),
        (
            "client",
            vec![o(get(1, false)), i(answer(1, OK))],
            vec![get_200],
        ),
        (
            "the highest id",
            vec![i(get(0xffff, false)), o(answer(0xffff, OK))],
            vec![get_200],
        ),
        (
            "kept connection",
            vec![
                i(get(1, true)),
                o(answer(1, OK)),
                i(get(1, true)),
                o(answer(1, "Status: 404 Not Found\r\n\r\nno")),
                i(get(2, true)),
                Step::Close,
            ],
            vec![get_200, "GET /a 404 ok 0/2 30-40", "GET /a 0 ok 0/0 50-60"],
        ),
        (
            "body in several records",
            vec![
                i([
                    begin(1, false),
                    record(
                        PARAMS,
                        1,
                        &pairs(&[("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/p")]),
                    ),
                    record(PARAMS, 1, b""),
                ]
                .concat()),
                i([
                    padded(STDIN, 1, b"abc", 5),
                    record(STDIN, 1, b"defg"),
                    record(STDIN, 1, b""),
                ]
                .concat()),
                o(answer(1, "\n")),
            ],
            vec!["POST /p 200 ok 7/0 10-30"],
        ),
        (
            "response in several records with noise",
            vec![
                i(get(1, false)),
                o([
                    padded(STDERR, 1, b"PHP Notice: Status: 500\r\n\r\n", 3),
                    padded(STDOUT, 1, b"Status: 20", 6),
                    record(STDOUT, 1, b"1 Created\r\nX-Id: 7\r\n"),
                    record(STDERR, 1, b""),
                    record(STDOUT, 1, b"\r\nab"),
                    padded(STDOUT, 1, b"cd", 255),
                    end(1),
                ]
                .concat()),
            ],
            vec!["GET /a 201 ok 0/4 10-20"],
        ),
        (
            "names and values across records, padding everywhere",
            {
                let all = pairs(&GET);
                let mut records: Vec<Vec<u8>> =
                    all.chunks(3).map(|c| padded(PARAMS, 1, c, 2)).collect();
                records.insert(0, begin(1, false));
                records.push(padded(PARAMS, 1, b"", 4));
                vec![i(records.concat()), o(answer(1, OK))]
            },
            vec![get_200],
        ),
        (
            "redirect without a status",
            vec![i(get(1, false)), o(answer(1, "Location: /b\r\n\r\n"))],
            vec!["GET /a 302 ok 0/0 10-20"],
        ),
        (
            "status line as in HTTP",
            vec![
                i(get(1, false)),
                o(answer(1, "HTTP/1.1 503 Busy\r\nX: y\r\n\r\n")),
            ],
            vec!["GET /a 503 ok 0/0 10-20"],
        ),
        (
            "no number for a status",
            vec![
                i(get(1, false)),
                o(answer(1, "Status: fine\nstatus: 2000\n\n")),
            ],
            vec!["GET /a 200 ok 0/0 10-20"],
        ),
        (
            "management records before and between",
            vec![
                i(get(1, true)),
                o([record(10, 0, b"\x0f\x01FCGI_MPXS_CONNS0"), answer(1, OK)].concat()),
                i([
                    record(9, 0, &pairs(&[("FCGI_MPXS_CONNS", "")])),
                    get(1, true),
                ]
                .concat()),
                o([record(11, 0, &[9; 8]), answer(1, OK)].concat()),
            ],
            vec![get_200, "GET /a 200 ok 0/5 30-40"],
        ),
        (
            "aborted",
            vec![
                o(get(1, true)),
                o(record(ABORT_REQUEST, 1, b"")),
                i(end(1)),
                o(get(1, true)),
                i(answer(1, OK)),
            ],
            vec!["GET /a 0 ok 0/0 10-30", "GET /a 200 ok 0/5 40-50"],
        ),
        (
            "refused: overloaded",
            vec![
                o(get(1, false)),
                i(record(END_REQUEST, 1, &[0, 0, 0, 0, 2, 0, 0, 0])),
            ],
            vec!["GET /a 0 _OTHER 0/0 10-20"],
        ),
        (
            "an end before the header is complete",
            vec![o(get(1, false)), i(answer(1, "Content-type: x\r\n"))],
            vec!["GET /a 0 response_truncated 0/0 10-20"],
        ),
        (
            "answered before the body was read",
            vec![
                i([
                    begin(1, true),
                    record(PARAMS, 1, &pairs(&GET)),
                    record(PARAMS, 1, b""),
                ]
                .concat()),
                o(answer(1, OK)),
                i([
                    record(STDIN, 1, b"late"),
                    record(STDIN, 1, b""),
                    get(1, true),
                ]
                .concat()),
                o(answer(1, OK)),
            ],
            vec![get_200, "GET /a 200 ok 0/5 30-40"],
        ),
        (
            "another's records",
            vec![
                i(get(2, true)),
                o([
                    record(STDOUT, 1, b"Status: 500\r\n\r\n"),
                    end(1),
                    answer(2, OK),
                ]
                .concat()),
            ],
            vec![get_200],
        ),
        (
            "two requests at a time",
            vec![i([get(1, true), get(2, true)].concat()), o(answer(1, OK))],
            vec!["GET /a 0 ok 0/0 10-10"],
        ),
        (
            "another role",
            vec![
                i([
                    record(BEGIN_REQUEST, 1, &[0, 2, 0, 0, 0, 0, 0, 0]),
                    record(PARAMS, 1, b""),
                ]
                .concat()),
                o(answer(1, OK)),
            ],
            vec![],
        ),
        (
            "the null id",
            vec![i(get(0, false)), o(answer(0, OK))],
            vec![],
        ),
        (
            "no method",
            vec![
                i(request(1, true, &GET[1..], b"")),
                o(answer(1, OK)),
                i(get(1, true)),
                o(answer(1, OK)),
            ],
            vec!["GET /a 200 ok 0/5 30-40"],
        ),
        (
            "no target",
            vec![i(request(1, false, &GET[..1], b"")), o(answer(1, OK))],
            vec![],
        ),
        (
            "parameters that end inside a pair",
            vec![
                i([
                    begin(1, true),
                    record(PARAMS, 1, &pairs(&GET)[..40]),
                    record(PARAMS, 1, b""),
                ]
                .concat()),
                o(answer(1, OK)),
            ],
            vec![],
        ),
        (
            "answered before it was a request",
            vec![
                i(begin(1, false)),
                o(answer(1, OK)),
                i(record(PARAMS, 1, b"")),
            ],
            vec![],
        ),
        (
            "another version later",
            vec![
                i(get(1, true)),
                o(answer(1, OK)),
                i(b"\x02\x01\0\x01\0\x08\0\0".to_vec()),
            ],
            vec![get_200],
        ),
        (
            "another version in the answer",
            vec![o(get(1, true)), i(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())],
            vec!["GET /a 0 protocol_error 0/0 10-20"],
        ),
        (
            "no header",
            vec![o(get(1, true)), i(answer(1, "\x01\x02: x\r\n\r\n"))],
            vec!["GET /a 0 protocol_error 0/0 10-20"],
        ),
        (
            "the server dies in its answer",
            vec![
                o(get(1, false)),
                i(record(STDOUT, 1, OK.as_bytes())),
                Step::End(In, Ended::Eof),
            ],
            vec!["GET /a 200 response_truncated 0/5 10-30"],
        ),
        (
            "the server dies before its answer",
            vec![o(get(1, false)), Step::End(In, Ended::Eof)],
            vec!["GET /a 0 ok 0/0 10-20"],
        ),
        (
            "we give up in our answer",
            vec![
                i(get(1, false)),
                o(record(STDOUT, 1, OK.as_bytes())),
                Step::Close,
            ],
            vec!["GET /a 200 response_truncated 0/5 10-30"],
        ),
        (
            "we do not want the rest",
            vec![
                o(get(1, false)),
                i(record(STDOUT, 1, OK.as_bytes())),
                Step::Close,
            ],
            vec!["GET /a 200 ok 0/5 10-30"],
        ),
        (
            "a write fails",
            vec![
                o(get(1, false)),
                Step::End(Out, Ended::Failed(Fault::BrokenPipe)),
                Step::Close,
            ],
            vec!["GET /a 0 broken_pipe 0/0 10-30"],
        ),
        (
            "the client says no more, inside the parameters",
            vec![
                i([begin(1, false), record(PARAMS, 1, &pairs(&GET))].concat()),
                Step::End(In, Ended::Eof),
            ],
            vec![],
        ),
        (
            "the client says no more, after its request",
            vec![
                i(get(1, false)),
                Step::End(In, Ended::Eof),
                o(answer(1, OK)),
            ],
            vec!["GET /a 200 ok 0/5 10-30"],
        ),
        (
            "bodies out of sight",
            vec![
                o(get(1, false)[..get(1, false).len() - 8].to_vec()),
                o(record(STDIN, 1, &[b'x'; 100])[..8].to_vec()),
                Step::Skip(Out, 60),
                Step::Skip(Out, 40),
                o(record(STDIN, 1, b"")),
                i(record(STDOUT, 1, b"\r\n0123456789")[..10].to_vec()),
                Step::Skip(In, 10),
                i(end(1)),
            ],
            vec!["GET /a 200 ok 100/10 10-80"],
        ),
        (
            "too much out of sight",
            vec![
                o(get(1, false)[..get(1, false).len() - 8].to_vec()),
                o(record(STDIN, 1, &[b'x'; 100])[..8].to_vec()),
                Step::Skip(Out, 101),
            ],
            vec!["GET /a 0 ok 0/0 10-30"],
        ),
    ]
}

#[test]
fn connections() {
    for (name, steps, expected) in cases() {
        let mut host = Recorder::default();
        host.run(&steps, whole);
        assert_eq!(host.summary(), expected, "{name}");
    }
}

#[test]
fn without_keeping_the_connection_nothing_more_is_followed() {
    for (keep, verdict) in [(false, Verdict::Opaque), (true, Verdict::Tracked)] {
        let mut host = Recorder::default();
        host.run(&[i(get(1, keep)), o(answer(1, OK))], whole);
        assert_eq!(host.verdict, Some(verdict));
    }
}
