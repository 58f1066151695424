//! HPACK against the examples of RFC 7541 and another implementation.

use proptest::prelude::*;

use super::super::hpack::{Decoder, OUT, Piece};
use super::super::table::{SIZE_MAX, STATIC};

/// A field: its name, unless it is not known.
type Field = (Option<Vec<u8>>, Vec<u8>);

/// Decodes a block that comes in pieces of `size` bytes; `None` where it is none.
fn decode(decoder: &mut Decoder, block: &[u8], size: usize) -> Option<Vec<Field>> {
    let (mut fields, mut out): (Vec<Field>, _) = (Vec::new(), [0; OUT]);
    decoder.begin();
    for mut rest in block.chunks(size).chain([&[][..]]) {
        loop {
            let (used, piece) = decoder.next(rest, &mut out);
            rest = &rest[used..];
            match piece {
                Piece::More => break,
                Piece::Bad => return None,
                Piece::Name(len) => {
                    decoder.want();
                    fields.push((len.map(|len| out[..len].to_vec()), Vec::new()));
                }
                Piece::Plain(bytes) => fields.last_mut()?.1.extend(bytes),
                Piece::Decoded(len) => fields.last_mut()?.1.extend(&out[..len]),
                Piece::End => {}
            }
        }
        assert_eq!(rest, [0u8; 0]);
    }
    decoder.is_between().then_some(fields)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|d| (d[0] << 4 | d[1]) as u8).collect()
}

fn known(fields: &[(&str, &str)]) -> Vec<Field> {
    let field =
        |(name, value): &(&str, &str)| (Some(name.as_bytes().to_vec()), value.as_bytes().to_vec());
    fields.iter().map(field).collect()
}

/// Appendix C: blocks of one connection each.
#[test]
fn examples_of_the_rfc() {
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let host = (":authority", "www.example.com");
    let first = [&get[..], &[host]].concat();
    let second = [&first[..], &[("cache-control", "no-cache")]].concat();
    let third = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        host,
        ("custom-key", "custom-value"),
    ];
    let cache = ("cache-control", "private");
    let (date, later) = (
        "Mon, 21 Oct 2013 20:13:21 GMT",
        "Mon, 21 Oct 2013 20:13:22 GMT",
    );
    let location = ("location", "https://www.example.com");
    let found = [(":status", "302"), cache, ("date", date), location];
    let moved = [(":status", "307"), cache, ("date", date), location];
    let ok = [
        (":status", "200"),
        cache,
        ("date", later),
        location,
        ("content-encoding", "gzip"),
        (
            "set-cookie",
            "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ),
    ];
    type Blocks<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];
    let connections: [Blocks<'_>; 8] = [
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &[("custom-key", "custom-header")],
        )],
        &[(
            "040c 2f73 616d 706c 652f 7061 7468",
            &[(":path", "/sample/path")],
        )],
        &[(
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            &[("password", "secret")],
        )],
        &[("82", &[(":method", "GET")])],
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", &first),
            ("8286 84be 5808 6e6f 2d63 6163 6865", &second),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                &third,
            ),
        ],
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", &first),
            ("8286 84be 5886 a8eb 1064 9cbf", &second),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                &third,
            ),
        ],
        // The table has 256 bytes in these two.
        &[
            (
                "3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                &found,
            ),
            ("4803 3330 37c1 c0bf", &moved),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                &ok,
            ),
        ],
        &[
            (
                "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                &found,
            ),
            ("4883 640e ffc1 c0bf", &moved),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                &ok,
            ),
        ],
    ];
    for blocks in connections {
        for size in [usize::MAX, 1, 2, 3, 7] {
            let mut decoder = Decoder::default();
            for (block, expected) in blocks {
                let got = decode(&mut decoder, &hex(block), size);
                assert_eq!(got, Some(known(expected)), "{block}, {size}");
            }
        }
    }
}

#[test]
fn what_is_no_block() {
    let rows = [
        ("80", "index 0"),
        ("be", "an index beyond both tables"),
        ("7f00", "a name beyond both tables"),
        ("82 20", "a size that is announced too late"),
        ("ff ffffffffff 0f", "a number without end"),
        ("00 01 61 81 00", "padding that is not of ones"),
        ("00 01 61 82 ff ff", "padding of a whole byte"),
        ("00 01 61 84 ff ff ff ff", "the end-of-string symbol"),
        ("00 84 ff ff ff ff", "the end-of-string symbol in a name"),
        ("00 01", "half a field"),
        ("00 01 61 7f", "half a length"),
    ];
    for (block, why) in rows {
        for size in [usize::MAX, 1] {
            let got = decode(&mut Decoder::default(), &hex(block), size);
            assert_eq!(got, None, "{why}");
        }
    }
}

/// `(0x40, "aN", value)`.
fn added(name: &str, value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40, name.len() as u8];
    block.extend(name.as_bytes());
    number(&mut block, 0, 7, value.len());
    block.extend(value);
    block
}

/// Writes a number with a prefix of `bits` bits in a byte whose others are `form`.
fn number(out: &mut Vec<u8>, form: u8, bits: u32, value: usize) {
    let mask = (1 << bits) - 1;
    let Some(mut more) = value.checked_sub(mask) else {
        return out.push(form | value as u8);
    };
    out.push(form | mask as u8);
    while more > 0x7f {
        out.push((more & 0x7f) as u8 | 0x80);
        more >>= 7;
    }
    out.push(more as u8);
}

#[test]
fn of_a_table_that_is_too_large_the_newest_entries_are_known() {
    let mut decoder = Decoder::default();
    let mut announce = Vec::new();
    number(&mut announce, 0x20, 5, 65536);
    assert_eq!(decode(&mut decoder, &announce, 1), Some(vec![]));
    for i in 0..100 {
        let block = added(&format!("n{i:02}"), &[b'v'; 997]);
        assert!(decode(&mut decoder, &block, 400).is_some());
    }
    let indexed = |decoder: &mut Decoder, index: usize| {
        let mut block = Vec::new();
        number(&mut block, 0x80, 7, index);
        decode(decoder, &block, usize::MAX)
    };
    // Each entry counts 1032 bytes.
    let kept = SIZE_MAX as usize / 1032;
    for back in 0..60 {
        let name = format!("n{:02}", 99 - back).into_bytes();
        let expected = if back < kept {
            (Some(name), vec![b'v'; 997])
        } else {
            (None, vec![])
        };
        assert_eq!(indexed(&mut decoder, 62 + back), Some(vec![expected]));
    }
    // A name from an unknown entry, with a value that is known and added: the entry counts, and is unknown.
    let mut block = Vec::new();
    number(&mut block, 0x40, 6, 62 + 50);
    block.extend(b"\x01x");
    let field = (None, b"x".to_vec());
    assert_eq!(decode(&mut decoder, &block, 1), Some(vec![field]));
    assert_eq!(indexed(&mut decoder, 62), Some(vec![(None, vec![])]));
    let newest = Some(b"n99".to_vec());
    assert_eq!(
        indexed(&mut decoder, 63),
        Some(vec![(newest, vec![b'v'; 997])])
    );
    // So does one that is too large to be kept.
    assert!(decode(&mut decoder, &added("big", &[b'w'; 20_000]), 4096).is_some());
    assert_eq!(indexed(&mut decoder, 62), Some(vec![(None, vec![])]));
    assert!(decode(&mut decoder, &added("new", b"1"), 1).is_some());
    let new = (Some(b"new".to_vec()), b"1".to_vec());
    assert_eq!(indexed(&mut decoder, 62), Some(vec![new]));
    // In a table of the usual size there is nothing that is not known.
    let mut block = Vec::new();
    number(&mut block, 0x20, 5, 4096);
    number(&mut block, 0x80, 7, 62 + 40);
    assert_eq!(decode(&mut decoder, &block, 1), None);
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::default();
    assert!(decode(&mut decoder, &added("a", b"1"), 1).is_some());
    assert!(decode(&mut decoder, &added("b", &[b'x'; 5000]), 999).is_some());
    assert_eq!(decode(&mut decoder, &[0xbe], 1), None);
}

#[test]
fn a_decoder_is_new_after_a_reset() {
    let mut decoder = Decoder::default();
    assert!(decode(&mut decoder, &added("a", b"1"), 1).is_some());
    assert!(decode(&mut decoder, &[0, 0x83, 0xff], 1).is_none());
    decoder.reset();
    assert_eq!(decode(&mut decoder, &[0xbe], 1), None);
    decoder.reset();
    assert!(decode(&mut decoder, &added("a", b"1"), 1).is_some());
    let entry = (Some(b"a".to_vec()), b"1".to_vec());
    assert_eq!(decode(&mut decoder, &[0xbe], 1), Some(vec![entry]));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(b'a'..b'e', 60..300),
        1 => (0usize..9000).prop_map(|len| vec![b'y'; len]),
    ]
}

/// A string, plain, or as bytes that claim to be coded.
fn string() -> impl Strategy<Value = Vec<u8>> {
    (text(), prop::bool::weighted(0.2)).prop_map(|(text, coded)| {
        let mut out = Vec::new();
        number(&mut out, if coded { 0x80 } else { 0 }, 7, text.len());
        out.extend(text);
        out
    })
}

fn representation() -> impl Strategy<Value = Vec<u8>> {
    let index = prop_oneof![0usize..80, 62usize..70, 0usize..400];
    let literal = prop::sample::select(vec![(0x40u8, 6u32), (0x40, 6), (0, 4), (0x10, 4)]);
    prop_oneof![
        4 => index.clone().prop_map(|index| {
            let mut out = Vec::new();
            number(&mut out, 0x80, 7, index);
            out
        }),
        4 => (literal.clone(), index, string()).prop_map(|((form, bits), index, value)| {
            let mut out = Vec::new();
            number(&mut out, form, bits, index.max(1));
            out.extend(value);
            out
        }),
        4 => (literal, string(), string()).prop_map(|((form, _), name, value)| {
            [vec![form], name, value].concat()
        }),
        1 => (0usize..4097).prop_map(|size| {
            let mut out = Vec::new();
            number(&mut out, 0x20, 5, size);
            out
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    /// Every block of a connection is understood as another implementation understands it, whatever the pieces.
    #[test]
    fn another_implementation_agrees(
        blocks in prop::collection::vec(prop::collection::vec(representation(), 0..6), 1..8),
        size in 1usize..200,
    ) {
        let (mut whole, mut cut) = (Decoder::default(), Decoder::default());
        let mut other = fluke_hpack::Decoder::new();
        for block in blocks {
            // Sizes stand at the beginning of a block, and the other implementation wants a field behind them.
            let (sizes, fields): (Vec<_>, Vec<_>) =
                block.into_iter().partition(|part| part[0] & 0xe0 == 0x20);
            let block = [sizes, fields, vec![vec![0x82]]].concat().concat();
            let expected = other.decode(&block).ok().map(|fields| {
                fields
                    .into_iter()
                    .map(|(name, value)| ((name.len() <= 48).then_some(name), value))
                    .collect::<Vec<_>>()
            });
            prop_assert_eq!(&decode(&mut whole, &block, usize::MAX), &expected);
            prop_assert_eq!(&decode(&mut cut, &block, size), &expected);
            if expected.is_none() {
                break;
            }
        }
    }
}

#[test]
fn the_static_table_is_that_of_another_implementation() {
    let mut other = fluke_hpack::Decoder::new();
    for (at, (name, value)) in STATIC.iter().enumerate() {
        let field = other.decode(&[0x81 + at as u8]).unwrap().remove(0);
        assert_eq!(field, (name.to_vec(), value.to_vec()));
    }
}
