//! Bytes of both directions of a connection that begins with a command to MongoDB: they are followed alike whatever the reads,
//! and nothing stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const COMMAND: &[u8] = b"\x32\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1d\0\0\0\x10ping\0\x01\0\0\0\x02$db\0\x02\0\0\0d\0\0";

fuzz_target!(|input: &[u8]| {
    let opening = [(Direction::Out, COMMAND)];
    assert_eq!(replay(&opening, input, false), replay(&opening, input, true));
});
