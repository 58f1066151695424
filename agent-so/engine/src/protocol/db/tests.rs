//! What the tests of all machines do alike.

use crate::exchange::{Exchange, Fault, Field};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Direction, Ended};

/// A host on which the connection was begun at 1 and stood at 2.
pub(super) fn recorder() -> Recorder {
    Recorder {
        connected: Some((1, 2)),
        ..Recorder::default()
    }
}

/// What is made of `steps`, byte by byte as in whole pieces.
pub(super) fn replayed(steps: &[Step]) -> Recorder {
    let (mut one, mut other) = (recorder(), recorder());
    one.run(steps, whole);
    other.run(steps, bytewise);
    assert_eq!(one.events, other.events);
    assert_eq!(one.verdict, other.verdict);
    one
}

/// The same, cut at these bytes.
pub(super) fn replayed_cut(steps: &[Step], cuts: &[usize]) -> Recorder {
    let mut cut = recorder();
    cut.run(steps, |_: Direction, from, to| {
        let inside = cuts.iter().copied().filter(|c| *c > from && *c < to);
        let mut inside: Vec<usize> = inside.collect();
        inside.sort_unstable();
        inside.dedup();
        inside
    });
    cut
}

/// What passed between a real client and a server, a line for each piece: `>` from the client, `<` from the server.
pub(super) fn recorded(text: &str) -> Vec<Step> {
    let line = |line: &str| match line.split_at(2) {
        ("> ", "eof") => Step::End(Direction::Out, Ended::Eof),
        ("< ", "eof") => Step::Close,
        ("> ", bytes) => Step::Out(unescaped(bytes)),
        ("< ", bytes) => Step::In(unescaped(bytes)),
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

/// When an exchange took place, and what came of it: ` start-end`, rows, size of the batch, code and fault.
pub(super) fn outcome(ex: &Exchange) -> String {
    let mut line = format!(" {}-{}", ex.start_ns, ex.end_ns);
    if ex.db.has_rows {
        line += &format!(" rows={}", ex.db.rows);
    }
    if ex.db.batch > 1 {
        line += &format!(" x{}", ex.db.batch);
    }
    if let Some(code) = ex.text(Field::Code) {
        line += &format!(" {}", lossy(Some(code)));
    }
    if ex.fault != Fault::None {
        line += &format!(" {}", ex.fault.as_str());
    }
    line
}
