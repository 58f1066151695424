//! Bytes of any kind, and the host without room.

use proptest::prelude::*;

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::cases::cases;
use super::*;
use crate::exchange::Fault;
use crate::protocol::{Direction, Ended};

/// Bytes of the sort that gets a parser far.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let kind = 0u8..13;
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        Just(pairs(&GET)),
        Just(OK.as_bytes().to_vec()),
        Just(pairs(&[
            ("HTTP_TRACEPARENT", "00-x"),
            ("HTTPS", "on"),
            ("HTTP_BAGGAGE", "")
        ])),
        Just(vec![0, 1, 1, 0, 0, 0, 0, 0]),
        Just(vec![]),
    ];
    let part = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..6),
        8 => (kind, 0u16..3, text, 0u8..4).prop_map(|(kind, id, text, padding)| padded(kind, id, &text, padding)),
        3 => (1u16..3, any::<bool>()).prop_map(|(id, keep)| get(id, keep)),
        2 => (1u16..3).prop_map(|id| answer(id, OK)),
        1 => any::<bool>().prop_map(|keep| begin(1, keep)),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn step() -> impl Strategy<Value = Step> {
    let dir = || prop::sample::select(vec![Direction::In, Direction::Out]);
    prop_oneof![
        8 => bytes().prop_map(Step::In),
        8 => bytes().prop_map(Step::Out),
        1 => (dir(), 0u64..9).prop_map(|(dir, n)| Step::Skip(dir, n)),
        1 => dir().prop_map(|dir| Step::End(dir, Ended::Eof)),
        1 => dir().prop_map(|dir| Step::End(dir, Ended::Failed(Fault::ConnectionReset))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    /// The recorder checks the rest: a head before each end, a method and a target in each, one call of each, nothing left
    /// open.
    #[test]
    fn any_bytes_are_followed_alike(
        keep in any::<bool>(),
        mut steps in prop::collection::vec(step(), 1..8),
    ) {
        steps.insert(0, i(begin(1, keep)));
        steps.push(Step::Close);
        let (mut host, mut cut) = (Recorder::default(), Recorder::default());
        host.run(&steps, whole);
        cut.run(&steps, bytewise);
        prop_assert_eq!(&host.events, &cut.events);
    }
}

#[test]
fn without_room_nothing_is_recorded_and_all_is_followed() {
    for (name, steps, _) in cases() {
        let (mut host, mut roomy) = (
            Recorder {
                full: true,
                ..Recorder::default()
            },
            Recorder::default(),
        );
        host.run(&steps, whole);
        roomy.run(&steps, whole);
        assert_eq!(host.events.len(), 0, "{name}");
        assert_eq!(host.verdict, roomy.verdict, "{name}");
    }
}
