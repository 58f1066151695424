//! What the machine makes of connections: recorded ones, and made ones.

use crate::exchange::{Fault, Field};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Direction, Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

/// What passed between a real client and MariaDB 10.11, a line for each piece: `>` from the client, `<` from the server.
fn recorded(text: &str) -> Vec<Step> {
    let line = |line: &str| match line.split_at(2) {
        ("> ", bytes) => Out(unescaped(bytes)),
        ("< ", bytes) => In(unescaped(bytes)),
        _ => panic!("{line}"),
    };
    text.lines().map(line).chain([Close]).collect()
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

/// `system text@database start-end rows code fault` of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let what = match (ex.db.is_connect, ex.text(Field::Operation)) {
            (true, _) => "connect".to_owned(),
            (_, Some(operation)) => format!(
                "{} {}",
                lossy(Some(operation)),
                lossy(ex.text(Field::Query))
            ),
            _ => lossy(ex.text(Field::Query)),
        };
        let mut line = format!(
            "{what}@{} {}-{}",
            lossy(ex.text(Field::Namespace)),
            ex.start_ns,
            ex.end_ns
        );
        if ex.db.has_rows {
            line += &format!(" rows={}", ex.db.rows);
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

fn recorder() -> Recorder {
    Recorder {
        connected: Some((1, 2)),
        ..Recorder::default()
    }
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let (mut one, mut other) = (recorder(), recorder());
    one.run(steps, whole);
    other.run(steps, bytewise);
    assert_eq!(one.events, other.events);
    (summary(&one), one.verdict)
}

#[test]
fn print() {
    for text in [
        include_str!("tests/pymysql.txt"),
        include_str!("tests/mysqlclient.txt"),
        include_str!("tests/cli.txt"),
        include_str!("tests/mysql2.txt"),
        include_str!("tests/denied.txt"),
        include_str!("tests/compressed.txt"),
    ] {
        let (spans, _) = run(&recorded(text));
        println!("{spans:#?}");
    }
}
