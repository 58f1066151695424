//! What the machine makes of connections: recorded ones, and made ones.

mod answers;
mod commands;
mod compressed;
mod connects;
mod random;

use crate::exchange::{Fault, Field, System};
use crate::protocol::db::tests::{outcome, recorded, recorder, replayed};
use crate::protocol::tests::{Recorder, Step, lossy, whole};
use crate::protocol::{Direction, Ended, Verdict};
use crate::sql::Backslash;
use Step::{Close, In, Out};

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
        format!("{what}@{}{}", lossy(ex.text(Field::Namespace)), outcome(ex))
    };
    recorder.finished.iter().map(line).collect()
}

/// As [`recorded`], of which the end was not.
fn closed(text: &str) -> Vec<Step> {
    [recorded(text), vec![Close]].concat()
}

fn run(steps: &[Step]) -> (Vec<String>, Option<Verdict>) {
    let one = replayed(steps);
    (summary(&one), one.verdict)
}

#[test]
fn pymysql() {
    let (spans, _) = run(&closed(include_str!("tests/pymysql.txt")));
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
    let steps = closed(include_str!("tests/mysqlclient.txt"));
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
    let (spans, _) = run(&closed(include_str!("tests/cli.txt")));
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
    let (spans, _) = run(&closed(include_str!("tests/mysql2.txt")));
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
fn who_is_not_let_in_has_a_code() {
    let (spans, verdict) = run(&closed(include_str!("tests/denied.txt")));
    assert_eq!(spans, ["connect@- 1-30 1045"]);
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
