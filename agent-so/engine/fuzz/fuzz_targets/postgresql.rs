//! Bytes of both directions of a connection to PostgreSQL, before or after it was let in: they are followed alike whatever the
//! reads, and nothing stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const STARTUP: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0me\0\0\0";
const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
const TLS: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

fuzz_target!(|input: &[u8]| {
    // The first byte chooses how the connection begins.
    let Some((how, input)) = input.split_first() else {
        return;
    };
    let opening = match how & 1 {
        0 => &[(Direction::Out, STARTUP), (Direction::In, READY)][..],
        _ => &[(Direction::Out, TLS)],
    };
    assert_eq!(replay(opening, input, false), replay(opening, input, true));
});
