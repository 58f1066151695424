//! What the machine makes of connections.

use crate::exchange::{Fault, Field};
use crate::protocol::Direction;
use crate::protocol::db::tests::{recorder, replayed};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

mod compressed;

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), b"\0", value].concat()
}

fn string(name: &str, value: &str) -> Vec<u8> {
    let len = value.len() as u32 + 1;
    element(
        2,
        name,
        &[&len.to_le_bytes(), value.as_bytes(), b"\0"].concat(),
    )
}

fn int(name: &str, value: i32) -> Vec<u8> {
    element(0x10, name, &value.to_le_bytes())
}

fn ok(value: f64) -> Vec<u8> {
    element(1, "ok", &value.to_le_bytes())
}

fn bson(elements: &[Vec<u8>]) -> Vec<u8> {
    let inside = elements.concat();
    let len = inside.len() as u32 + 5;
    [&len.to_le_bytes(), &inside[..], b"\0"].concat()
}

fn nested(name: &str, elements: &[Vec<u8>]) -> Vec<u8> {
    element(3, name, &bson(elements))
}

fn array(name: &str, documents: usize, each: &[Vec<u8>]) -> Vec<u8> {
    let elements: Vec<Vec<u8>> = (0..documents)
        .map(|i| nested(&i.to_string(), each))
        .collect();
    element(4, name, &bson(&elements))
}

fn message(id: u32, answers: u32, opcode: u32, content: &[u8]) -> Vec<u8> {
    let mut out = (content.len() as u32 + 16).to_le_bytes().to_vec();
    for field in [id, answers, opcode] {
        out.extend(field.to_le_bytes());
    }
    out.extend(content);
    out
}

fn msg(id: u32, answers: u32, flags: u32, elements: &[Vec<u8>]) -> Vec<u8> {
    let content = [&flags.to_le_bytes(), &b"\0"[..], &bson(elements)].concat();
    message(id, answers, 2013, &content)
}

fn sequence(name: &str, documents: usize) -> Vec<u8> {
    let each = bson(&[string("secret", "hush")]);
    let len = 4 + name.len() + 1 + documents * each.len();
    let head = [
        &b"\x01"[..],
        &(len as u32).to_le_bytes(),
        name.as_bytes(),
        b"\0",
    ]
    .concat();
    [head, each.repeat(documents)].concat()
}

fn command(id: u32, name: &str, value: Vec<u8>, more: &[Vec<u8>]) -> Vec<u8> {
    assert!(value[1..].starts_with(name.as_bytes()));
    msg(
        id,
        0,
        0,
        &[&[value], more, &[string("$db", "shop")]].concat(),
    )
}

fn find(id: u32) -> Vec<u8> {
    let filter = nested("filter", &[string("name", "hush")]);
    command(id, "find", string("find", "items"), &[filter])
}

fn done(answers: u32) -> Vec<u8> {
    msg(answers + 1000, answers, 0, &[int("n", 1), ok(1.0)])
}

/// `connect` or `database.operation collection`, ` start-end`, size of the batch, rows, code and fault of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        assert_eq!(ex.text(Field::Query), None);
        let text = |field| lossy(ex.text(field));
        let mut line = if ex.db.is_connect {
            "connect".to_owned()
        } else {
            format!(
                "{}.{} {}",
                text(Field::Namespace),
                text(Field::Operation),
                text(Field::Collection)
            )
        };
        line += &format!(" {}-{}", ex.start_ns, ex.end_ns);
        if ex.db.batch > 1 {
            line += &format!(" x{}", ex.db.batch);
        }
        if ex.db.has_rows {
            line += &format!(" {} rows", ex.db.rows);
        }
        if let Some(code) = ex.text(Field::Code) {
            line += &format!(" {}", lossy(Some(code)));
        }
        if ex.fault != Fault::None {
            line += " fault";
        }
        line
    };
    recorder.finished.iter().map(line).collect()
}

/// The summary, however the bytes are cut.
fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    assert!(!one.events.concat().contains("hush"));
    (summary(&one), one.verdict)
}

const FIND: &str = "shop.find items";

#[test]
fn a_command_and_its_answer() {
    for (request, shown) in [
        (find(7), FIND),
        (command(7, "ping", int("ping", 1), &[]), "shop.ping -"),
        (
            command(7, "aggregate", string("aggregate", "items"), &[]),
            "shop.aggregate items",
        ),
        (
            command(7, "aggregate", int("aggregate", 1), &[]),
            "shop.aggregate -",
        ),
        (
            command(7, "explain", nested("explain", &[string("find", "x")]), &[]),
            "shop.explain -",
        ),
        (
            command(
                7,
                "getMore",
                element(0x12, "getMore", &[7; 8]),
                &[string("collection", "items")],
            ),
            "shop.getMore items",
        ),
        (
            command(
                7,
                "createUser",
                string("createUser", "hush"),
                &[string("pwd", "hush")],
            ),
            "shop.createUser -",
        ),
        (
            message(7, 0, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"),
            "-.- -",
        ),
    ] {
        let (spans, _) = run(&[Out(request), In(done(7)), Close]);
        assert_eq!(spans, ["connect 1-2", &format!("{shown} 10-20")]);
    }
}

#[test]
fn every_type_of_value_is_passed_over() {
    let mut all = Vec::new();
    for (kind, value) in [
        (0x01, &[0; 8][..]),
        (0x05, b"\x02\0\0\0\x04ab"),
        (0x06, b""),
        (0x07, &[1; 12]),
        (0x08, b"\x01"),
        (0x09, &[2; 8]),
        (0x0a, b""),
        (0x0b, b"regex\0i\0"),
        (0x0c, b"\x02\0\0\0n\0abcdefghijkl"),
        (0x0d, b"\x02\0\0\0c\0"),
        (0x0e, b"\x02\0\0\0s\0"),
        (0x0f, b"\x0f\0\0\0\x02\0\0\0c\0\x05\0\0\0\0"),
        (0x10, &[3; 4]),
        (0x11, &[4; 8]),
        (0x12, &[5; 8]),
        (0x13, &[6; 16]),
        (0xff, b""),
        (0x7f, b""),
        (0x03, b"\x05\0\0\0\0"),
        (0x04, b"\x05\0\0\0\0"),
    ] {
        all.push(element(kind, "x", value));
    }
    let (spans, _) = run(&[
        Out(command(1, "find", string("find", "items"), &all)),
        In(msg(2, 1, 0, &[all.concat(), ok(1.0)])),
        Close,
    ]);
    assert_eq!(spans[1], format!("{FIND} 10-20"));
}

#[test]
fn what_went_wrong_has_a_code() {
    let wrong = |elements: &[Vec<u8>]| msg(9, 7, 0, elements);
    let text = string("errmsg", "hush");
    for (answer, shown) in [
        (wrong(&[ok(0.0), text.clone(), int("code", 59)]), " 59"),
        (wrong(&[int("ok", 0), int("code", 11000)]), " 11000"),
        (wrong(&[element(8, "ok", &[0]), int("code", -1)]), " -1"),
        (wrong(&[ok(0.0), text.clone()]), " fault"),
        (
            wrong(&[
                int("n", 0),
                array(
                    "writeErrors",
                    2,
                    &[int("index", 0), int("code", 11000), text.clone()],
                ),
                ok(1.0),
            ]),
            " 11000",
        ),
        (
            wrong(&[nested("writeConcernError", &[int("code", 64)]), ok(1.0)]),
            " 64",
        ),
        (wrong(&[nested("other", &[int("code", 64)]), ok(1.0)]), ""),
        (message(9, 7, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"), ""),
    ] {
        let (spans, _) = run(&[Out(find(7)), In(answer), Close]);
        assert_eq!(spans[1], format!("{FIND} 10-20{shown}"));
    }
}

#[test]
fn rows_and_batches_are_counted() {
    let batch = |elements: &[Vec<u8>]| msg(9, 7, 0, elements);
    let found = |name, n| {
        nested(
            "cursor",
            &[
                array(name, n, &[string("a", "hush"), int("code", 5)]),
                int("id", 0),
            ],
        )
    };
    for (name, n) in [("firstBatch", 0), ("firstBatch", 3), ("nextBatch", 101)] {
        let (spans, _) = run(&[Out(find(7)), In(batch(&[found(name, n), ok(1.0)])), Close]);
        assert_eq!(spans[1], format!("{FIND} 10-20 {n} rows"));
    }
    let body = bson(&[string("insert", "items"), string("$db", "shop")]);
    for (content, shown) in [
        (
            [&[0; 5][..], &body, &sequence("documents", 3)].concat(),
            " x3",
        ),
        (
            [&[0; 4][..], &sequence("documents", 2), b"\0", &body].concat(),
            " x2",
        ),
        ([&[0; 5][..], &body, &sequence("documents", 1)].concat(), ""),
        ([&[0; 5][..], &body, &sequence("others", 4)].concat(), ""),
        (
            [
                &b"\x01\0\0\0\0"[..],
                &body,
                &sequence("documents", 5),
                b"sum!",
            ]
            .concat(),
            " x5",
        ),
    ] {
        let (spans, _) = run(&[Out(message(7, 0, 2013, &content)), In(done(7)), Close]);
        assert_eq!(spans[1], format!("shop.insert items 10-20{shown}"));
    }
    let documents = array("documents", 4, &[string("a", "hush")]);
    let (spans, _) = run(&[
        Out(command(
            7,
            "insert",
            string("insert", "items"),
            &[documents],
        )),
        In(done(7)),
        Close,
    ]);
    assert_eq!(spans[1], "shop.insert items 10-20 x4");
}

#[test]
fn what_sets_a_connection_up_belongs_to_it() {
    let hello = message(
        1,
        0,
        2004,
        &[
            b"\0\0\0\0admin.$cmd\0\0\0\0\0\xff\xff\xff\xff",
            &bson(&[int("ismaster", 1), nested("client", &[string("x", "hush")])])[..],
        ]
        .concat(),
    );
    let greeted = message(
        2,
        1,
        1,
        &[&[0; 16][..], b"\x01\0\0\0", &bson(&[ok(1.0)])].concat(),
    );
    let steps = [
        Out(hello),
        In(greeted),
        Out(command(
            3,
            "saslStart",
            int("saslStart", 1),
            &[string("payload", "hush")],
        )),
        In(done(3)),
        Out(command(
            4,
            "saslContinue",
            int("saslContinue", 1),
            &[string("payload", "hush")],
        )),
        In(done(4)),
        Out(find(5)),
        In(done(5)),
        Out(command(6, "endSessions", array("endSessions", 1, &[]), &[])),
        In(msg(7, 6, 0, &[ok(0.0), int("code", 59)])),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["connect 1-60", &format!("{FIND} 70-80")]);
    // Not who he says.
    let mut steps = steps[..4].to_vec();
    steps[3] = In(msg(9, 3, 0, &[ok(0.0), int("code", 18)]));
    steps.push(Close);
    assert_eq!(run(&steps).0, ["connect 1-40 18"]);
    steps[3] = Step::End(Direction::In, Ended::Eof);
    assert_eq!(run(&steps).0, ["connect 1-40 fault"]);
}

#[test]
fn a_connection_that_only_watches_makes_nothing() {
    let hello = || msg(1, 0, 1 << 16, &[int("hello", 1), string("$db", "admin")]);
    let (spans, verdict) = run(&[
        Out(hello()),
        In(msg(2, 1, 2, &[ok(1.0)])),
        In(msg(3, 2, 2, &[ok(1.0)])),
        In(msg(4, 3, 0, &[ok(0.0), int("code", 9)])),
        Out(hello()),
        In(msg(5, 1, 0, &[ok(1.0)])),
        Close,
    ]);
    assert_eq!(spans, [""; 0]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn answers_are_found_by_what_they_answer() {
    let (spans, _) = run(&[
        Out(find(1)),
        Out(find(2)),
        Out(msg(
            3,
            0,
            2,
            &[string("delete", "items"), string("$db", "shop")],
        )),
        In(done(2)),
        In(done(77)),
        In(done(1)),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "shop.delete items 30-30",
            &format!("{FIND} 20-40"),
            &format!("{FIND} 10-60")
        ]
    );
    // Several answers to one.
    let rows = |id, answers, flags| {
        msg(
            id,
            answers,
            flags,
            &[nested("cursor", &[array("nextBatch", 2, &[])]), ok(1.0)],
        )
    };
    let (spans, _) = run(&[
        Out(find(1)),
        In(rows(2, 1, 2)),
        In(rows(3, 2, 2)),
        In(rows(4, 3, 0)),
        Out(find(5)),
        In(done(5)),
        Close,
    ]);
    assert_eq!(
        spans[1..],
        [format!("{FIND} 10-40 6 rows"), format!("{FIND} 50-60")]
    );
}

#[test]
fn many_that_wait_are_not_all_recorded() {
    let mut steps: Vec<Step> = (0..40).map(|id| Out(find(id))).collect();
    steps.extend((0..40).map(|id| In(done(id))));
    steps.extend([Out(find(99)), In(done(99)), Close]);
    let (spans, _) = run(&steps);
    assert_eq!(spans.len(), 1 + super::PENDING + 1);
    assert_eq!(spans.last().unwrap(), &format!("{FIND} 810-820"));
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let mut cut = find(1);
    cut[0] -= 1;
    let mut long = find(1);
    long[21] += 1;
    let flags = msg(1, 0, 4, &[int("ping", 1)]);
    let text = element(2, "$db", b"\xff\xff\xff\x7fx\0");
    let empty = element(2, "$db", b"\0\0\0\0");
    for bytes in [
        vec![0; 16],
        cut,
        long,
        flags,
        msg(1, 0, 0, &[int("ping", 1), text]),
        msg(1, 0, 0, &[int("ping", 1), empty]),
        msg(1, 0, 0, &[element(0x20, "ping", b"")]),
        msg(1, 0, 0, &[int("$ping", 1)]),
        msg(1, 0, 0, &[element(3, "documents", b"\x04\0\0\0")]),
    ] {
        let (spans, verdict) = run(&[Out(find(7)), In(done(7)), Out(bytes.clone())]);
        assert_eq!(verdict, Some(Verdict::Opaque), "{}", bytes.escape_ascii());
        assert_eq!(spans.len(), 2);
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let broken = Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset));
    assert_eq!(
        run(&[Out(find(1)), broken]).0[1],
        format!("{FIND} 10-20 fault")
    );
    let half = done(1)[..20].to_vec();
    let eof = Step::End(Direction::In, Ended::Eof);
    let left = run(&[Out(find(1)), In(done(1)), Out(find(2)), eof.clone()]);
    assert_eq!(left.0[2], format!("{FIND} 30-40 fault"));
    assert_eq!(
        run(&[Out(find(1)), In(half), eof]).0[1],
        format!("{FIND} 10-30 fault")
    );
}

#[test]
fn what_is_not_seen_is_passed_over_inside_a_message() {
    let (front, back) = (find(1)[..50].to_vec(), find(1)[60..].to_vec());
    let (spans, _) = run(&[
        Out(front),
        Step::Skip(Direction::Out, 10),
        Out(back),
        In(done(1)),
        Out(find(2)),
        In(done(2)),
        Close,
    ]);
    assert_eq!(
        spans[1..],
        ["-.find items 10-40".to_owned(), format!("{FIND} 50-60")]
    );
}

#[test]
fn a_server_has_no_connect() {
    let (spans, _) = run(&[In(find(1)), Out(done(1)), Close]);
    assert_eq!(spans, [format!("{FIND} 10-20")]);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..6usize, 0..6usize), 1..8),
        flip in proptest::option::of((0..200usize, any::<u8>())),
        cuts in proptest::collection::vec(0..900usize, 0..6),
    ) {
        let mut steps = Vec::new();
        for (i, (which, reply)) in all.iter().enumerate() {
            let id = i as u32 + 1;
            let content = [&[0; 4][..], &sequence("documents", 2), b"\0", &bson(&[string("insert", "items"), string("$db", "shop")])].concat();
            let request = match which {
                0 => find(id),
                1 => message(id, 0, 2013, &content),
                2 => command(id, "saslStart", int("saslStart", 1), &[string("payload", "hush")]),
                3 => command(id, "hello", int("hello", 1), &[]),
                4 => msg(id, 0, 2, &[string("delete", "items")]),
                _ => message(id, 0, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"),
            };
            let answer = match reply {
                0 | 1 => done(id),
                2 => msg(50 + id, id, 0, &[ok(0.0), int("code", 5)]),
                3 => msg(id + 1, id, 2, &[nested("cursor", &[array("nextBatch", 2, &[])]), ok(1.0)]),
                4 => msg(50 + id, id, 0, &[array("writeErrors", 2, &[int("code", 4)]), ok(1.0)]),
                _ => message(50 + id, id, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"),
            };
            steps.extend([Out(request), In(answer)]);
        }
        if let Some((at, by)) = flip {
            let len = steps.len();
            if let Out(bytes) | In(bytes) = &mut steps[at % len] {
                let place = at % bytes.len();
                bytes[place] ^= by;
            }
        }
        steps.push(Close);
        let (mut one, mut other, mut cut) = (recorder(), recorder(), recorder());
        one.run(&steps, whole);
        other.run(&steps, bytewise);
        cut.run(&steps, |_, from, to| {
            let mut inside: Vec<usize> = cuts.iter().copied().filter(|c| *c > from && *c < to).collect();
            inside.sort_unstable();
            inside.dedup();
            inside
        });
        prop_assert_eq!((&one.events, one.verdict), (&other.events, other.verdict));
        prop_assert_eq!((one.events, one.verdict), (cut.events, cut.verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..200), out in any::<bool>()) {
        let step = if out { Out(noise) } else { In(noise) };
        recorder().run(&[Out(find(1)), step, Close], whole);
    }
}
