//! Compressed bytes: what they make does not depend on how they are cut or what was read before, it is never more than was said, and it
//! is what other decoders make of them.
#![no_main]

use agent_engine::inflate::{Inflate, Method};
use libfuzzer_sys::fuzz_target;

/// Longest content that is looked at, bytes.
const MOST: usize = 1 << 17;
/// A checksum behind zlib's data, which is not looked at.
const TRAILER: usize = 4;

/// What comes out, and whether it is complete.
fn read(
    inflate: &mut Inflate,
    method: Method,
    size: usize,
    bytes: &[u8],
    part: usize,
    room: usize,
) -> (Vec<u8>, bool) {
    inflate.begin(method, size as u32);
    let (mut made, mut room) = (Vec::new(), vec![0; room]);
    for mut part in bytes.chunks(part) {
        while let Some((used, n)) = inflate.read(part, &mut room) {
            made.extend(&room[..n]);
            assert!(made.len() <= size);
            part = &part[used..];
            if (used, n) == (0, 0) {
                break;
            }
        }
        if !part.is_empty() {
            return (made, false);
        }
    }
    let is_whole = inflate.is_whole();
    (made, is_whole)
}

/// What another decoder makes of all of it.
fn reference(method: Method, bytes: &[u8]) -> Option<Vec<u8>> {
    match method {
        Method::Zlib => {
            // Its head was judged by ours.
            let data = bytes.get(2..bytes.len().checked_sub(TRAILER)?)?;
            let mut other = flate2::Decompress::new(false);
            let mut out = Vec::with_capacity(MOST + 1);
            let end = other
                .decompress_vec(data, &mut out, flate2::FlushDecompress::Finish)
                .ok()?;
            let is_all = other.total_in() as usize == data.len();
            (end == flate2::Status::StreamEnd && is_all).then_some(out)
        }
        Method::Snappy => {
            let len = snap::raw::decompress_len(bytes).ok()?;
            (len <= MOST).then(|| snap::raw::Decoder::new().decompress_vec(bytes).ok())?
        }
        _ => lz4_flex::block::decompress(bytes, MOST).ok(),
    }
}

// The input: the method, the size that is told, how it is cut and what there is room for, and the bytes.
fuzz_target!(|input: &[u8]| {
    let Some(([method, size @ .., part, room], bytes)) = input.split_first_chunk::<5>() else {
        return;
    };
    let method =
        [Method::Plain, Method::Zlib, Method::Snappy, Method::Lz4][usize::from(method % 4)];
    let size = usize::from(u16::from_le_bytes(*size));
    let (part, room) = (usize::from(*part).max(1), usize::from(*room).max(1));
    let mut inflate = Box::<Inflate>::default();
    let one = read(&mut inflate, method, size, bytes, usize::MAX, MOST);
    assert_eq!(read(&mut inflate, method, size, bytes, part, room), one);
    if method == Method::Plain {
        return;
    }
    let other = reference(method, bytes);
    if one.1 {
        assert_eq!(other.as_ref(), Some(&one.0));
    }
    if let Some(other) = other.filter(|other| other.len() <= MOST) {
        let mut bytes = bytes.to_vec();
        if method == Method::Zlib {
            bytes[..2].copy_from_slice(&[0x78, 0x9c]);
        }
        let (made, is_whole) = read(&mut inflate, method, other.len(), &bytes, part, room);
        assert!(is_whole && made == other);
    }
});
