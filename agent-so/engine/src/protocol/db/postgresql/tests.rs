//! What the machine makes of connections.

use crate::exchange::{Fault, Field, QUERY_MAX};
use crate::protocol::Direction;
use crate::protocol::db::tests::{recorder, replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

/// A message with a type.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

/// Messages, each written down as its type and its text, with `|` for a zero byte.
fn all(messages: &[&str]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|one| {
            let body: Vec<u8> = one[1..]
                .bytes()
                .map(|b| if b == b'|' { 0 } else { b })
                .collect();
            message(one.as_bytes()[0], &body)
        })
        .collect()
}

fn opening(code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

fn startup(parameters: &str) -> Vec<u8> {
    opening(0x0003_0000, &parameters.replace('|', "\0").into_bytes())
}

const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// What is asked and answered until a client is let in: three steps.
fn entered() -> Vec<Step> {
    vec![
        Out(startup("user|me|database|shop||")),
        In(all(&[
            "R||||",
            "Sstandard_conforming_strings|on|",
            "K12345678",
            "ZI",
        ])),
    ]
}

/// `connect` or the statement, `@database start-end`, then code, fault, batch and rows of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let what = if ex.db.is_connect {
            "connect".to_owned()
        } else {
            lossy(ex.text(Field::Query).or(ex.text(Field::Operation)))
        };
        let mut line = format!(
            "{what}@{} {}-{}",
            lossy(ex.text(Field::Namespace)),
            ex.start_ns,
            ex.end_ns
        );
        if let Some(code) = ex.text(Field::Code) {
            line += &format!(" {}", lossy(Some(code)));
        }
        if ex.fault != Fault::None {
            line += &format!(" {}", ex.fault.as_str());
        }
        if ex.db.batch > 0 {
            line += &format!(" x{}", ex.db.batch);
        }
        if ex.db.has_rows {
            line += &format!(" rows={}", ex.db.rows);
        }
        line
    };
    recorder.finished.iter().map(line).collect()
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    (summary(&one), one.verdict)
}

/// What becomes of `steps` on a connection that was let in at 20: the first is at 30.
fn inside(steps: &[Step]) -> Vec<String> {
    let mut all = entered();
    all.extend_from_slice(steps);
    let (mut spans, _) = run(&all);
    assert_eq!(spans.remove(0), "connect@shop 1-20");
    spans
}

#[test]
fn a_simple_query() {
    let spans = inside(&[
        Out(all(&["QSELECT 1|"])),
        In(all(&["Tx", "Da", "Db", "CSELECT 2|", "ZI"])),
        Out(all(&["Qinsert into t values (1) returning id|"])),
        In(all(&["Tx", "CINSERT 0 0|", "ZI"])),
        Out(all(&["QBEGIN|"])),
        In(all(&["CBEGIN|"])),
        In(all(&["ZT"])),
        Out(all(&["Q|"])),
        In(all(&["I", "ZT"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "SELECT 1@shop 30-40 rows=2",
            "insert into t values (1) returning id@shop 50-60 rows=0",
            "BEGIN@shop 70-90",
            "@shop 100-110",
        ]
    );
}

#[test]
fn several_statements_of_one_message_are_one() {
    let spans = inside(&[
        Out(all(&["QSELECT 1; UPDATE t SET a = 1; SELECT nope|"])),
        In(all(&["Tx", "Dx", "CSELECT 1|", "CUPDATE 1|", "SFERROR|"])),
        In(all(&["N-|", "ESERROR|VERROR|C42703|Mno|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        ["SELECT 1; UPDATE t SET a = 1; SELECT nope@shop 30-50 42703"]
    );
}

#[test]
fn the_extended_protocol() {
    let spans = inside(&[
        // Everything at once, without names.
        Out(all(&["P|SELECT $1|||", "B||....", "DP|", "E|||||", "S"])),
        In(all(&["1", "2", "Tx", "Dx", "CSELECT 1|", "ZI"])),
        // A named statement, prepared by itself.
        Out(all(&["Ps1|SELECT name FROM t|||", "DSs1|", "S"])),
        In(all(&["1", "tx", "Tx", "ZI"])),
        Out(all(&["B|s1|", "E|||||", "S"])),
        In(all(&["2", "CSELECT 0|", "ZI"])),
        // The one without a name is still there.
        Out(all(&["B||", "E|||||", "S"])),
        In(all(&["2", "Dx", "CSELECT 1|", "ZI"])),
        Out(all(&["CSs1|", "S"])),
        In(all(&["3", "ZI"])),
        Out(all(&["B|s1|", "E|||||", "S"])),
        In(all(&["EC26000|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "SELECT $1@shop 30-40 rows=1",
            "SELECT name FROM t@shop 70-80 rows=0",
            "SELECT $1@shop 90-100 rows=1",
            "-@shop 130-140 26000",
        ]
    );
}

#[test]
fn portals_keep_the_statement_they_were_bound_to() {
    let spans = inside(&[
        Out(all(&["P|SELECT a|||", "Bc1||", "Ec1|...2", "S"])),
        In(all(&["1", "2", "D1", "D2", "s", "ZT"])),
        Out(all(&["P|SELECT b|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "D1", "CSELECT 1|", "ZT"])),
        Out(all(&["Ec1|...2", "S"])),
        In(all(&["D3", "CSELECT 1|", "ZT"])),
        Out(all(&[
            "B||",
            "P|SELECT c|||",
            "E|||||",
            "CPc1|",
            "Ec1|...2",
            "S",
        ])),
        In(all(&["2", "1", "D1", "CSELECT 1|", "3", "EC34000|", "ZE"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "SELECT a@shop 30-40 rows=2",
            "SELECT b@shop 50-60 rows=1",
            "SELECT a@shop 70-80 rows=1",
            "-@shop 90-100 rows=1",
            "-@shop 90-100 34000",
        ]
    );
}

#[test]
fn a_pipeline() {
    let pipeline = [
        "P|INSERT 1|||",
        "B||",
        "E|||||",
        "P|INSERT 2|||",
        "B||",
        "E|||||",
        "P|INSERT 3|||",
        "B||",
        "E|||||",
        "S",
    ];
    let spans = inside(&[
        Out(all(&pipeline)),
        In(all(&["1", "2", "CINSERT 0 1|"])),
        In(all(&["1", "2", "CINSERT 0 1|"])),
        In(all(&["1", "2", "CINSERT 0 1|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "INSERT 1@shop 30-40",
            "INSERT 2@shop 30-50",
            "INSERT 3@shop 30-60"
        ]
    );
    // What follows an error is passed over; the next pipeline is not.
    let spans = inside(&[
        Out(all(&pipeline)),
        Out(all(&["P|SELECT 4|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CINSERT 0 1|", "1", "EC22012|"])),
        In(all(&["ZI", "1", "2", "D1", "CSELECT 1|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "INSERT 1@shop 30-50",
            "INSERT 2@shop 30-50 22012",
            "INSERT 3@shop 30-60 _OTHER",
            "SELECT 4@shop 40-60 rows=1",
        ]
    );
}

#[test]
fn one_statement_with_many_values_is_a_batch() {
    let spans = inside(&[
        Out(all(&["Ps|INSERT|||", "B|s|1", "E|||||", "B|s|2", "E|||||"])),
        Out(all(&["B|s|3", "E|||||", "S"])),
        In(all(&["1", "2", "CINSERT 0 1|", "2", "CINSERT 0 1|", "2"])),
        In(all(&["CINSERT 0 1|", "ZI"])),
        // One by one, each with its own synchronisation: none.
        Out(all(&["B|s|3", "E|||||", "S", "B|s|4", "E|||||", "S"])),
        In(all(&["2", "CINSERT 0 1|", "ZI", "2", "CINSERT 0 1|", "ZI"])),
        Out(all(&[
            "B|s|5", "E|||||", "B|s|6", "E|||||", "B|s|7", "E|||||", "S",
        ])),
        In(all(&["2", "CINSERT 0 1|", "2", "EC23505|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "INSERT@shop 30-60 x3",
            "INSERT@shop 70-80",
            "INSERT@shop 70-80",
            "INSERT@shop 90-100 23505 x3",
        ]
    );
}

#[test]
fn an_error_at_the_end_of_the_transaction_is_the_statements() {
    let spans = inside(&[
        Out(all(&["P|INSERT|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CINSERT 0 1|", "EC23503|", "ZI"])),
        Close,
    ]);
    assert_eq!(spans, ["INSERT@shop 30-40 23503"]);
}

#[test]
fn a_statement_that_is_only_prepared_is_seen_if_that_fails() {
    let spans = inside(&[
        Out(all(&["Ps|SELEC|||", "DSs|", "H"])),
        In(all(&["EC42601|"])),
        Out(all(&["S"])),
        In(all(&["ZI"])),
        Out(all(&["Ps|SELECT 1|||", "DSs|", "H"])),
        In(all(&["1", "t", "T"])),
        Out(all(&["B|s|", "E|||||", "S"])),
        In(all(&["2", "D", "CSELECT 1|", "ZI"])),
        // Two at once, of which the second cannot be.
        Out(all(&["P|SELECT 1|||", "P|SELEC|||", "S"])),
        In(all(&["1", "EC42601|", "ZI"])),
        // With one that is executed.
        Out(all(&["Pnew|SELECT 2|||", "B|s|", "E|||||", "S"])),
        In(all(&["1", "2", "D", "CSELECT 1|", "ZI"])),
        Out(all(&["Pnew|SELECT 3|||", "B|s|", "E|||||", "S"])),
        In(all(&["EC42P05|", "ZI"])),
        Out(all(&["Pnew|SELECT 4|||", "S"])),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(
        spans,
        [
            "SELEC@shop 30-40 42601",
            "SELECT 1@shop 90-100 rows=1",
            "SELEC@shop 110-120 42601",
            "SELECT 1@shop 130-140 rows=1",
            "SELECT 3@shop 150-160 42P05",
            "SELECT 1@shop 150-160 _OTHER",
            "SELECT 4@shop 170-180 connection_closed",
        ]
    );
}

#[test]
fn an_error_that_comes_before_what_it_belongs_to() {
    let spans = inside(&[
        Out(all(&["P|SELEC|||"])),
        In(all(&["EC42601|"])),
        Out(all(&["B||", "E|||||", "S"])),
        In(all(&["ZI"])),
        Out(all(&["P|SELECT|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        ["SELEC@shop 30-60 42601", "SELECT@shop 70-80 rows=0"]
    );
}

#[test]
fn data_that_is_copied() {
    let spans = inside(&[
        Out(all(&["QCOPY t FROM STDIN|"])),
        In(all(&["G.."])),
        Out(all(&["dsecret", "dsecret", "c"])),
        In(all(&["CCOPY 2|", "ZI"])),
        Out(all(&["QCOPY t TO STDOUT|"])),
        In(all(&["H..", "da", "db", "c", "CCOPY 2|", "ZI"])),
        // By the extended protocol: the first synchronisation is overlooked by the server.
        Out(all(&["P|COPY u FROM STDIN|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "G.."])),
        Out(all(&["dsecret", "S", "c", "S"])),
        In(all(&["CCOPY 1|", "ZI"])),
        Out(all(&["QSELECT 1|"])),
        In(all(&["CSELECT 1|", "ZI"])),
        // Given up, and broken off.
        Out(all(&["QCOPY t FROM STDIN|"])),
        In(all(&["G.."])),
        Out(all(&["fno|"])),
        In(all(&["EC57014|", "ZI"])),
        Out(all(&["P|COPY u FROM STDIN|||", "B||", "E|||||"])),
        In(all(&["1", "2", "G..", "EC22P04|"])),
        Out(all(&["dx", "c", "S"])),
        In(all(&["ZI"])),
        // The data did not wait to be asked for.
        Out(all(&[
            "P|COPY v FROM STDIN|||",
            "B||",
            "E|||||",
            "dx",
            "c",
            "S",
        ])),
        In(all(&["1", "2", "G..", "CCOPY 1|", "ZI"])),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "COPY t FROM STDIN@shop 30-60",
            "COPY t TO STDOUT@shop 70-80",
            "COPY u FROM STDIN@shop 90-120",
            "SELECT 1@shop 130-140 rows=0",
            "COPY t FROM STDIN@shop 150-180 57014",
            "COPY u FROM STDIN@shop 190-200 22P04",
            "COPY v FROM STDIN@shop 230-240",
        ]
    );
}

#[test]
fn what_comes_by_itself_and_calls_of_functions() {
    let spans = inside(&[
        Out(all(&["QLISTEN a|"])),
        In(all(&["N...", "A...", "CLISTEN|", "Sx|y|", "ZI"])),
        In(all(&["A...", "N..."])),
        Out(all(&["F...."])),
        In(all(&["V...", "ZI"])),
        In(all(&["EC57P01|"])),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans, ["LISTEN a@shop 30-40", "CALL@shop 60-70"]);
}

#[test]
fn the_making_of_a_connection() {
    let wanted = |steps: &[Step], span: &str| {
        let (spans, verdict) = run(steps);
        assert_eq!(spans, [span]);
        verdict
    };
    let password = || Out(all(&["pcanary|"]));
    let verdict = wanted(
        &[
            Out(startup("user|me||")),
            In(all(&["R..."])),
            password(),
            In(all(&["R...", "S", "N", "v"])),
            In(all(&["ZI"])),
        ],
        "connect@me 1-50",
    );
    assert_eq!(verdict, Some(Verdict::Tracked));
    let verdict = wanted(
        &[
            Out(startup("client_encoding|utf-8|database|d|user|me||")),
            In(all(&["R..."])),
            password(),
            In(all(&["ESFATAL|C28P01|Mno|"])),
        ],
        "connect@d 1-40 28P01",
    );
    assert_eq!(verdict, Some(Verdict::Opaque));
    let eof = || Step::End(Direction::In, Ended::Eof);
    wanted(
        &[Out(startup("user|me||")), eof()],
        "connect@me 1-20 connection_closed",
    );
    wanted(&[Out(startup("user|me||")), Close], "connect@me 1-20");
    wanted(
        &[Out(opening(TLS, b"")), eof()],
        "connect@- 1-20 connection_closed",
    );
    wanted(
        &[Out(opening(TLS, b"")), In(text("N")), Close],
        "connect@- 1-30 tls_handshake",
    );
    wanted(
        &[Out(opening(TLS, b"")), In(all(&["EC08P01|"]))],
        "connect@- 1-20 08P01",
    );
    let refused = [
        Out(opening(GSS, b"")),
        In(text("N")),
        Out(opening(TLS, b"")),
        In(text("N")),
        Out(startup("user|me|database|||")),
        In(all(&["R...", "ZI"])),
        Close,
    ];
    wanted(&refused, "connect@me 1-60");
    let long = "d".repeat(70);
    let steps = [
        Out(startup(&format!("user|me|database|{long}||"))),
        In(all(&["R...", "ZI"])),
        Close,
    ];
    wanted(&steps, &format!("connect@{} 1-20", &long[..63]));
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn replication_is_only_connected_to() {
    for (value, verdict) in [
        ("true", Verdict::Opaque),
        ("database", Verdict::Opaque),
        ("off", Verdict::Tracked),
        ("False", Verdict::Tracked),
    ] {
        let (spans, got) = run(&[
            Out(startup(&format!("user|me|replication|{value}||"))),
            In(all(&["R...", "ZI"])),
        ]);
        assert_eq!(spans, ["connect@me 1-20"]);
        assert_eq!(got, Some(verdict), "{value}");
    }
}

#[test]
fn other_openings_make_nothing() {
    for (code, body, answer) in [
        (CANCEL, &b"12345678"[..], ""),
        (CANCEL, &[b'k'; 40], ""),
        (GSS, b"", "G"),
        (GSS, b"", "S"),
        (TLS, b"", "X"),
    ] {
        let (spans, verdict) = run(&[Out(opening(code, body)), In(text(answer))]);
        assert_eq!(spans, [""; 0]);
        assert_eq!(verdict, Some(Verdict::Opaque));
    }
}

#[test]
fn tls_begins_with_the_answer() {
    let mut hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    hello.extend(100..132);
    hello.resize(205, 0);
    for refused in [false, true] {
        let mut steps = vec![Out(opening(TLS, b"")), In(text("S")), Out(hello.clone())];
        if refused {
            steps.splice(0..0, [Out(opening(GSS, b"")), In(text("N"))]);
        }
        for cut in [whole, bytewise] {
            let mut host = recorder();
            host.run(&steps, cut);
            assert_eq!(host.events.len(), 1);
            assert!(
                host.events[0].starts_with("tls Out [100, "),
                "{:?}",
                host.events
            );
            assert_eq!(host.verdict, Some(Verdict::Opaque));
            assert_eq!(host.connected, Some((1, 2)), "left to what is inside");
        }
    }
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let ends = [
        In(all(&["ZI"])),
        In(all(&["CSELECT 1|"])),
        In(all(&["Z"])),
        In(all(&["x"])),
        In(all(&["2.", "x"])),
        In(b"T\0\0\0\x03".to_vec()),
        Out(all(&["x"])),
        Out(all(&["S."])),
        Out(all(&["pcanary"])),
        Out(all(&["QSELECT 1"])),
        Out(b"Q\xff\xff\xff\xff".to_vec()),
    ];
    for step in ends {
        let mut steps = entered();
        steps.push(step.clone());
        let (spans, verdict) = run(&steps);
        assert_eq!(verdict, Some(Verdict::Opaque), "{step:?}");
        assert_eq!(spans.len(), 1, "{step:?}");
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let asked = Out(all(&["QSELECT 1|"]));
    let broken = Ended::Failed(Fault::ConnectionReset);
    for (step, end) in [
        (Step::End(Direction::In, broken), " connection_reset"),
        (Step::End(Direction::In, Ended::Eof), " connection_closed"),
        (Close, ""),
    ] {
        let spans = inside(&[asked.clone(), step]);
        assert_eq!(spans, [format!("SELECT 1@shop 30-40{end}")]);
    }
    let spans = inside(&[
        asked,
        In(all(&["D", "EC57P01|"])),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans, ["SELECT 1@shop 30-50 57P01"]);
    let spans = inside(&[
        Out(all(&["QSELECT 2|"])),
        In(b"D\0\0".to_vec()),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans, ["SELECT 2@shop 30-50 response_truncated"]);
}

/// Whether each statement is told to be of somebody unknown.
fn mixed(same_sender: bool, calls: &[&[&str]]) -> Vec<bool> {
    let mut steps = entered();
    steps.extend(calls.iter().map(|messages| Out(all(messages))));
    steps.push(Close);
    let mut host = Recorder {
        same_sender,
        ..recorder()
    };
    host.run(&steps, whole);
    let statements = host.finished[1..].iter();
    statements.map(|&i| host.exchanges[i].db.is_mixed).collect()
}

#[test]
fn what_many_ask_for_may_leave_in_one_call() {
    let one = [
        "P|SELECT|||",
        "B||",
        "E|||||",
        "P|SELECT|||",
        "B||",
        "E|||||",
        "S",
    ];
    let two = [&one[..], &one].concat();
    assert_eq!(mixed(false, &[&one, &one]), [false; 4]);
    assert_eq!(mixed(false, &[&two]), [false, false, true, true]);
    assert_eq!(
        mixed(false, &[&["Qa|", "Qb|"], &["Qc|"]]),
        [false, true, false]
    );
    assert_eq!(mixed(true, &[&two]), [false; 4]);
}

#[test]
fn bytes_that_were_not_seen() {
    let copy = [
        Out(all(&["QCOPY t FROM STDIN|"])),
        In(all(&["G.."])),
        Out(b"d\0\0\x10\x04a".to_vec()),
        Step::Skip(Direction::Out, 4094),
        Out(b"z".to_vec()),
        Out(all(&["c"])),
        In(all(&["CCOPY 1|", "ZI"])),
        Close,
    ];
    assert_eq!(inside(&copy), ["COPY t FROM STDIN@shop 30-90"]);
    let lost = [
        Out(b"Q\0\0\x10\0SELECT".to_vec()),
        Step::Skip(Direction::Out, 100),
    ];
    assert_eq!(inside(&lost), [""; 0]);
    let lost = [Out(all(&["QSELECT 1|"])), Step::Skip(Direction::In, 100)];
    assert_eq!(inside(&lost), ["SELECT 1@shop 30-40"]);
}

#[test]
fn long_texts_are_cut() {
    let long = format!("SELECT '{}'", "x".repeat(QUERY_MAX));
    let mut steps = entered();
    steps.extend([
        Out(all(&[&format!("Q{long}|")])),
        In(all(&["CSELECT 0|", "ZI"])),
        Out(all(&[&format!("P|{long}|||"), "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Out(all(&[
            &format!("P|{}|||", &long[..QUERY_MAX]),
            "B||",
            "E|||||",
            "S",
        ])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Close,
    ]);
    let mut host = recorder();
    host.run(&steps, whole);
    for (i, is_cut) in [(1, true), (2, true), (3, false)] {
        let ex = &host.exchanges[host.finished[i]];
        assert_eq!(lossy(ex.text(Field::Query)), long[..QUERY_MAX]);
        assert_eq!(ex.is_cut(Field::Query), is_cut, "{i}");
    }
}

#[test]
fn many_that_wait_are_counted() {
    for (asked, answer) in [
        (vec!["QSELECT 1|"], vec!["CSELECT 0|", "ZI"]),
        (
            vec!["P|SELECT 1|||", "B||", "E|||||", "S"],
            vec!["1", "2", "CSELECT 0|", "ZI"],
        ),
    ] {
        let mut steps: Vec<Step> = (0..200).map(|_| Out(all(&asked))).collect();
        steps.extend((0..200).map(|_| In(all(&answer))));
        steps.extend([Out(all(&asked)), In(all(&answer)), Close]);
        let spans = inside(&steps);
        assert_eq!(spans.len(), 31 + 1);
        assert_eq!(spans[0], "SELECT 1@shop 30-2030 rows=0");
        assert_eq!(spans[31], "SELECT 1@shop 4030-4040 rows=0");
    }
    // All in one go, with one synchronisation.
    let one = ["P|SELECT 1|||", "B||", "E|||||"];
    let mut steps = vec![Out([all(&one).repeat(200), all(&["S"])].concat())];
    steps.push(In([
        all(&["1", "2", "CSELECT 0|"]).repeat(200),
        all(&["ZI"]),
    ]
    .concat()));
    steps.extend([Out(all(&["QSELECT 2|"])), In(all(&["ZI"])), Close]);
    let spans = inside(&steps);
    assert_eq!(spans.len(), 31 + 1);
    assert_eq!(spans[31], "SELECT 2@shop 50-60");
}

#[test]
fn without_room_for_texts_statements_have_none() {
    let mut steps = entered();
    steps.extend([
        Out(all(&["P|SELECT 1|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Close,
    ]);
    let mut host = Recorder {
        no_wides: true,
        ..recorder()
    };
    host.run(&steps, whole);
    assert_eq!(summary(&host)[1], "-@shop 30-40 rows=0");
    let mut host = Recorder {
        full: true,
        ..recorder()
    };
    host.run(&steps, whole);
    assert_eq!(host.verdict, Some(Verdict::Opaque));
    assert_eq!(host.passed_over, 0);
}

#[test]
fn a_server_has_no_connect() {
    let turned: Vec<Step> = entered()
        .into_iter()
        .chain([
            Out(all(&["P|SELECT 1|||", "B||", "E|||||", "S"])),
            In(all(&["1", "2", "CSELECT 0|", "ZI"])),
            Close,
        ])
        .map(|step| match step {
            In(bytes) => Out(bytes),
            Out(bytes) => In(bytes),
            other => other,
        })
        .collect();
    assert_eq!(run(&turned).0, ["SELECT 1@shop 30-40 rows=0"]);
}

#[test]
fn what_a_backslash_means_is_told() {
    use crate::sql::Backslash::{Escape, Plain, Unknown};
    for (told, wanted) in [
        (&["Sstandard_conforming_strings|on|"][..], Plain),
        (&["Sstandard_conforming_strings|off|"], Escape),
        (&["Sstandard_conforming_string|on|", "Sx|on|"], Unknown),
    ] {
        let mut answers = vec!["R..."];
        answers.extend(told);
        answers.push("ZI");
        for cut in [whole, bytewise] {
            let mut host = recorder();
            let steps = [
                Out(startup("user|me||")),
                In(all(&answers)),
                Out(all(&["QSELECT 1|"])),
                Close,
            ];
            host.run(&steps, cut);
            let ex = &host.exchanges[host.finished[1]];
            assert_eq!(ex.db.backslash, wanted);
        }
    }
}

#[test]
fn only_clients_of_postgresql_begin_like_this() {
    let none: [&[u8]; 8] = [
        // Kafka asks for metadata: whatever number it gives its request, and however long its name is.
        b"\0\0\0\x23\0\x03\0\0\0\0\0\x01\0\x06client",
        b"\0\0\0\x23\0\x03\0\0abcd\0\x06client",
        b"\0\0\0\x23\0\x03\0\x02user\xff\xff\0",
        b"\0\0\0\x29\0\x03\0\0\0",
        b"\0\0\0\x29\0\x03\0\0us er\0",
        b"\0\0\0\x09\x04\xd2\x16\x2f",
        b"\0\0\0\x0f\x04\xd2\x16\x2e",
        b"\0\0\0\x08\x04\xd2\x16\x2d",
    ];
    for opening in none {
        let mut host = recorder();
        host.run(&[Out(opening.to_vec())], whole);
        assert_ne!(host.verdict, Some(Verdict::Tracked), "{opening:?}");
    }
}

const ASKED: [&[&str]; 10] = [
    &["QSELECT 1|"],
    &["P|SELECT 2|||", "B||", "E|||||", "S"],
    &["Ps|SELECT 3|||", "DSs|", "H"],
    &["B|s|", "E|||||"],
    &["S"],
    &["Bp|s|", "Ep|...5"],
    &["dx", "c"],
    &["fno|", "X"],
    &["CSs|", "CPp|", "F...."],
    &["Pt|SELECT 4|||"],
];
const ANSWERS: [&[&str]; 10] = [
    &["Tx", "Dx", "CSELECT 1|"],
    &["ZI"],
    &["1", "2"],
    &["EC22012|Mno|"],
    &["s"],
    &["G..."],
    &["H..", "dx", "c", "CCOPY 1|"],
    &["CINSERT 0 1|", "ZI"],
    &["Sa|b|", "N..", "A.."],
    &["I", "V.."],
];

proptest! {
    #[test]
    fn every_split_gives_the_same(
        steps in proptest::collection::vec((any::<bool>(), 0..10usize), 1..24),
        cuts in proptest::collection::vec(0..600usize, 0..8),
    ) {
        let mut all_steps = entered();
        all_steps.extend(steps.iter().map(|(out, which)| if *out {
            Out(all(ASKED[*which]))
        } else {
            In(all(ANSWERS[*which]))
        }));
        all_steps.push(Close);
        let (spans, verdict) = run(&all_steps);
        let cut = replayed_cut(&all_steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(
        noise in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..6),
        is_inside in any::<bool>(),
    ) {
        let mut steps = if is_inside { entered() } else { vec![Out(opening(TLS, b""))] };
        for (out, bytes) in noise {
            steps.push(if out { Out(bytes) } else { In(bytes) });
        }
        steps.push(Close);
        recorder().run(&steps, whole);
    }
}
