//! How connections begin.

use super::*;

/// MS-TDS 4.1 and 4.2: what both ends say first.
const ASKED: &[u8] = b"\x12\x01\0\x2f\0\0\x01\0\0\0\x1a\0\x06\x01\0\x20\0\x01\x02\0\x21\0\x01\x03\0\x22\0\x04\x04\0\x26\0\x01\xff\
\x09\0\0\0\0\0\x01\0\xb8\x0d\0\0\x01";
const ANSWERED: &[u8] = b"\x04\x01\0\x2b\0\0\x01\0\0\0\x1a\0\x06\x01\0\x20\0\x01\x02\0\x21\0\x01\x03\0\x22\0\0\x04\0\x22\0\x01\xff\
\x09\0\x0c\x57\0\0\x02\0\0";

/// A ClientHello whose random is the numbers from 100 on.
fn client_hello() -> Vec<u8> {
    let mut bytes = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    bytes.extend(100..132);
    bytes.resize(205, 0);
    bytes
}

fn tls_event(dir: Direction) -> String {
    let random: Vec<u8> = (100..132).collect();
    format!("tls {dir:?} {random:?}")
}

fn record(kind: u8) -> Vec<u8> {
    [&[kind, 3, 3, 0, 200][..], &[7; 200]].concat()
}

#[test]
fn the_specifications_first_messages() {
    let steps = [
        Out(ASKED.to_vec()),
        // It can do no encryption: here the client wants it for all.
        In(ANSWERED.to_vec()),
        Close,
    ];
    assert_eq!(run(&steps).0, ["connect@- 1-30 tls_handshake"]);
}

#[test]
fn a_login_in_the_clear() {
    assert_eq!(run(&logged_in()).0, ["connect@shop 1-40"]);
    // The server chooses the database, and the session is that of a named instance.
    let steps = [
        Out(prelogin(0x12, 2, b"SALES\0")),
        In(prelogin(4, 2, b"\0")),
        Out(login("db.example", "")),
        answer(&[
            database("master"),
            counted(0xab, &[0; 20]),
            accepted(),
            fine(),
        ]),
        batch("SELECT 1"),
        answer(&[fine()]),
    ];
    let wanted = ["connect@SALES|master 1-40", "SELECT 1@SALES|master 50-60"];
    assert_eq!(run(&steps).0, wanted);
    let plain = [
        Out(login("tcp:db.example\\EU,1433", "shop")),
        answer(&[accepted(), fine()]),
    ];
    assert_eq!(run(&plain).0, ["connect@EU|shop 1-20"]);
    let usual = [
        Out(prelogin(0x12, 2, b"mssqlserver\0")),
        In(prelogin(4, 2, b"\0")),
        Out(login_as(0x7100_0001, "db", "shop")),
        answer(&[accepted(), fine()]),
    ];
    assert_eq!(run(&usual).0, ["connect@shop 1-40"]);
}

#[test]
fn a_login_in_steps() {
    let steps = [
        Out(login("db", "shop")),
        answer(&[counted(0xed, b"canary challenge")]),
        Out(message(0x11, b"canary proof")),
        answer(&[[&[0xee, 6, 0, 0, 0][..], b"canary"].concat()]),
        Out(message(8, b"canary token")),
        answer(&[
            vec![0xae, 1, 2, 0, 0, 0, 9, 9, 0xff],
            [&[0xe4, 3, 0, 0, 0][..], b"abc"].concat(),
            accepted(),
            fine(),
        ]),
    ];
    assert_eq!(run(&steps).0, ["connect@shop 1-60"]);
}

#[test]
fn a_login_that_fails() {
    let mut steps = logged_in();
    steps[3] = answer(&[error(18456), done(0xfd, 2, 0, 0)]);
    let (spans, verdict) = run(&steps);
    assert_eq!(spans, ["connect@shop 1-40 18456"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
    steps[3] = Step::End(Direction::In, Ended::Eof);
    assert_eq!(run(&steps).0, ["connect@shop 1-40 connection_closed"]);
    let failed = Ended::Failed(Fault::ConnectionReset);
    let steps = [
        Out(prelogin(0x12, 2, b"\0")),
        Step::End(Direction::In, failed),
    ];
    assert_eq!(run(&steps).0, ["connect@- 1-20 connection_reset"]);
}

#[test]
fn all_is_encrypted() {
    for (client, server) in [(1, 1), (0, 3), (3, 3), (0x81, 1), (0, 1)] {
        let steps = [
            Out(prelogin(0x12, client, b"\0")),
            In(prelogin(4, server, b"\0")),
            Out(message(0x12, &client_hello())),
            In(message(0x12, b"\x16\x03\x03\0\x7a\x02")),
        ];
        let one = replayed(&steps);
        assert_eq!(one.events, [tls_event(Direction::Out)]);
        assert_eq!(one.verdict, Some(Verdict::Opaque));
        assert_eq!(one.exchanges.len(), 0);
    }
    let steps = [
        In(prelogin(0x12, 1, b"\0")),
        Out(prelogin(4, 1, b"\0")),
        In(message(0x12, &client_hello())),
    ];
    assert_eq!(replayed(&steps).events, [tls_event(Direction::In)]);
}

#[test]
fn only_the_login_is_encrypted() {
    let outside = [
        Out(prelogin(0x12, 0, b"\0")),
        In(prelogin(4, 0, b"\0")),
        Out(message(0x12, &client_hello())),
        In(packet(0x12, 0, b"\x16\x03\x03\0\x7a\x02")),
        In(packet(0x12, 1, &[2; 90])),
        Out(message(0x12, &record(0x16))),
        In(message(4, &record(0x16))),
        Out(record(0x17)),
        answer(&[database("shop"), accepted(), fine()]),
        batch("SELECT 1"),
        answer(&[rows(1), done(0xfd, 0x10, 0xc1, 1)]),
    ];
    let one = replayed(&outside);
    assert!(one.events.contains(&tls_event(Direction::Out)));
    let wanted = ["connect@shop 1-90", "SELECT 1@shop 100-110 rows=1"];
    assert_eq!(summary(&one), wanted);
    // So it is where the rest of a long login is in the clear, as .NET has it.
    let mut long = outside.to_vec();
    long.insert(8, Out(message(0x10, b"canary")));
    let wanted = ["connect@shop 1-100", "SELECT 1@shop 110-120 rows=1"];
    assert_eq!(run(&long).0, wanted);
    // The stream inside of TLS has the login, and nothing else.
    let inside = [Out(login("db", "shop")), Close];
    assert_eq!(run(&inside), (vec![], Some(Verdict::Opaque)));
    let failed = Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset));
    let inside = [Out(login("db", "shop")), failed];
    assert_eq!(run(&inside).0, ["connect@shop 1-20 connection_reset"]);
}

#[test]
fn records_where_none_belong() {
    for steps in [
        vec![
            Out(prelogin(0x12, 2, b"\0")),
            In(prelogin(4, 2, b"\0")),
            Out(record(0x17)),
        ],
        vec![Out(login("db", "shop")), In(record(0x17))],
        vec![
            Out(prelogin(0x12, 0, b"\0")),
            In(prelogin(4, 0, b"\0")),
            Out(message(0x12, b"\x17\x03\x03")),
        ],
    ] {
        assert_eq!(replayed(&steps).verdict, Some(Verdict::Opaque));
    }
}

#[test]
fn a_name_is_never_the_password() {
    let mut bytes = login("db", "shop");
    // The database is where the password is; where it begins in the middle of it; where the list is.
    let password = [bytes[8 + 44], bytes[8 + 45], bytes[8 + 46], bytes[8 + 47]];
    for place in [password, [password[0] + 2, 0, 2, 0], [44, 0, 20, 0]] {
        bytes[8 + 68..8 + 72].copy_from_slice(&place);
        let steps = [Out(bytes.clone()), answer(&[accepted(), fine()])];
        assert_eq!(run(&steps).0, ["connect@- 1-20"]);
    }
}

#[test]
fn only_these_beginnings() {
    for good in [ASKED.to_vec(), login("", ""), prelogin(0x12, 1, b"\0")] {
        assert_eq!(begins(&good), Some(true));
        for len in 0..16 {
            assert_ne!(begins(&good[..len]), None, "{len}");
        }
    }
    for (at, value) in [(1, 0), (2, 99), (4, 1), (7, 1), (8, 1), (9, 9), (12, 7)] {
        let mut bytes = ASKED.to_vec();
        bytes[at] = value;
        assert_eq!(begins(&bytes), None, "{at}");
    }
    for (at, value) in [(1, 4), (3, 9), (8, 9), (11, 1), (15, 0x70), (15, 0x16)] {
        let mut bytes = login("db", "shop");
        bytes[at] = value;
        assert_eq!(begins(&bytes), None, "{at}");
    }
    assert_eq!(begins(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"), None);
    assert_eq!(begins(ANSWERED), None);
}

#[test]
fn the_servers_end() {
    let steps: Vec<Step> = logged_in()
        .into_iter()
        .chain([
            batch("SELECT 1"),
            answer(&[error(208), done(0xfd, 2, 0, 0)]),
        ])
        .map(|step| match step {
            In(bytes) => Out(bytes),
            Out(bytes) => In(bytes),
            other => other,
        })
        .collect();
    assert_eq!(run(&steps).0, ["SELECT 1@shop 50-60 208"]);
}
