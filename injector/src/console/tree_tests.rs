//! Exact texts of trees.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn span(id: u8, parent: u8, kind: &'static str, name: &str, start: u64, duration: u64) -> Span {
    Span {
        trace: [1; 16],
        id: [id; 8],
        parent: (parent != 0).then_some([parent; 8]),
        parent_is_remote: kind == "SERVER",
        kind,
        name: name.to_owned(),
        start,
        duration,
        error: false,
        code: Some("200".to_owned()),
        service: "app.py".to_owned(),
        details: Vec::new(),
    }
}

fn tree(spans: Vec<Span>) -> Tree {
    Tree {
        trace: "4bf9".to_owned(),
        spans,
        shown_before: HashSet::new(),
    }
}

fn story() -> Tree {
    let mut backend = span(3, 2, "SERVER", "GET /", 12 * MS, 1_200_000);
    backend.service = "backend.py".to_owned();
    backend.details.push("/?a=1".to_owned());
    let mut call = span(2, 1, "CLIENT", "GET", 10 * MS, 20_100_000);
    call.details.push("http://127.0.0.1:5001/?a=1".to_owned());
    let mut failed = span(4, 1, "CLIENT", "POST", 31 * MS, 800_000);
    failed.code = None;
    failed.error = true;
    failed.details = vec![
        "db:80".to_owned(),
        "error.type=connection_refused".to_owned(),
    ];
    let mut root = span(1, 0, "SERVER", "GET /fetch", 5 * MS, 30 * MS);
    root.details.push("/fetch".to_owned());
    tree(vec![backend, failed, call, root])
}

#[test]
fn a_trace_across_processes() {
    let expected = "\
trace 4bf9 · 4 spans · 30.0 ms
SERVER GET /fetch   200    30.0 ms  app.py      /fetch
├─ CLIENT GET       200    20.1 ms  app.py      http://127.0.0.1:5001/?a=1
│  └─ SERVER GET /  200    1.20 ms  backend.py  /?a=1
└─ CLIENT POST      ERROR   800 µs  app.py      db:80  error.type=connection_refused
";
    assert_eq!(story().render(Appearance::PLAIN), expected);
}

#[test]
fn a_narrow_terminal_cuts_lines() {
    let expected = "\
trace 4bf9 · 4 spans · 30.0 ms
SERVER GET /fetch   200    30.0 ms  app…
├─ CLIENT GET       200    20.1 ms  app…
│  └─ SERVER GET /  200    1.20 ms  bac…
└─ CLIENT POST      ERROR   800 µs  app…
";
    let narrow = Appearance {
        color: false,
        width: Some(40),
    };
    assert_eq!(story().render(narrow), expected);
    let colored = story().render(Appearance {
        color: true,
        width: Some(40),
    });
    assert!(colored.contains("\x1b[32mSERVER\x1b[0m"), "{colored}");
    assert!(colored.contains("\x1b[1m\x1b[31mERROR\x1b[0m"), "{colored}");
}

#[test]
fn tops_with_a_parent_say_where_it_is() {
    let outside = span(1, 9, "SERVER", "GET /a", 0, MS);
    let mut lost = span(2, 8, "CLIENT", "GET", 1, MS);
    lost.code = Some("500".to_owned());
    lost.error = true;
    let expected = "\
trace 4bf9 · 2 spans · 1.00 ms
SERVER GET /a  200        1.00 ms  app.py  (called from outside)
CLIENT GET     500 ERROR  1.00 ms  app.py  (its parent was not received)
";
    assert_eq!(
        tree(vec![lost.clone(), outside]).render(Appearance::PLAIN),
        expected
    );

    let mut late = tree(vec![lost]);
    late.shown_before.insert([8; 8]);
    let expected = "\
trace 4bf9 · continued · 1 span
CLIENT GET  500 ERROR  1.00 ms  app.py  (its parent is shown above)
";
    assert_eq!(late.render(Appearance::PLAIN), expected);
}

#[test]
fn hostile_names_cannot_reach_the_terminal() {
    let mut odd = span(1, 0, "SERVER", "GET \x1b]0;x\x07", 0, 1);
    odd.details.push("/\r\n".to_owned());
    let text = tree(vec![odd]).render(Appearance::PLAIN);
    assert_eq!(
        text.lines().nth(1),
        Some("SERVER GET \\u{1b}]0;x\\u{7}  200  1 ns  app.py  /\\r\\n")
    );
}

#[test]
fn wide_characters_keep_the_columns() {
    let text = tree(vec![
        span(1, 0, "SERVER", "GET /日本", 0, MS),
        span(2, 1, "CLIENT", "GET", 0, MS),
    ])
    .render(Appearance::PLAIN);
    let expected = "\
trace 4bf9 · 2 spans · 1.00 ms
SERVER GET /日本  200  1.00 ms  app.py
└─ CLIENT GET     200  1.00 ms  app.py
";
    assert_eq!(text, expected);
}

#[test]
fn a_circle_of_parents_is_shown_once() {
    let text = tree(vec![
        span(1, 2, "CLIENT", "one", 0, MS),
        span(2, 1, "CLIENT", "two", 1, MS),
        span(3, 3, "CLIENT", "self", 2, MS),
    ])
    .render(Appearance::PLAIN);
    assert_eq!(text.lines().count(), 4, "{text}");
}

proptest! {
    #[test]
    fn every_span_is_one_line(parents in proptest::collection::vec(any::<u8>(), 0..120), columns in 20usize..200) {
        let spans = parents
            .iter()
            .enumerate()
            .map(|(index, parent)| span(index as u8 + 1, *parent, "CLIENT", "x", 7, MS))
            .collect();
        let text = tree(spans).render(Appearance { color: false, width: Some(columns) });
        prop_assert_eq!(text.lines().count(), parents.len() + 1);
        prop_assert!(text.lines().all(|line| width(line) <= columns));
    }

    #[test]
    fn a_deep_chain_stays_narrow(depth in 1u8..250) {
        let spans = (1..=depth).map(|id| span(id, id - 1, "CLIENT", "x", u64::from(id), MS)).collect();
        let text = tree(spans).render(Appearance::PLAIN);
        prop_assert!(text.lines().all(|line| width(line) < 150));
    }
}
