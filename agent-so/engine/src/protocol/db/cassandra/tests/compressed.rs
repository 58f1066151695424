//! Compressed frames.

use super::*;
use crate::exchange::QUERY_MAX;

const LZ4: &str = "lz4";
const SNAPPY: &str = "snappy";

/// The same frame, its body compressed.
fn compressed(by: &str, frame: &[u8]) -> Vec<u8> {
    let (header, body) = frame.split_at(9);
    let packed = if by == LZ4 {
        [
            &(body.len() as u32).to_be_bytes()[..],
            &lz4_flex::block::compress(body),
        ]
        .concat()
    } else {
        snap::raw::Encoder::new().compress_vec(body).unwrap()
    };
    let mut out = header.to_vec();
    out[1] |= 1;
    out[5..].copy_from_slice(&(packed.len() as u32).to_be_bytes());
    out.extend(packed);
    out
}

fn ask(stream: u16, text: &str) -> Vec<u8> {
    frame(
        4,
        0,
        stream,
        7,
        &[&long_string(text)[..], b"\0\x01\0"].concat(),
    )
}

fn error(stream: u16) -> Vec<u8> {
    frame(0x84, 0, stream, 0, b"\0\0\x22\0\0\x04nope")
}

fn void(stream: u16) -> Vec<u8> {
    frame(0x84, 0, stream, 8, b"\0\0\0\x01")
}

/// A connection that compresses and stands; times from 50.
fn begun(by: &str) -> Vec<Step> {
    vec![
        options(4),
        supported(4),
        startup(4, "COMPRESSION", by),
        ready(4),
    ]
}

#[test]
fn what_is_in_them_is_read() {
    for by in [LZ4, SNAPPY] {
        let long = format!("SELECT '{}' FROM item", "x".repeat(1500));
        let mut steps = begun(by);
        steps.extend([
            Out(compressed(by, &ask(1, &long))),
            In(compressed(by, &void(1))),
            // Either side may go without.
            Out([ask(2, "SELECT b"), compressed(by, &ask(3, "SELECT c"))].concat()),
            In([compressed(by, &error(3)), void(2)].concat()),
            Out(frame(4, 0, 4, 5, b"")),
            In(frame(0x84, 0, 4, 6, b"\0\0")),
            Out(ask(5, "SELECT d")),
            In(compressed(by, &void(5))),
            Close,
        ]);
        let (spans, _) = run(&steps);
        let wanted = [
            CONNECT.to_owned(),
            format!("{long}@- 50-60 level=2"),
            "SELECT c@- 70-80 level=2 8704".to_owned(),
            "SELECT b@- 70-80 level=2".to_owned(),
            "SELECT d@- 110-120 level=2".to_owned(),
        ];
        assert_eq!(spans, wanted, "{by}");
    }
}

#[test]
fn what_is_not_compressed_like_that_ends_it() {
    for by in [LZ4, SNAPPY] {
        let good = compressed(by, &void(1));
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut cut = good[..good.len() - 1].to_vec();
        cut[8] -= 1;
        for bad in [
            with(9, 0xff),
            with(10, good[10] ^ 0x81),
            cut,
            frame(0x84, 1, 1, 8, b"\xff"),
        ] {
            let mut steps = begun(by);
            steps.extend([
                Out(ask(1, "SELECT a")),
                In(bad),
                Out(ask(2, "SELECT b")),
                In(void(2)),
                Close,
            ]);
            let (spans, _) = run(&steps);
            assert_eq!(spans, [CONNECT, "SELECT a@- 50-60 level=2"]);
        }
    }
}

/// A segment of version 5 around frames, compressed or not.
fn packed(frames: &[u8], packs: bool) -> Vec<u8> {
    match packs {
        true => packed_segment(&lz4_flex::block::compress(frames), frames.len(), true),
        false => packed_segment(frames, 0, true),
    }
}

/// A query of version 5, which has four bytes of flags.
fn ask_5(stream: u16, text: &str) -> Vec<u8> {
    let body = [&long_string(text)[..], b"\0\x01\0\0\0\0"].concat();
    frame(5, 0, stream, 7, &body)
}

fn void_5(stream: u16) -> Vec<u8> {
    frame(0x85, 0, stream, 8, b"\0\0\0\x01")
}

/// The same frame, said to be compressed.
fn marked(mut frame: Vec<u8>) -> Vec<u8> {
    frame[1] |= 1;
    frame
}

/// A connection of version 5 that compresses and stands; times from 30.
fn begun_5() -> Vec<Step> {
    vec![startup(5, "COMPRESSION", "LZ4"), ready(5)]
}

#[test]
fn segments() {
    let long = format!("SELECT '{}'", "x".repeat(70_000));
    let bytes = ask_5(1, &long);
    let mut steps = begun_5();
    steps.extend([
        // A frame over three segments, of which one is not worth it.
        Out([
            packed(&bytes[..40_000], true),
            packed(&bytes[40_000..40_010], false),
            packed(&bytes[40_010..], true),
        ]
        .concat()),
        Out(packed(
            &[ask_5(2, "SELECT b"), ask_5(3, "SELECT c")].concat(),
            true,
        )),
        In(packed(&[void_5(3), void_5(2)].concat(), true)),
        In(packed(&void_5(1), false)),
        // Java's driver says of frames what is meant of segments.
        Out(packed(&marked(ask_5(4, "SELECT d")), true)),
        In(packed(&marked(void_5(4)), false)),
        Close,
    ]);
    let (spans, _) = run(&steps);
    assert_eq!(spans[4], "SELECT d@- 70-80 level=2");
    assert_eq!(
        spans[..3],
        [
            "connect@- 1-20",
            "SELECT c@- 40-50 level=2",
            "SELECT b@- 40-50 level=2"
        ]
    );
    assert!(
        long.starts_with(&spans[3][..QUERY_MAX]) && spans[3][QUERY_MAX..].starts_with("@- 30-60")
    );
}

#[test]
fn segments_that_are_damaged() {
    let good = packed(&void_5(1), true);
    let end = good.len() - 4;
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    // The checksum, the block, one that is cut or shorter than it should be, and none at all.
    let block = &good[8..end];
    let bad = [
        with(6, 1),
        with(8, 0xf0),
        packed_segment(&block[..block.len() - 1], void_5(1).len(), true),
        packed_segment(block, void_5(1).len() + 1, true),
        packed_segment(b"", 5, true),
    ];
    for bad in bad {
        let mut steps = begun_5();
        steps.extend([
            Out(packed(&ask_5(1, "SELECT a"), true)),
            In(bad),
            Out(packed(&ask_5(2, "SELECT b"), true)),
        ]);
        let (spans, verdict) = run(&steps);
        assert_eq!(spans[1..], ["SELECT a@- 30-40 level=2"]);
        assert_eq!(verdict, Some(Verdict::Opaque));
    }
}

#[test]
fn what_ends_inside_of_a_segment_is_cut() {
    let good = packed(&void_5(1), true);
    for (n, told) in [
        (0, "connection_closed"),
        (3, "response_truncated"),
        (12, "response_truncated"),
    ] {
        let mut steps = begun_5();
        steps.extend([
            Out(packed(&ask_5(1, "SELECT a"), true)),
            In(good[..n].to_vec()),
        ]);
        steps.push(Step::End(Direction::In, Ended::Eof));
        assert_eq!(
            run(&steps).0[1..],
            [format!("SELECT a@- 30-50 level=2 {told}")]
        );
    }
}

proptest! {
    #[test]
    fn every_split_of_segments_gives_the_same(
        all in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..900usize), 1..8),
        cuts in proptest::collection::vec(0..5000usize, 0..8),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut steps = begun_5();
        for (stream, (out, back, n)) in (1..).zip(all) {
            let asked = ask_5(stream, &format!("SELECT {n} '{}'", "ab".repeat(n)));
            let (one, other) = asked.split_at(n.min(asked.len()));
            steps.push(Out([packed(one, out), packed(other, back)].concat()));
            steps.push(In(packed(&void_5(stream), back)));
        }
        if let Some((place, byte)) = damage
            && let Some(In(bytes)) = steps.last_mut()
        {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        steps.push(Close);
        let one = replayed(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!(cut.events, one.events);
        prop_assert_eq!(cut.verdict, one.verdict);
    }

    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..900usize), 1..8),
        by in prop_oneof![Just(LZ4), Just(SNAPPY)],
        cuts in proptest::collection::vec(0..5000usize, 0..8),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut steps = begun(by);
        let pack = |packs: bool, frame: Vec<u8>| if packs { compressed(by, &frame) } else { frame };
        for (stream, (out, back, n)) in (1..).zip(all) {
            steps.push(Out(pack(out, ask(stream, &format!("SELECT {n} '{}'", "ab".repeat(n))))));
            steps.push(In(pack(back, if n % 3 == 0 { error(stream) } else { void(stream) })));
        }
        if let Some((place, byte)) = damage
            && let Some(In(bytes)) = steps.last_mut()
        {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        steps.push(Close);
        let one = replayed(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!(cut.events, one.events);
        prop_assert_eq!(cut.verdict, one.verdict);
    }
}
