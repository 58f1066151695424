//! What the machine makes of connections.

use crate::exchange::Fault;
use crate::exchange::Field;
use crate::protocol::Direction;
use crate::protocol::db::tests::{replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, lossy, whole};
use crate::protocol::{Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

fn command(arguments: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend(format!("${}\r\n{argument}\r\n", argument.len()).bytes());
    }
    out
}

fn commands(all: &[&[&str]]) -> Vec<u8> {
    all.iter().flat_map(|one| command(one)).collect()
}

fn text(bytes: &str) -> Vec<u8> {
    bytes.as_bytes().to_vec()
}

/// `connect` or the first argument of each command, `database start-end`, code and fault of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let raw = lossy(ex.text(Field::Query));
        let what = if ex.db.is_connect {
            "connect".to_owned()
        } else {
            raw.replace("\r\n", " ")
        };
        let code = ex
            .text(Field::Code)
            .map_or(String::new(), |c| format!(" {}", lossy(Some(c))));
        let fault = if ex.fault == Fault::None {
            ""
        } else {
            " fault"
        };
        format!(
            "{what}@{} {}-{}{code}{fault}",
            lossy(ex.text(Field::Namespace)),
            ex.start_ns,
            ex.end_ns
        )
    };
    recorder.finished.iter().map(line).collect()
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    (summary(&one), one.verdict)
}

const PING: &str = "*1 $4 PING ";

#[test]
fn a_command_and_its_reply() {
    for reply in [
        "+PONG\r\n",
        ":1\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$3\r\na\r\n\r\n",
        "*0\r\n",
        "*-1\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(123\r\n",
        "*2\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n+x\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        "~1\r\n+a\r\n",
        "=7\r\ntxt:abc\r\n",
        "|1\r\n+ttl\r\n:3600\r\n+PONG\r\n",
    ] {
        let steps = [Out(command(&["PING"])), In(text(reply)), Close];
        let (spans, _) = run(&steps);
        assert_eq!(
            spans,
            ["connect@0 1-2", &format!("{PING}@0 10-20")],
            "{reply:?}"
        );
    }
}

#[test]
fn errors_have_a_code() {
    for (reply, code) in [
        ("-ERR unknown\r\n", "ERR"),
        ("-MOVED 1 h:1\r\n", "MOVED"),
        ("!13\r\nSYNTAX broken\r\n", "SYNTAX"),
        ("-OOM\r\n", "OOM"),
    ] {
        let (spans, _) = run(&[Out(command(&["PING"])), In(text(reply)), Close]);
        assert_eq!(spans[1], format!("{PING}@0 10-20 {code}"));
    }
}

#[test]
fn what_leaves_in_one_call_is_one_exchange() {
    let steps = [
        Out(commands(&[&["PING"], &["PING"]])),
        Out(command(&["PING"])),
        In(text("+PONG\r\n+PO")),
        In(text("NG\r\n+PONG\r\n")),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(
        spans,
        [
            "connect@0 1-2",
            &format!("{PING}{PING}@0 10-40"),
            &format!("{PING}@0 20-40")
        ]
    );
}

#[test]
fn setting_up_belongs_to_the_connection() {
    let steps = [
        Out(commands(&[
            &["HELLO", "3", "AUTH", "user", "secret"],
            &["CLIENT", "SETINFO", "LIB-NAME", "x"],
        ])),
        In(text("%1\r\n+proto\r\n:3\r\n-ERR no such thing\r\n")),
        Out(command(&["SELECT", "5"])),
        In(text("+OK\r\n")),
        Out(command(&["PING"])),
        In(text("+PONG\r\n")),
        Out(command(&["SELECT", "7"])),
        In(text("+OK\r\n")),
        Out(command(&["PING"])),
        In(text("+PONG\r\n")),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(
        spans,
        [
            "connect@5 1-40",
            &format!("{PING}@5 50-60"),
            "*2 $6 SELECT $1 7 @5 70-80",
            &format!("{PING}@7 90-100"),
        ]
    );
    assert!(!spans.concat().contains("secret"));
}

#[test]
fn only_what_a_connection_needs_makes_it_fail() {
    let cases: [(&[&str], &str, &str); 7] = [
        (&["AUTH", "x"], "-ERR no password is set", " ERR"),
        (&["AUTH", "x"], "-WRONGPASS wrong", " WRONGPASS"),
        (&["SELECT", "99"], "-ERR out of range", " ERR"),
        (&["HELLO", "3"], "-ERR unknown command", ""),
        (&["HELLO", "3"], "-NOPROTO no", ""),
        (
            &["HELLO", "3", "AUTH", "u", "x"],
            "-WRONGPASS wrong",
            " WRONGPASS",
        ),
        (&["CLIENT", "MAINT_NOTIFICATIONS", "on"], "-ERR unknown", ""),
    ];
    for (asked, answer, code) in cases {
        let steps = [
            Out(command(asked)),
            In(text(&format!("{answer}\r\n"))),
            Close,
        ];
        assert_eq!(
            run(&steps).0,
            [format!("connect@0 1-20{code}")],
            "{asked:?}"
        );
    }
}

#[test]
fn what_is_sent_together_with_the_setting_up_does_not_wait_for_it() {
    let steps = [
        Out(commands(&[
            &["AUTH", "secret"],
            &["SELECT", "2"],
            &["PING"],
            &["PING"],
        ])),
        In(text("+OK\r\n+OK\r\n+PONG\r\n+PONG\r\n")),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["connect@2 1-20", &format!("{PING}{PING}@0 10-20")]);
}

#[test]
fn messages_of_subscriptions_are_no_replies() {
    let steps = [
        Out(command(&["SUBSCRIBE", "a", "b"])),
        In(text("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")),
        In(text(
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
        )),
        Out(command(&["PING"])),
        In(text(
            "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n",
        )),
        Out(command(&["UNSUBSCRIBE"])),
        In(text(
            "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n",
        )),
        Out(command(&["PING"])),
        In(text("+PONG\r\n")),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans.len(), 5, "{spans:?}");
    assert_eq!(spans[2], format!("{PING}@0 40-50"));
    assert_eq!(spans[4], format!("{PING}@0 80-90"));
    // An array that only looks like a message.
    let (spans, _) = run(&[
        Out(command(&["PING"])),
        In(text("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n")),
        Close,
    ]);
    assert_eq!(spans[1], format!("{PING}@0 10-20"));
    // Pushed by a server that speaks RESP3.
    let (spans, _) = run(&[
        Out(command(&["PING"])),
        In(text(">2\r\n$10\r\ninvalidate\r\n*1\r\n+a\r\n+PONG\r\n")),
        Close,
    ]);
    assert_eq!(spans[1], format!("{PING}@0 10-20"));
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let ends: [&[Step]; 6] = [
        &[Out(command(&["PING"])), Out(text("PING\r\n"))],
        &[Out(command(&["MONITOR"]))],
        &[Out(command(&["PSYNC", "?", "-1"]))],
        &[Out(command(&["PING"])), In(text("+PONG\r\n+PONG\r\n"))],
        &[Out(command(&["PING"])), In(text("?\r\n"))],
        &[Out(command(&["PING"])), Out(text("*1\r\n$x\r\n"))],
    ];
    for steps in ends {
        assert_eq!(run(steps).1, Some(Verdict::Opaque), "{steps:?}");
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let ping = format!("{PING}@0 10-20 fault");
    let broken = Ended::Failed(Fault::ConnectionReset);
    let (spans, _) = run(&[Out(command(&["PING"])), Step::End(Direction::In, broken)]);
    assert_eq!(spans, ["connect@0 1-2", &ping]);
    let (spans, _) = run(&[
        Out(command(&["AUTH", "x"])),
        Step::End(Direction::In, broken),
    ]);
    assert_eq!(spans, ["connect@0 1-20 fault"]);
    let (spans, _) = run(&[
        Out(command(&["PING"])),
        In(text("$5\r\nab")),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans[1], format!("{PING}@0 10-30 fault"));
}

#[test]
fn many_that_wait_are_counted() {
    let mut steps: Vec<Step> = (0..200).map(|_| Out(command(&["PING"]))).collect();
    steps.push(In(text("+PONG\r\n").repeat(200)));
    steps.push(Out(command(&["PING"])));
    steps.push(In(text("+PONG\r\n")));
    steps.push(Close);
    let (spans, _) = run(&steps);
    assert_eq!(spans.last().unwrap(), &format!("{PING}@0 2020-2030"));
    assert_eq!(spans.len(), 1 + 31 + 1);
}

#[test]
fn a_server_has_no_connect() {
    let (spans, _) = run(&[In(command(&["PING"])), Out(text("+PONG\r\n")), Close]);
    assert_eq!(spans, [format!("{PING}@0 10-20")]);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..6usize, 0..4usize), 1..8),
        cuts in proptest::collection::vec(0..400usize, 0..6),
    ) {
        const COMMANDS: [&[&str]; 6] = [&["PING"], &["GET", "a"], &["SELECT", "3"], &["AUTH", "x"], &["SET", "a", "\r\n*1\r\n"], &["SUBSCRIBE", "a"]];
        const REPLIES: [&str; 4] = ["+OK\r\n", "-ERR x\r\n", "*2\r\n$2\r\n\r\n\r\n:1\r\n", "$4\r\nabcd\r\n"];
        let mut steps = Vec::new();
        for (which, reply) in &all {
            steps.push(Out(command(COMMANDS[*which])));
            if *reply > 0 {
                steps.push(In(text(REPLIES[*reply])));
            }
        }
        steps.push(In(text(&REPLIES[0].repeat(3))));
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..200), out in any::<bool>()) {
        let start = Out(command(&["PING"]));
        let step = if out { Out(noise) } else { In(noise) };
        let mut recorder = Recorder::default();
        recorder.run(&[start, step, Close], whole);
    }
}

fn calls(host: Recorder, calls: &[&[u8]]) -> Vec<String> {
    let (mut host, mut stream) = (host, crate::protocol::Stream::default());
    for (i, bytes) in calls.iter().enumerate() {
        stream.call_begins();
        let dir = match bytes[0] {
            b'*' => Direction::Out,
            _ => Direction::In,
        };
        stream.feed(dir, bytes, 10 * (i as u64 + 1), &mut host);
    }
    stream.close(1000, &mut host);
    host.exchanges
        .iter()
        .map(|ex| format!("{} {}", ex.db.batch, ex.db.is_mixed))
        .collect()
}

#[test]
fn one_pipeline_in_several_calls() {
    let (ping, pong) = (command(&["PING"]), text("+PONG\r\n"));
    let twice = [&ping[..], &ping, &pong, &pong, &ping];
    let one_thread = Recorder {
        same_sender: true,
        ..Recorder::default()
    };
    assert_eq!(calls(one_thread, &twice), ["2 false", "0 false"]);
    let several = Recorder::default();
    assert_eq!(calls(several, &twice), ["0 false", "0 false", "0 false"]);
}

#[test]
fn libraries_that_gather_what_many_ask_for() {
    for (library, expected) in [
        ("node-redis", &["0 false", "0 true", "0 true"][..]),
        ("Lettuce", &["0 false", "0 true", "0 true"]),
        ("ioredis", &["3 false"]),
    ] {
        let name = command(&["CLIENT", "SETINFO", "LIB-NAME", library]);
        let pings = commands(&[&["PING"], &["PING"], &["PING"]]);
        let host = Recorder {
            same_sender: true,
            ..Recorder::default()
        };
        let told = calls(host, &[&name, &text("+OK\r\n"), &pings]);
        // The first one is the command that tells the name: no exchange of its own.
        assert_eq!(told[1..], *expected, "{library}");
    }
}

#[test]
fn what_is_told_of_by_its_place_is_one_of_its_own() {
    let (ping, get) = (command(&["PING"]), command(&["GET", "key"]));
    let pipeline = commands(&[&["PING"], &["PING"], &["GET", "key"], &["PING"]]);
    let places = [0, ping.len(), 2 * ping.len(), 2 * ping.len() + get.len()].map(|at| at as u32);
    for told in [vec![], vec![places[1]], vec![places[1], places[2]]] {
        for cut in 0..pipeline.len() {
            let (mut host, mut stream) = (Recorder::default(), crate::protocol::Stream::default());
            host.told.clone_from(&told);
            for part in [&pipeline[..cut], &pipeline[cut..]] {
                stream.feed(Direction::Out, part, 10, &mut host);
            }
            stream.close(20, &mut host);
            let found = host.exchanges.iter().map(|ex| ex.db.place);
            let expected = if told.is_empty() {
                &places[..1]
            } else {
                &places
            };
            assert_eq!(found.collect::<Vec<_>>(), expected, "{told:?} {cut}");
            let mixed = host.exchanges.iter().filter(|ex| ex.db.is_mixed).count();
            assert_eq!(mixed, expected.len() - 1);
        }
    }
}

#[test]
fn an_answer_while_a_pipeline_is_still_being_sent() {
    let ping = command(&["PING"]);
    let cut = [&ping[..], &ping[..5]].concat();
    let (spans, _) = run(&[
        Out(cut),
        In(text("+PONG\r\n")),
        Out(ping[5..].to_vec()),
        In(text("+PONG\r\n")),
        Close,
    ]);
    assert_eq!(spans[1..], [format!("{PING}{PING}@0 10-40")]);
}

#[test]
fn an_answer_to_what_was_not_yet_sent() {
    let ping = command(&["PING"]);
    let cut = [&ping[..], &ping[..5]].concat();
    let (spans, verdict) = run(&[Out(cut), In(text("+PONG\r\n+PONG\r\n")), Out(ping)]);
    assert_eq!(spans[1..], [format!("{PING}*1 $@0 10-20")]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}
