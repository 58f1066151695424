//! A host that records everything, scripts of what passes on a connection, and the detector's tests.

use super::*;
use crate::exchange::Field;

/// One thing that happens on a connection. The time of step n (from 0) is 10 * (n + 1).
#[derive(Clone)]
pub(super) enum Step {
    In(Vec<u8>),
    Out(Vec<u8>),
    Skip(Direction, u64),
    End(Direction, Ended),
    Close,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::In(bytes) => write!(f, "In({})", bytes.escape_ascii()),
            Step::Out(bytes) => write!(f, "Out({})", bytes.escape_ascii()),
            Step::Skip(dir, n) => write!(f, "Skip({dir:?}, {n})"),
            Step::End(dir, how) => write!(f, "End({dir:?}, {how:?})"),
            Step::Close => f.write_str("Close"),
        }
    }
}

/// A host with unlimited room, unless told otherwise.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) exchanges: Vec<Exchange>,
    /// 0 open, 1 head seen, 2 finished, 3 discarded; an index each.
    pub(super) states: Vec<u8>,
    pub(super) finished: Vec<usize>,
    /// Heads and ends in order, ends with all that the exchange says.
    pub(super) events: Vec<String>,
    pub(super) full: bool,
    /// Start and end of the connect.
    pub(super) connected: Option<(u64, u64)>,
    pub(super) verdict: Option<Verdict>,
}

pub(super) const FIELDS: [Field; 13] = [
    Field::Method,
    Field::Target,
    Field::Host,
    Field::UserAgent,
    Field::Forwarded,
    Field::XForwardedFor,
    Field::XForwardedProto,
    Field::XForwardedHost,
    Field::Traceparent,
    Field::Tracestate,
    Field::Namespace,
    Field::Query,
    Field::Code,
];

pub(super) fn lossy(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned())
}

fn describe(ex: &Exchange) -> String {
    let mut all = format!(
        "{:?} {:?} v{} {} {:?} {}-{} {}/{} rep={} signed={} bag={:?}",
        ex.kind,
        ex.db,
        ex.version,
        ex.status,
        ex.fault,
        ex.start_ns,
        ex.end_ns,
        ex.request_body,
        ex.response_body,
        ex.traceparent_repeated,
        ex.signed,
        lossy(Some(ex.baggage())),
    );
    for field in FIELDS {
        all += &format!(
            " {field:?}={}{}",
            lossy(ex.text(field)),
            u8::from(ex.is_cut(field))
        );
    }
    for (c, value) in ex.captured() {
        all += &format!(
            " {}:{}={}{}",
            c.response,
            c.index,
            lossy(Some(value)),
            c.value.cut
        );
    }
    all
}

impl Recorder {
    /// `method target status fault request/response-bytes start-end` of every finished exchange.
    pub(super) fn summary(&self) -> Vec<String> {
        let line = |&i: &usize| {
            let ex = &self.exchanges[i];
            format!(
                "{} {} {} {} {}/{} {}-{}",
                lossy(ex.text(Field::Method)),
                lossy(ex.text(Field::Target)),
                ex.status,
                if ex.fault == Fault::None {
                    "ok"
                } else {
                    ex.fault.as_str()
                },
                ex.request_body,
                ex.response_body,
                ex.start_ns,
                ex.end_ns,
            )
        };
        self.finished.iter().map(line).collect()
    }

    pub(super) fn only(&self) -> &Exchange {
        assert_eq!(self.finished.len(), 1);
        &self.exchanges[self.finished[0]]
    }

    fn index(id: ExchangeId) -> usize {
        id.0 as usize - 1
    }

    /// Runs `steps`, each piece of bytes cut further by `cut`, as a caller would: until the stream is opaque.
    pub(super) fn run(
        &mut self,
        steps: &[Step],
        cut: impl Fn(Direction, usize, usize) -> Vec<usize>,
    ) {
        let mut stream = Stream::default();
        let mut passed = [0usize; 2];
        self.verdict = Some(Verdict::Undecided);
        for (n, step) in steps.iter().enumerate() {
            let now = 10 * (n as u64 + 1);
            if self.verdict == Some(Verdict::Opaque) {
                break;
            }
            let (dir, bytes) = match step {
                Step::In(bytes) => (Direction::In, bytes),
                Step::Out(bytes) => (Direction::Out, bytes),
                Step::Skip(dir, n) => {
                    self.verdict = Some(stream.skip(*dir, *n, now, self));
                    continue;
                }
                Step::End(dir, how) => {
                    self.verdict = Some(stream.ended(*dir, *how, now, self));
                    continue;
                }
                Step::Close => {
                    stream.close(now, self);
                    self.verdict = Some(Verdict::Opaque);
                    continue;
                }
            };
            stream.call_begins();
            let from = passed[dir as usize];
            passed[dir as usize] += bytes.len();
            let mut at = 0;
            for end in cut(dir, from, from + bytes.len())
                .into_iter()
                .chain([from + bytes.len()])
            {
                self.verdict = Some(stream.feed(dir, &bytes[at..end - from], now, self));
                at = end - from;
                let open: Vec<usize> = stream.open_exchanges().map(Self::index).collect();
                assert!(
                    open.iter().all(|&i| self.states[i] < 2),
                    "only open ones are told"
                );
                assert_eq!(
                    stream.open_exchange().map(Self::index),
                    open.first().copied()
                );
                if self.verdict == Some(Verdict::Opaque) {
                    break;
                }
            }
        }
        if self.verdict == Some(Verdict::Opaque) {
            assert_eq!(stream.open_exchange(), None);
            assert!(
                self.states.iter().all(|&s| s >= 2),
                "an opaque stream leaves nothing open"
            );
        }
    }
}

impl Host for Recorder {
    fn open(&mut self, _: Kind, _: System) -> Option<ExchangeId> {
        if self.full {
            return None;
        }
        self.exchanges.push(Exchange::default());
        self.states.push(0);
        Some(ExchangeId(self.exchanges.len() as u32))
    }

    fn exchange(&mut self, id: ExchangeId) -> &mut Exchange {
        assert!(self.states[Self::index(id)] < 2, "use after end");
        &mut self.exchanges[Self::index(id)]
    }

    fn request_head(&mut self, id: ExchangeId) {
        let i = Self::index(id);
        assert_eq!(self.states[i], 0, "once per exchange");
        assert_eq!(self.exchanges[i].request_body, 0, "before any body byte");
        self.states[i] = 1;
        self.events.push(format!(
            "head {}",
            lossy(self.exchanges[i].text(Field::Target))
        ));
    }

    fn finished(&mut self, id: ExchangeId) {
        let i = Self::index(id);
        assert_eq!(self.states[i], 1, "head told first");
        let ex = &self.exchanges[i];
        assert!(ex.end_ns >= ex.start_ns);
        if ex.db.system == System::None {
            assert!(ex.version >= 10 || ex.fastcgi);
            assert!(ex.text(Field::Method).is_some() && ex.text(Field::Target).is_some());
        }
        assert!(ex.status == 0 || (100..=999).contains(&ex.status));
        self.states[i] = 2;
        self.finished.push(i);
        self.events.push(describe(ex));
    }

    fn discard(&mut self, id: ExchangeId) {
        let i = Self::index(id);
        assert_eq!(self.states[i], 0, "no head was told");
        self.states[i] = 3;
    }

    fn captured_header(&self, _: Kind, response: bool, name: &[u8]) -> Option<u8> {
        let names: &[&[u8]] = match response {
            false => &[
                b"x-request-id",
                b"user-agent",
                b"tracestate",
                b"content-length",
            ],
            true => &[b"content-type", b"x-id"],
        };
        names.iter().position(|n| *n == name).map(|i| i as u8)
    }

    fn tls_begins(&mut self, dir: Direction, random: &[u8; 32]) {
        self.events.push(format!("tls {dir:?} {random:?}"));
    }

    fn connected(&mut self) -> Option<(u64, u64)> {
        self.connected.take()
    }
}

/// No cut.
pub(super) fn whole(_: Direction, _: usize, _: usize) -> Vec<usize> {
    Vec::new()
}

/// Byte by byte.
pub(super) fn bytewise(_: Direction, from: usize, to: usize) -> Vec<usize> {
    (from + 1..to).collect()
}

fn feed(stream: &mut Stream, host: &mut Recorder, dir: Direction, bytes: &[u8]) -> Verdict {
    stream.feed(dir, bytes, 1, host)
}

/// Openings of other protocols: what the client sends, what the server sends.
const OTHERS: &[(&str, &[u8], &[u8])] = &[
    (
        "tls",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x03\x00\x7a\x02",
    ),
    (
        "ssh",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    ),
    ("redis inline", b"GET /key\r\n", b"$-1\r\n"),
    ("postgres", b"\0\0\0\x08\x04\xd2\x16\x2f", b"N"),
    (
        "postgres startup",
        b"\0\0\0\x29\0\x03\0\0user\0me\0",
        b"R\0\0\0\x08\0\0\0\0",
    ),
    (
        "mysql",
        b"\x55\0\0\x01\x85\xa6\xff\x01",
        b"\x4a\0\0\0\x0a8.0.36\0",
    ),
    (
        "memcached",
        b"get /a\r\nset k 0 0 1\r\nx\r\n",
        b"END\r\nSTORED\r\n",
    ),
    ("memcached 2", b"get key another/key\r\n", b"END\r\n"),
    (
        "smtp",
        b"EHLO host\r\nMAIL FROM:<a@b>\r\n",
        b"220 mx ESMTP\r\n250 ok\r\n",
    ),
    ("imap", b"a1 LOGIN /u p\r\n", b"* OK IMAP4rev1 ready\r\n"),
    (
        "ftp",
        b"CWD /pub\r\nRETR /x HTTP\r\n",
        b"220 ready\r\n250 ok\r\n",
    ),
    (
        "kafka",
        b"\0\0\0\x23\0\x12\0\x03\0\0\0\x01\0\x06client",
        b"\0\0\0\x0a\0\0\0\x01",
    ),
    (
        "http2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04",
        b"\0\0\x12\x04\0\0\0\0\0",
    ),
    (
        "mongodb",
        b"\x3a\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0",
        b"\x30\0\0\0",
    ),
    ("amqp", b"AMQP\0\0\x09\x01", b"\x01\0\0\0\0\x01"),
    (
        "rtsp",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
    ),
    (
        "rtsp 2",
        b"DESCRIBE rtsp://h/s RTSP/1.0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
    ),
    (
        "sip",
        b"REGISTER sip:h SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
    ),
    (
        "git",
        b"003egit-upload-pack /project.git\0host=h\0",
        b"00a1ref",
    ),
    ("http 0.9", b"GET /\r\n", b"<html></html>"),
    (
        "text",
        b"say /hello to everybody in this room now\n",
        b"ok\n",
    ),
    ("zeros", &[0; 64], &[0; 64]),
    (
        "dns",
        b"\0\x1d\x12\x34\x01\0\0\x01",
        b"\0\x2d\x12\x34\x81\x80",
    ),
    (
        "mqtt",
        b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
        b"\x20\x02\0\0",
    ),
    (
        "irc",
        b"NICK a\r\nUSER a 0 * :a b\r\n",
        b":srv NOTICE * :hi\r\n",
    ),
    (
        "websocket",
        b"\x81\x85\x01\x02\x03\x04abcde",
        b"\x81\x05hello",
    ),
    (
        "fastcgi authorizer",
        b"\x01\x01\0\x01\0\x08\0\0\0\x02\0\0\0\0\0\0",
        b"\x01\x06\0\x01",
    ),
    (
        "fastcgi with reserved bytes",
        b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\x01",
        b"\x01\x06\0\x01",
    ),
];

#[test]
fn other_protocols_make_no_exchange() {
    for (name, client, server) in OTHERS {
        for server_first in [false, true] {
            for as_server in [false, true] {
                for cut in [whole, bytewise] {
                    let client = (if as_server { Step::In } else { Step::Out })(client.to_vec());
                    let server = (if as_server { Step::Out } else { Step::In })(server.to_vec());
                    let mut steps = vec![client, server];
                    if server_first {
                        steps.reverse();
                    }
                    let mut host = Recorder::default();
                    host.run(&steps, cut);
                    assert_eq!(host.summary(), [""; 0], "{name}");
                    assert_ne!(host.verdict, Some(Verdict::Tracked), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_request_decides_the_role_and_nothing_less() {
    use Direction::{In, Out};
    for (dir, kind) in [(In, Kind::Server), (Out, Kind::Client)] {
        for start in [
            "GET /",
            "\r\n\nfoo *  ",
            "CONNECT a",
            "get HTTP",
            "PRI /",
            "OPTIONS * HTTP/1.1\r\n",
        ] {
            let (mut stream, mut host) = (Stream::default(), Recorder::default());
            assert!(stream.can_start_request(dir));
            let verdicts: Vec<Verdict> = start
                .bytes()
                .map(|b| {
                    let verdict = feed(&mut stream, &mut host, dir, &[b]);
                    assert!(!stream.can_start_request(Out), "{start}");
                    verdict
                })
                .collect();
            let known = verdicts.iter().position(|v| *v == Verdict::Tracked);
            assert!(known.is_some_and(|i| i > 3), "{start} {known:?}");
            assert_eq!(stream.role(), Some(kind));
        }
    }
}

#[test]
fn one_direction_alone_does_not_rule_http_out() {
    use Direction::{In, Out};
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    // A connection handed over in the middle of a response: the next request is found.
    assert_eq!(
        feed(&mut stream, &mut host, Out, &[b'x'; 1000]),
        Verdict::Undecided
    );
    assert!(!stream.can_start_request(In));
    assert_eq!(
        feed(&mut stream, &mut host, In, b"GET / HTTP/1.1\r\n\r\n"),
        Verdict::Tracked
    );
    assert_eq!(
        feed(&mut stream, &mut host, Out, b"HTTP/1.1 204 x\r\n\r\n"),
        Verdict::Tracked
    );
    assert_eq!(host.only().status, 204);
    // The budget ends the search.
    let mut stream = Stream::default();
    assert_eq!(
        feed(&mut stream, &mut host, Out, &[b'x'; 4096]),
        Verdict::Undecided
    );
    assert_eq!(feed(&mut stream, &mut host, Out, b"x"), Verdict::Opaque);
    // So does the greeting of another protocol, and bytes out of sight.
    let mut stream = Stream::default();
    assert_eq!(
        feed(&mut stream, &mut host, Out, b"PRI * HTTP/2.0\r\n\r\n"),
        Verdict::Opaque
    );
    assert!(!stream.can_start_request(Out));
    assert_eq!(stream.role(), None);
    let mut stream = Stream::default();
    assert_eq!(stream.skip(Out, 1, 1, &mut host), Verdict::Opaque);
}

#[test]
fn a_stream_is_small() {
    assert!(size_of::<Stream>() <= 736, "{}", size_of::<Stream>());
}

/// A ClientHello whose random is the numbers from 100 on.
fn client_hello() -> Vec<u8> {
    let mut bytes = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    bytes.extend(100..132);
    bytes.resize(205, 0);
    bytes
}

fn tls_event(dir: Direction) -> String {
    let random: Vec<u8> = (100..132).collect();
    format!("tls {dir:?} {random:?}")
}

#[test]
fn a_client_hello_is_told_once_and_ends_the_stream() {
    let server_hello = || b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03".to_vec();
    for dir in [Direction::In, Direction::Out] {
        let (hello, answer): (fn(_) -> _, fn(_) -> _) = match dir {
            Direction::In => (Step::In, Step::Out),
            Direction::Out => (Step::Out, Step::In),
        };
        for cut in [whole, bytewise] {
            let mut host = Recorder::default();
            host.run(&[hello(client_hello()), answer(server_hello())], cut);
            assert_eq!(host.events, [tls_event(dir)]);
            assert_eq!(host.verdict, Some(Verdict::Opaque));
        }
    }
}

#[test]
fn tls_through_a_proxy_is_found_after_connect() {
    for cut in [whole, bytewise] {
        let mut host = Recorder::default();
        host.run(
            &[
                Step::Out(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n".to_vec()),
                Step::In(b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec()),
                Step::Out(client_hello()),
            ],
            cut,
        );
        assert_eq!(host.finished.len(), 1);
        assert_eq!(host.events.last(), Some(&tls_event(Direction::Out)));
        assert_eq!(host.verdict, Some(Verdict::Opaque));
    }
    // Anything else in there is of no interest.
    let mut host = Recorder::default();
    host.run(
        &[
            Step::Out(
                b"GET /chat HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
            ),
            Step::In(b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec()),
            Step::In(b"\x81\x05hello".to_vec()),
            Step::Out(b"\x81\x85\x01\x02\x03\x04abcde".to_vec()),
        ],
        whole,
    );
    assert_eq!(host.events.len(), 2, "{:?}", host.events);
    assert_eq!(host.verdict, Some(Verdict::Opaque));
}
