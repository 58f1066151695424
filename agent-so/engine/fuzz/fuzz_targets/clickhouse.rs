//! Bytes of both directions of a connection to ClickHouse that stands: they are followed alike whatever the reads, and nothing
//! stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

/// Revision 54468, and the older one of servers of 2018.
const HELLO: &[u8] = b"\0\x0cClickHouse x\x14\x0a\xc4\xa9\x03\x02db\x02me\0";
const NEW: &[u8] = b"\0\x01s\x18\x01\xc4\xa9\x03\x03UTC\x01h\x01\0\0\0\0\0\0\0\0\0";
const OLD: &[u8] = b"\0\x01s\x12\x10\x8c\xa9\x03\x03UTC\x01h\x01";

fuzz_target!(|input: &[u8]| {
    let (new, input) = input.split_first().unwrap_or((&0, &[]));
    let greeting = if new & 1 == 0 { OLD } else { NEW };
    let opening = [(Direction::Out, HELLO), (Direction::In, greeting)];
    assert_eq!(replay(&opening, input, false), replay(&opening, input, true));
});
