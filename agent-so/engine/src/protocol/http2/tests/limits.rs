//! Bytes of any kind, hosts without room, and the limits of what is followed.

use proptest::prelude::*;

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::super::streams::STREAMS_MAX;
use super::*;
use crate::protocol::wide::Wide;
use crate::protocol::{Direction, Ended, Verdict};

fn opening() -> Vec<u8> {
    [PREFACE.to_vec(), settings()].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(
        1,
        5,
        stream,
        &request("GET", "/a", &[("x-request-id", "7")]),
    )
}

#[test]
fn a_wide_is_not_too_wide() {
    assert!(size_of::<Wide>() <= 288 * 1024, "{}", size_of::<Wide>());
}

#[test]
fn without_a_wide_a_connection_is_opaque() {
    let mut host = Recorder {
        no_wides: true,
        ..Recorder::default()
    };
    host.run(&[Step::In(opening())], whole);
    assert_eq!(host.verdict, Some(Verdict::Tracked), "it is not needed yet");
    host.run(&[Step::In(opening()), Step::In(get(1))], whole);
    assert_eq!(
        (host.finished.len(), host.verdict),
        (0, Some(Verdict::Opaque))
    );
    let upgrade = b"GET /up HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec();
    let switching = b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec();
    host.run(
        &[
            Step::In(upgrade),
            Step::Out(switching),
            Step::In(opening()),
            Step::In(get(3)),
        ],
        whole,
    );
    assert_eq!(host.summary(), ["GET /up 0 ok 0/0 10-20"]);
    assert_eq!(host.verdict, Some(Verdict::Opaque));
}

#[test]
fn requests_beyond_the_limit_are_passed_over() {
    let count = STREAMS_MAX as u32 + 10;
    let requests: Vec<u8> = (0..count).flat_map(|i| get(2 * i + 1)).collect();
    let answer = |stream| frame(1, 5, stream, &block(&[(":status", "200")]));
    let answers: Vec<u8> = (0..count).rev().flat_map(|i| answer(2 * i + 1)).collect();
    let after = 2 * count + 1;
    let mut host = Recorder::default();
    host.run(
        &[
            Step::In([opening(), requests].concat()),
            Step::Out([settings(), answers].concat()),
            Step::In(get(after)),
            Step::Out(answer(after)),
        ],
        whole,
    );
    assert_eq!(host.finished.len(), STREAMS_MAX + 1);
    assert_eq!(
        (host.passed_over, host.verdict),
        (10, Some(Verdict::Tracked))
    );
}

#[test]
fn rapid_resets_leave_nothing_behind() {
    let pair = |i: u32| [get(2 * i + 1), frame(3, 0, 2 * i + 1, &[0, 0, 0, 8])].concat();
    let flood: Vec<u8> = (0..5000).flat_map(pair).collect();
    let mut host = Recorder::default();
    host.run(&[Step::In([opening(), flood].concat())], whole);
    assert_eq!((host.finished.len(), host.passed_over), (5000, 0));
    assert_eq!(host.verdict, Some(Verdict::Tracked));
}

#[test]
fn a_header_list_may_have_any_size() {
    let big = "b".repeat(100_000);
    let fields = [("x-big", &big[..]), ("traceparent", "here")];
    let block = request("GET", "/a", &fields);
    let mut bytes = opening();
    let parts: Vec<&[u8]> = block.chunks(16_384).collect();
    for (at, part) in parts.iter().enumerate() {
        let flags = if at + 1 == parts.len() { 4 } else { 0 };
        let (kind, flags) = if at == 0 { (1, flags | 1) } else { (9, flags) };
        bytes.extend(frame(kind, flags, 1, part));
    }
    let mut host = Recorder::default();
    host.run(&[Step::In(bytes), Step::Close], whole);
    let field = host.only().text(crate::exchange::Field::Traceparent);
    assert_eq!(field, Some(&b"here"[..]));
}

/// Bytes of the sort that gets a parser far.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let stream = || prop::sample::select(vec![0u32, 1, 1, 3, 5, 2]);
    let payload = prop_oneof![
        Just(request(
            "GET",
            "/a",
            &[("tracestate", "a=1"), ("baggage", "b=2")]
        )),
        Just(request(
            "POST",
            "/p.S/M",
            &[("content-type", "application/grpc")]
        )),
        Just(block(&[(":status", "200")])),
        Just(block(&[(":status", "103"), ("x-id", "1")])),
        Just(block(&[("grpc-status", "5")])),
        Just(b"\x82\x84\x40\x01k\x01v\xbe".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    let part = prop_oneof![
        1 => Just(opening()),
        1 => Just(settings()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        8 => (0u8..11, any::<u8>(), stream(), payload.clone())
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)),
        8 => (prop::sample::select(vec![0u8, 1, 1, 9]), prop::sample::select(vec![0u8, 1, 4, 5]), stream(), payload)
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)),
        1 => (stream(), 0u8..14).prop_map(|(stream, code)| frame(3, 0, stream, &[0, 0, 0, code])),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn step() -> impl Strategy<Value = Step> {
    use crate::exchange::Fault::ConnectionReset;
    let dir = || prop::sample::select(vec![Direction::In, Direction::Out]);
    prop_oneof![
        8 => bytes().prop_map(Step::In),
        8 => bytes().prop_map(Step::Out),
        1 => (dir(), 0u64..9).prop_map(|(dir, n)| Step::Skip(dir, n)),
        1 => dir().prop_map(|dir| Step::End(dir, Ended::Eof)),
        1 => dir().prop_map(|dir| Step::End(dir, Ended::Failed(ConnectionReset))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    /// The recorder checks the rest: a head before each end, a method, a target and a version in each, one call
    /// of each, nothing left open.
    #[test]
    fn any_bytes_are_followed_alike(mut steps in prop::collection::vec(step(), 1..8)) {
        steps.insert(0, Step::In(opening()));
        steps.insert(1, Step::Out(settings()));
        steps.push(Step::Close);
        let (mut host, mut cut) = (Recorder::default(), Recorder::default());
        host.run(&steps, whole);
        cut.run(&steps, bytewise);
        prop_assert_eq!(&host.events, &cut.events);
        let mut none = Recorder { full: true, ..Recorder::default() };
        none.run(&steps, whole);
        prop_assert_eq!(none.verdict, host.verdict);
    }
}
