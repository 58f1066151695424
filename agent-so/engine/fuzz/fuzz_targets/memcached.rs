//! Bytes of both directions of a connection that begins with a command to memcached: they are followed alike whatever the reads,
//! and nothing stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const TEXT: &[u8] = b"get k\r\n";
const BINARY: &[u8] = b"\x80\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0k";

fuzz_target!(|input: &[u8]| {
    let Some((first, input)) = input.split_first() else {
        return;
    };
    let opening = [(Direction::Out, if first & 1 == 0 { TEXT } else { BINARY })];
    assert_eq!(replay(&opening, input, false), replay(&opening, input, true));
});
