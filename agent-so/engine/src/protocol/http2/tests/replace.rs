//! A `traceparent` that a request has already makes way for another one, in whatever form it stands.

use super::super::super::tests::Recorder;
use super::inject::{Adds, OTHER, PARENT, PARENT_ONLY, get, understood, write};
use super::*;
use crate::protocol::Stream;

#[test]
fn a_context_that_is_passed_on_may_be_replaced() {
    let adds = Adds {
        replace: true,
        tracestate: b"a=1",
        ..PARENT_ONLY
    };
    let fields = [
        ("x", "1"),
        ("traceparent", OTHER),
        ("tracestate", "z=9"),
        ("y", "2"),
    ];
    let all = [PREFACE.to_vec(), settings(), get(1, &fields)].concat();
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    let wire = write(&mut stream, &mut host, &[&all], adds);
    let (blocks, _) = understood(&wire);
    let got: Vec<(&str, &str)> = blocks[0].1[4..]
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    let expected = [
        ("x", "1"),
        ("traceparent", PARENT),
        ("tracestate", "z=9"),
        ("y", "2"),
    ];
    assert_eq!(got, expected);
    // Not where there are two.
    let block = request("GET", "/", &[fields[1], fields[1]]);
    let all = [PREFACE.to_vec(), settings(), frame(1, 5, 1, &block)].concat();
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    assert_eq!(write(&mut stream, &mut host, &[&all], adds), all);
}

/// Encoders that index what they send: the value becomes another one on its way, and the tables of both sides stay alike.
#[test]
fn a_context_that_becomes_an_entry_of_the_table_is_replaced_too() {
    let huffman = b"\xa7\x00\x16\x00\xe5\x75\xc6\xc2\xf8\x5c\x24\x8d\x33\x24\x8f\x34\xd3\xc5\x8c\x41\x09\x1e\x03\x21\x7c\x8b\x46\xe8\xe4\x72\x37\x42\xe3\xe2\x03\x2c\xb2\x15\x80\x1f".to_vec();
    let plain = [&[55][..], OTHER.as_bytes()].concat();
    let added = |value: &[u8]| {
        [
            &[0x40, 11][..],
            b"traceparent",
            value,
            &[0x40, 1, b'z', 1, b'1'],
        ]
        .concat()
    };
    // The entries are z and traceparent, and then another traceparent in front of them.
    let again = |value: &[u8]| [&[0x7f, 0x00][..], value].concat();
    let refers = vec![0xbf];
    let get = |stream, more: &[u8]| {
        frame(
            1,
            5,
            stream,
            &[&request("GET", "/a", &[])[..], more].concat(),
        )
    };
    for value in [&plain, &huffman] {
        // Each with what is to become of it, and what it then says.
        let script = [
            (added(value), true, PARENT),
            (refers.clone(), true, PARENT),
            (refers.clone(), false, OTHER),
            (again(value), true, PARENT),
            (vec![0xbe], false, OTHER),
            (refers.clone(), true, PARENT),
        ];
        let (mut stream, mut host) = (Stream::default(), Recorder::default());
        let open = [PREFACE.to_vec(), settings()].concat();
        let mut wire = write(&mut stream, &mut host, &[&open], PARENT_ONLY);
        let mut program = open;
        for (n, (more, replace, _)) in script.iter().enumerate() {
            let bytes = get(2 * n as u32 + 1, more);
            let adds = Adds {
                replace: *replace,
                ..PARENT_ONLY
            };
            wire.extend(write(&mut stream, &mut host, &[&bytes], adds));
            program.extend(bytes);
        }
        let (before, after) = (understood(&program).0, understood(&wire).0);
        for ((old, new), (_, _, says)) in before.iter().zip(&after).zip(&script) {
            let own = |fields: &[(String, String)]| {
                let found = fields.iter().find(|(name, _)| name == "traceparent");
                found.map_or(String::new(), |(_, value)| value.clone())
            };
            let others = |fields: &[(String, String)]| {
                let all = fields.iter().filter(|(name, _)| name != "traceparent");
                all.cloned().collect::<Vec<_>>()
            };
            assert_eq!(
                (others(&old.1), own(&new.1).as_str()),
                (others(&new.1), *says)
            );
        }
    }
    // Entries of another size would be another table.
    let long = format!("01{}-more", &OTHER[2..]);
    let field = [
        &[0x40, 11][..],
        b"traceparent",
        &[long.len() as u8],
        long.as_bytes(),
    ]
    .concat();
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    let bytes = [PREFACE.to_vec(), settings(), get(1, &field)].concat();
    let adds = Adds {
        replace: true,
        ..PARENT_ONLY
    };
    assert_eq!(write(&mut stream, &mut host, &[&bytes], adds), bytes);
}
