//! Bytes of both directions of a connection that begins as HTTP/2: they are followed alike whatever the reads, and nothing
//! stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::{Direction, Stream};
use host::Store;
use libfuzzer_sys::fuzz_target;

const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// The input is a list of pieces: a byte with the direction (its highest bit) and the length, then the piece.
fn run(input: &[u8], bytewise: bool) -> Vec<String> {
    let (mut stream, mut host) = (Stream::default(), Store::default());
    stream.feed(Direction::In, OPENING, 1, &mut host);
    stream.feed(Direction::Out, SETTINGS, 1, &mut host);
    let (mut rest, mut now) = (input, 2);
    while let Some((first, after)) = rest.split_first() {
        let dir = if first & 0x80 == 0 {
            Direction::In
        } else {
            Direction::Out
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
