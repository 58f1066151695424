//! Bytes of both directions of a connection to MySQL that stands: they are followed alike whatever the reads, and nothing
//! stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::{Direction, Stream};
use host::Store;
use libfuzzer_sys::fuzz_target;

const GREETING: &[u8] = b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0saltsalt\0\xff\xff\xff\x02\0\xff\xfb\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_native_password\0";
const OK: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";

/// A client that can what the byte says: nothing that is compressed.
fn login(able: u8) -> Vec<u8> {
    let mut out = b"\x2d\0\0\x01\x08\x82\x88".to_vec();
    out.push(able & 0x0b);
    out.extend(b"\0\0\0\x01\xff");
    out.resize(36, 0);
    out.extend(b"me\0\x04abcdshop\0\0");
    out
}

/// The input is a byte of capabilities and a list of pieces: a byte with the direction (its highest bit) and the length, then
/// the piece.
fn run(input: &[u8], bytewise: bool) -> Vec<String> {
    let (able, mut rest) = input.split_first().unwrap_or((&0, &[]));
    let (mut stream, mut host) = (Stream::default(), Store::default());
    stream.feed(Direction::In, GREETING, 1, &mut host);
    stream.feed(Direction::Out, &login(*able), 1, &mut host);
    stream.feed(Direction::In, OK, 1, &mut host);
    let mut now = 2;
    while let Some((first, after)) = rest.split_first() {
        let dir = if first & 0x80 == 0 {
            Direction::Out
        } else {
            Direction::In
        };
        let (piece, after) = after.split_at(after.len().min(usize::from(first & 0x7f)));
        for part in piece.chunks(if bytewise { 1 } else { usize::MAX }) {
            stream.feed(dir, part, now, &mut host);
        }
        rest = after;
        now += 1;
    }
    stream.close(now, &mut host);
    assert!(host.is_empty());
    host.events
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(run(input, false), run(input, true));
});
