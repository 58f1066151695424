//! Which texts are kept, and how.

use super::super::super::tests::{Recorder, bytewise, lossy, whole};
use super::cases::{i, o};
use crate::exchange::{BAGGAGE_MAX, Exchange, Field, TARGET_MAX, VALUE_MAX};
use crate::protocol::{Direction, Stream, Verdict};

fn request(fields: &str) -> Exchange {
    let steps = [
        i(&format!("GET / HTTP/1.1\r\n{fields}\r\n")),
        o("HTTP/1.1 204 No\r\nX-Id: 1\r\nContent-Type: a\r\nX-ID:\r\nx-other: 2\r\n\r\n"),
    ];
    let (mut host, mut cut) = (Recorder::default(), Recorder::default());
    host.run(&steps, whole);
    cut.run(&steps, bytewise);
    assert_eq!(host.events, cut.events);
    host.only().clone()
}

fn text(fields: &str, field: Field) -> String {
    lossy(request(fields).text(field))
}

#[test]
fn values_are_trimmed_unfolded_and_the_first_line_wins() {
    for (fields, expected) in [
        ("", "-"),
        ("Host:\r\n", ""),
        ("Host: h\r\nhost: i\r\n", "h"),
        ("hOsT:\t h:80 \t\r\n", "h:80"),
        ("Host : h\r\n", "h"),
        ("Host:\r\n  h\r\n", "h"),
        ("Host: a\r\n\t b \r\nX: y\r\n", "a b"),
        ("Host: a\r\rb\r\n", "a\r\rb"),
        ("Host: [::1]:8080\n", "[::1]:8080"),
        ("X: y\r\n Host: no\r\n", "-"),
        ("X-Host: no\r\nHosts: no\r\n", "-"),
    ] {
        assert_eq!(text(fields, Field::Host), expected, "{fields:?}");
    }
}

#[test]
fn lists_are_joined() {
    let fields = "tracestate: a=1\r\nHost: h\r\ntracestate:\r\ntracestate: b=2\r\n\
                  Forwarded: for=1\r\nTRACESTATE: c=3 \r\nforwarded: for=2, for=3\r\n";
    let ex = request(fields);
    assert_eq!(ex.text(Field::Tracestate), Some(&b"a=1,b=2,c=3"[..]));
    assert_eq!(ex.text(Field::Forwarded), Some(&b"for=1,for=2, for=3"[..]));
    assert_eq!(ex.text(Field::Host), Some(&b"h"[..]));
    assert_eq!(
        text("tracestate:\r\nTracestate: a=1\r\n", Field::Tracestate),
        "a=1"
    );
    let captured: Vec<String> = ex
        .captured()
        .map(|(c, value)| format!("{} {} {}", c.response, c.index, lossy(Some(value))))
        .collect();
    assert_eq!(
        captured,
        [
            "false 2 a=1",
            "false 2 ",
            "false 2 b=2",
            "false 2 c=3",
            "true 1 1",
            "true 0 a",
            "true 1 "
        ]
    );
}

#[test]
fn a_second_traceparent_is_noted() {
    let ex = request("traceparent: a\r\nTraceparent: b\r\n");
    assert!(ex.traceparent_repeated);
    assert_eq!(ex.text(Field::Traceparent), Some(&b"a"[..]));
    assert!(!request("traceparent: a\r\ntrace-parent: b\r\n").traceparent_repeated);
}

#[test]
fn baggage_keeps_whole_members() {
    assert_eq!(
        request("Baggage: a=1 \r\nX: y\r\nbaggage:\r\nbaggage: b=2;p\r\n").baggage(),
        b"a=1,b=2;p"
    );
    let full = "x".repeat(BAGGAGE_MAX - 2);
    for (lines, len) in [
        (
            format!("baggage: a={full}\r\nbaggage: b=2\r\n"),
            BAGGAGE_MAX,
        ),
        (format!("baggage: a={full},b=2\r\n"), BAGGAGE_MAX),
        (format!("baggage: a={full}x\r\nbaggage: b=2\r\n"), 0),
        (format!("baggage: k=v,a={full}\r\nbaggage: b=2\r\n"), 3),
        (format!("baggage: k=v\r\nbaggage: l=w,a={full}\r\n"), 7),
    ] {
        assert_eq!(request(&lines).baggage().len(), len);
    }
}

#[test]
fn signatures_are_seen() {
    for (fields, signed) in [
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=b\r\n",
            true,
        ),
        ("authorization:aws4-ecdsa\r\n", true),
        ("Authorization: Signature keyId=\"a\"\r\n", true),
        ("Signature-Input: x\r\n", true),
        ("SIGNATURE: x\r\n", true),
        ("Authorization: Bearer aws4-\r\n", false),
        ("Authorization: Basic, aws4-x\r\n", false),
        ("X: AWS4-HMAC\r\nAuthorization: AWS4\r\n", false),
    ] {
        assert_eq!(request(fields).signed, signed, "{fields}");
    }
}

#[test]
fn long_texts_are_cut_and_followed() {
    let ex = request(&format!(
        "Host: {0}\r\nUser-Agent: {0}y\r\n",
        "x".repeat(VALUE_MAX)
    ));
    assert!(!ex.is_cut(Field::Host) && ex.is_cut(Field::UserAgent));
    assert_eq!(ex.text(Field::UserAgent).map(<[u8]>::len), Some(VALUE_MAX));
    let mut host = Recorder::default();
    let target = format!("/{}", "t".repeat(9000));
    host.run(
        &[
            i(&format!("GET {target} HTTP/1.1\r\n\r\n")),
            o("HTTP/1.1 204 x\r\n\r\n"),
        ],
        whole,
    );
    assert!(host.only().is_cut(Field::Target));
    assert_eq!(
        host.only().text(Field::Target),
        Some(&target.as_bytes()[..TARGET_MAX])
    );
}

#[test]
fn a_traceparent_is_found_behind_any_head() {
    let before = size_of::<Stream>();
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    stream.feed(Direction::In, b"GET / HTTP/1.1\r\n", 1, &mut host);
    let mut fed = 0;
    let mut n = 0;
    while fed < 100_000 {
        n += 1;
        let line = format!("Cookie{n}: {}\r\n", "c".repeat(n % 300));
        fed += line.len();
        assert_eq!(
            stream.feed(Direction::In, line.as_bytes(), 2, &mut host),
            Verdict::Tracked
        );
    }
    let long = format!("Cookie: {}\r\nTraceparent: tp\r\n\r\n", "c".repeat(70_000));
    stream.feed(Direction::In, long.as_bytes(), 3, &mut host);
    assert_eq!(stream.open_exchanges(None).count(), 1);
    assert_eq!(host.exchanges[0].text(Field::Traceparent), Some(&b"tp"[..]));
    assert_eq!((host.exchanges.len(), size_of_val(&stream)), (1, before));
}

#[test]
fn heads_of_all_lengths_are_alike() {
    for len in (0..300).chain([1000, 1023, 1024, 1025, 4095, 4096, 8191, 8192, 8193]) {
        let ex = request(&format!("X-Pad: {}\r\nHost: h\r\n", "p".repeat(len)));
        assert_eq!(ex.text(Field::Host), Some(&b"h"[..]), "{len}");
    }
}
