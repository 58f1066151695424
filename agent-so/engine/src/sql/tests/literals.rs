//! No literal survives: statements of marked literals, in each way of quoting, whole and cut at every byte.
//!
//! Strings and comments are full of `Q` and numbers of `7`; nothing else has either. So neither may be in what is shown.

use proptest::prelude::*;

use super::*;

/// What a string can have inside: what looks like the end of something, or the begin.
const INSIDE: [&str; 26] = [
    "Q", "QQ", "'", "\"", "`", "\\", "\\\\", "--", "-- ", "/*", "*/", "#", ";", "\n", "$$", "$t$",
    "]", "[", "%", "é", "中", "7", " ", "(", "q'", "E'",
];

/// How literals of a dialect are written.
fn quote(dialect: Dialect, form: usize, inside: &str) -> String {
    let doubled = |quote: &str| inside.replace(quote, &quote.repeat(2));
    let escaped = |quote: &str| {
        inside
            .replace('\\', "\\\\")
            .replace(quote, &format!("\\{quote}"))
    };
    let both = |quote: &str| {
        inside
            .replace('\\', "\\\\")
            .replace(quote, &quote.repeat(2))
    };
    let plain = match dialect {
        PG_OLD | MYSQL | CH if form.is_multiple_of(2) => format!("'{}'", escaped("'")),
        PG_OLD | MYSQL | CH | PG_UNKNOWN | MYSQL_UNKNOWN | ANY => format!("'{}'", both("'")),
        _ => format!("'{}'", doubled("'")),
    };
    let forms: Vec<String> = match dialect {
        PG | PG_OLD | PG_UNKNOWN => vec![
            plain.clone(),
            format!("N{plain}"),
            format!("E'{}'", escaped("'")),
            format!("e'a'\n  'Q{}'", escaped("'")),
            format!("U&'{}'", doubled("'")),
            format!("X'{}'", doubled("'")),
            format!("$q${}$q$", inside.replace('$', "s")),
            format!("$${}$$", inside.replace('$', "s")),
            "'Q' -- '\n '7'".into(),
        ],
        MYSQL | MYSQL_PLAIN | MYSQL_UNKNOWN => vec![
            plain.clone(),
            format!("_utf8{plain}"),
            format!("n{plain}"),
            format!("\"{}\"", inside.replace('\\', "").replace('"', "\"\"")),
            match dialect {
                MYSQL_PLAIN => format!("\"{}\"", doubled("\"")),
                _ => format!("\"{}\"", escaped("\"")),
            },
            format!("/*!50000 {plain} */"),
            format!("'Q' \"Q\" {plain}"),
            "x'7777'".into(),
        ],
        SQLITE => vec![
            plain,
            format!("\"{}\"", doubled("\"")),
            format!("X{}", "'7777'"),
        ],
        MSSQL => vec![
            plain.clone(),
            format!("N{plain}"),
            format!("\"{}\"", doubled("\"")),
            "$777.7".into(),
            "€7777".into(),
            "0x7777\\\n7777".into(),
        ],
        CH => vec![
            plain,
            format!("$q${}$q$", inside.replace('$', "s")),
            "x'7777'".into(),
        ],
        CQL => vec![
            plain,
            format!("$${}$$", inside.replace('$', "s")),
            "77777777-7777-7777-7777-777777777777".into(),
            "7h77m".into(),
        ],
        _ => vec![plain, format!("\"{}\"", both("\"")), "N'Q'".into()],
    };
    forms[form % forms.len()].clone()
}

/// Numbers in all forms.
const NUMBERS: [&str; 15] = [
    "7", "-7", "+77", "7.7", ".77", "-.7", "7e7", "7.7E-7", "7.e+7", "0x77", "0b77", "7_777", "7.",
    "77abc7", "7L",
];

/// What stands between literals. All of it is code, and none of it is marked.
const BETWEEN: [&str; 16] = [
    ", ",
    " , a = ",
    "+",
    " - ",
    "-",
    " AND b.c IN (",
    ") OR d <> ",
    "(",
    ")",
    "\n, ",
    " FROM t WHERE e = ",
    "||",
    " UNION SELECT ",
    "; INSERT INTO u VALUES (",
    " = ANY(",
    " [x], ",
];

fn comment(dialect: Dialect, inside: &str) -> String {
    let line = inside.replace('\n', " ");
    match dialect {
        PG | PG_OLD | PG_UNKNOWN | MSSQL => match inside.len() % 2 {
            0 => format!("-- Q{line}\n"),
            _ => format!("/* Q /* {} */ Q */", inside.replace(['*', '/'], " ")),
        },
        _ => match inside.len() % 2 {
            0 => format!("-- Q{line}\n"),
            _ => format!("/* Q{} */", inside.replace(['*', '/'], " ")),
        },
    }
}

#[derive(Clone, Debug)]
enum Part {
    Quoted(usize, Vec<usize>),
    Number(usize),
    Comment(Vec<usize>),
}

fn parts() -> impl Strategy<Value = Vec<(Part, usize)>> {
    let inside = || prop::collection::vec(0..INSIDE.len(), 0..7);
    let part = prop_oneof![
        5 => (0usize..64, inside()).prop_map(|(form, inside)| Part::Quoted(form, inside)),
        2 => (0..NUMBERS.len()).prop_map(Part::Number),
        1 => inside().prop_map(Part::Comment),
    ];
    prop::collection::vec((part, 0..BETWEEN.len()), 1..8)
}

fn render(dialect: Dialect, parts: &[(Part, usize)]) -> String {
    let mut text = "SELECT ".to_owned();
    let join = |inside: &[usize]| inside.iter().map(|i| INSIDE[*i]).collect::<String>();
    for (part, between) in parts {
        let part = match part {
            Part::Quoted(form, inside) => quote(dialect, *form, &join(inside)),
            Part::Number(number) => NUMBERS[*number].to_owned(),
            Part::Comment(inside) => comment(dialect, &join(inside)),
        };
        text.push_str(&part);
        text.push_str(BETWEEN[*between]);
        text.push(' ');
    }
    text
}

fn assert_clean(what: &str, input: &[u8], shown: &str, summary: &Summary) {
    let marked = |text: &str| text.contains(['Q', '7']);
    assert!(
        !marked(shown) && !marked(summary.text().unwrap_or_default()),
        "{what}: {:?}\n became {shown:?}\n and {:?}",
        String::from_utf8_lossy(input),
        summary.text()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_literal_survives(parts in parts(), room in 0usize..200) {
        for dialect in ALL {
            let text = render(dialect, &parts);
            let bytes = text.as_bytes();
            let (shown, summary, _) = run(dialect, bytes, false, 4 * bytes.len() + 64);
            assert_clean(&format!("{dialect:?}"), bytes, &shown, &summary);
            prop_assert_eq!(sanitize(dialect, &shown), shown.as_str(), "{:?} of {:?}", dialect, &text);
            // Little room.
            let (part, ..) = run(dialect, bytes, false, room);
            prop_assert!(part.len() <= room);
            assert_clean("with little room", bytes, &part, &summary);
        }
    }

    #[test]
    fn no_literal_survives_a_cut(parts in parts().prop_map(|mut parts| { parts.truncate(4); parts })) {
        for dialect in ALL {
            let text = render(dialect, &parts);
            for end in 0..text.len() {
                let bytes = &text.as_bytes()[..end];
                for cut in [true, false] {
                    let (shown, summary, _) = run(dialect, bytes, cut, 4 * bytes.len() + 64);
                    assert_clean(&format!("{dialect:?} cut {cut} at {end}"), bytes, &shown, &summary);
                }
            }
        }
    }

    /// Whatever comes after a literal, it is gone.
    #[test]
    fn noise_does_not_bring_literals_back(
        parts in parts(),
        noise in prop::collection::vec(prop::sample::select(NOISE.to_vec()), 0..30),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        for dialect in ALL {
            let mut text = render(dialect, &parts).into_bytes();
            for piece in &noise {
                text.extend_from_slice(piece);
            }
            text.extend(bytes.iter().filter(|b| !matches!(b, b'Q' | b'7')));
            let (shown, summary, _) = run(dialect, &text, false, 4 * text.len() + 64);
            assert_clean(&format!("{dialect:?}"), &text, &shown, &summary);
        }
    }

    /// Of anything at all, what is shown is UTF-8 and stays as it is when it is sanitized again.
    #[test]
    fn noise_is_stable(
        noise in prop::collection::vec(prop::sample::select(NOISE.to_vec()), 0..40),
        bytes in prop::collection::vec(any::<u8>(), 0..30),
        cut in any::<bool>(),
    ) {
        let mut text = noise.concat();
        text.extend(bytes);
        for dialect in ALL {
            let (shown, ..) = run(dialect, &text, cut, 4 * text.len() + 64);
            prop_assert_eq!(sanitize(dialect, &shown), shown.as_str(), "{:?} of {:?}", dialect, &text);
        }
    }
}

/// Pieces of the sort that gets a lexer far.
const NOISE: [&[u8]; 44] = [
    b"SELECT ",
    b"FROM ",
    b"INSERT INTO ",
    b"a",
    b" ",
    b"\n",
    b"'",
    b"''",
    b"\"",
    b"`",
    b"[",
    b"]",
    b"\\",
    b"\\'",
    b"$",
    b"$$",
    b"$t$",
    b"$1",
    b"--",
    b"-- ",
    b"/*",
    b"*/",
    b"/*!",
    b"#",
    b"?",
    b":",
    b"::",
    b"@",
    b".",
    b"1",
    b"1e",
    b"+",
    b"-",
    b"E'",
    b"N'",
    b"U&'",
    b"x'",
    b"(",
    b")",
    b"IN (",
    b",",
    b";",
    b"\xe9",
    b"\xbf\\",
];

#[test]
fn tables_are_stable_and_hold_for_every_room() {
    for case in cases::all() {
        let shown = sanitize(case.dialect, &case.input);
        assert_eq!(sanitize(case.dialect, &shown), shown, "{}", case.input);
        for room in 0..shown.len() {
            let (part, summary, _) = run(case.dialect, case.input.as_bytes(), false, room);
            let whole = summarize(case.dialect, &case.input);
            assert_eq!(summary.text(), whole.text(), "{}", case.input);
            assert!(part.len() <= room);
            // An open list is not made short.
            assert!(shown.starts_with(&part) || part.contains("IN ("), "{part}");
        }
    }
}
