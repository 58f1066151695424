//! Long, deep, broken and hostile texts.

use super::*;

#[test]
fn a_summary_is_cut_between_names() {
    let name = "n".repeat(100);
    let text = format!("SELECT * FROM a, b.{name}, c.{name}, {name}, d");
    let summary = summarize(PG, &text);
    assert_eq!(
        summary.text().unwrap(),
        format!("SELECT a b.{name} c.{name}")
    );
    assert_eq!(summary.collection(), None);
    // The first name that does not fit ends it, as published.
    let long = "n".repeat(249);
    assert_eq!(
        summarize(PG, format!("SELECT * FROM {long}, d")).text(),
        Some("SELECT")
    );
    let fits = "n".repeat(248);
    let summary = summarize(PG, format!("SELECT * FROM {fits}"));
    assert_eq!(summary.text().unwrap().len(), SUMMARY_MAX);
    assert_eq!(summary.collection(), Some(fits.as_str()));
}

#[test]
fn a_cut_text_names_nothing_for_certain() {
    let text = b"SELECT * FROM orders o JOIN cust";
    let (shown, summary, analysis) = run(PG, text, true, 999);
    assert_eq!(shown, "SELECT * FROM orders o JOIN");
    assert_eq!(summary.text(), Some("SELECT orders"));
    assert_eq!((summary.operation(), summary.collection()), (None, None));
    assert!(analysis.truncated && !analysis.doubtful);
    for (text, summary_text) in [
        ("SELECT * FROM public.", "SELECT"),
        ("SELECT * FROM public.us", "SELECT"),
        ("SELECT * FROM public.users ", "SELECT public.users"),
        ("SELECT * FROM us", "SELECT"),
        ("SELE", ""),
    ] {
        let (_, summary, _) = run(PG, text.as_bytes(), true, 0);
        assert_eq!(summary.text().unwrap_or_default(), summary_text, "{text}");
    }
}

#[test]
fn half_a_uuid_at_a_cut_end_is_not_shown() {
    for text in [
        "SELECT a FROM t WHERE id = a23e4567",
        "SELECT a FROM t WHERE id = a23e4567-e8",
    ] {
        let (shown, ..) = run(CQL, text.as_bytes(), true, 999);
        assert!(!shown.contains("a23"), "{shown}");
    }
}

#[test]
fn text_that_does_not_fit_ends_between_tokens() {
    let text = b"SELECT alpha, 'x', beta FROM gamma";
    for (room, shown) in [
        (0, ""),
        (5, ""),
        (6, "SELECT"),
        (11, "SELECT"),
        (12, "SELECT alpha"),
        (18, "SELECT alpha, ?,"),
    ] {
        let (text, _, analysis) = run(PG, text, false, room);
        assert_eq!(text, shown);
        assert!(analysis.truncated);
    }
    // A list that shrinks leaves room for what follows.
    let list = vec!["12345"; 1000].join(", ");
    let text = format!("SELECT a FROM t WHERE b IN ({list}) AND c = 1");
    let (shown, _, analysis) = run(PG, text.as_bytes(), false, 60);
    assert_eq!(shown, "SELECT a FROM t WHERE b IN (?) AND c = ?");
    assert!(!analysis.truncated);
}

#[test]
fn other_charsets_end_the_text_where_they_matter() {
    // In GBK bf 5c is one character, and the string ends after it.
    let gbk = b"SELECT '\xbf\\' OR 'secret' -- ' FROM t";
    let (shown, _, analysis) = run(MYSQL, gbk, false, 999);
    assert_eq!(shown, "SELECT");
    assert!(analysis.doubtful);
    // In Latin-1 it does not matter.
    let latin = b"SELECT 'caf\xe9', b\xe9ta FROM t";
    assert_eq!(sanitize(MYSQL, latin), "SELECT ?, b\u{fffd}ta FROM t");
    let (shown, summary, _) = run(PG, b"SELECT 1 FROM b\xe9ta", false, 999);
    assert_eq!(shown, "SELECT ? FROM b\u{fffd}ta");
    assert_eq!(summary.text(), Some("SELECT"));
    // A blank of Latin-1 does not make a number part of a name.
    assert_eq!(
        sanitize(MYSQL, b"SELECT\xa0777, '\xff' FROM t"),
        "SELECT\u{fffd}?, ? FROM t"
    );
    assert_eq!(
        sanitize(MSSQL, "SELECT\u{a0}777 FROM t"),
        "SELECT\u{a0}? FROM t"
    );
}

#[test]
fn a_zero_byte_ends_the_text() {
    let (shown, _, analysis) = run(PG, b"SELECT 1\0 'x'", false, 99);
    assert_eq!(shown, "SELECT ?");
    assert!(analysis.doubtful);
}

#[test]
fn statements_are_counted() {
    for (text, count) in [
        ("", 0),
        (";", 0),
        ("SELECT 1", 1),
        ("SELECT 1;", 1),
        ("a; b;; c", 3),
        ("(SELECT 1)", 1),
    ] {
        let (_, _, analysis) = run(PG, text.as_bytes(), false, 99);
        assert_eq!(analysis.statements, count, "{text}");
    }
}

#[test]
fn procedures_are_named_where_one_is_called() {
    assert_eq!(summarize(PG, "CALL a.b(1)").procedure(), Some("a.b"));
    assert_eq!(summarize(MSSQL, "EXEC a.b 1").procedure(), Some("a.b"));
    assert_eq!(summarize(PG, "EXECUTE prepared(1)").procedure(), None);
    assert_eq!(summarize(PG, "CALL a(); CALL b()").procedure(), None);
}

#[test]
fn deep_parentheses_do_no_harm() {
    let deep = format!(
        "SELECT * FROM a WHERE {}x{} AND b IN (SELECT 1 FROM c)",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    assert_eq!(summarize(PG, &deep).text(), Some("SELECT a SELECT c"));
    assert_eq!(
        summarize(PG, ")".repeat(99) + " SELECT a FROM b").text(),
        Some("SELECT b")
    );
}

#[test]
fn the_machine_fits_a_frame_of_the_hook_path() {
    let size = size_of::<super::super::lexer::Lexer<'_>>()
        + size_of::<super::super::statement::Statement<'_, '_>>()
        + size_of::<super::super::text::Text<'_, '_>>();
    assert!(size < 768, "{size}");
    assert!(size_of::<Summary>() < 272);
}
