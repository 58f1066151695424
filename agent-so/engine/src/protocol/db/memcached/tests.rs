//! What the machine makes of connections.

use crate::exchange::{Fault, Field};
use crate::protocol::Direction;
use crate::protocol::db::tests::{recorder, replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, lossy, whole};
use crate::protocol::{Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

fn text(bytes: &str) -> Vec<u8> {
    bytes.as_bytes().to_vec()
}

/// `connect` or what was asked, ` start-end`, size of the batch, code and fault of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let raw = lossy(ex.text(Field::Query));
        let mut line = if ex.db.is_connect {
            "connect".to_owned()
        } else {
            raw.replace("\r\n", ";")
        };
        line += &format!(" {}-{}", ex.start_ns, ex.end_ns);
        if ex.db.batch > 1 {
            line += &format!(" x{}", ex.db.batch);
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
    (summary(&one), one.verdict)
}

/// What is asked in one call, then what comes back.
fn dialog(calls: &[(&str, &str)]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (ask, answer) in calls {
        steps.push(Out(text(ask)));
        if !answer.is_empty() {
            steps.push(In(text(answer)));
        }
    }
    steps.push(Close);
    steps
}

fn packet(magic: u8, opcode: u8, status: u16, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![magic, opcode];
    out.extend((key.len() as u16).to_be_bytes());
    out.extend([extras.len() as u8, 0]);
    out.extend(status.to_be_bytes());
    out.extend(((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
    out.extend([0; 12]);
    out.extend([extras, key, value].concat());
    out
}

fn ask(opcode: u8, extras: usize, key: &str, value: &str) -> Vec<u8> {
    let extras = vec![0; extras];
    packet(0x80, opcode, 0, &extras, key.as_bytes(), value.as_bytes())
}

fn answer(opcode: u8, status: u16, key: &str, value: &str) -> Vec<u8> {
    packet(0x81, opcode, status, b"", key.as_bytes(), value.as_bytes())
}

#[test]
fn a_command_and_its_answer() {
    for (ask, answer) in [
        ("get k\r\n", "END\r\n"),
        ("get k l\r\n", "VALUE k 0 5\r\nab\r\nc\r\nEND\r\n"),
        ("gets k\r\n", "VALUE k 0 0 77\r\n\r\nEND\r\n"),
        ("gat 60 k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n"),
        ("get /path\r\n", "END\r\n"),
        ("get http://h/p\r\n", "END\r\n"),
        ("delete k\r\n", "NOT_FOUND\r\n"),
        ("incr k 5\r\n", "12\r\n"),
        ("decr k 5\r\n", "NOT_FOUND\r\n"),
        ("touch k 60\r\n", "TOUCHED\r\n"),
        ("version\r\n", "VERSION 1.6.18\r\n"),
        ("mg k v f\r\n", "VA 4 f0\r\nEN\r\n\r\n"),
        ("mg k v\r\n", "EN\r\n"),
        ("mg k\r\n", "HD\r\n"),
        ("md k\r\n", "NF\r\n"),
        ("ma k N0\r\n", "HD\r\n"),
        ("mn\r\n", "MN\r\n"),
    ] {
        let (spans, _) = run(&dialog(&[(ask, answer)]));
        let shown = ask.replace("\r\n", ";");
        assert_eq!(spans, ["connect 1-2", &format!("{shown} 10-20")]);
    }
}

#[test]
fn values_are_never_kept() {
    let (spans, verdict) = run(&dialog(&[
        ("set k 0 0 14\r\nget a\r\nsecret\n\r\n", "STORED\r\n"),
        ("cas k 0 0 3 77\r\nabc\r\n", "EXISTS\r\n"),
        ("ms k 2 T60\r\nab\r\n", "HD\r\n"),
        ("set k 1 -1 0\r\n\r\n", "NOT_STORED\r\n"),
    ]));
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "set k 0 0 14; 10-20",
            "cas k 0 0 3 77; 30-40",
            "ms k 2 T60; 50-60",
            "set k 1 -1 0; 70-80"
        ]
    );
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn errors_have_a_code() {
    for (answer, code) in [
        ("ERROR\r\n", "ERROR"),
        ("CLIENT_ERROR cannot increment\r\n", "CLIENT_ERROR"),
        ("SERVER_ERROR out of memory\r\n", "SERVER_ERROR"),
    ] {
        let (spans, _) = run(&dialog(&[("incr k 1\r\n", answer)]));
        assert_eq!(spans[1], format!("incr k 1; 10-20 {code}"));
    }
}

#[test]
fn what_is_not_answered_is_over_when_it_was_sent() {
    let (spans, _) = run(&dialog(&[
        ("set k 0 0 1 noreply\r\nx\r\n", ""),
        ("delete k noreply\r\n", ""),
        ("get k\r\n", "END\r\n"),
        (
            "set a 0 0 1 noreply\r\nx\r\nset b 0 0 1 noreply\r\ny\r\n",
            "",
        ),
        (
            "set c 0 0 1 noreply\r\nx\r\nget c\r\n",
            "VALUE c 0 1\r\nx\r\nEND\r\n",
        ),
    ]));
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "set k 0 0 1 noreply; 10-10",
            "delete k noreply; 20-20",
            "get k; 30-40",
            "set a 0 0 1 noreply;set b 0 0 1 noreply; 50-50 x2",
            "set c 0 0 1 noreply;get c; 60-70 x2"
        ]
    );
    // Any number of them.
    let mut calls = vec![("set k 0 0 1 noreply\r\nx\r\n", ""); 100];
    calls.push(("get k\r\n", "END\r\n"));
    let (spans, _) = run(&dialog(&calls));
    assert_eq!(spans.len(), 102);
    // An error comes back nevertheless.
    let (spans, _) = run(&dialog(&[
        (
            "set k 0 0 1 noreply\r\nx\r\n",
            "SERVER_ERROR out of memory\r\n",
        ),
        ("get k\r\n", "END\r\n"),
    ]));
    assert_eq!(spans[2], "get k; 30-40");
}

#[test]
fn a_value_may_follow_in_another_call() {
    let (spans, _) = run(&dialog(&[
        ("set k 0 0 3\r\n", ""),
        ("abc", ""),
        ("\r\n", "STORED\r\n"),
    ]));
    assert_eq!(spans, ["connect 1-2", "set k 0 0 3; 10-40"]);
}

#[test]
fn quiet_commands_wait_for_what_ends_them() {
    let (spans, _) = run(&dialog(&[
        ("mg a v q\r\nmg b v q\r\nmn\r\n", "VA 1\r\nx\r\nMN\r\n"),
        ("mg a v q\r\n", ""),
        ("mg b v q\r\n", ""),
        ("mn\r\n", "MN\r\n"),
        ("ms a 1 q\r\nx\r\n", ""),
        ("mg a v\r\n", "NS\r\nVA 1\r\nx\r\n"),
        ("ms a 1 q\r\nx\r\n", ""),
        ("mn\r\n", "MN\r\n"),
    ]));
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "mg a v q;mg b v q;mn; 10-20 x2",
            "mg a v q;mg b v q;mn; 30-60 x2",
            "ms a 1 q; 70-70",
            "mg a v; 80-90",
            "ms a 1 q; 100-100",
            "mn; 110-120"
        ]
    );
    // One of two: nobody can know which.
    let (spans, verdict) = run(&dialog(&[
        ("get a\r\n", "END\r\n"),
        ("mg a v q\r\nmg b v\r\n", "VA 1\r\nx\r\n"),
        ("get a\r\n", "END\r\n"),
    ]));
    assert_eq!(spans.len(), 3);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn lists_are_one_answer() {
    let (spans, _) = run(&dialog(&[
        ("get k\r\n", "END\r\n"),
        ("stats\r\n", "STAT pid 1\r\nSTAT version a b c\r\nEND\r\n"),
        ("stats reset\r\n", "RESET\r\n"),
        (
            "lru_crawler metadump all\r\n",
            "key=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa exp=-1\r\nEND\r\n",
        ),
        ("flush_all\r\n", "OK\r\n"),
    ]));
    assert_eq!(spans.len(), 6, "{spans:?}");
    assert_eq!(spans[3], "stats reset; 50-60");
}

#[test]
fn binary() {
    let steps = [
        Out(ask(0x01, 8, "k", "secret")),
        In(answer(0x01, 0, "", "")),
        Out(ask(0x00, 0, "k", "")),
        In(answer(0x00, 0, "", "value")),
        Out(ask(0x00, 0, "a b\n", "")),
        In(answer(0x00, 1, "", "Not found")),
        Out([
            ask(0x0d, 0, "a", ""),
            ask(0x0d, 0, "b", ""),
            ask(0x0a, 0, "", ""),
        ]
        .concat()),
        In([answer(0x0d, 0, "a", "x"), answer(0x0a, 0, "", "")].concat()),
        Out(ask(0x11, 8, "q", "x")),
        Out(ask(0x05, 20, "k", "")),
        In([
            answer(0x11, 0x82, "", "OOM"),
            answer(0x05, 6, "", "Non-numeric"),
        ]
        .concat()),
        Out(ask(0x10, 0, "", "")),
        In([answer(0x10, 0, "pid", "1"), answer(0x10, 0, "", "")].concat()),
        Out(ask(0x07, 0, "", "")),
    ];
    let (spans, verdict) = run(&steps);
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "set k; 10-20",
            "get k; 30-40",
            "get a?b?; 50-60",
            "get a;get b;noop; 70-80 x2",
            "set q; 90-90",
            "incr k; 100-110 0x0006",
            "stats; 120-130",
        ]
    );
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn authentication_belongs_to_the_connection() {
    let steps = [
        Out(ask(0x20, 0, "", "")),
        In(answer(0x20, 0, "", "PLAIN")),
        Out(ask(0x21, 0, "PLAIN", "\0user\0secret")),
        In(answer(0x21, 0, "", "Authenticated")),
        Out(ask(0x00, 0, "k", "")),
        In(answer(0x00, 1, "", "")),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["connect 1-40", "get k; 50-60"]);
    let steps = [
        Out(ask(0x21, 0, "PLAIN", "\0user\0secret")),
        In(answer(0x21, 0x20, "", "Auth failure.")),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["connect 1-20 0x0020"]);
}

#[test]
fn what_was_something_else_is_forgotten() {
    for steps in [
        dialog(&[("get k\r\n", "$-1\r\n")]),
        dialog(&[("get k\r\n", "STORED\r\n")]),
        dialog(&[("get k\r\n", "")]),
        dialog(&[("get k\r\nquit now\r\nnoise\r\n", "")]),
        dialog(&[("set k 0 0 2\r\nabcdef\r\n", "STORED\r\n")]),
        vec![Out(ask(0, 0, "k", "")), In(vec![0; 24])],
        vec![
            Out(text("get k\r\n")),
            Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset)),
        ],
    ] {
        let (spans, verdict) = run(&steps);
        assert_eq!(spans, [""; 0], "{steps:?}");
        assert_eq!(verdict, Some(Verdict::Opaque), "{steps:?}");
    }
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    for (ask, answer) in [
        ("hello\r\n", ""),
        ("set k a b c\r\n", ""),
        ("get\r\n", ""),
        ("watch fetchers\r\n", ""),
        ("get k\r\n", "NONSENSE\r\n"),
        ("get k\r\n", "END\r\nEND\r\n"),
        ("get k\r\n", "VALUE k 0 x\r\n"),
        ("get k\r\n", "VALUE k 0 1\r\nx\r\nSTORED\r\n"),
    ] {
        let mut steps = dialog(&[("version\r\n", "VERSION 1\r\n"), (ask, answer)]);
        steps.pop();
        let (spans, verdict) = run(&steps);
        assert_eq!(spans[..2], ["connect 1-2", "version; 10-20"]);
        assert_eq!(verdict, Some(Verdict::Opaque), "{ask}");
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let broken = Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset));
    let mut steps = dialog(&[("version\r\n", "VERSION 1\r\n"), ("get k\r\n", "")]);
    steps.insert(3, broken);
    assert_eq!(run(&steps).0[2], "get k; 30-40 fault");
    steps[3] = Step::End(Direction::In, Ended::Eof);
    assert_eq!(run(&steps).0[2], "get k; 30-40 fault");
    let mut steps = dialog(&[
        ("version\r\n", "VERSION 1\r\n"),
        ("get k\r\n", "VALUE k 0 9\r\n"),
    ]);
    steps.insert(4, Step::End(Direction::In, Ended::Eof));
    assert_eq!(run(&steps).0[2], "get k; 30-50 fault");
}

#[test]
fn many_that_wait_are_counted() {
    let mut steps: Vec<Step> = (0..200).map(|_| Out(text("get k\r\n"))).collect();
    steps.push(In(text(&"END\r\n".repeat(200))));
    steps.extend(dialog(&[("get k\r\n", "END\r\n")]));
    let (spans, _) = run(&steps);
    assert_eq!(spans.last().unwrap(), "get k; 2020-2030");
    assert_eq!(spans.len(), 1 + super::PENDING - 1 + 1);
}

#[test]
fn an_answer_in_the_middle_of_a_call() {
    let (spans, _) = run(&dialog(&[
        ("get a\r\nge", "END\r\n"),
        ("t b\r\n", "END\r\n"),
        ("get c\r\n", "END\r\n"),
    ]));
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "get a\r\nge 10-20".replace("\r\n", ";").as_str(),
            "get c; 50-60"
        ]
    );
}

#[test]
fn unseen_values_are_counted() {
    let (spans, _) = run(&[
        Out(text("set k 0 0 100\r\n")),
        Step::Skip(Direction::Out, 100),
        Out(text("\r\n")),
        In(text("STORED\r\n")),
        Out(text("get k\r\n")),
        In(text("VALUE k 0 100\r\n")),
        Step::Skip(Direction::In, 101),
        In(text("\nEND\r\n")),
        Close,
    ]);
    assert_eq!(
        spans,
        ["connect 1-2", "set k 0 0 100; 10-40", "get k; 50-80"]
    );
}

#[test]
fn a_server_has_no_connect() {
    let (spans, _) = run(&[In(text("get k\r\n")), Out(text("END\r\n")), Close]);
    assert_eq!(spans, ["get k; 10-20"]);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..9usize, 0..8usize), 1..8),
        cuts in proptest::collection::vec(0..400usize, 0..6),
    ) {
        const COMMANDS: [&str; 9] = ["get a\r\n", "get a b\r\n", "set a 0 0 3\r\n\r\nx\r\n", "set a 0 0 1 noreply\r\nx\r\n",
            "mg a v q\r\n", "mn\r\n", "ms a 1 q\r\nx\r\n", "incr a 1\r\nget b\r\n", "get c\r\nge"];
        const REPLIES: [&str; 8] = ["", "END\r\n", "STORED\r\n", "VALUE a 0 4\r\nEN\r\n\r\nEND\r\n", "MN\r\n", "12\r\n", "ERROR\r\n", "NS\r\n"];
        let mut steps = Vec::new();
        for (which, reply) in &all {
            steps.push(Out(text(COMMANDS[*which])));
            if *reply > 0 {
                steps.push(In(text(REPLIES[*reply])));
            }
        }
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn every_split_of_packets_gives_the_same(
        all in proptest::collection::vec((0..6u8, 0..6u8), 1..8),
        cuts in proptest::collection::vec(0..400usize, 0..6),
    ) {
        let codes = [0u8, 9, 0x0a, 0x11, 0x10, 0x21];
        let mut steps = Vec::new();
        for (which, reply) in &all {
            let opcode = codes[usize::from(*which)];
            steps.push(Out(ask(opcode, if opcode == 0x11 { 8 } else { 0 }, "key", "val")));
            if *reply > 0 {
                steps.push(In(answer(codes[usize::from(*reply)], u16::from(*which), "k", "v")));
            }
        }
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..200), out in any::<bool>(), binary in any::<bool>()) {
        let start = Out(if binary { ask(0, 0, "k", "") } else { text("get k\r\n") });
        let step = if out { Out(noise) } else { In(noise) };
        recorder().run(&[start, step, Close], whole);
    }
}
