//! Statements of all dialects, and what becomes of them.

mod cases;
mod limits;
mod literals;
mod speed;

use super::{Analysis, Backslash, Dialect, Query, SUMMARY_MAX, Summary, analyze};

pub(super) const PG: Dialect = Dialect::PostgreSql(Backslash::Plain);
pub(super) const PG_OLD: Dialect = Dialect::PostgreSql(Backslash::Escape);
pub(super) const PG_UNKNOWN: Dialect = Dialect::PostgreSql(Backslash::Unknown);
pub(super) const MYSQL: Dialect = Dialect::MySql(Backslash::Escape);
pub(super) const MYSQL_PLAIN: Dialect = Dialect::MySql(Backslash::Plain);
pub(super) const MYSQL_UNKNOWN: Dialect = Dialect::MySql(Backslash::Unknown);
pub(super) const SQLITE: Dialect = Dialect::Sqlite;
pub(super) const MSSQL: Dialect = Dialect::SqlServer;
pub(super) const CH: Dialect = Dialect::ClickHouse;
pub(super) const CQL: Dialect = Dialect::Cql;
pub(super) const ANY: Dialect = Dialect::Generic;

pub(super) const ALL: [Dialect; 11] = [
    PG,
    PG_OLD,
    PG_UNKNOWN,
    MYSQL,
    MYSQL_PLAIN,
    MYSQL_UNKNOWN,
    SQLITE,
    MSSQL,
    CH,
    CQL,
    ANY,
];

/// Text, summary and analysis of `text`, with `room` bytes for the text.
pub(super) fn run(
    dialect: Dialect,
    text: &[u8],
    cut: bool,
    room: usize,
) -> (String, Summary, Analysis) {
    let query = Query { text, dialect, cut };
    let mut out = vec![0xaa; room];
    let mut summary = Summary::default();
    let analysis = analyze(&query, &mut out, &mut summary);
    let shown = std::str::from_utf8(&out[..analysis.len])
        .unwrap()
        .to_owned();
    (shown, summary, analysis)
}

/// The whole text, as sanitized.
pub(super) fn sanitize(dialect: Dialect, text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    run(dialect, text, false, 4 * text.len() + 64).0
}

pub(super) fn summarize(dialect: Dialect, text: impl AsRef<[u8]>) -> Summary {
    run(dialect, text.as_ref(), false, 0).1
}
