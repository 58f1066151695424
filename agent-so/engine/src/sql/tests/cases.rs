//! Tables of statements, one file for each group:
//!
//! ```text
//! [mysql]                   the dialect of what follows
//! > SELECT 'a' FROM t       a statement; ⏎ and ␍ stand for line feed and carriage return
//! = SELECT ? FROM t         what is shown of it; left out where that is all of it
//! : SELECT t | SELECT | t   summary, operation, collection; - for none; without bars only the summary is compared
//! ! doubtful                the text ends early because the rest can be read in two ways
//! ```

use super::*;

const FILES: [(&str, &str); 8] = [
    ("published", include_str!("published.txt")),
    ("common", include_str!("common.txt")),
    ("postgresql", include_str!("postgresql.txt")),
    ("mysql", include_str!("mysql.txt")),
    ("sqlite", include_str!("sqlite.txt")),
    ("sqlserver", include_str!("sqlserver.txt")),
    ("clickhouse", include_str!("clickhouse.txt")),
    ("cql", include_str!("cql.txt")),
];

fn dialect(name: &str) -> Dialect {
    match name {
        "generic" => ANY,
        "postgresql" => PG,
        "postgresql, escapes" => PG_OLD,
        "postgresql, unknown" => PG_UNKNOWN,
        "mysql" => MYSQL,
        "mysql, no escapes" => MYSQL_PLAIN,
        "mysql, unknown" => MYSQL_UNKNOWN,
        "sqlite" => SQLITE,
        "sqlserver" => MSSQL,
        "clickhouse" => CH,
        "cql" => CQL,
        _ => panic!("no dialect {name}"),
    }
}

pub(super) struct Case {
    pub(super) dialect: Dialect,
    pub(super) input: String,
    text: String,
    summary: String,
    doubtful: bool,
}

fn read(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut dialects = ANY;
    for line in file.lines().filter(|l| !l.is_empty()) {
        let rest = line.get(2..).unwrap_or_default();
        let value = rest.replace('⏎', "\n").replace('␍', "\r");
        match (line.as_bytes()[0], cases.last_mut()) {
            (b'#', _) => {}
            (b'[', _) => dialects = dialect(line.trim_matches(['[', ']'])),
            (b'>', _) => cases.push(Case {
                dialect: dialects,
                text: value.clone(),
                input: value,
                summary: "-".into(),
                doubtful: false,
            }),
            (b'=', Some(case)) => case.text = value,
            (b':', Some(case)) => case.summary = value,
            (b'!', Some(case)) => case.doubtful = value == "doubtful",
            _ => panic!("not a line of a table: {line}"),
        }
    }
    cases
}

pub(super) fn all() -> Vec<Case> {
    FILES.iter().flat_map(|(_, file)| read(file)).collect()
}

#[test]
fn statements_come_out_as_the_tables_say() {
    let mut failures = Vec::new();
    for (name, file) in FILES {
        for case in read(file) {
            let (text, summary, analysis) = run(case.dialect, case.input.as_bytes(), false, 8192);
            let parts = [summary.text(), summary.operation(), summary.collection()];
            let parts = parts.map(|part| part.unwrap_or("-"));
            let summary = match case.summary.matches(" | ").count() {
                2 => parts.join(" | "),
                _ => parts[0].to_owned(),
            };
            let wanted = (case.text.as_str(), case.summary.as_str(), case.doubtful);
            if (text.as_str(), summary.as_str(), analysis.doubtful) != wanted {
                failures.push(format!(
                    "{name}: {}\n  got {text}\n      {summary} {}\n wanted {wanted:?}",
                    case.input, analysis.doubtful
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_tables_are_of_all_dialects() {
    let cases = all();
    assert!(cases.len() >= 150, "{}", cases.len());
    for dialect in ALL {
        let count = cases.iter().filter(|case| case.dialect == dialect).count();
        assert!(count >= 3, "{dialect:?}: {count}");
    }
}
