//! Any split, and noise.

use super::*;
use crate::protocol::db::tests::replayed_cut;
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..8usize, 0..7usize), 1..10),
        cuts in proptest::collection::vec(0..1500usize, 0..8),
        ends in any::<bool>(),
    ) {
        const COMMANDS: [&[u8]; 8] = [
            b"\x03SELECT 1", b"\x16SELECT ?", b"\x17\x01\0\0\0\0\x01\0\0\0", b"\x02other", b"\x19\x01\0\0\0", b"\x0e", b"\x1c\x01\0\0\0\x01\0\0\0", b"\x03use x",
        ];
        let answers: [&[&[u8]]; 7] = [
            &[OK],
            &[b"\xff\x28\x04#42000x"],
            &[b"\x01", COLUMN, EOF, b"\x011", EOF],
            &[b"\x01", COLUMN, b"\x011", b"\xfe\0\0\x02\0\0\0"],
            &[b"\0\x01\0\0\0\x01\0\0\0\0\0\0", COLUMN, EOF],
            &[b"\xfbfile"],
            &[],
        ];
        let mut steps = connected(if ends { PLAIN } else { PLAIN | DEPRECATE_EOF });
        for (command, answer) in &all {
            steps.push(Out(packet(0, COMMANDS[*command])));
            steps.push(In(packets(1, answers[*answer])));
        }
        steps.push(In(packet(1, OK)));
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..300), out in any::<bool>(), stands in 0..5usize) {
        let mut steps = connected(PLAIN | DEPRECATE_EOF | 1 << 27);
        steps.truncate(stands);
        steps.push(Out(query("SELECT 1")));
        steps.push(if out { Out(noise) } else { In(noise) });
        steps.push(Close);
        run(&steps);
    }
}
