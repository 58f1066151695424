//! Bytes of both directions of a connection to MySQL that stands: they are followed alike whatever the reads, and nothing
//! stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const GREETING: &[u8] = b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0saltsalt\0\xff\xff\xff\x02\0\xff\xfb\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_native_password\0";
const OK: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";

/// A client that can what the byte says; its fifth bit: it compresses.
fn login(able: u8) -> Vec<u8> {
    let mut out = b"\x2d\0\0\x01\x08\x82\x88".to_vec();
    out[4] |= (able & 0x10) << 1;
    out.push(able & 0x0b);
    out.extend(b"\0\0\0\x01\xff");
    out.resize(36, 0);
    out.extend(b"me\0\x04abcdshop\0\0");
    out
}

fuzz_target!(|input: &[u8]| {
    let (able, input) = input.split_first().unwrap_or((&0, &[]));
    let login = login(*able);
    let opening = [
        (Direction::In, GREETING),
        (Direction::Out, &login),
        (Direction::In, OK),
    ];
    assert_eq!(
        replay(&opening, input, false),
        replay(&opening, input, true)
    );
});
