//! Against the encoders that programs use.

use super::*;
use proptest::prelude::*;
use std::io::Write;

const METHODS: [Method; 4] = [Method::Plain, Method::Zlib, Method::Snappy, Method::Lz4];

fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn packed(method: Method, bytes: &[u8], level: u32) -> Vec<u8> {
    match method {
        Method::Plain => bytes.to_vec(),
        Method::Zlib => zlib(bytes, level),
        Method::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Method::Lz4 => lz4_flex::block::compress(bytes),
    }
}

/// What comes of a piece that is fed in parts of these lengths, again and again, to places of these sizes; `None`: it is not
/// understood, or is not whole.
fn unpacked(
    inflate: &mut Inflate,
    method: Method,
    size: usize,
    packed: &[u8],
    parts: &[usize],
    rooms: &[usize],
) -> Option<Vec<u8>> {
    inflate.begin(method, size as u32);
    let (mut made, mut rest) = (vec![], packed);
    let mut room = vec![0; *rooms.iter().max()?];
    let (mut parts, mut rooms) = (parts.iter().cycle(), rooms.iter().cycle());
    while !rest.is_empty() {
        let (mut part, later) = rest.split_at(rest.len().min(*parts.next()?));
        rest = later;
        loop {
            let (used, n) = inflate.read(part, &mut room[..*rooms.next()?])?;
            part = &part[used..];
            made.extend(&room[..n]);
            assert!(made.len() <= size);
            if (used, n) == (0, 0) {
                break;
            }
        }
        assert!(part.is_empty() || made.len() == size);
        if !part.is_empty() {
            return None;
        }
    }
    inflate.is_whole().then_some(made)
}

/// Of what is compressed: words that come again, near and far, and noise.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(b'a'..b'd', 0..300),
        (any::<u8>(), 0..3000usize).prop_map(|(byte, n)| vec![byte; n]),
        (0..40_000usize).prop_map(|n| (0..n).map(|i| (i * i / 7) as u8).collect()),
        Just(b"SELECT name, price FROM item WHERE id = ".to_vec()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_packed_comes_out_of_any_split(
        bytes in content(),
        level in 0..10u32,
        parts in proptest::collection::vec(1..2000usize, 1..6),
        rooms in proptest::collection::vec(1..600usize, 1..6),
    ) {
        let mut inflate = Box::<Inflate>::default();
        for method in METHODS {
            let packed = packed(method, &bytes, level);
            let out = unpacked(&mut inflate, method, bytes.len(), &packed, &parts, &rooms);
            prop_assert!(out.as_deref() == Some(&bytes[..]) || packed.is_empty(), "{method:?}");
        }
    }

    #[test]
    fn byte_by_byte(bytes in proptest::collection::vec(b'a'..b'f', 1..600), level in 0..10u32) {
        let mut inflate = Box::<Inflate>::default();
        for method in METHODS {
            let packed = packed(method, &bytes, level);
            let out = unpacked(&mut inflate, method, bytes.len(), &packed, &[1], &[1]);
            prop_assert_eq!(out.as_ref(), Some(&bytes));
        }
    }

    #[test]
    fn what_is_damaged_or_cut_never_makes_more_than_was_said(
        bytes in content(),
        level in 0..10u32,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        size in prop_oneof![Just(None), (0..5000usize).prop_map(Some)],
        parts in proptest::collection::vec(1..500usize, 1..4),
    ) {
        let mut inflate = Box::<Inflate>::default();
        for method in METHODS {
            let mut packed = packed(method, &bytes, level);
            for (place, byte) in &damage {
                if !packed.is_empty() {
                    let at = place.index(packed.len());
                    packed[at] = *byte;
                }
            }
            // The size is asserted inside.
            let size = size.unwrap_or(bytes.len());
            if let Some(out) = unpacked(&mut inflate, method, size, &packed, &parts, &[512]) {
                prop_assert_eq!(out.len(), size);
            }
        }
    }

    #[test]
    fn noise_is_harmless(
        noise in proptest::collection::vec(any::<u8>(), 1..2000),
        size in any::<u32>(),
        block in 0..8u8,
    ) {
        let mut inflate = Box::<Inflate>::default();
        for method in METHODS {
            let mut noise = noise.clone();
            if method == Method::Zlib {
                noise.splice(..0, [0x78, 0x9c, block]);
            }
            let mut made = 0;
            let (mut rest, mut room) = (&noise[..], [0; 512]);
            inflate.begin(method, size);
            while let Some((used, n)) = inflate.read(rest, &mut room) {
                made += n;
                rest = &rest[used..];
                if (used, n) == (0, 0) || made > 1 << 22 {
                    break;
                }
            }
            prop_assert!(made <= size as usize);
        }
    }
}

fn whole(method: Method, size: usize, packed: &[u8]) -> Option<Vec<u8>> {
    let mut inflate = Box::<Inflate>::default();
    unpacked(&mut inflate, method, size, packed, &[usize::MAX], &[512])
}

#[test]
fn long_inputs_of_every_level() {
    let text: Vec<u8> = (0..60_000_u32)
        .flat_map(|i| format!("{} row {i}\n", i.wrapping_mul(2_654_435_761)).into_bytes())
        .collect();
    for method in METHODS {
        for level in 0..10 {
            let packed = packed(method, &text, level);
            assert!(whole(method, text.len(), &packed).as_ref() == Some(&text));
            if method != Method::Zlib {
                break;
            }
        }
    }
}

#[test]
fn what_is_cut_or_longer_is_not_whole() {
    let text = b"abcabcabcabcabcabcabc, and so on and so on and so on".repeat(9);
    for method in METHODS {
        let packed = packed(method, &text, 6);
        for end in 0..packed.len() {
            assert_eq!(whole(method, text.len(), &packed[..end]), None);
        }
        for size in [0, 1, text.len() - 1, text.len() + 1, u32::MAX as usize] {
            assert_eq!(whole(method, size, &packed), None, "{method:?} {size}");
        }
        let more = [&packed[..], &[0]].concat();
        assert_eq!(whole(method, text.len(), &more), None, "{method:?}");
    }
}

#[test]
fn nothing_is_repeated_from_before_the_beginning() {
    // The first piece leaves bytes in the window that the second must not see.
    let mut inflate = Box::<Inflate>::default();
    let first = packed(Method::Lz4, b"secret secret secret", 0);
    assert!(unpacked(&mut inflate, Method::Lz4, 20, &first, &[99], &[99]).is_some());
    let reaches = |inflate: &mut Inflate, method, packed: &[u8]| {
        unpacked(inflate, method, 5, packed, &[99], &[99]).is_some()
    };
    assert!(reaches(&mut inflate, Method::Lz4, b"\x10a\x01\0\0"));
    assert!(!reaches(&mut inflate, Method::Lz4, b"\x10a\x02\0\0"));
    assert!(!reaches(&mut inflate, Method::Lz4, b"\x10a\0\0\0"));
    assert!(reaches(&mut inflate, Method::Snappy, b"\x05\0a\x01\x01"));
    assert!(!reaches(&mut inflate, Method::Snappy, b"\x05\0a\x01\x02"));
    assert!(!reaches(
        &mut inflate,
        Method::Snappy,
        b"\x05\0a\x0f\x01\0\x01\0"
    ));
}

#[test]
fn what_no_encoder_writes() {
    let bad: [&[u8]; 8] = [
        // Method, check bits, a dictionary.
        b"\x79\x9c\x03\0\0\0\0\x01",
        b"\x78\x9d\x03\0\0\0\0\x01",
        b"\x78\xbb\x03\0\0\0\0\x01",
        // The fourth kind of block, and lengths of a stored one that do not agree.
        b"\x78\x9c\x07",
        b"\x78\x9c\x01\x01\0\xff\xff\0",
        // Too many literals; codes that are too many, or too few.
        b"\x78\x9c\xfd\0\0",
        b"\x78\x9c\x05\xe0\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x78\x9c\x05\xe0\x01\0\0\0\0\0\0\0\0\0\0\0",
    ];
    let mut inflate = Box::<Inflate>::default();
    for bytes in bad {
        inflate.begin(Method::Zlib, 100);
        assert_eq!(inflate.read(bytes, &mut [0; 9]), None, "{bytes:x?}");
    }
    assert_eq!(
        whole(Method::Zlib, 0, b"\x78\x9c\x03\0\0\0\0\x01"),
        Some(vec![])
    );
}
