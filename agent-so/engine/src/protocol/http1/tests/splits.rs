//! However the bytes are cut into reads and writes, the result is the same.

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::cases::cases;
use crate::protocol::Direction;

fn events(steps: &[Step], cut: impl Fn(Direction, usize, usize) -> Vec<usize>) -> Recorder {
    let mut host = Recorder::default();
    host.run(steps, cut);
    host
}

#[test]
fn all_splits_and_pairs_of_splits_are_alike() {
    assert!(cases().len() >= 40);
    for (name, steps, _) in cases() {
        let expected = events(&steps, whole);
        let all = events(&steps, bytewise);
        assert_eq!(
            (&all.events, all.verdict),
            (&expected.events, expected.verdict),
            "{name}"
        );
        for split in [Direction::In, Direction::Out] {
            let len: usize = steps
                .iter()
                .map(|step| match (step, split) {
                    (Step::In(b), Direction::In) | (Step::Out(b), Direction::Out) => b.len(),
                    _ => 0,
                })
                .sum();
            for first in 1..len {
                for second in first..len {
                    let seen = events(&steps, |dir, from, to| {
                        let inside = |at: &usize| dir == split && (from + 1..to).contains(at);
                        let mut cuts: Vec<usize> =
                            [first, second].into_iter().filter(inside).collect();
                        cuts.dedup();
                        cuts
                    });
                    assert_eq!(
                        (&seen.events, seen.verdict),
                        (&expected.events, expected.verdict),
                        "{name}, {split:?} cut at {first} and {second}"
                    );
                }
            }
        }
    }
}
