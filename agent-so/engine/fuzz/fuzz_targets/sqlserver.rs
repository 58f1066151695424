//! Bytes of both directions of a connection to SQL Server that stands, or that is being made: they are followed alike whatever
//! the reads, and nothing stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

/// What both ends say first, up to what they want of encryption.
const ASKED: &[u8] = b"\x12\x01\0\x1a\0\0\x01\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\0\0\0\0";
const ANSWERED: &[u8] = b"\x04\x01\0\x1a\0\0\x01\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\0\0\0\0";
/// The login is accepted, with version 7.4.
const ACCEPTED: &[u8] = b"\x04\x01\0\x22\0\0\x01\0\xad\x0a\0\x01\x74\0\0\x04\0\x10\0\0\0\xfd\0\0\0\0\0\0\0\0\0\0\0\0";

/// A login without any names.
fn login() -> Vec<u8> {
    let mut bytes = b"\x10\x01\0\x66\0\0\x01\0\x5e\0\0\0\x04\0\0\x74".to_vec();
    bytes.resize(8 + 94, 0);
    bytes
}

fuzz_target!(|input: &[u8]| {
    let (how, input) = input.split_first().unwrap_or((&0, &[]));
    let encryption = &[how >> 2 & 3][..];
    let (asked, answered, login) = (
        [ASKED, encryption].concat(),
        [ANSWERED, encryption].concat(),
        login(),
    );
    let opening = [
        (Direction::Out, &asked[..]),
        (Direction::In, &answered[..]),
        (Direction::Out, &login[..]),
        (Direction::In, ACCEPTED),
    ];
    let opening = match how & 3 {
        0 => &opening[..],
        1 => &opening[2..],
        2 => &opening[..2],
        _ => &opening[..1],
    };
    assert_eq!(replay(opening, input, false), replay(opening, input, true));
});
