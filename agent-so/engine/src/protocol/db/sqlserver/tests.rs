//! What the machine makes of connections: those of the specification (MS-TDS chapter 4), and made ones.

mod answers;
mod made;
mod opening;
mod random;
mod requests;

use super::opening::begins;
use super::text::Utf16;
use crate::exchange::{Fault, Field};
use crate::protocol::db::tests::{recorder, replayed, replayed_cut};
use crate::protocol::tests::{Recorder, Step, lossy};
use crate::protocol::{Direction, Ended, Verdict};
use Step::{Close, In, Out};
use made::*;
use proptest::prelude::*;

/// `<operation> text@namespace start-end`, and what else is said, of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let mut line = match (ex.db.is_connect, ex.text(Field::Operation)) {
            (true, _) => "connect".to_owned(),
            (_, Some(operation)) => format!("<{}>", lossy(Some(operation))),
            _ => lossy(ex.text(Field::Query)),
        };
        let namespace = lossy(ex.text(Field::Namespace));
        line += &format!("@{namespace} {}-{}", ex.start_ns, ex.end_ns);
        if ex.db.batch > 0 {
            line += &format!(" batch={}", ex.db.batch);
        }
        if ex.db.has_rows {
            line += &format!(" rows={}", ex.db.rows);
        }
        if let Some(code) = ex.text(Field::Code) {
            line += &format!(" {}", lossy(Some(code)));
        }
        if ex.fault != Fault::None {
            line += &format!(" {}", ex.fault.as_str());
        }
        line
    };
    recorder.finished.iter().map(line).collect()
}

/// No secret is in anything that is told of.
fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    let all = format!("{:?}", one.events);
    assert!(!all.contains("canary"), "{all}");
    (summary(&one), one.verdict)
}

/// The same on a connection that stands, without the making of it.
fn asked(steps: impl IntoIterator<Item = Step>) -> (Vec<String>, Option<Verdict>) {
    let all: Vec<Step> = logged_in().into_iter().chain(steps).collect();
    let (mut spans, verdict) = run(&all);
    assert_eq!(spans.remove(0), "connect@shop 1-40");
    (spans, verdict)
}
