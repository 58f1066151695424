//! Time: linear in the length of any text. Prints what a statement costs (`cargo test --release sql::tests::speed -- --nocapture`).

use std::time::{Duration, Instant};

use super::*;

#[test]
fn time_is_linear_in_hostile_texts() {
    let pieces: [&str; 27] = [
        "'",
        "\"",
        "`",
        "[",
        "[]",
        "$",
        "$a",
        "$a$",
        "$1",
        "/*",
        "/*/",
        "/*!",
        "--",
        "-- \n",
        "E'a'\n",
        "'a'\n-- x\n",
        "(",
        "((",
        ".1",
        "1e",
        "1.",
        "\\",
        "a.",
        "IN (1,",
        "U&'",
        "é",
        "SELECT a FROM b,",
    ];
    for piece in pieces {
        // One megabyte: anything quadratic takes minutes.
        let text = format!("SELECT {}", piece.repeat((1 << 20) / piece.len()));
        for dialect in ALL {
            let began = Instant::now();
            run(dialect, text.as_bytes(), false, 4096);
            let took = began.elapsed();
            assert!(
                took < Duration::from_secs(3),
                "{dialect:?} {piece:?}: {took:?}"
            );
        }
    }
}

#[test]
fn what_a_statement_costs() {
    let columns: Vec<String> = (0..120)
        .map(|i| format!("t{i}.column_{i} AS c{i}"))
        .collect();
    let long = format!(
        "SELECT {} FROM orders t0 JOIN lines t1 ON t1.id = t0.id WHERE t0.name = 'it is' AND t1.price > 12.5",
        columns.join(", ")
    );
    let values = format!(
        "INSERT INTO t (a, b, c) VALUES {}",
        vec!["(1234, 'some text', NULL)"; 150].join(", ")
    );
    let small = "SELECT id, name FROM users WHERE id = $1 AND active = 'yes'";
    let mut out = [0u8; 4096];
    let mut summary = Summary::default();
    for (name, text) in [
        ("small", small),
        ("long select", &long),
        ("long insert", &values),
    ] {
        for dialect in [PG, MYSQL] {
            let query = Query {
                text: text.as_bytes(),
                dialect,
                cut: false,
            };
            let rounds = 20_000 / text.len() + 1;
            // The best of many: what other programs on the machine took is not ours.
            let batch = || {
                let began = Instant::now();
                for _ in 0..rounds {
                    let query = std::hint::black_box(&query);
                    std::hint::black_box(analyze(query, &mut out, &mut summary));
                }
                began.elapsed() / u32::try_from(rounds).unwrap()
            };
            let each = std::iter::repeat_with(batch).take(50).min().unwrap();
            println!("{name}, {} bytes, {dialect:?}: {each:?}", text.len());
            assert!(each < Duration::from_millis(5), "{name}: {each:?}");
        }
    }
}
