//! What the machine makes of connections.

use crate::exchange::{Fault, Field};
use crate::protocol::Direction;
use crate::protocol::db::tests::{outcome, recorder, replayed};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

mod commands;
mod compressed;
mod connections;

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), b"\0", value].concat()
}

fn string(name: &str, value: &str) -> Vec<u8> {
    let len = value.len() as u32 + 1;
    element(
        2,
        name,
        &[&len.to_le_bytes(), value.as_bytes(), b"\0"].concat(),
    )
}

fn int(name: &str, value: i32) -> Vec<u8> {
    element(0x10, name, &value.to_le_bytes())
}

fn ok(value: f64) -> Vec<u8> {
    element(1, "ok", &value.to_le_bytes())
}

fn bson(elements: &[Vec<u8>]) -> Vec<u8> {
    let inside = elements.concat();
    let len = inside.len() as u32 + 5;
    [&len.to_le_bytes(), &inside[..], b"\0"].concat()
}

fn nested(name: &str, elements: &[Vec<u8>]) -> Vec<u8> {
    element(3, name, &bson(elements))
}

fn array(name: &str, documents: usize, each: &[Vec<u8>]) -> Vec<u8> {
    let elements: Vec<Vec<u8>> = (0..documents)
        .map(|i| nested(&i.to_string(), each))
        .collect();
    element(4, name, &bson(&elements))
}

fn message(id: u32, answers: u32, opcode: u32, content: &[u8]) -> Vec<u8> {
    let mut out = (content.len() as u32 + 16).to_le_bytes().to_vec();
    for field in [id, answers, opcode] {
        out.extend(field.to_le_bytes());
    }
    out.extend(content);
    out
}

fn msg(id: u32, answers: u32, flags: u32, elements: &[Vec<u8>]) -> Vec<u8> {
    let content = [&flags.to_le_bytes(), &b"\0"[..], &bson(elements)].concat();
    message(id, answers, 2013, &content)
}

fn sequence(name: &str, documents: usize) -> Vec<u8> {
    let each = bson(&[string("secret", "hush")]);
    let len = 4 + name.len() + 1 + documents * each.len();
    let head = [
        &b"\x01"[..],
        &(len as u32).to_le_bytes(),
        name.as_bytes(),
        b"\0",
    ]
    .concat();
    [head, each.repeat(documents)].concat()
}

fn command(id: u32, name: &str, value: Vec<u8>, more: &[Vec<u8>]) -> Vec<u8> {
    assert!(value[1..].starts_with(name.as_bytes()));
    msg(
        id,
        0,
        0,
        &[&[value], more, &[string("$db", "shop")]].concat(),
    )
}

fn find(id: u32) -> Vec<u8> {
    let filter = nested("filter", &[string("name", "hush")]);
    command(id, "find", string("find", "items"), &[filter])
}

fn done(answers: u32) -> Vec<u8> {
    msg(answers + 1000, answers, 0, &[int("n", 1), ok(1.0)])
}

/// `connect` or `database.operation collection`, and what came of it, of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        assert_eq!(ex.text(Field::Query), None);
        let text = |field| lossy(ex.text(field));
        let what = if ex.db.is_connect {
            "connect".to_owned()
        } else {
            format!(
                "{}.{} {}",
                text(Field::Namespace),
                text(Field::Operation),
                text(Field::Collection)
            )
        };
        what + &outcome(ex)
    };
    recorder.finished.iter().map(line).collect()
}

/// The summary, however the bytes are cut.
fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    assert!(!one.events.concat().contains("hush"));
    (summary(&one), one.verdict)
}

const FIND: &str = "shop.find items";

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..6usize, 0..6usize), 1..8),
        flip in proptest::option::of((0..200usize, any::<u8>())),
        cuts in proptest::collection::vec(0..900usize, 0..6),
    ) {
        let mut steps = Vec::new();
        for (i, (which, reply)) in all.iter().enumerate() {
            let id = i as u32 + 1;
            let content = [&[0; 4][..], &sequence("documents", 2), b"\0", &bson(&[string("insert", "items"), string("$db", "shop")])].concat();
            let request = match which {
                0 => find(id),
                1 => message(id, 0, 2013, &content),
                2 => command(id, "saslStart", int("saslStart", 1), &[string("payload", "hush")]),
                3 => command(id, "hello", int("hello", 1), &[]),
                4 => msg(id, 0, 2, &[string("delete", "items")]),
                _ => message(id, 0, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"),
            };
            let answer = match reply {
                0 | 1 => done(id),
                2 => msg(50 + id, id, 0, &[ok(0.0), int("code", 5)]),
                3 => msg(id + 1, id, 2, &[nested("cursor", &[array("nextBatch", 2, &[])]), ok(1.0)]),
                4 => msg(50 + id, id, 0, &[array("writeErrors", 2, &[int("code", 4)]), ok(1.0)]),
                _ => message(50 + id, id, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"),
            };
            steps.extend([Out(request), In(answer)]);
        }
        if let Some((at, by)) = flip {
            let len = steps.len();
            if let Out(bytes) | In(bytes) = &mut steps[at % len] {
                let place = at % bytes.len();
                bytes[place] ^= by;
            }
        }
        steps.push(Close);
        let (mut one, mut other, mut cut) = (recorder(), recorder(), recorder());
        one.run(&steps, whole);
        other.run(&steps, bytewise);
        cut.run(&steps, |_, from, to| {
            let mut inside: Vec<usize> = cuts.iter().copied().filter(|c| *c > from && *c < to).collect();
            inside.sort_unstable();
            inside.dedup();
            inside
        });
        prop_assert_eq!((&one.events, one.verdict), (&other.events, other.verdict));
        prop_assert_eq!((one.events, one.verdict), (cut.events, cut.verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..200), out in any::<bool>()) {
        let step = if out { Out(noise) } else { In(noise) };
        recorder().run(&[Out(find(1)), step, Close], whole);
    }
}
