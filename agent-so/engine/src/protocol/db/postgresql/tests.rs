//! What the machine makes of connections.

use crate::exchange::{Fault, Field, QUERY_MAX};
use crate::protocol::Direction;
use crate::protocol::db::tests::{outcome, recorder, replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Ended, Verdict};
use Step::{Close, In, Out};
use proptest::prelude::*;

mod connects;
mod limits;
mod statements;

/// A message with a type.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

/// Messages, each written down as its type and its text, with `|` for a zero byte.
fn all(messages: &[&str]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|one| {
            let body: Vec<u8> = one[1..]
                .bytes()
                .map(|b| if b == b'|' { 0 } else { b })
                .collect();
            message(one.as_bytes()[0], &body)
        })
        .collect()
}

fn opening(code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

fn startup(parameters: &str) -> Vec<u8> {
    opening(0x0003_0000, &parameters.replace('|', "\0").into_bytes())
}

const TLS: u32 = 80_877_103;

const GSS: u32 = 80_877_104;

const CANCEL: u32 = 80_877_102;

/// What is asked and answered until a client is let in: three steps.
fn entered() -> Vec<Step> {
    vec![
        Out(startup("user|me|database|shop||")),
        In(all(&[
            "R||||",
            "Sstandard_conforming_strings|on|",
            "K12345678",
            "ZI",
        ])),
    ]
}

/// `connect` or the statement, `@database`, and what came of it, of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let what = if ex.db.is_connect {
            "connect".to_owned()
        } else {
            lossy(ex.text(Field::Query).or(ex.text(Field::Operation)))
        };
        format!("{what}@{}{}", lossy(ex.text(Field::Namespace)), outcome(ex))
    };
    recorder.finished.iter().map(line).collect()
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    (summary(&one), one.verdict)
}

/// What becomes of `steps` on a connection that was let in at 20: the first is at 30.
fn inside(steps: &[Step]) -> Vec<String> {
    let mut all = entered();
    all.extend_from_slice(steps);
    let (mut spans, _) = run(&all);
    assert_eq!(spans.remove(0), "connect@shop 1-20");
    spans
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

const ASKED: [&[&str]; 10] = [
    &["QSELECT 1|"],
    &["P|SELECT 2|||", "B||", "E|||||", "S"],
    &["Ps|SELECT 3|||", "DSs|", "H"],
    &["B|s|", "E|||||"],
    &["S"],
    &["Bp|s|", "Ep|...5"],
    &["dx", "c"],
    &["fno|", "X"],
    &["CSs|", "CPp|", "F...."],
    &["Pt|SELECT 4|||"],
];

const ANSWERS: [&[&str]; 10] = [
    &["Tx", "Dx", "CSELECT 1|"],
    &["ZI"],
    &["1", "2"],
    &["EC22012|Mno|"],
    &["s"],
    &["G..."],
    &["H..", "dx", "c", "CCOPY 1|"],
    &["CINSERT 0 1|", "ZI"],
    &["Sa|b|", "N..", "A.."],
    &["I", "V.."],
];

proptest! {
    #[test]
    fn every_split_gives_the_same(
        steps in proptest::collection::vec((any::<bool>(), 0..10usize), 1..24),
        cuts in proptest::collection::vec(0..600usize, 0..8),
    ) {
        let mut all_steps = entered();
        all_steps.extend(steps.iter().map(|(out, which)| if *out {
            Out(all(ASKED[*which]))
        } else {
            In(all(ANSWERS[*which]))
        }));
        all_steps.push(Close);
        let (spans, verdict) = run(&all_steps);
        let cut = replayed_cut(&all_steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(
        noise in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..6),
        is_inside in any::<bool>(),
    ) {
        let mut steps = if is_inside { entered() } else { vec![Out(opening(TLS, b""))] };
        for (out, bytes) in noise {
            steps.push(if out { Out(bytes) } else { In(bytes) });
        }
        steps.push(Close);
        recorder().run(&steps, whole);
    }
}
