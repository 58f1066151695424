//! Compressed messages.

use super::*;
use crate::protocol::db::tests::replayed_cut;
use std::io::Write;

const PLAIN: u8 = 0;
const SNAPPY: u8 = 1;
const ZLIB: u8 = 2;

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same message, compressed.
fn compressed(by: u8, message: &[u8]) -> Vec<u8> {
    let (header, content) = message.split_at(16);
    let packed = match by {
        PLAIN => content.to_vec(),
        SNAPPY => snap::raw::Encoder::new().compress_vec(content).unwrap(),
        _ => zlib(content),
    };
    let mut out = (packed.len() as u32 + 25).to_le_bytes().to_vec();
    out.extend(&header[4..12]);
    out.extend(2012_u32.to_le_bytes());
    out.extend(&header[12..]);
    out.extend((content.len() as u32).to_le_bytes());
    out.push(by);
    out.extend(packed);
    out
}

fn batch(answers: u32, documents: usize) -> Vec<u8> {
    let each = [string("name", "hush"), string("more", "hush hush hush")];
    let cursor = nested("cursor", &[array("firstBatch", documents, &each)]);
    msg(answers + 1000, answers, 0, &[cursor, ok(1.0)])
}

fn failed(answers: u32) -> Vec<u8> {
    msg(answers + 1000, answers, 0, &[ok(0.0), int("code", 59)])
}

#[test]
fn what_is_in_them_is_read() {
    for by in [PLAIN, SNAPPY, ZLIB] {
        let insert = [
            msg(9, 0, 0, &[string("insert", "items"), string("$db", "shop")]),
            sequence("documents", 300),
        ]
        .concat();
        let mut insert = insert;
        let len = insert.len() as u32;
        insert[..4].copy_from_slice(&len.to_le_bytes());
        let steps = [
            Out(compressed(by, &find(7))),
            In(compressed(by, &batch(7, 2000))),
            Out(find(8)),
            // One side may go without.
            In([compressed(by, &failed(8)), done(99)].concat()),
            Out(compressed(by, &insert)),
            In(done(9)),
            Close,
        ];
        let (spans, _) = run(&steps);
        let wanted = [
            "connect 1-2",
            "shop.find items 10-20 2000 rows",
            "shop.find items 30-40 59",
            "shop.insert items 50-60 x300",
        ];
        assert_eq!(spans, wanted, "{by}");
    }
}

#[test]
fn what_is_not_compressed_like_that_ends_it() {
    for by in [PLAIN, SNAPPY, ZLIB] {
        let good = compressed(by, &batch(7, 50));
        // Longer, shorter, nothing, more than any.
        for size in [good[20] ^ 1, good[20].wrapping_sub(1)] {
            let mut bad = good.clone();
            bad[20] = size;
            ends(bad);
        }
        for size in [[0; 4], [255; 4]] {
            let mut bad = good.clone();
            bad[20..24].copy_from_slice(&size);
            // It is passed over like one that cannot be read.
            let (spans, _) = run(&[Out(find(7)), In(bad), Close]);
            assert_eq!(spans, ["connect 1-2", "shop.find items 10-20"]);
        }
    }
    let mut bad = compressed(ZLIB, &batch(7, 50));
    bad[25] = 0x28;
    ends(bad);
}

fn ends(answer: Vec<u8>) {
    let steps = [Out(find(7)), In(answer), Out(find(8)), In(done(8)), Close];
    let (spans, _) = run(&steps);
    assert_eq!(spans.len(), 2, "{spans:?}");
}

#[test]
fn bytes_that_were_not_seen_end_it_only_inside_of_what_is_compressed() {
    let steps = |by| {
        let answer = compressed(by, &batch(7, 50));
        let (seen, unseen) = answer.split_at(answer.len() - 20);
        vec![
            Out(find(7)),
            In(seen.to_vec()),
            Step::Skip(Direction::In, unseen.len() as u64 - 1),
            In(unseen[unseen.len() - 1..].to_vec()),
            Out(find(8)),
            In(done(8)),
            Close,
        ]
    };
    assert_eq!(run(&steps(SNAPPY)).0.len(), 2);
    assert_eq!(run(&steps(3)).0.len(), 3);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..4u8, 0..4u8, 0..60usize), 1..8),
        cuts in proptest::collection::vec(0..5000usize, 0..8),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut steps = vec![];
        let pack = |by: u8, message: Vec<u8>| if by == 3 { message } else { compressed(by, &message) };
        for (id, (out, back, documents)) in (1..).zip(all) {
            steps.push(Out(pack(out, find(id))));
            steps.push(In(pack(back, batch(id, documents))));
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
