//! Compressed connections.

use super::*;
use crate::protocol::db::tests::replayed_cut;
use proptest::prelude::*;
use std::io::Write;

const COMPRESS: u32 = 1 << 5;

fn in_packet(number: u8, size: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    out.push(number);
    out.extend(&(size as u32).to_le_bytes()[..3]);
    out.extend(payload);
    out
}

/// In one compressed packet.
fn zlib(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    in_packet(number, bytes.len(), &encoder.finish().unwrap())
}

fn plain(number: u8, bytes: &[u8]) -> Vec<u8> {
    in_packet(number, 0, bytes)
}

/// A connection that stands since 40, and compresses.
fn begun(capabilities: u32) -> Vec<Step> {
    vec![
        Out(vec![]),
        In(greeting("10.11.0-MariaDB", u32::MAX)),
        Out(login(1, capabilities)),
        In(packet(2, OK)),
    ]
}

fn rows(n: usize) -> Vec<u8> {
    let row = |i: usize| format!("\x05{:05}", i.wrapping_mul(7919) % 100_000).into_bytes();
    let mut payloads: Vec<Vec<u8>> = vec![vec![1], COLUMN.to_vec(), EOF.to_vec()];
    payloads.extend((0..n).map(row));
    payloads.push(EOF.to_vec());
    let all: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    packets(1, &all)
}

fn after_compressed(steps: &[Step]) -> Vec<String> {
    run(&[&begun(PLAIN | COMPRESS), steps, &[Close]].concat()).0
}

#[test]
fn a_recorded_one() {
    let (spans, _) = run(&recorded(include_str!("compressed.txt")));
    let wanted = ["connect@tests 1-30", "select 1@tests 40-50 rows=1"];
    assert_eq!(spans, wanted);
}

#[test]
fn commands_and_answers_lie_in_compressed_packets_as_they_please() {
    let long = format!("SELECT '{}' FROM item", "x".repeat(3000));
    let both = [query("SELECT 2"), query("SELECT 3")].concat();
    let answer = rows(5000);
    let (first, second) = answer.split_at(9001);
    let steps = [
        // A command in two of them, one of which is not compressed; the answer goes on with their numbers.
        Out(zlib(0, &query(&long)[..2000])),
        Out(plain(1, &query(&long)[2000..])),
        In(zlib(2, &packets(2, &[OK]))),
        // Two commands in one, and answers across.
        Out(zlib(0, &both)),
        In(zlib(1, first)),
        In([zlib(2, second), plain(3, &packets(1, &[OK]))].concat()),
        Out(plain(0, &query("SELECT 4"))),
        In(plain(1, &rows(3))),
    ];
    let spans = after_compressed(&steps);
    let wanted = [
        "connect@shop 1-40".to_owned(),
        format!("{long}@shop 50-70"),
        "SELECT 2@shop 80-100 rows=5000".to_owned(),
        "SELECT 3@shop 80-100".to_owned(),
        "SELECT 4@shop 110-120 rows=3".to_owned(),
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn what_is_not_compressed_like_that_is_not_read() {
    let answer = zlib(1, &rows(500));
    let with = |at: usize, byte: u8| {
        let mut bytes = answer.clone();
        bytes[at] = byte;
        bytes
    };
    // Shorter and longer than it says, another method, damaged inside, nothing in it.
    for bad in [
        with(4, answer[4] ^ 1),
        with(6, 255),
        with(7, 0x28),
        with(9, 7),
        plain(1, b""),
    ] {
        let spans = after_compressed(&[
            Out(plain(0, &query("SELECT 1"))),
            In(bad),
            Out(plain(0, &query("SELECT 2"))),
            In(plain(1, &packets(1, &[OK]))),
        ]);
        assert_eq!(spans.len(), 2);
        assert!(spans[1].starts_with("SELECT 1@shop 50-60"), "{spans:?}");
    }
}

#[test]
fn zstandard_is_not_read() {
    let (spans, verdict) = run(&begun(PLAIN | 1 << 26));
    assert_eq!(spans, ["connect@shop 1-40"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn the_server_reads_as_well() {
    let steps: Vec<Step> = [
        begun(PLAIN | COMPRESS),
        vec![
            Out(zlib(0, &query("SELECT 1"))),
            In(zlib(1, &rows(20))),
            Close,
        ],
    ]
    .concat()
    .into_iter()
    .map(|step| match step {
        Out(bytes) => In(bytes),
        In(bytes) => Out(bytes),
        other => other,
    })
    .collect();
    let (spans, _) = run(&steps);
    assert_eq!(spans.last().unwrap(), "SELECT 1@shop 50-60 rows=20");
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        commands in proptest::collection::vec((0..3usize, any::<bool>(), 0..900usize), 1..6),
        cuts in proptest::collection::vec(0..4000usize, 0..8),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut steps = begun(PLAIN | COMPRESS);
        for (kind, compressed, n) in commands {
            let text = format!("SELECT {n}, '{}'", "ab".repeat(n));
            let answer = [rows(n), packets(1, &[OK]), packets(1, &[b"\xff\x28\x04#42000x"])][kind].clone();
            let pack = if compressed { zlib } else { plain };
            let half = answer.len() / 2;
            steps.push(Out(pack(0, &query(&text))));
            steps.push(In([pack(1, &answer[..half]), zlib(2, &answer[half..])].concat()));
        }
        if let Some((place, byte)) = damage
            && let Some(In(bytes)) = steps.last_mut()
        {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        steps.push(Close);
        let whole = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), whole);
    }
}
