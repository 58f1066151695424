//! Bytes of both directions of a connection that begins with a command to Redis: they are followed alike whatever the reads,
//! and nothing stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const COMMAND: &[u8] = b"*1\r\n$4\r\nPING\r\n";

fuzz_target!(|input: &[u8]| {
    let opening = [(Direction::Out, COMMAND)];
    assert_eq!(replay(&opening, input, false), replay(&opening, input, true));
});
