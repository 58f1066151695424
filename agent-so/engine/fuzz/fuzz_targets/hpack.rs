//! Header blocks of one connection: the requests that they make are those that another implementation reads.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::exchange::Field;
use agent_engine::protocol::{Direction, Stream, Verdict};
use host::Store;
use libfuzzer_sys::fuzz_target;

const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// What every block ends with: GET, and a path.
const END: &[u8] = b"\x82\x84";

fn first<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], name: &[u8]) -> Option<&'a [u8]> {
    let mut found = fields.iter().filter(|(n, _)| n == name);
    found.next().map(|(_, value)| &value[..])
}

// The input is a list of blocks: a byte with the length, then the block.
fuzz_target!(|input: &[u8]| {
    let (mut stream, mut host) = (Stream::default(), Store::default());
    let mut other = fluke_hpack::Decoder::new();
    other.set_max_allowed_table_size(8192);
    stream.feed(Direction::In, OPENING, 1, &mut host);
    let (mut rest, mut id, mut expected) = (input, 1u32, Vec::new());
    while let Some((len, after)) = rest.split_first() {
        let (block, after) = after.split_at(after.len().min(usize::from(*len)));
        rest = after;
        let block = [block, END].concat();
        let mut frame = vec![0, (block.len() >> 8) as u8, block.len() as u8, 1, 5];
        frame.extend(id.to_be_bytes());
        frame.extend(&block);
        id += 2;
        let verdict = stream.feed(Direction::In, &frame, 1, &mut host);
        if verdict == Verdict::Opaque {
            // A size that is announced behind a field is an error, which the other one does not mind; a number of too many
            // bytes makes it panic there.
            break;
        }
        let Ok(fields) = other.decode(&block) else {
            // We read no value that nobody asked for, so errors in there are not seen, nor are sizes that nobody allowed.
            break;
        };
        expected.push(fields);
    }
    for ((ex, _), fields) in host.exchanges.iter().zip(&expected) {
        // A value that was cut or trimmed is looked at as far as it goes.
        if ex.text(Field::Method) == Some(b"CONNECT") {
            // Its target may be the authority.
            continue;
        }
        for (field, name) in [
            (Field::Method, &b":method"[..]),
            (Field::Target, b":path"),
            (Field::UserAgent, b"user-agent"),
            (Field::Traceparent, b"traceparent"),
        ] {
            let (theirs, ours) = (first(fields, name), ex.text(field));
            assert_eq!(ours.is_some(), theirs.is_some(), "{field:?}");
            let (ours, theirs) = (ours.unwrap_or_default(), theirs.unwrap_or_default());
            assert!(theirs.starts_with(ours), "{field:?}");
            let whole = ex.is_cut(field) || ours == theirs || ours == theirs.trim_ascii_end();
            assert!(whole, "{field:?}");
        }
    }
    stream.close(2, &mut host);
    assert!(host.is_empty());
});
