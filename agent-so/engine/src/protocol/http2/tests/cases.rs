//! What passes on a connection, and the exchanges that it makes.

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::*;
use crate::exchange::Fault;
use crate::protocol::{Direction, Ended, Stream, Verdict};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const BOTH: u8 = END_STREAM | END_HEADERS;

/// A name, what passes, and the summaries of the exchanges in the order of their ends; last the verdict.
type Case = (&'static str, Vec<Step>, Vec<&'static str>, Verdict);

fn i(parts: &[Vec<u8>]) -> Step {
    Step::In(parts.concat())
}

fn o(parts: &[Vec<u8>]) -> Step {
    Step::Out(parts.concat())
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(1, BOTH, stream, &request("GET", path, &[]))
}

fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(1, END_HEADERS, stream, &request("POST", path, &[]))
}

fn status(code: &str, flags: u8, stream: u32) -> Vec<u8> {
    frame(1, flags, stream, &block(&[(":status", code)]))
}

fn data(stream: u32, len: usize, flags: u8) -> Vec<u8> {
    frame(0, flags, stream, &vec![b'x'; len])
}

fn rst(stream: u32, code: u8) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, code])
}

fn goaway(last: u8) -> Vec<u8> {
    frame(7, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0, b'b', b'y', b'e'])
}

fn preface() -> Vec<u8> {
    [PREFACE.to_vec(), settings()].concat()
}

/// A POST with the fields of a call.
fn call(stream: u32) -> Vec<u8> {
    let kind = [
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
    ];
    frame(1, END_HEADERS, stream, &request("POST", "/p.S/M", &kind))
}

fn trailers(stream: u32, name: &str, value: &str) -> Vec<u8> {
    frame(1, BOTH, stream, &block(&[(name, value)]))
}

/// A block cut into a HEADERS and three CONTINUATION frames.
fn in_parts() -> [Vec<u8>; 4] {
    let block = request("GET", "/long/path", &[]);
    let end = block.len() - 9;
    [
        frame(1, END_STREAM, 1, &block[..7]),
        frame(9, 0, 1, &[]),
        frame(9, 0, 1, &block[7..end]),
        frame(9, END_HEADERS, 1, &block[end..]),
    ]
}

const UPGRADE: &[u8] =
    b"GET /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

#[rustfmt::skip]
pub(in super::super) fn cases() -> Vec<Case> {
    use Verdict::{Opaque, Tracked, Undecided};
    let open = || o(&[preface()]);
    let opened = || i(&[settings()]);
    let eof = || Step::End(Direction::In, Ended::Eof);
    vec![
        ("client", vec![o(&[preface(), get(1, "/a")]), i(&[settings(), status("200", END_HEADERS, 1), data(1, 5, 1)])],
            vec!["GET /a 200 ok 0/5 10-20"], Tracked),
        ("server", vec![i(&[preface(), get(1, "/a")]), o(&[settings(), status("204", BOTH, 1)])],
            vec!["GET /a 204 ok 0/0 10-20"], Tracked),
        ("the server begins", vec![o(&[frame(4, 0, 0, &[0, 3, 0, 0, 0, 128, 0, 4, 0, 1, 0, 0, 0, 5, 0, 255, 255, 255]), frame(8, 0, 0, &[0x7f, 255, 0, 0])]),
            i(&[preface(), get(1, "/a")]), o(&[frame(4, 1, 0, &[]), status("200", BOTH, 1)])],
            vec!["GET /a 200 ok 0/0 20-30"], Tracked),
        ("nothing but settings", vec![o(&[settings()])], vec![], Undecided),
        ("settings, then no preface", vec![o(&[settings()]), i(&[b"GET / HTTP/1.1\r\n\r\n".to_vec()])], vec![], Opaque),
        ("no settings behind the preface", vec![i(&[PREFACE.to_vec(), get(1, "/a")])], vec![], Opaque),
        ("streams answered in another order", vec![open(), opened(), o(&[get(1, "/a"), get(3, "/b"), get(5, "/c")]),
            i(&[status("200", END_HEADERS, 5), status("201", END_HEADERS, 1), data(5, 3, 0), data(1, 2, 1)]), i(&[data(5, 4, 1), status("404", BOTH, 3)])],
            vec!["GET /a 201 ok 0/2 30-40", "GET /c 200 ok 0/7 30-50", "GET /b 404 ok 0/0 30-50"], Tracked),
        ("a body, padding, priority", vec![open(), opened(),
            o(&[frame(1, END_HEADERS | 0x28, 1, &[vec![3], vec![0, 0, 0, 0, 16], request("POST", "/p", &[]), vec![0; 3]].concat()),
                frame(0, 8, 1, b"\x02abc\0\0"), data(1, 0, 0), frame(0, 9, 1, b"\x01d\0")]),
            i(&[status("200", END_HEADERS, 1), frame(0, 9, 1, b"\x00ok")])],
            vec!["POST /p 200 ok 4/2 30-40"], Tracked),
        ("a block in many frames", vec![open(), opened(), o(&in_parts()), i(&[status("200", BOTH, 1)])],
            vec!["GET /long/path 200 ok 0/0 30-40"], Tracked),
        ("another frame inside a block", vec![open(), opened(), o(&[frame(1, 1, 1, &request("GET", "/a", &[])), settings()])], vec![], Opaque),
        ("interim responses and trailers", vec![open(), opened(), o(&[get(1, "/a")]),
            i(&[status("100", END_HEADERS, 1), status("103", END_HEADERS, 1), status("200", END_HEADERS, 1), data(1, 2, 0), trailers(1, "x-sum", "1")])],
            vec!["GET /a 200 ok 0/2 30-40"], Tracked),
        ("trailers of a request", vec![open(), opened(), o(&[post(1, "/a"), data(1, 1, 0), trailers(1, "x-sum", "1")]), i(&[status("200", BOTH, 1)])],
            vec!["POST /a 200 ok 1/0 30-40"], Tracked),
        ("answered before the body is there", vec![i(&[preface(), post(1, "/a"), data(1, 9, 0)]),
            o(&[settings(), status("413", BOTH, 1), rst(1, 0)]), i(&[data(1, 9, 1), get(3, "/b")]), o(&[status("200", BOTH, 3)])],
            vec!["POST /a 413 ok 9/0 10-20", "GET /b 200 ok 0/0 30-40"], Tracked),
        ("a push", vec![open(), opened(), o(&[get(1, "/a")]),
            i(&[frame(5, END_HEADERS, 1, &[vec![0, 0, 0, 2], request("GET", "/pushed", &[])].concat()), status("200", END_HEADERS, 2), data(2, 9, 1), status("200", BOTH, 1)])],
            vec!["GET /a 200 ok 0/0 30-40"], Tracked),
        ("a push by a client", vec![open(), opened(), o(&[frame(5, END_HEADERS, 1, &[0, 0, 0, 2])])], vec![], Opaque),
        ("resets by the server", vec![open(), opened(), o(&[get(1, "/a"), get(3, "/b"), get(5, "/c")]),
            i(&[rst(1, 7), status("200", END_HEADERS, 3), rst(3, 2), rst(5, 8)])],
            vec!["GET /a 0 stream_refused 0/0 30-40", "GET /b 200 stream_reset 0/0 30-40", "GET /c 0 stream_reset 0/0 30-40"], Tracked),
        ("resets by the client", vec![i(&[preface(), get(1, "/a"), get(3, "/b")]), o(&[settings(), status("200", END_HEADERS, 3)]), i(&[rst(1, 8), rst(3, 2), rst(9, 2)])],
            vec!["GET /a 0 ok 0/0 10-30", "GET /b 200 stream_reset 0/0 10-30"], Tracked),
        ("the server goes away", vec![open(), opened(), o(&[get(1, "/a"), get(3, "/b"), get(5, "/c")]), i(&[goaway(1)]), i(&[status("200", BOTH, 1)])],
            vec!["GET /c 0 stream_refused 0/0 30-40", "GET /b 0 stream_refused 0/0 30-40", "GET /a 200 ok 0/0 30-50"], Tracked),
        ("the connection ends", vec![open(), opened(), o(&[get(1, "/a"), get(3, "/b")]), i(&[status("200", END_HEADERS, 3)]), eof()],
            vec!["GET /a 0 ok 0/0 30-50", "GET /b 200 response_truncated 0/0 30-50"], Opaque),
        ("the connection fails", vec![open(), opened(), o(&[get(1, "/a")]), Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset))],
            vec!["GET /a 0 connection_reset 0/0 30-40"], Opaque),
        ("the program closes", vec![open(), opened(), o(&[get(1, "/a"), get(3, "/b")]), i(&[status("200", END_HEADERS, 3)]), Step::Close],
            vec!["GET /a 0 ok 0/0 30-50", "GET /b 200 ok 0/0 30-50"], Opaque),
        ("a head that ends nowhere", vec![open(), opened(), o(&[frame(1, 1, 1, &request("GET", "/a", &[]))]), Step::Close], vec![], Opaque),
        ("no method, no path", vec![open(), opened(), o(&[trailers(1, ":path", "/"), trailers(3, ":method", "GET"), get(5, "/a")]), i(&[status("200", BOTH, 5)])],
            vec!["GET /a 200 ok 0/0 30-40"], Tracked),
        ("a tunnel", vec![open(), opened(), o(&[frame(1, END_HEADERS, 1, &block(&[(":method", "CONNECT"), (":authority", "t:443")]))]), i(&[status("200", END_HEADERS, 1)]), o(&[data(1, 9, 0)])],
            vec!["CONNECT t:443 200 ok 0/0 30-40"], Tracked),
        ("a websocket", vec![open(), opened(), o(&[frame(1, END_HEADERS, 1, &block(&[(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/chat"), (":scheme", "http"), (":authority", "h")]))]), i(&[status("200", END_HEADERS, 1)])],
            vec!["CONNECT /chat 200 ok 0/0 30-40"], Tracked),
        ("unseen data", vec![open(), opened(), o(&[get(1, "/a")]), i(&[status("200", END_HEADERS, 1), data(1, 9, 1)[..9].to_vec()]), Step::Skip(Direction::In, 9), i(&[data(1, 0, 0)]), Step::Skip(Direction::In, 1)],
            vec!["GET /a 200 ok 0/9 30-50"], Opaque),
        ("a call", vec![open(), opened(), o(&[call(1), data(1, 7, 1)]), i(&[status("200", END_HEADERS, 1), data(1, 8, 0)]), i(&[trailers(1, "grpc-status", "0")])],
            vec!["POST /p.S/M 200 ok 7/8 30-50"], Tracked),
        ("an upgrade", vec![Step::Out(UPGRADE.to_vec()), i(&[SWITCHING.to_vec(), settings(), status("200", END_HEADERS, 1)]),
            o(&[preface(), get(3, "/b")]), i(&[data(1, 4, 1), status("404", BOTH, 3)])],
            vec!["GET /up 200 ok 0/4 10-40", "GET /b 404 ok 0/0 30-40"], Tracked),
        ("an upgrade to nothing", vec![Step::In(UPGRADE.to_vec()), o(&[SWITCHING.to_vec(), settings()]), i(&[b"hello".to_vec()])],
            vec!["GET /up 0 ok 0/0 10-30"], Opaque),
        ("too many continuations", vec![open(), opened(), o(&[vec![frame(1, 1, 1, &request("GET", "/a", &[]))], vec![frame(9, 0, 1, &[]); 65]].concat())], vec![], Opaque),
        ("no block", vec![open(), opened(), o(&[get(1, "/a"), frame(1, BOTH, 3, &[0x80])])], vec!["GET /a 0 ok 0/0 30-30"], Opaque),
        ("half a field", vec![open(), opened(), o(&[frame(1, BOTH, 1, &field("a", "b")[..3])])], vec![], Opaque),
    ]
}

#[test]
fn cases_give_their_exchanges() {
    for (name, steps, expected, verdict) in cases() {
        let mut host = Recorder::default();
        host.run(&steps, whole);
        assert_eq!(host.summary(), expected, "{name}");
        assert_eq!(host.verdict, Some(verdict), "{name}");
        let mut all = host.finished.iter().map(|&i| &host.exchanges[i]);
        assert!(all.all(|ex| ex.version == 20));
    }
}

#[test]
fn without_room_nothing_is_recorded_and_all_is_followed() {
    for (name, steps, _, verdict) in cases() {
        let mut host = Recorder {
            full: true,
            ..Recorder::default()
        };
        host.run(&steps, bytewise);
        assert_eq!(host.events.len(), 0, "{name}");
        assert_eq!(host.verdict, Some(verdict), "{name}");
    }
}

#[test]
fn an_open_request_is_found_by_its_stream() {
    let mut host = Recorder::default();
    let mut stream = Stream::default();
    let opening = [PREFACE.to_vec(), settings()].concat();
    let get = |n| frame(1, 5, n, &request("GET", "/a", &[]));
    let reset = frame(3, 0, 3, &[0, 0, 0, 8]);
    for bytes in [opening, get(1), get(3), get(7), reset] {
        stream.feed(Direction::In, &bytes, 1, &mut host);
    }
    let wide = &*host.wides[0];
    let found = [1, 2, 3, 5, 7, 9].map(|n| stream.exchange_on(wide, n).map(|id| id.0));
    assert_eq!(found, [Some(1), None, None, None, Some(3), None]);
}
