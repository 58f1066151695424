//! Bytes of both directions of a connection to Cassandra that stands: they are followed alike whatever the reads, and nothing
//! stays open.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::protocol::Direction;
use host::replay;
use libfuzzer_sys::fuzz_target;

const STARTUP: &[u8] = b"\0\0\0\0\x01\0\0\0\x16\0\x01\0\x0bCQL_VERSION\0\x053.0.0";
const LZ4: &[u8] =
    b"\0\0\0\0\x01\0\0\0\x28\0\x02\0\x0bCQL_VERSION\0\x053.0.0\0\x0bCOMPRESSION\0\x03lz4";
const SNAPPY: &[u8] =
    b"\0\0\0\0\x01\0\0\0\x2b\0\x02\0\x0bCQL_VERSION\0\x053.0.0\0\x0bCOMPRESSION\0\x06snappy";
const READY: &[u8] = b"\x80\0\0\0\x02\0\0\0\0";

fn of_version(version: u8, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[0] |= version;
    bytes
}

fuzz_target!(|input: &[u8]| {
    // Version 5 has segments, whose checksums are not found by chance.
    let (how, input) = input.split_first().unwrap_or((&0, &[]));
    let (version, startup) = match how {
        5 => (5, STARTUP),
        6 => (4, LZ4),
        7 => (4, SNAPPY),
        8 => (5, LZ4),
        _ => (4, STARTUP),
    };
    let (startup, ready) = (of_version(version, startup), of_version(version, READY));
    let opening = [(Direction::Out, &startup[..]), (Direction::In, &ready)];
    assert_eq!(
        replay(&opening, input, false),
        replay(&opening, input, true)
    );
});
