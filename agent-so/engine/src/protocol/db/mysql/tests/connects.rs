//! How connections begin and break.

use super::*;
use crate::protocol::db::tests::recorder;
use crate::protocol::tests::bytewise;

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
