//! What the machine makes of connections: recorded ones, and made ones.

use crate::exchange::{Fault, Field, System};
use crate::protocol::tests::{Recorder, Step, bytewise, lossy, whole};
use crate::protocol::{Direction, Ended, Verdict};
use crate::sql::Backslash;
use Step::{Close, In, Out};
use proptest::prelude::*;

/// What passed between a real client and MariaDB 10.11, a line for each piece: `>` from the client, `<` from the server.
fn recorded(text: &str) -> Vec<Step> {
    let line = |line: &str| match line.split_at(2) {
        ("> ", bytes) => Out(unescaped(bytes)),
        ("< ", bytes) => In(unescaped(bytes)),
        _ => panic!("{line}"),
    };
    text.lines().map(line).chain([Close]).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

/// `system text@database start-end rows code fault` of each finished exchange.
fn summary(recorder: &Recorder) -> Vec<String> {
    let line = |&i: &usize| {
        let ex = &recorder.exchanges[i];
        let what = match (ex.db.is_connect, ex.text(Field::Operation)) {
            (true, _) => "connect".to_owned(),
            (_, Some(operation)) => format!(
                "{} {}",
                lossy(Some(operation)),
                lossy(ex.text(Field::Query))
            ),
            _ => lossy(ex.text(Field::Query)),
        };
        let mut line = format!(
            "{what}@{} {}-{}",
            lossy(ex.text(Field::Namespace)),
            ex.start_ns,
            ex.end_ns
        );
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

fn recorder() -> Recorder {
    Recorder {
        connected: Some((1, 2)),
        ..Recorder::default()
    }
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let (mut one, mut other) = (recorder(), recorder());
    one.run(steps, whole);
    other.run(steps, bytewise);
    assert_eq!(one.events, other.events);
    (summary(&one), one.verdict)
}

#[test]
fn pymysql() {
    let (spans, _) = run(&recorded(include_str!("tests/pymysql.txt")));
    let wanted = [
        "connect@tests 1-30",
        "SET NAMES utf8mb4@tests 40-50",
        "SET AUTOCOMMIT = 0@tests 60-70",
        "select id, name from item where id < 3@tests 80-90 rows=2",
        "select * from nosuch@tests 100-110 1146",
        "insert into item(name) values ('secretvalue')@tests 120-130",
        "COMMIT@tests 140-150",
        "CALL `both_of`()@tests 160-170 rows=5",
        "select 1; select 2; set @a=1@tests 180-210 rows=2",
        "use mysql@tests 220-230",
        "select 1@mysql 240-250 rows=1",
        "USE -@tests 260-270",
        "select 'x'@tests 300-310 rows=1",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn mysqlclient_with_another_plugin() {
    let steps = recorded(include_str!("tests/mysqlclient.txt"));
    let (spans, _) = run(&steps);
    let wanted = [
        "connect@tests 1-50",
        "SET NAMES utf8mb4@tests 60-70",
        "SET autocommit=0@tests 80-90",
        "select id, name from item@tests 100-110 rows=4",
        "USE -@mysql 120-130",
        "select 1@mysql 140-150 rows=1",
        "use tests@mysql 160-170",
        "set sql_mode='NO_BACKSLASH_ESCAPES'@tests 180-190",
        "select 1@tests 200-210 rows=1",
    ];
    assert_eq!(spans, wanted);
    let mut recorder = recorder();
    recorder.run(&steps, whole);
    let backslashes: Vec<Backslash> = recorder
        .exchanges
        .iter()
        .map(|ex| ex.db.backslash)
        .collect();
    assert_eq!(backslashes[1..8], [Backslash::Escape; 7]);
    assert_eq!(backslashes[8], Backslash::Plain);
    assert!(
        recorder
            .exchanges
            .iter()
            .all(|ex| ex.db.system == System::MariaDb)
    );
}

#[test]
fn the_command_line_client_loads_a_file_and_is_told_of_progress() {
    let (spans, _) = run(&recorded(include_str!("tests/cli.txt")));
    let wanted = [
        "connect@tests 1-30",
        "load data local infile '/srv/load/items.txt' into table item@tests 40-80",
        "select count(*) from item@tests 90-100 rows=1",
        "alter table item engine=aria@tests 110-130",
        "SELECT DATABASE()@tests 140-150 rows=1",
        "USE -@mysql 160-170",
        "select 1@mysql 180-190 rows=1",
        "prepare s from 'select ?'@mysql 200-210",
        "execute s using @x@mysql 220-230 rows=1",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn mysql2_prepares_and_changes_the_user() {
    let (spans, _) = run(&recorded(include_str!("tests/mysql2.txt")));
    let wanted = [
        "connect@tests 1-30",
        "select 1@tests 40-50 rows=1",
        "select name from item where id=?@tests 80-90 rows=1",
        "select name from item where id=?@tests 100-110 rows=1",
        "select nosuch from item@tests 120-130 1054",
        "select 2@mysql 200-210 rows=1",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn who_is_not_let_in_has_a_code_and_who_compresses_is_not_read() {
    let (spans, verdict) = run(&recorded(include_str!("tests/denied.txt")));
    assert_eq!(spans, ["connect@- 1-30 1045"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
    let mut steps = recorded(include_str!("tests/compressed.txt"));
    steps.truncate(3);
    let (spans, verdict) = run(&steps);
    assert_eq!(spans, ["connect@tests 1-30"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

/// One packet.
fn packet(number: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut out = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    out.push(number);
    out.extend(payload);
    out
}

/// Packets that follow each other.
fn packets(first: u8, payloads: &[&[u8]]) -> Vec<u8> {
    let numbers = (0u8..=255).cycle().skip(first.into());
    payloads
        .iter()
        .zip(numbers)
        .flat_map(|(payload, number)| packet(number, payload))
        .collect()
}

const MYSQL8: u32 = !(1 << 5 | 1 << 26);

fn greeting(version: &str, capabilities: u32) -> Vec<u8> {
    let flags = capabilities.to_le_bytes();
    let mut payload = vec![10];
    payload.extend(version.bytes());
    payload.extend(b"\0\x01\0\0\0saltsalt\0");
    payload.extend(&flags[..2]);
    payload.extend([0xff, 2, 0]);
    payload.extend(&flags[2..]);
    payload.extend(b"\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0caching_sha2_password\0");
    packet(0, payload)
}

fn fixed(capabilities: u32) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend([0, 0, 0, 1, 0xff]);
    payload.resize(32, 0);
    payload
}

const PLAIN: u32 = 1 | 1 << 3 | 1 << 9 | 1 << 15 | 1 << 16 | 1 << 19 | 1 << 21 | 1 << 23;
const DEPRECATE_EOF: u32 = 1 << 24;

fn login(number: u8, capabilities: u32) -> Vec<u8> {
    let mut payload = fixed(capabilities);
    payload.extend(b"canary\0\x06canaryshop\0caching_sha2_password\0");
    packet(number, payload)
}

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const EOF: &[u8] = b"\xfe\0\0\x02\0";
const COLUMN: &[u8] = b"\x03def\0\0\0\x011\0\x0c?\0\x01\0\0\0\x03\x81\0\0\0\0";

/// A connection to MySQL 8 that stands since 40.
fn connected(capabilities: u32) -> Vec<Step> {
    vec![
        // The first byte of a connection is the server's.
        Out(vec![]),
        In(greeting("8.0.36", MYSQL8)),
        Out(login(1, capabilities)),
        In(packet(2, OK)),
    ]
}

/// What comes of these steps on a connection that stands; times from 50.
fn after(capabilities: u32, steps: &[Step]) -> Vec<String> {
    let (mut spans, _) = run(&[&connected(capabilities), steps, &[Close]].concat());
    assert_eq!(spans.remove(0), "connect@shop 1-40");
    spans
}

fn query(text: &str) -> Vec<u8> {
    packet(0, [b"\x03", text.as_bytes()].concat())
}

#[test]
fn caching_sha2() {
    let key = [
        b"\x01-----BEGIN PUBLIC KEY-----canary".as_slice(),
        &[b'k'; 400],
    ]
    .concat();
    let fast = [In(packets(2, &[b"\x01\x03", OK]))];
    let full = [
        In(packet(2, b"\x01\x04")),
        Out(packet(3, b"\x02")),
        In(packet(4, &key)),
        Out(packet(5, [b'c'; 256])),
        In(packet(6, OK)),
    ];
    let switched = [
        In(packet(
            2,
            b"\xfemysql_native_password\0saltsaltsaltsaltsalt\0",
        )),
        Out(packet(3, b"canarycanarycanarycan")),
        In(packet(4, OK)),
    ];
    let denied = [In(packets(
        2,
        &[
            b"\x01\x04",
            b"\xff\x15\x04#28000Access denied for user 'canary'",
        ],
    ))];
    for (steps, end) in [
        (&fast[..], "30"),
        (&full, "70"),
        (&switched, "50"),
        (&denied, "30 1045"),
    ] {
        let begin = [In(greeting("8.0.36", MYSQL8)), Out(login(1, PLAIN))];
        let (spans, _) = run(&[&begin, steps, &[Close]].concat());
        assert_eq!(spans, [format!("connect@shop 1-{end}")]);
        let mut recorder = recorder();
        recorder.run(&[&begin, steps, &[Close]].concat(), whole);
        assert!(!format!("{:?}", recorder.events).contains("canary"));
        assert_eq!(recorder.only().db.system, System::MySql);
    }
}

#[test]
fn servers_are_told_apart() {
    for (version, system) in [
        ("8.0.36", System::MySql),
        ("5.7.44-log", System::MySql),
        ("8.0.11-TiDB-v7.5.0", System::MySql),
        ("8.0.mysql_aurora.3.05.2", System::MySql),
        ("5.5.62", System::MySql),
        ("11.4.2-MariaDB-ubu2404", System::MariaDb),
        ("5.5.5-10.6.11-MariaDB-log", System::MariaDb),
        ("5.5.5-10.6.47.0", System::MariaDb),
        ("10.3.39-MaMariaDB", System::MariaDb),
    ] {
        let mut recorder = recorder();
        let steps = [
            In(greeting(version, MYSQL8)),
            Out(login(1, PLAIN)),
            In(packet(2, OK)),
            Close,
        ];
        recorder.run(&steps, bytewise);
        assert_eq!(recorder.only().db.system, system, "{version}");
    }
}

#[test]
fn a_server_that_refuses() {
    for (message, system, code) in [
        ("#08004Too many connections", System::MySql, 1040u16),
        (
            "Host '10.0.0.1' is not allowed to connect to this MariaDB server",
            System::MariaDb,
            1130,
        ),
    ] {
        let payload = [b"\xff".as_slice(), &code.to_le_bytes(), message.as_bytes()].concat();
        let steps = [In(packet(0, payload))];
        let (spans, verdict) = run(&steps);
        assert_eq!(spans, [format!("connect@- 1-10 {code}")]);
        assert_eq!(verdict, Some(Verdict::Opaque));
        let mut recorder = recorder();
        recorder.run(&steps, whole);
        assert_eq!(recorder.only().db.system, system);
    }
}

/// A ClientHello whose random is the numbers from 100 on.
fn hello() -> Vec<u8> {
    let mut bytes = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    bytes.extend(100..132);
    bytes.resize(205, 0);
    bytes
}

#[test]
fn tls_begins_after_its_request() {
    let request = packet(1, fixed(PLAIN | 1 << 11));
    for client in [true, false] {
        let turned = |out: bool, bytes: Vec<u8>| if out == client { Out(bytes) } else { In(bytes) };
        for together in [true, false] {
            let mut steps = vec![turned(false, greeting("8.0.36", MYSQL8))];
            if together {
                steps.push(turned(true, [request.clone(), hello()].concat()));
            } else {
                steps.extend([turned(true, request.clone()), turned(true, hello())]);
            }
            let (mut one, mut other) = (recorder(), recorder());
            one.run(&steps, whole);
            other.run(&steps, bytewise);
            assert_eq!(one.events, other.events);
            assert_eq!(one.events.len(), 1, "{:?}", one.events);
            assert!(one.events[0].starts_with(if client {
                "tls Out [100, "
            } else {
                "tls In [100, "
            }));
            assert_eq!(one.verdict, Some(Verdict::Opaque));
        }
    }
}

#[test]
fn inside_of_tls_the_login_is_the_first() {
    let secure = PLAIN | 1 << 11;
    for (capabilities, greeted, system) in [
        (secure, System::None, System::MySql),
        (secure, System::MariaDb, System::MariaDb),
        (secure & !1, System::None, System::MariaDb),
    ] {
        let steps = [
            Out(login(2, capabilities)),
            In(packet(3, OK)),
            Out(query("SELECT 1")),
            In(packet(1, OK)),
            Close,
        ];
        let (mut one, mut other) = (recorder(), recorder());
        one.greeted = greeted;
        other.greeted = greeted;
        one.run(&steps, whole);
        other.run(&steps, bytewise);
        assert_eq!(one.events, other.events);
        assert_eq!(summary(&one), ["connect@shop 1-20", "SELECT 1@shop 30-40"]);
        assert!(one.exchanges.iter().all(|ex| ex.db.system == system));
    }
    // Without having asked for TLS, or in the place of the request for it, or in an odd form.
    for wrong in [
        login(2, PLAIN),
        login(1, secure),
        login(3, secure),
        packet(2, fixed(secure)),
    ] {
        let (spans, verdict) = run(&[Out(wrong), In(packet(3, OK)), Close]);
        assert_eq!((spans.len(), verdict), (0, Some(Verdict::Opaque)));
    }
}

#[test]
fn at_the_server() {
    let steps = [
        Out(greeting("8.0.36", MYSQL8)),
        In(login(1, PLAIN)),
        Out(packet(2, OK)),
        In(query("SELECT 1")),
        Out(packets(1, &[b"\x01", COLUMN, EOF, b"\x011", EOF])),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["SELECT 1@shop 40-50 rows=1"]);
}

#[test]
fn ends_of_results() {
    let more: &[u8] = b"\xfe\0\0\x0a\0";
    let ended: &[u8] = b"\xfe\0\0\x02\0\0\0";
    let ended_more: &[u8] = b"\xfe\0\0\x0a\0\0\0";
    let long: &[u8] = b"\xfe\0\0\x02\0\0\0\x0ean end of words";
    let cursor: &[u8] = b"\xfe\0\0\x42\0";
    let failed: &[u8] = b"\xff\x25\x05#70100Query execution was interrupted";
    let old: [(&[&[u8]], &str); 9] = [
        (&[OK], ""),
        (
            &[
                b"\x02",
                COLUMN,
                COLUMN,
                EOF,
                b"\x011\x012",
                b"\xfb\xfb",
                EOF,
            ],
            " rows=2",
        ),
        (&[b"\x01", COLUMN, EOF, EOF], " rows=0"),
        (&[b"\x01", COLUMN, EOF, b"\x011", more, OK], " rows=1"),
        (
            &[
                b"\x01", COLUMN, EOF, b"\x011", more, b"\x01", COLUMN, EOF, b"\x012", b"\0", EOF,
            ],
            " rows=3",
        ),
        (&[b"\x01", COLUMN, EOF, b"\x011", failed], " 1317"),
        (&[b"\0\x01\0\x0a\0\0\0", failed], " 1317"),
        (&[b"\x01", COLUMN, cursor], ""),
        // As long as no end can be: a value.
        (
            &[b"\x01", COLUMN, EOF, b"\xfe\x01\0\0\0\0\0\0\0x", EOF],
            " rows=1",
        ),
    ];
    for (answer, what) in old {
        let steps = [
            Out(query("SELECT 1")),
            In(packets(1, answer)),
            Out(query("SELECT 2")),
            In(packet(1, OK)),
        ];
        let spans = after(PLAIN, &steps);
        assert_eq!(
            spans,
            [
                format!("SELECT 1@shop 50-60{what}"),
                "SELECT 2@shop 70-80".into()
            ],
            "{answer:?}"
        );
    }
    let new: [(&[&[u8]], &str); 5] = [
        (&[b"\x01", COLUMN, b"\x011", ended], " rows=1"),
        (&[b"\x01", COLUMN, ended], " rows=0"),
        (&[b"\x01", COLUMN, long], " rows=0"),
        (
            &[
                b"\x01", COLUMN, b"\x011", ended_more, b"\x01", COLUMN, ended,
            ],
            " rows=1",
        ),
        (&[b"\x01", COLUMN, b"\xfe\0\0\x42\0\0\0"], ""),
    ];
    for (answer, what) in new {
        let steps = [
            Out(query("SELECT 1")),
            In(packets(1, answer)),
            Out(query("SELECT 2")),
            In(packet(1, OK)),
        ];
        let spans = after(PLAIN | DEPRECATE_EOF, &steps);
        assert_eq!(
            spans,
            [
                format!("SELECT 1@shop 50-60{what}"),
                "SELECT 2@shop 70-80".into()
            ],
            "{answer:?}"
        );
    }
    // Descriptions that the client knows already: in MySQL's form.
    let optional = PLAIN | DEPRECATE_EOF | 1 << 25;
    for (answer, rows) in [
        (&[b"\0\x01", b"\x011".as_slice(), ended][..], 1),
        (&[b"\x01\x01", COLUMN, b"\x011", b"\x012", ended], 2),
    ] {
        let spans = after(optional, &[Out(query("SELECT 1")), In(packets(1, answer))]);
        assert_eq!(spans, [format!("SELECT 1@shop 50-60 rows={rows}")]);
    }
}

#[test]
fn statements_have_the_text_they_were_prepared_with() {
    let prepare = |text: &str| packet(0, [b"\x16", text.as_bytes()].concat());
    let about = |command: u8, id: u32, more: &[u8]| {
        packet(0, [&[command], &id.to_le_bytes()[..], more].concat())
    };
    let prepared = |id: u8, rest: &[&[u8]]| {
        let head = [0, id, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        packets(1, &[&[&head[..]], rest].concat())
    };
    let rows = packets(1, &[b"\x01", COLUMN, EOF, b"\0\0\x011", EOF]);
    for (capabilities, definitions) in [
        (PLAIN, [COLUMN, EOF, COLUMN, EOF].to_vec()),
        (PLAIN | DEPRECATE_EOF, vec![COLUMN, COLUMN]),
    ] {
        let steps = [
            Out(prepare("SELECT ?")),
            In(prepared(7, &definitions)),
            Out(prepare("SELECT ? + 1")),
            In(prepared(8, &definitions)),
            // A parameter in pieces, which nobody answers.
            Out(about(0x18, 7, b"\0\0canary")),
            Out(about(0x17, 7, b"\0\x01\0\0\0")),
            In(rows.clone()),
            Out(about(0x17, 8, b"\0\x01\0\0\0")),
            In(rows.clone()),
            Out(about(0x1a, 8, b"")),
            In(packet(1, OK)),
            Out(about(0x19, 7, b"")),
            Out(about(0x17, 7, b"\0\x01\0\0\0")),
            In(packet(
                1,
                b"\xff\xdb\x04#HY000Unknown prepared statement handler",
            )),
            Out(prepare("SELEC")),
            In(packet(1, b"\xff\x28\x04#42000You have an error")),
            Out(packet(0, b"\x1f")),
            In(packet(1, OK)),
            Out(about(0x17, 8, b"")),
            In(packet(1, OK)),
        ];
        let wanted = [
            "SELECT ?@shop 100-110 rows=1",
            "SELECT ? + 1@shop 120-130 rows=1",
            "-@shop 170-180 1243",
            "SELEC@shop 190-200 1064",
            "-@shop 230-240",
        ];
        assert_eq!(after(capabilities, &steps), wanted);
    }
    // MariaDB's clients prepare and execute in one go; rows come as they are asked for.
    let definitions = [COLUMN, EOF, COLUMN, EOF];
    let steps = [
        Out([
            prepare("SELECT ?"),
            about(0x17, u32::MAX, b"\x01\x01\0\0\0"),
        ]
        .concat()),
        In([
            prepared(9, &definitions),
            packets(1, &[b"\x01", COLUMN, b"\xfe\0\0\x42\0"]),
        ]
        .concat()),
        Out(about(0x1c, 9, b"\x01\0\0\0")),
        In(packets(1, &[b"\0\0\x011", b"\xfe\0\0\xc2\0"])),
        Out(about(0x17, u32::MAX, b"\0\x01\0\0\0")),
        In(packet(1, OK)),
        Out(about(0xfa, 9, b"\x80\0")),
        In(packet(1, OK)),
    ];
    let wanted = [
        "SELECT ?@shop 50-60",
        "FETCH SELECT ?@shop 70-80 rows=1",
        "SELECT ?@shop 90-100",
        "SELECT ?@shop 110-120",
    ];
    assert_eq!(after(PLAIN, &steps), wanted);
}

#[test]
fn without_room_for_texts_there_are_none() {
    let mut recorder = recorder();
    recorder.no_wides = true;
    let prepare = [
        Out(packet(0, b"\x16SELECT ?")),
        In(packet(1, b"\0\x01\0\0\0\0\0\0\0\0\0\0")),
    ];
    let execute = [
        Out(packet(0, b"\x17\x01\0\0\0\0\x01\0\0\0")),
        In(packet(1, OK)),
        Close,
    ];
    recorder.run(&[&connected(PLAIN)[..], &prepare, &execute].concat(), whole);
    assert_eq!(summary(&recorder), ["connect@shop 1-40", "-@shop 70-80"]);
}

#[test]
fn attributes_of_queries_are_passed_over() {
    let able = PLAIN | 1 << 27;
    for front in [
        b"\0\x01".as_slice(),
        b"\x01\x01\0\x01\xfe\0\x01a\x06canary",
        b"\x03\x01\x02\x01\x08\0\x01a\xfe\0\x01b\x01\0\x01c\x01\0\0\0\0\0\0\0\x02",
        b"\x02\x01\0\x01\x06\0\0\x0c\0\x01t\x04\xe8\x07\x01\x02",
    ] {
        let sent = packet(0, [b"\x03", front, b"SELECT 1"].concat());
        assert_eq!(
            after(able, &[Out(sent), In(packet(1, OK))]),
            ["SELECT 1@shop 50-60"],
            "{front:?}"
        );
    }
    // To a server that cannot read them, which is not known inside of TLS, none are sent.
    assert_eq!(
        after(able, &[Out(query("SELECT 1")), In(packet(1, OK))]),
        ["SELECT 1@shop 50-60"]
    );
    assert_eq!(
        after(PLAIN, &[Out(query("\0\x01SELECT 1")), In(packet(1, OK))]),
        ["\0\x01SELECT 1@shop 50-60"]
    );
}

#[test]
fn a_message_of_several_packets() {
    let long = vec![b'x'; 0xff_ffff];
    let mut text = b"\x03SELECT ".to_vec();
    text.extend(&long[..0xff_ffff - text.len()]);
    let sent = packets(0, &[&text, b"FROM b"]);
    let row = [b"\xfe", &long[1..]].concat();
    let answer = packets(2, &[b"\x01", COLUMN, EOF, &row, b"xx", &long, b"", EOF]);
    let mut recorder = recorder();
    recorder.run(
        &[
            &connected(PLAIN)[..],
            &[
                Out(sent),
                In(answer),
                Out(query("SELECT 2")),
                In(packet(1, OK)),
                Close,
            ],
        ]
        .concat(),
        |_, from, to| (from + 1..to).step_by(1_000_003).collect(),
    );
    let spans = summary(&recorder);
    assert_eq!(spans.len(), 3);
    assert!(
        spans[1].starts_with("SELECT xxx") && spans[1].ends_with("@shop 50-60 rows=2"),
        "{}",
        &spans[1][4000..]
    );
    assert_eq!(spans[2], "SELECT 2@shop 70-80");
}

#[test]
fn what_has_no_span_keeps_the_pairs() {
    let steps = [
        Out(packet(0, b"\x0e")),
        In(packet(1, OK)),
        Out(packet(0, b"\x09")),
        In(packet(1, b"Uptime: 1  Threads: 1")),
        Out(packet(0, b"\x04item\0")),
        In(packets(1, &[COLUMN, COLUMN, EOF])),
        Out(packet(0, b"\x1b\0\0")),
        In(packet(1, EOF)),
        Out(packet(0, b"\x02other")),
        In(packet(1, b"\xff\x19\x04#42000Unknown database 'other'")),
        Out(query("USE `a b`;")),
        In(packet(1, OK)),
        Out(query("SELECT 1")),
        In(packet(1, OK)),
        Out(packet(0, b"\x01")),
    ];
    let wanted = [
        "USE -@other 130-140 1049",
        "USE `a b`;@shop 150-160",
        "SELECT 1@a b 170-180",
    ];
    assert_eq!(after(PLAIN, &steps), wanted);
}

#[test]
fn what_is_sent_ahead_is_answered_in_order() {
    let many = (0..40)
        .map(|i| query(&format!("SELECT {i}")))
        .collect::<Vec<_>>()
        .concat();
    let answers = packets(1, &[OK]).repeat(40);
    let spans = after(
        PLAIN,
        &[
            Out(many),
            In(answers),
            Out(query("SELECT 99")),
            In(packet(1, OK)),
        ],
    );
    assert_eq!(spans.len(), 13 + 1);
    assert_eq!(spans[12], "SELECT 12@shop 50-60");
    assert_eq!(spans[13], "SELECT 99@shop 70-80");
    // Which of two databases is in use cannot be told until one is asked for alone.
    let steps = [
        Out([query("USE a"), query("USE b")].concat()),
        In(packets(1, &[OK]).repeat(2)),
        Out(query("SELECT 1")),
        In(packet(1, OK)),
        Out(query("USE c")),
        In(packet(1, OK)),
        Out(query("SELECT 2")),
        In(packet(1, OK)),
    ];
    let spans = after(PLAIN, &steps);
    assert_eq!(
        (spans[2].as_str(), spans[4].as_str()),
        ("SELECT 1@- 70-80", "SELECT 2@c 110-120")
    );
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let select = || Out(query("SELECT 1"));
    let ends: [&[Step]; 9] = [
        &[Out(packet(0, b"\x12\x04\0\0\0"))],
        &[Out(packet(0, b"\xee"))],
        &[Out(packet(1, b"\x03SELECT 1"))],
        &[Out(packet(0, b""))],
        &[select(), In(packet(2, OK))],
        &[
            select(),
            In(packet(1, b"\x01")),
            In(packet(2, b"no description")),
        ],
        &[select(), In(packet(1, EOF))],
        &[In(packet(0, b"\xff\x87\x07#08S01Connection was killed"))],
        &[Step::Skip(Direction::Out, 10)],
    ];
    for steps in ends {
        let (spans, verdict) = run(&[&connected(PLAIN)[..], steps].concat());
        assert_eq!(verdict, Some(Verdict::Opaque), "{steps:?}");
        assert!(
            spans.iter().all(|span| !span.contains("connection_")),
            "{spans:?}"
        );
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let broken = Ended::Failed(Fault::ConnectionReset);
    for (how, fault) in [
        (broken, "connection_reset"),
        (Ended::Eof, "connection_closed"),
    ] {
        let steps = [
            Out(query("SELECT 1")),
            Out(packet(0, b"\x16SELECT ?")),
            Step::End(Direction::In, how),
        ];
        let (spans, _) = run(&[&connected(PLAIN)[..], &steps].concat());
        assert_eq!(
            spans[1..],
            [
                format!("SELECT 1@shop 50-70 {fault}"),
                format!("SELECT ?@shop 60-70 {fault}")
            ]
        );
        let steps = [
            In(greeting("8.0.36", MYSQL8)),
            Out(login(1, PLAIN)),
            Step::End(Direction::In, how),
        ];
        assert_eq!(run(&steps).0, [format!("connect@shop 1-30 {fault}")]);
    }
    assert_eq!(
        after(
            PLAIN,
            &[
                Out(packet(0, b"\x01")),
                Step::End(Direction::In, Ended::Eof)
            ]
        ),
        [""; 0]
    );
}

#[test]
fn bytes_out_of_sight_are_counted_inside_of_rows_and_files() {
    let row = 250usize;
    let head = packets(1, &[b"\x01", COLUMN, EOF, &[b'x'; 250][..]]);
    let seen = head[..head.len() - row + 1].to_vec();
    let steps = [
        Out(query("SELECT 1")),
        In(seen),
        Step::Skip(Direction::In, row as u64 - 2),
        In([b"x".to_vec(), packet(5, EOF)].concat()),
        Out(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t")),
        In(packet(1, b"\xfbf")),
        Out(b"\xff\0\0\x02x".to_vec()),
        Step::Skip(Direction::Out, 253),
        Out([b"x".to_vec(), packet(3, b"")].concat()),
        In(packet(4, OK)),
    ];
    let wanted = [
        "SELECT 1@shop 50-80 rows=1",
        "LOAD DATA LOCAL INFILE 'f' INTO TABLE t@shop 90-140",
    ];
    assert_eq!(after(PLAIN, &steps), wanted);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..8usize, 0..7usize), 1..10),
        cuts in proptest::collection::vec(0..1500usize, 0..8),
        ends in any::<bool>(),
    ) {
        const COMMANDS: [&[u8]; 8] = [
            b"\x03SELECT 1", b"\x16SELECT ?", b"\x17\x01\0\0\0\0\x01\0\0\0", b"\x02other", b"\x19\x01\0\0\0", b"\x0e", b"\x1c\x01\0\0\0\x01\0\0\0", b"\x03use x",
        ];
        let answers: [&[&[u8]]; 7] = [
            &[OK],
            &[b"\xff\x28\x04#42000x"],
            &[b"\x01", COLUMN, EOF, b"\x011", EOF],
            &[b"\x01", COLUMN, b"\x011", b"\xfe\0\0\x02\0\0\0"],
            &[b"\0\x01\0\0\0\x01\0\0\0\0\0\0", COLUMN, EOF],
            &[b"\xfbfile"],
            &[],
        ];
        let mut steps = connected(if ends { PLAIN } else { PLAIN | DEPRECATE_EOF });
        for (command, answer) in &all {
            steps.push(Out(packet(0, COMMANDS[*command])));
            steps.push(In(packets(1, answers[*answer])));
        }
        steps.push(In(packet(1, OK)));
        steps.push(Close);
        let (spans, verdict) = run(&steps);
        let mut cut = recorder();
        cut.run(&steps, |_, from, to| {
            let mut inside: Vec<usize> = cuts.iter().copied().filter(|c| *c > from && *c < to).collect();
            inside.sort_unstable();
            inside.dedup();
            inside
        });
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(noise in proptest::collection::vec(any::<u8>(), 0..300), out in any::<bool>(), stands in 0..5usize) {
        let mut steps = connected(PLAIN | DEPRECATE_EOF | 1 << 27);
        steps.truncate(stands);
        steps.push(Out(query("SELECT 1")));
        steps.push(if out { Out(noise) } else { In(noise) });
        steps.push(Close);
        run(&steps);
    }
}
