//! Statements of SQL and its relatives.

use super::Shown;
use crate::config::db::QueryText;
use crate::exchange::{Exchange, Field};
use crate::semconv::text::push_lossy;
use crate::sql::{Dialect, Query, SUMMARY_MAX, Summary, analyze};

/// Before the name of a statement that was sent with several sets of values at once.
const BATCH: &str = "BATCH ";

/// Words that make a statement one that may hold a password: it is never shown as it is.
const SECRET: [&[u8]; 5] = [
    b"password",
    b"identified",
    b"secret",
    b"credential",
    b"passwd",
];

/// Fills `shown` with what can be said of the statement in `ex`. `out` is room for its text.
pub(super) fn show(
    ex: &Exchange,
    dialect: Dialect,
    mode: QueryText,
    out: &mut [u8],
    summary: &mut Summary,
    shown: &mut Shown,
) {
    let Some(raw) = ex.text(Field::Query) else {
        return;
    };
    let query = Query {
        text: raw,
        dialect,
        cut: ex.is_cut(Field::Query),
    };
    let room = if mode == QueryText::Off { 0 } else { out.len() };
    let analysis = analyze(&query, &mut out[..room], summary);
    if mode == QueryText::Raw && !SECRET.iter().any(|word| holds(raw, word)) {
        push_lossy(raw, query.cut, &mut shown.text);
    } else {
        push_lossy(&out[..analysis.len], true, &mut shown.text);
    }
    let parts = [
        (summary.text(), &mut shown.summary),
        (summary.operation(), &mut shown.operation),
        (summary.collection(), &mut shown.collection),
        (summary.procedure(), &mut shown.procedure),
    ];
    for (part, text) in parts {
        text.push_str(part.unwrap_or_default());
    }
    if ex.db.batch > 1 {
        // Of several, the last one may be another than it looks.
        let unsure = (query.cut || analysis.doubtful) && analysis.statements > 1;
        name_batch(if unsure { 0 } else { analysis.statements }, shown);
    }
}

/// Names a batch of `statements` different ones (1: all are the same, 0: not known) after what all of them are.
fn name_batch(statements: u32, shown: &mut Shown) {
    let each = repeated(&shown.summary, statements as usize)
        .filter(|each| BATCH.len() + each.len() <= SUMMARY_MAX)
        .unwrap_or_default();
    let operation = if statements == 1 {
        shown.operation.as_str()
    } else {
        each.split(' ').next().unwrap_or_default()
    };
    let operation = format!("{BATCH}{operation}");
    let summary = format!("{BATCH}{each}");
    for (text, new) in [
        (&mut shown.operation, operation),
        (&mut shown.summary, summary),
    ] {
        text.clear();
        text.push_str(new.trim_end());
    }
}

/// What `text` says so many times, with a space in between.
fn repeated(text: &str, times: usize) -> Option<&str> {
    let len = (text.len() + 1).checked_div(times)?.checked_sub(1)?;
    let each = text.get(..len)?;
    let same = text.len() + 1 == times * (len + 1)
        && (0..times).all(|i| {
            let at = i * (len + 1);
            text.get(at..at + len) == Some(each)
        });
    same.then_some(each)
}

/// Whether `word` (lower case) occurs in `text` in any case.
fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}
