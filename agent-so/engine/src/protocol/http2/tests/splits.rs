//! However the bytes are cut into reads and writes, the result is the same.

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::cases::cases;
use crate::protocol::Direction;

#[test]
fn all_splits_in_three_are_alike() {
    for (name, steps, _, verdict) in cases() {
        let run = |cut: &dyn Fn(Direction, usize, usize) -> Vec<usize>| {
            let mut host = Recorder::default();
            host.run(&steps, cut);
            assert_eq!(host.verdict, Some(verdict), "{name}");
            host.events
        };
        let expected = run(&whole);
        assert_eq!(run(&bytewise), expected, "{name}");
        for split in [Direction::In, Direction::Out] {
            let len: usize = steps
                .iter()
                .map(|step| match (step, split) {
                    (Step::In(b), Direction::In) | (Step::Out(b), Direction::Out) => b.len(),
                    _ => 0,
                })
                .sum();
            for first in 1..len {
                // All distances up to a frame's header and a few greater ones.
                for second in (first..len).filter(|s| s - first < 12 || s % 17 == 0) {
                    let events = run(&|dir, from, to| {
                        let inside = |at: &usize| dir == split && (from + 1..to).contains(at);
                        let mut cuts: Vec<usize> =
                            [first, second].into_iter().filter(inside).collect();
                        cuts.dedup();
                        cuts
                    });
                    assert_eq!(
                        events, expected,
                        "{name}, {split:?} cut at {first} and {second}"
                    );
                }
            }
        }
    }
}
