//! What the machine makes of connections: recorded ones, and made ones.

use super::segment::{packed_segment, segment};
use crate::exchange::{Fault, Field};
use crate::protocol::db::tests::{recorder, replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, lossy, whole};
use crate::protocol::{Direction, Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

mod compressed;

/// What passed between a real client and Cassandra 5.0, a line for each piece: `>` from the client, `<` from the server.
fn recorded(text: &str) -> Vec<Step> {
    let line = |line: &str| match line.split_at(2) {
        ("> ", "eof") => Step::End(Direction::Out, Ended::Eof),
        ("< ", "eof") => Close,
        ("> ", bytes) => Out(unescaped(bytes)),
        ("< ", bytes) => In(unescaped(bytes)),
        _ => panic!("{line}"),
    };
    text.lines().map(line).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// `operation or text@keyspace start-end`, and what else is said, of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        assert!(ex.db.is_connect || ex.db.is_shared);
        let mut line = match (ex.db.is_connect, ex.text(Field::Operation)) {
            (true, _) => "connect".to_owned(),
            (_, Some(operation)) => format!("<{}>", lossy(Some(operation))),
            _ => lossy(ex.text(Field::Query)),
        };
        line += &format!(
            "@{} {}-{}",
            lossy(ex.text(Field::Namespace)),
            ex.start_ns,
            ex.end_ns
        );
        if ex.db.has_rows {
            line += &format!(" rows={}", ex.db.rows);
        }
        if ex.db.consistency > 0 {
            line += &format!(" level={}", ex.db.consistency);
        }
        if ex.db.page_size > 0 {
            line += &format!(" page={}", ex.db.page_size);
        }
        if ex.db.batch > 0 {
            line += &format!(" batch={}", ex.db.batch);
        }
        if let Some(code) = ex.text(Field::Code) {
            line += &format!(" {}", lossy(Some(code)));
        }
        if ex.fault != Fault::None {
            line += &format!(" {}", ex.fault.as_str());
        }
        line
    };
    recorder.finished.iter().map(line).collect()
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    (summary(&one), one.verdict)
}

fn frame(version: u8, flags: u8, stream: u16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![version, flags];
    out.extend(stream.to_be_bytes());
    out.push(opcode);
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out
}

fn options(version: u8) -> Step {
    Out(frame(version, 0, 0, 5, b""))
}

/// STARTUP with the language and one option more.
fn startup(version: u8, key: &str, value: &str) -> Step {
    let mut body = vec![0, 2];
    for text in ["CQL_VERSION", "3.0.0", key, value] {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.bytes());
    }
    Out(frame(version, 0, 1, 1, &body))
}

fn supported(version: u8) -> Step {
    In(frame(version | 0x80, 0, 0, 6, b"\0\0"))
}

fn ready(version: u8) -> Step {
    In(frame(version | 0x80, 0, 1, 2, b""))
}

/// A connection of version 4 that stands; then `more`, then its end.
fn open(more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let front = [options(4), supported(4), startup(4, "X", "y"), ready(4)];
    front.into_iter().chain(more).chain([Close]).collect()
}

fn long_string(text: &str) -> Vec<u8> {
    let mut out = (text.len() as u32).to_be_bytes().to_vec();
    out.extend(text.bytes());
    out
}

/// A query without values, at ONE.
fn query(stream: u16, text: &str) -> Vec<u8> {
    let mut body = long_string(text);
    body.extend(b"\0\x01\0");
    frame(4, 0, stream, 7, &body)
}

fn void(stream: u16) -> Vec<u8> {
    frame(0x84, 0, stream, 8, b"\0\0\0\x01")
}

const CONNECT: &str = "connect@- 1-40";

#[test]
fn the_python_driver() {
    for text in [
        include_str!("tests/python_v5.txt"),
        include_str!("tests/python_v4.txt"),
    ] {
        let (spans, _) = run(&recorded(text));
        let wanted = [
            "connect@shop 1-60",
            "INSERT INTO items (id, name, at, tags, pair) VALUES (1, 'canary', {street: 'canary', codes: [1]}, {'canary': {1}}, (1, 'canary'))@shop 70-80 level=2 page=5000",
            "INSERT INTO items (id, name) VALUES (2, 'canary')@shop 90-100 level=2 page=5000",
            "SELECT * FROM items WHERE id IN (1, 2)@shop 110-120 rows=2 level=2 page=5000",
            "INSERT INTO shop.items (id, name) VALUES (3, 'canary')@shop 130-140 level=2 page=5000",
            "SELECT name, at FROM items WHERE id = ?@shop 170-180 rows=1 level=2 page=5000",
            "SELECT name, at FROM items WHERE id = ?@shop 190-200 rows=0 level=2 page=5000",
            "SELECT id FROM items@shop 210-220 rows=2 level=5 page=2",
            "SELECT id FROM items@shop 230-240 rows=1 level=5 page=2",
        ];
        assert_eq!(spans, wanted);
    }
}

#[test]
fn errors() {
    let (spans, _) = run(&recorded(include_str!("tests/errors.txt")));
    let wanted = [
        "connect@shop 1-60",
        "SELECT canary@shop 70-80 level=2 page=5000 8192",
        "SELECT 'canary' FROM missing@shop 90-100 level=2 page=5000 8704",
        "SELECT * FROM missing WHERE id = ?@shop 110-120 8704",
        "USE missing@shop 130-140 level=2 page=5000 8704",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn batches_and_keyspaces() {
    let (spans, _) = run(&recorded(include_str!("tests/batches.txt")));
    let insert = "INSERT INTO items (id, name) VALUES (?, ?)";
    let wanted = [
        "connect@shop 1-60".to_owned(),
        format!("{insert}@shop 90-100 level=2 batch=3"),
        format!("{insert}; DELETE FROM items WHERE id = 4@shop 110-120 level=2 batch=2"),
        "USE system@shop 130-140 level=2 page=5000".to_owned(),
        "USE \"system\"@system 150-160 level=2".to_owned(),
        "SELECT key FROM local@system 170-180 rows=1 level=2 page=5000".to_owned(),
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn a_version_that_is_refused_is_no_error() {
    let (spans, verdict) = run(&recorded(include_str!("tests/refused_version.txt")));
    assert_eq!(spans, ["connect@- 1-20"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
    // One that is spoken, with something else that is wrong.
    let error = b"\0\0\0\x0a\0\x01x";
    let steps = [options(4), In(frame(0x84, 0, 0, 0, error)), Close];
    assert_eq!(run(&steps).0, ["connect@- 1-20 10"]);
}

#[test]
fn authentication_belongs_to_the_connection() {
    let secret = Out(frame(4, 0, 2, 0x0f, b"\0\0\0\x07\0secret"));
    let asked = In(frame(0x84, 0, 1, 3, b"\0\x01P"));
    let front = [startup(4, "X", "y"), asked, secret];
    let good = In(frame(0x84, 0, 2, 0x10, b"\xff\xff\xff\xff"));
    let bad = In(frame(0x84, 0, 2, 0, b"\0\0\x01\0\0\0"));
    for (answer, expected) in [(good, "connect@- 1-40"), (bad, "connect@- 1-40 256")] {
        let mut steps = front.clone().to_vec();
        steps.extend([answer, Close]);
        let (one, other) = (run(&steps).0, [expected]);
        assert_eq!(one, other);
    }
}

#[test]
fn answers_come_in_any_order() {
    let steps = open([
        Out([query(3, "SELECT a"), query(2, "SELECT b")].concat()),
        Out(query(9, "SELECT c")),
        In([void(9), void(3)].concat()),
        In(frame(0x84, 0, 0xffff, 0x0c, b"\0\x01x")),
        In(void(77)),
        In(void(2)),
        Out(query(9, "SELECT d")),
        Step::End(Direction::In, Ended::Eof),
    ]);
    let (spans, _) = run(&steps);
    let wanted = [
        CONNECT,
        "SELECT c@- 60-70 level=2",
        "SELECT a@- 50-70 level=2",
        "SELECT b@- 50-100 level=2",
        "SELECT d@- 110-120 level=2 connection_closed",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn what_the_library_asks_is_not_told() {
    let register = Out(frame(4, 0, 5, 0x0b, b"\0\0"));
    let registered = In(frame(0x84, 0, 5, 2, b""));
    let steps = open([
        Out(query(1, "SELECT cluster_name FROM system.local")),
        In(void(1)),
        register,
        registered,
        Out(query(1, "SELECT * FROM system.local WHERE key='local'")),
        Out(query(2, "SELECT * FROM system_schema.tables")),
        In([void(1), void(2)].concat()),
        Out(frame(4, 0, 3, 5, b"")),
        In(frame(0x84, 0, 3, 6, b"\0\0")),
        Out(query(1, "SELECT * FROM system_views.clients")),
        In(void(1)),
    ]);
    let (spans, _) = run(&steps);
    let mine = "SELECT * FROM system_views.clients@- 140-150 level=2";
    assert_eq!(spans, ["connect@- 1-60", mine]);
    // Without that it is the program that asks.
    let (spans, _) = run(&open([
        Out(query(1, "SELECT * FROM system.local")),
        In(void(1)),
    ]));
    assert_eq!(
        spans,
        [CONNECT, "SELECT * FROM system.local@- 50-60 level=2"]
    );
}

#[test]
fn what_is_compressed_as_was_not_said_is_not_read() {
    let steps = open([
        Out(frame(4, 1, 1, 7, b"compressed")),
        In(frame(0x84, 1, 1, 8, b"compressed")),
        Out(frame(4, 1, 1, 0x0a, b"compressed")),
        In(frame(0x84, 1, 1, 0, b"compressed")),
    ]);
    let (spans, _) = run(&steps);
    assert_eq!(
        spans,
        [CONNECT, "<QUERY>@- 50-60", "<EXECUTE>@- 70-80 _OTHER"]
    );
    // Segments that are compressed otherwise: nothing remains after the connect.
    let steps = [
        startup(5, "COMPRESSION", "snappy"),
        ready(5),
        Out(vec![1, 2, 3]),
        Close,
    ];
    let (spans, verdict) = run(&steps);
    assert_eq!(
        (spans, verdict),
        (vec!["connect@- 1-20".to_owned()], Some(Verdict::Opaque))
    );
}

#[test]
fn frames_over_segments_and_segments_over_frames() {
    // Version 5 has four bytes of flags.
    let body = |text: &str| [&long_string(text)[..], b"\0\x01\0\0\0\0"].concat();
    let long = frame(5, 0, 1, 7, &body(&format!("SELECT '{}'", "x".repeat(300))));
    let short = frame(5, 0, 2, 7, &body("SELECT b"));
    let void = |stream| frame(0x85, 0, stream, 8, b"\0\0\0\x01");
    let steps = [
        startup(5, "X", "y"),
        ready(5),
        Out([segment(&long[..100], false), segment(&long[100..], false)].concat()),
        Out(segment(
            &[&short[..], &frame(5, 0, 3, 5, b"")[..]].concat(),
            true,
        )),
        In(segment(&[void(2), void(1)].concat(), true)),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans.len(), 3);
    assert_eq!(spans[1], "SELECT b@- 40-50 level=2");
    assert!(spans[2].ends_with("xxx'@- 30-50 level=2"));
    // A header whose checksum is wrong.
    let mut wrong = segment(&short, true);
    wrong[4] ^= 1;
    let steps = [startup(5, "X", "y"), ready(5), Out(wrong)];
    assert_eq!(run(&steps).1, Some(Verdict::Opaque));
}

#[test]
fn types_are_read_to_count_rows() {
    let cases: [(&[u8], Option<u64>); 9] = [
        (b"\0\x09", Some(7)),
        (b"\0\0\0\x03abc", Some(7)),
        (b"\0\x20\0\x22\0\x09", Some(7)),
        (b"\0\x21\0\x09\0\x21\0\x09\0\x0d", Some(7)),
        (b"\0\x31\0\x02\0\x09\0\x31\0\x01\0\x09", Some(7)),
        (b"\0\x31\0\0", Some(7)),
        (
            b"\0\x30\0\x02ks\0\x01t\0\x02\0\x01a\0\x20\0\x09\0\x01b\0\x30\0\x02ks\0\x01u\0\x01\0\x01c\0\x09",
            Some(7),
        ),
        // Too deep, and unknown.
        (b"\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x09", None),
        (b"\0\x40", None),
    ];
    for (kind, rows) in cases {
        let columns = [&b"\0\x01n"[..], kind, b"\0\x01m", kind].concat();
        let body = [
            b"\0\0\0\x02\0\0\0\x03\0\0\0\x02\0\0\0\x02pp\0\x02ks\0\x01t",
            &columns[..],
            b"\0\0\0\x07\0\0\0\x01x",
        ]
        .concat();
        let mut host = recorder();
        let steps = open([Out(query(1, "SELECT")), In(frame(0x84, 0, 1, 8, &body))]);
        host.run(&steps, whole);
        let db = host.exchanges[host.finished[1]].db;
        assert_eq!(db.has_rows.then_some(db.rows), rows, "{kind:?}");
    }
}

#[test]
fn an_unknown_statement_leaves_no_text() {
    let execute = frame(4, 0, 1, 0x0a, b"\0\x02id\0\x01\0");
    let batch = b"\0\0\x02\0\0\0\0\x08SELECT a\0\0\x01\0\x02id\0\0\0\x01\0";
    let steps = open([
        Out(execute),
        In(void(1)),
        Out(frame(4, 0, 1, 0x0d, batch)),
        In(void(1)),
    ]);
    let (spans, _) = run(&steps);
    let wanted = [
        CONNECT,
        "<EXECUTE>@- 50-60 level=2",
        "<BATCH>@- 70-80 level=2 batch=2",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn a_keyspace_of_its_own() {
    // Version 5: with a query, and with a statement that is prepared.
    let one = [&long_string("SELECT a")[..], b"\0\x01\0\0\0\x80\0\x02ks"].concat();
    let two = [&long_string("SELECT b")[..], b"\0\0\0\x01\0\x02k2"].concat();
    let packed = |bytes: Vec<u8>| segment(&bytes, true);
    let steps = [
        startup(5, "X", "y"),
        ready(5),
        Out(packed(frame(5, 0, 1, 7, &one))),
        In(packed(frame(0x85, 0, 1, 8, b"\0\0\0\x01"))),
        Out(packed(frame(5, 0, 1, 9, &two))),
        In(packed(frame(0x85, 0, 1, 8, b"\0\0\0\x04\0\x02id\0\x02md"))),
        Out(packed(frame(
            5,
            0,
            1,
            0x0a,
            b"\0\x02id\0\x02md\0\x01\0\0\0\0",
        ))),
        In(packed(frame(0x85, 0, 1, 8, b"\0\0\0\x01"))),
        Close,
    ];
    let (spans, _) = run(&steps);
    let wanted = [
        "connect@- 1-20",
        "SELECT a@ks 30-40 level=2",
        "SELECT b@k2 70-80 level=2",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn what_is_another_protocol_is_told_of_by_nothing() {
    // The same first bytes, and another kind of answer.
    for answer in [
        &b"hello"[..],
        b"\x04\0\0\0\x06\0\0\0\0",
        b"\x84\0\0\0\x08\0\0\0\0",
    ] {
        let steps = [options(4), In(answer.to_vec()), Close];
        let (spans, verdict) = run(&steps);
        assert_eq!((spans.len(), verdict), (0, Some(Verdict::Opaque)));
    }
    for front in [
        &b"\x04\x01\0\0\x05\0\0\0\0"[..],
        b"\x04\0\0\0\x05\0\0\0\x01",
        b"\x04\0\0\0\x07\0\0\0\0",
        b"\x05\x01\0",
        b"\x06\0\0\0\x05\0\0\0\0",
    ] {
        let mut host = recorder();
        host.run(&[Out(front.to_vec())], whole);
        assert!(matches!(
            host.verdict,
            Some(Verdict::Opaque | Verdict::Undecided)
        ));
        assert!(host.exchanges.is_empty());
    }
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let ends: [Vec<Step>; 5] = [
        open([Out(query(1, "SELECT a")), Out(query(1, "SELECT b"))]),
        open([Out(frame(4, 0, 1, 7, b"\0\0\0\x09SELECT a"))]),
        open([Out(frame(5, 0, 1, 7, b""))]),
        open([Out(vec![0x84; 9])]),
        open([In(vec![4; 9])]),
    ];
    for mut steps in ends {
        steps.pop();
        assert_eq!(run(&steps).1, Some(Verdict::Opaque), "{steps:?}");
    }
    let mut host = Recorder {
        no_wides: true,
        ..recorder()
    };
    host.run(&open([Out(query(1, "SELECT a"))]), whole);
    assert_eq!(summary(&host), [CONNECT]);
}

#[test]
fn values_out_of_sight() {
    // The rest of a row's bytes came by another way.
    let rows = b"\0\0\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x01\0\0\x10\0";
    let mut answer = frame(0x84, 0, 1, 8, &[&rows[..], &[0; 4096]].concat());
    answer.truncate(9 + rows.len());
    let steps = open([
        Out(query(1, "SELECT a")),
        In(answer),
        Step::Skip(Direction::In, 4095),
        In(vec![0]),
    ]);
    assert_eq!(run(&steps).0[1], "SELECT a@- 50-80 rows=1 level=2");
    let steps = open([Step::Skip(Direction::In, 1)]);
    assert_eq!(run(&steps[..5]).1, Some(Verdict::Opaque));
}

#[test]
fn more_than_can_be_followed() {
    let all = |from: u16, to| (from..to).flat_map(|stream| query(stream, "SELECT a"));
    let steps = open([
        Out(all(0, 600).collect()),
        In((0..600).flat_map(void).collect()),
        Out(query(1, "SELECT b")),
        In(void(1)),
    ]);
    let mut host = recorder();
    host.run(&steps, whole);
    assert_eq!(host.finished.len(), 1 + 512 + 1);
    assert_eq!(host.passed_over, 88);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..6usize, 0..5usize, 0..4u16), 1..10),
        cuts in proptest::collection::vec(0..600usize, 0..8),
    ) {
        let prepare = |stream| frame(4, 0, stream, 9, &long_string("SELECT p"));
        let execute = |stream| frame(4, 0, stream, 0x0a, b"\0\x02id\0\x01\x01\0\x01\0\0\0\x01x");
        let batch = |stream| frame(4, 4, stream, 0x0d, b"\0\x01\0\x01k\0\0\0\x01v\0\0\x02\0\0\0\0\x08SELECT a\0\0\x01\0\x02id\0\0\0\x01\0");
        let mut steps = vec![options(4), supported(4), startup(4, "X", "y"), ready(4)];
        for (ask, answer, stream) in all {
            steps.push(Out(match ask {
                0 => query(stream, "SELECT a"),
                1 => query(stream, "USE a"),
                2 => prepare(stream),
                3 => execute(stream),
                4 => batch(stream),
                _ => frame(4, 0, stream, 5, b""),
            }));
            steps.push(In(match answer {
                0 => void(stream),
                1 => frame(0x84, 0, stream, 8, b"\0\0\0\x03\0\x01a"),
                2 => frame(0x84, 0x0a, stream, 8, b"0123456789abcdef\0\x01\0\x01w\0\0\0\x04\0\x02id\0"),
                3 => frame(0x84, 0, stream, 0, b"\0\0\x22\0\0\x01x"),
                _ => frame(0x84, 0, stream ^ 1, 8, b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x01k\0\x01t\0\x01c\0\x20\0\x09\0\0\0\x03xyz"),
            }));
        }
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..200), out in any::<bool>(), opcode in 0..17u8, new in any::<bool>()) {
        let version = if new { 5 } else { 4 };
        let body = frame(if out { version } else { version | 0x80 }, 0, 1, opcode, &noise);
        let body = if new { segment(&body, true) } else { body };
        let asked = if new { segment(&query(1, "S"), true) } else { query(1, "S") };
        let steps = [
            startup(version, "X", "y"), ready(version), Out(asked), if out { Out(body) } else { In(body) },
            if out { Out(noise) } else { In(noise) }, Close,
        ];
        run(&steps);
    }
}
