//! What the machine makes of connections: recorded ones, and made ones.

use super::column::layout;
use crate::exchange::{Fault, Field};
use crate::protocol::db::tests::{outcome, recorded, recorder, replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, lossy, whole};
use crate::protocol::{Direction, Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

/// `operation or text@database start-end`, and what else is said, of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let what = match (ex.db.is_connect, ex.text(Field::Operation)) {
            (true, _) => "connect".to_owned(),
            (_, Some(operation)) => format!("<{}>", lossy(Some(operation))),
            _ => lossy(ex.text(Field::Query)),
        };
        format!("{what}@{}{}", lossy(ex.text(Field::Namespace)), outcome(ex))
    };
    recorder.finished.iter().map(line).collect()
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    (summary(&one), one.verdict)
}

#[test]
fn the_python_driver() {
    let (spans, _) = run(&recorded(include_str!("tests/python.txt")));
    let wanted = [
        "connect@shop 1-20",
        "INSERT INTO items (id, name, note) VALUES@shop 30-60",
        "SELECT id, name, note FROM items WHERE name = 'canary' ORDER BY id LIMIT 2@shop 90-100 rows=2",
        "SELECT toDate('2020-01-02'), toFixedString('abc', 3), 1.5, toDecimal64(2, 3), NULL@shop 130-140 rows=1",
        "SELECT id FROM items WHERE name = 'nobody' AND id > 5@shop 170-190 rows=0",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn the_command_line_client_compresses() {
    let (spans, _) = run(&recorded(include_str!("tests/client.txt")));
    let wanted = [
        "connect@- 1-20",
        "USE shop; @- 50-60",
        "SELECT name FROM items WHERE id = 1 LIMIT 1; @shop 90-100 rows=1",
        "SELECT 1 FROM missing@shop 130-140 60",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn data_that_cannot_be_passed_over() {
    let (spans, _) = run(&recorded(include_str!("tests/arrays.txt")));
    let wanted = [
        "connect@shop 1-20",
        "INSERT INTO items (id, name, tags) VALUES@shop 30-60",
        "SELECT tags FROM items WHERE id = 3 LIMIT 1@shop 90-140",
        "SELECT 1@shop 170-220 rows=1",
        "SELECT [1, 2]@shop 250-270",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn databases_are_chosen() {
    let (spans, _) = run(&recorded(include_str!("tests/databases.txt")));
    let wanted = [
        "connect@- 1-20",
        "USE shop@- 30-40",
        "SELECT count() >= 0 FROM items@shop 70-90 rows=1",
        "<QUERY>@shop 120-140 rows=1",
    ];
    // A setting, of a server so old that it cannot be passed over.
    assert_eq!(spans, wanted);
}

#[test]
fn errors() {
    let (spans, _) = run(&recorded(include_str!("tests/error.txt")));
    assert_eq!(
        spans,
        [
            "connect@shop 1-20",
            "SELECT 'canary' FROM missing@shop 30-40 60"
        ]
    );
    let (spans, verdict) = run(&recorded(include_str!("tests/denied.txt")));
    assert_eq!(
        (spans, verdict),
        (vec!["connect@- 1-20 193".to_owned()], Some(Verdict::Opaque))
    );
}

fn number(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 127 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn text(text: &str) -> Vec<u8> {
    [number(text.len() as u64), text.bytes().collect()].concat()
}

fn hello(revision: u64) -> Step {
    let front = [
        vec![0],
        text("ClickHouse x"),
        vec![20, 10],
        number(revision),
    ];
    let names = ["db", "user", "secret"].map(text);
    Out([front.concat(), names.concat()].concat())
}

/// The newest that is understood here.
fn greeting(revision: u64) -> Step {
    let mut bytes = [vec![0], text("ClickHouse"), vec![24, 1], number(revision)].concat();
    bytes.extend(
        [
            text("UTC"),
            text("here"),
            vec![7, 1],
            text("pattern"),
            text("message"),
        ]
        .concat(),
    );
    bytes.extend([9; 8]);
    In(bytes)
}

/// A query with two settings, a context and a parameter.
fn query(statement: &str) -> Vec<u8> {
    let mut bytes = [
        vec![1],
        text("id"),
        vec![1],
        text("u"),
        text("i"),
        text("a"),
    ]
    .concat();
    bytes.extend([0; 8]);
    bytes.push(1);
    bytes.extend(
        [
            text("os"),
            text("host"),
            text("name"),
            vec![1, 2],
            number(54468),
            text("quota"),
        ]
        .concat(),
    );
    bytes.extend([0, 3, 1]);
    bytes.extend([5; 24]);
    bytes.extend([text("state=1"), vec![1], vec![0, 0, 0]].concat());
    for (name, value) in [("max_threads", "1"), ("x", "yyy")] {
        bytes.extend([text(name), vec![1], text(value)].concat());
    }
    bytes.extend([text(""), text("interserver"), vec![2, 0], text(statement)].concat());
    bytes.extend([text("p"), vec![2], text("'canary'"), text("")].concat());
    bytes.extend(b"\x02\0\x01\0\x02\xff\xff\xff\xff\0\0\0");
    bytes
}

/// A block of one column, with so many rows.
fn block(kind: &str, rows: u64, values: &[u8]) -> Vec<u8> {
    let front = [
        &b"\x01\0\x01\0\x02\xff\xff\xff\xff\0\x01"[..],
        &number(rows),
    ]
    .concat();
    [front, text("c"), text(kind), vec![0], values.to_vec()].concat()
}

fn newest(more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let front = [hello(54470), greeting(54468), Out(text("quota"))];
    front.into_iter().chain(more).chain([Close]).collect()
}

const END: &[u8] = b"\x05";

#[test]
fn a_newer_server() {
    let answer = [
        b"\x0b".to_vec(),
        text("table"),
        text("columns"),
        b"\x11".to_vec(),
        text("UTC"),
        b"\x03\x01\x02\x03\x04\x05\x06\x07".to_vec(),
        block("Nullable(String)", 2, b"\0\x01\x01a\0"),
        b"\x06\x02\x01\x20\0\x02\0".to_vec(),
        b"\x0e\0\x01\0\x02\xff\xff\xff\xff\0\0\0".to_vec(),
        END.to_vec(),
    ];
    let steps = newest([Out(query("SELECT a")), In(answer.concat())]);
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["connect@db 1-20", "SELECT a@db 40-50 rows=2"]);
    // One that is not known yet.
    let (spans, verdict) = run(&[hello(54500), greeting(54490)]);
    assert_eq!(
        (spans, verdict),
        (vec!["connect@db 1-20".to_owned()], Some(Verdict::Opaque))
    );
}

#[test]
fn the_end_of_what_cannot_be_read_is_seen_later() {
    let steps = newest([
        Out(query("SELECT a")),
        In(block("Array(String)", 1, b"\x01\0\0\0\0\0\0\0\x01x")),
        In(END.to_vec()),
        Out(vec![4]),
        In(vec![4]),
        Out(query("SELECT b")),
        In(END.to_vec()),
    ]);
    let (spans, _) = run(&steps);
    assert_eq!(
        spans,
        ["connect@db 1-20", "SELECT a@db 40-60", "SELECT b@db 90-100"]
    );
    // Or when it is closed; what came last is its end.
    let steps = newest([
        Out(query("SELECT a")),
        In(block("Map(String, String)", 1, b"x")),
        In(END.to_vec()),
    ]);
    assert_eq!(run(&steps).0[1], "SELECT a@db 40-60");
    // Data of the client's.
    let mut insert = query("INSERT INTO a VALUES");
    insert.extend([vec![2], block("Array(String)", 1, b"any")[1..].to_vec()].concat());
    let steps = newest([
        Out(insert),
        Out(b"\x01\x02\x03".to_vec()),
        In([block("Array(String)", 0, b""), END.to_vec()].concat()),
        Out(query("SELECT b")),
        In(END.to_vec()),
    ]);
    let (spans, _) = run(&steps);
    assert_eq!(
        spans[1..],
        ["INSERT INTO a VALUES@db 40-60", "SELECT b@db 70-80"]
    );
}

#[test]
fn compressed_blocks_of_several_parts() {
    let part = |before: u32, data: &[u8]| {
        let mut out = vec![7; 16];
        out.push(0x82);
        out.extend((data.len() as u32 + 9).to_le_bytes());
        out.extend(before.to_le_bytes());
        out.extend(data);
        out
    };
    let mut asked = query("SELECT a");
    // Compression, behind which the statement stands; the client's own block as well.
    let at = asked.windows(8).position(|w| w == b"SELECT a").unwrap();
    asked[at - 2] = 1;
    asked.truncate(asked.len() - 10);
    asked.extend(part(10, b"empty"));
    let parts = [vec![1, 0], part(1 << 20, &[5; 300]), part(100, b"xyz")].concat();
    let steps = newest([Out(asked), In([parts, END.to_vec()].concat())]);
    assert_eq!(run(&steps).0[1], "SELECT a@db 40-50");
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let ends: [Vec<Step>; 5] = [
        newest([In(vec![5])]),
        newest([Out(query("SELECT a")), Out(query("SELECT b"))]),
        newest([Out(vec![9])]),
        newest([Out(query("SELECT a")), In(vec![0])]),
        vec![hello(54468), Out(query("SELECT a")), Close],
    ];
    for mut steps in ends {
        steps.pop();
        assert_eq!(run(&steps).1, Some(Verdict::Opaque), "{steps:?}");
    }
    for front in [
        &b"\0\x0aclickbouse"[..],
        b"\0\x05Click",
        b"\x01\x0aclickhouse",
    ] {
        let mut host = recorder();
        host.run(&[Out(front.to_vec())], whole);
        assert_ne!(host.verdict, Some(Verdict::Tracked), "{front:?}");
        assert!(host.exchanges.is_empty());
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let steps = newest([Out(query("SELECT a")), Step::End(Direction::In, Ended::Eof)]);
    assert_eq!(run(&steps).0[1], "SELECT a@db 40-50 connection_closed");
    let steps = newest([
        Out(query("SELECT a")),
        In(vec![2, 1]),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(run(&steps).0[1], "SELECT a@db 40-60 response_truncated");
    let failed = Ended::Failed(Fault::ConnectionReset);
    let steps = [hello(54468), Step::End(Direction::In, failed)];
    assert_eq!(run(&steps).0, ["connect@db 1-20 connection_reset"]);
}

#[test]
fn types_tell_their_size() {
    for (name, expected) in [
        ("UInt8", Some((false, 1))),
        ("Nullable(DateTime('Europe/Berlin'))", Some((true, 4))),
        ("DateTime64(3)", Some((false, 8))),
        ("FixedString(12)", Some((false, 12))),
        ("Decimal(38, 2)", Some((false, 16))),
        ("Enum8('a' = 1, 'and it is cu", Some((false, 1))),
        ("Nullable(String)", Some((true, 0))),
        ("Array(UInt8)", None),
        ("LowCardinality(String)", None),
        ("Tuple(UInt8)", None),
        ("FixedString(0)", None),
        ("UInt8x", None),
        ("", None),
    ] {
        let found = layout(name.as_bytes()).map(|l| (l.nullable, l.size));
        assert_eq!(found, expected, "{name}");
    }
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..4usize, 0..6usize), 1..6),
        cuts in proptest::collection::vec(0..900usize, 0..8),
    ) {
        let mut steps = newest([]);
        steps.pop();
        for (ask, answer) in all {
            steps.push(Out(match ask {
                0 => query("SELECT a"),
                1 => query("USE other"),
                2 => [query("INSERT"), vec![2], block("Array(X)", 1, b"any")[1..].to_vec()].concat(),
                _ => vec![4],
            }));
            steps.push(In(match (ask, answer) {
                (3, _) => vec![4],
                (_, 0) => END.to_vec(),
                (_, 1) => [block("String", 2, b"\x01a\x02bc"), END.to_vec()].concat(),
                (_, 2) => [&b"\x02\x3c\0\0\0"[..], &text("DB::Exception"), &text("m"), &text("s"), b"\0"].concat(),
                (_, 3) => block("Array(X)", 1, b"any"),
                (_, 4) => [block("UInt64", 1, &[1; 8]), b"\x06\x01\x01\x08\0\x01\0".to_vec(), END.to_vec()].concat(),
                _ => vec![99],
            }));
        }
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..200), packet in 0..18u8, out in any::<bool>()) {
        let mut bytes = noise.clone();
        bytes.insert(0, packet);
        let step = if out { Out(bytes) } else { In(bytes) };
        run(&newest([Out(query("SELECT a")), step]));
        run(&[hello(54468), if out { Out(noise) } else { In(noise) }, Close]);
    }
}
