//! However the bytes are cut into reads and writes, the result is the same.

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::cases::cases;
use super::*;
use crate::protocol::Direction;

fn events(
    steps: &[Step],
    cut: impl Fn(Direction, usize, usize) -> Vec<usize>,
) -> (Vec<String>, Option<crate::protocol::Verdict>) {
    let mut host = Recorder::default();
    host.run(steps, cut);
    (host.events, host.verdict)
}

fn check(name: &str, steps: &[Step], pairs_of_cuts: bool) {
    let expected = events(steps, whole);
    assert_eq!(events(steps, bytewise), expected, "{name}");
    for split in [Direction::In, Direction::Out] {
        let len: usize = steps
            .iter()
            .map(|step| match (step, split) {
                (Step::In(b), Direction::In) | (Step::Out(b), Direction::Out) => b.len(),
                _ => 0,
            })
            .sum();
        for first in 1..len {
            let last = if pairs_of_cuts { len } else { first + 1 };
            for second in first..last {
                let seen = events(steps, |dir, from, to| {
                    let inside = |at: &usize| dir == split && (from + 1..to).contains(at);
                    let mut cuts: Vec<usize> = [first, second].into_iter().filter(inside).collect();
                    cuts.dedup();
                    cuts
                });
                assert_eq!(
                    seen, expected,
                    "{name}, {split:?} cut at {first} and {second}"
                );
            }
        }
    }
}

#[test]
fn all_splits_and_pairs_of_splits_are_alike() {
    assert!(cases().len() >= 30);
    for (name, steps, _) in cases() {
        check(name, &steps, true);
    }
}

/// Every kind of parameter, in the orders that matter.
#[test]
fn all_splits_of_many_parameters_are_alike() {
    let all = [
        ("SERVER_NAME", "name"),
        ("SERVER_PORT", "8080"),
        ("SCRIPT_NAME", "/s"),
        ("HTTP_HOST", ""),
        ("SERVER_NAME", "other"),
        ("REMOTE_PORT", "4711"),
        ("REMOTE_ADDR", "::ffff:10.0.0.1"),
        ("HTTP_BAGGAGE", "a=1,b=2"),
        ("HTTP_AUTHORIZATION", "Signature keyId=x"),
        ("HTTP_X_REQUEST_ID", "id-7 "),
        ("HTTP_TRACEPARENT", "00-1"),
        ("HTTPS", "on"),
        ("", ""),
        ("HTTP_TRACEPARENT", "00-2"),
        ("CONTENT_LENGTH", "0"),
    ];
    let many = [&GET[..], &all].concat();
    check(
        "many",
        &[i(request(1, false, &many, b"")), o(answer(1, OK))],
        false,
    );
}
