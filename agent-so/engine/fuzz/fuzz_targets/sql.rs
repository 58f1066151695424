//! Statements: no literal in front of any bytes survives, what is shown is UTF-8, fits, and is stable.
#![no_main]

use agent_engine::sql::{Backslash, Dialect, Query, Summary, analyze};
use libfuzzer_sys::fuzz_target;

const DIALECTS: [Dialect; 11] = [
    Dialect::PostgreSql(Backslash::Plain),
    Dialect::PostgreSql(Backslash::Escape),
    Dialect::PostgreSql(Backslash::Unknown),
    Dialect::MySql(Backslash::Escape),
    Dialect::MySql(Backslash::Plain),
    Dialect::MySql(Backslash::Unknown),
    Dialect::Sqlite,
    Dialect::SqlServer,
    Dialect::ClickHouse,
    Dialect::Cql,
    Dialect::Generic,
];

fn show(text: &[u8], dialect: Dialect, cut: bool, room: usize) -> String {
    let mut out = vec![0; room];
    let mut summary = Summary::default();
    let analysis = analyze(&Query { text, dialect, cut }, &mut out, &mut summary);
    for part in [summary.text(), summary.operation(), summary.collection()] {
        assert!(part.unwrap_or_default().len() <= 255);
    }
    out.truncate(analysis.len);
    String::from_utf8(out).expect("UTF-8")
}

fuzz_target!(|data: &[u8]| {
    let [choice, room, rest @ ..] = data else {
        return;
    };
    let dialect = DIALECTS[usize::from(*choice) % DIALECTS.len()];
    let cut = *choice >= 128;
    let whole = show(rest, dialect, cut, 4 * rest.len() + 64);
    assert_eq!(whole, show(whole.as_bytes(), dialect, false, 4 * whole.len() + 64), "stable");
    let _ = show(rest, dialect, cut, usize::from(*room));

    let mut text = b"SELECT 'QQ', 77, 'a''Q' ".to_vec();
    text.extend(rest.iter().filter(|b| !matches!(b, b'Q' | b'7')));
    let shown = show(&text, dialect, cut, 4 * text.len() + 64);
    assert!(!shown.contains(['Q', '7']), "{shown}");
});
