//! Bytes of both directions of a connection that begins as HTTP/2: they are followed alike whatever the reads, and nothing
//! stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fuzz_target!(|input: &[u8]| {
    let opening = [(Direction::In, OPENING), (Direction::Out, SETTINGS)];
    assert_eq!(replay(&opening, input, false), replay(&opening, input, true));
});
