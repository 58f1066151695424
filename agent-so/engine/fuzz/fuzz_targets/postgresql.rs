//! Bytes of both directions of a connection to PostgreSQL, before or after it was let in: they are followed alike whatever the
//! reads, and nothing stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::{Direction, Stream};
use host::Store;
use libfuzzer_sys::fuzz_target;

const STARTUP: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0me\0\0\0";
const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
const TLS: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

/// The first byte of the input chooses how the connection begins. The rest is a list of pieces: a byte with the direction (its
/// highest bit), whether a call begins (the next one) and the length, then the piece.
fn run(input: &[u8], bytewise: bool) -> Vec<String> {
    let (mut stream, mut host) = (Stream::default(), Store::default());
    let Some((how, mut rest)) = input.split_first() else {
        return Vec::new();
    };
    if how & 1 == 0 {
        stream.feed(Direction::Out, STARTUP, 1, &mut host);
        stream.feed(Direction::In, READY, 1, &mut host);
    } else {
        stream.feed(Direction::Out, TLS, 1, &mut host);
    }
    let mut now = 2;
    while let Some((first, after)) = rest.split_first() {
        let dir = if first & 0x80 == 0 {
            Direction::In
        } else {
            Direction::Out
        };
        if first & 0x40 == 0 {
            stream.call_begins();
        }
        let (piece, after) = after.split_at(after.len().min(usize::from(first & 0x3f)));
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
