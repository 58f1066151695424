//! Which protocol is it, and which is it not?

use super::*;

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
    (
        "kafka, metadata",
        b"\0\0\0\x23\0\x03\0\0\0\0\0\x01\0\x06client",
        b"\0\0\0\x0a\0\0\0\x01",
    ),
    (
        "mysql, its greeting cut off",
        b"\x55\0\0\x01\x85\xa6\xff\x01",
        b"\x4a\0\0\0\x0a8.0.36\0",
    ),
    ("redis inline, as memcached", b"get key\r\n", b"$-1\r\n"),
    ("redis inline with arguments", b"set key 1 2 3\r\n", b"-ERR syntax error\r\n"),
    ("beanstalkd", b"delete 15\r\n", b"DELETED\r\n"),
    ("beanstalkd put", b"put 0 0 60 2\r\nhi\r\n", b"INSERTED 1\r\n"),
    ("gearman", b"version\r\n", b"OK 1.1.19\r\n"),
    ("a greeting before memcached's words", b"get key\r\n", b"220 ready\r\n"),
    ("memcached's words and another answer", b"get name\r\n", b"name=value\r\n"),
    ("small talk", b"add me to the list of your friends, please\n", b"ok\n"),
    ("sslv2", b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x00\x00\x04\x00\x00\x05\x00\x00\x0a\x00\x00\x2f\x00", b"\x16\x03\x01"),
    ("binary answers from a client", b"\x81\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b""),
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
        "yamux behind the preface of http2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\x01\0\x01\0\0\0\x01\0\0\0\0",
        b"\0\x01\0\x02\0\0\0\x01\0\0\0\0",
    ),
    (
        "half of the preface of http2",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\x04",
        b"\0\0\x12\x04\0\0\0\0\0",
    ),
    (
        "kafka with the length of settings",
        b"\0\0\0\x23\0\x12\0\x03\0\0\0\x01\0\x06client",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x04\0\0\0\x01",
    ),
    (
        "the header of mongodb and something else",
        b"\x3a\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\xff\0\0\0\x01a",
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
    (
        "tds that does not begin with its version",
        b"\x12\x01\0\x14\0\0\0\0\x01\0\x06\0\x01\xff\0\0\0\0\0\0",
        b"\x04\x01\0\x2b\0\0\x01\0",
    ),
    (
        "tds of sybase",
        b"\x02\0\x02\0\0\0\0\0host\0\0\0\0",
        b"\x04\x01\0\x2b\0\0\0\0",
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
            "got HTTP",
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
        feed(
            &mut stream,
            &mut host,
            Out,
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"
        ),
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
            // Told the other way round: the answer was read by another thread before the write returned.
            let mut host = Recorder::default();
            host.run(&[answer(server_hello()), hello(client_hello())], cut);
            assert_eq!(host.events, [tls_event(dir)]);
            assert_eq!(host.verdict, Some(Verdict::Opaque));
        }
    }
}

#[test]
fn the_answer_to_a_hello_that_never_comes_is_given_up() {
    let mut host = Recorder::default();
    let mut answer = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03".to_vec();
    answer.resize(65 * 1024, 0);
    host.run(&[Step::In(answer)], whole);
    assert_eq!(host.verdict, Some(Verdict::Opaque));
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
