//! Calls of gRPC: what becomes of their status.

use super::super::super::tests::{Recorder, Step, whole};
use super::super::grpc;
use super::*;
use crate::protocol::{Direction, Ended};

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

fn post(more: &[(&str, &str)]) -> Vec<u8> {
    frame(1, 4, 1, &request("POST", "/p.S/M", more))
}

fn head(fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    frame(1, 4 | u8::from(end), 1, &block(fields))
}

fn rst(code: u8) -> Vec<u8> {
    frame(3, 0, 1, &[0, 0, 0, code])
}

/// Whether it is a call, and its status, when `server` and then `client` is what follows the request.
fn outcome(
    as_client: bool,
    fields: &[(&str, &str)],
    server: &[Vec<u8>],
    client: &[Vec<u8>],
) -> (bool, Option<u8>) {
    let opening = [PREFACE.to_vec(), settings(), post(fields)].concat();
    let answer = [&[settings()][..], server].concat().concat();
    let mut steps = if as_client {
        vec![
            Step::Out(opening),
            Step::In(answer),
            Step::Out(client.concat()),
        ]
    } else {
        vec![
            Step::In(opening),
            Step::Out(answer),
            Step::In(client.concat()),
        ]
    };
    if server.is_empty() && client.is_empty() {
        let dir = if as_client {
            Direction::In
        } else {
            Direction::Out
        };
        steps.push(Step::End(dir, Ended::Eof));
    }
    let mut host = Recorder::default();
    host.run(&steps, whole);
    let ex = host.only();
    (ex.rpc, ex.rpc_status.checked_sub(1))
}

#[test]
fn the_status_is_in_the_trailers_or_stands_for_them() {
    let ok = || {
        head(
            &[(":status", "200"), ("content-type", "application/grpc")],
            false,
        )
    };
    for as_client in [true, false] {
        for code in 0..=16 {
            let status = code.to_string();
            let last = head(&[("grpc-status", &status), ("grpc-message", "x%20y")], true);
            let got = outcome(as_client, &CALL, &[ok(), last], &[]);
            assert_eq!(got, (true, Some(code)));
            let only = head(&[(":status", "200"), ("grpc-status", &status)], true);
            assert_eq!(outcome(as_client, &CALL, &[only], &[]), (true, Some(code)));
        }
        let odd = |value: &str| {
            let last = head(&[("grpc-status", value)], true);
            outcome(as_client, &CALL, &[ok(), last], &[]).1
        };
        assert_eq!(
            (odd("17"), odd("99999999999"), odd("x"), odd("")),
            (Some(2), Some(2), Some(2), Some(2))
        );
        // No status: by that of HTTP.
        for (http, code) in [
            ("400", 13),
            ("401", 16),
            ("403", 7),
            ("404", 12),
            ("429", 14),
            ("503", 14),
            ("500", 2),
            ("200", 2),
        ] {
            let only = head(&[(":status", http)], true);
            assert_eq!(
                outcome(as_client, &CALL, &[only], &[]),
                (true, Some(code)),
                "{http}"
            );
        }
    }
}

#[test]
fn a_stream_that_was_reset() {
    let by_server = [
        (0, 13),
        (1, 13),
        (2, 13),
        (3, 13),
        (5, 2),
        (7, 14),
        (8, 1),
        (11, 8),
        (12, 7),
    ];
    for as_client in [true, false] {
        for (reset, code) in by_server {
            assert_eq!(
                outcome(as_client, &CALL, &[rst(reset)], &[]),
                (true, Some(code))
            );
        }
        assert_eq!(outcome(as_client, &CALL, &[], &[rst(8)]), (true, Some(1)));
        let last = frame(7, 0, 0, &[0; 8]);
        assert_eq!(
            outcome(as_client, &CALL, &[last], &[]),
            (true, Some(14)),
            "GOAWAY"
        );
    }
    assert_eq!(
        outcome(true, &CALL, &[], &[]),
        (true, Some(14)),
        "the connection ends"
    );
}

#[test]
fn a_client_that_resets_when_the_time_is_up() {
    // In a script, steps are 10 ns apart: the request at 10, the reset at 30.
    for (timeout, code) in [
        ("20n", 4),
        ("21n", 4),
        ("25n", 4),
        ("60n", 1),
        ("1S", 1),
        ("x", 1),
        ("20", 1),
    ] {
        let fields = [CALL[0], ("grpc-timeout", timeout)];
        assert_eq!(
            outcome(true, &fields, &[settings()], &[rst(8)]).1,
            Some(code),
            "{timeout}"
        );
        assert_eq!(
            outcome(false, &fields, &[settings()], &[rst(8)]).1,
            Some(1),
            "{timeout}"
        );
    }
    let second = 1_000_000_000;
    assert!(!grpc::is_due(11 * second, second, 5 * second));
    assert!(!grpc::is_due(11 * second, second, 10 * second));
    assert!(grpc::is_due(11 * second, second, 11 * second - 400_000_000));
    assert!(!grpc::is_due(
        11 * second,
        second,
        11 * second - 600_000_000
    ));
}

#[test]
fn timeouts() {
    let rows: [(&[u8], u64); 10] = [
        (b"1H", 3_600_000_000_000),
        (b"2M", 120_000_000_000),
        (b"3S", 3_000_000_000),
        (b"4m", 4_000_000),
        (b"5u", 5_000),
        (b"99999999n", 99_999_999),
        (b"100000000n", 0),
        (b"S", 0),
        (b"-1S", 0),
        (b"", 0),
    ];
    for (value, expected) in rows {
        assert_eq!(grpc::timeout(value), expected, "{}", value.escape_ascii());
    }
}

#[test]
fn what_is_a_call() {
    let only = || [head(&[(":status", "200"), ("grpc-status", "0")], true)];
    for (kind, is) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;charset=x", true),
        ("Application/GRPC+json", true),
        ("application/grpc-web", false),
        ("application/grpc-web+proto", false),
        ("application/grpcx", false),
        ("application/connect+proto", false),
        ("application/json", false),
    ] {
        let got = outcome(false, &[("content-type", kind)], &only(), &[]);
        assert_eq!(got, (is, is.then_some(0)), "{kind}");
    }
    // A GET is none, whatever it says.
    let get = frame(1, 5, 1, &request("GET", "/p.S/M", &CALL));
    let mut host = Recorder::default();
    let steps = [
        Step::In([PREFACE.to_vec(), settings(), get].concat()),
        Step::Close,
    ];
    host.run(&steps, whole);
    assert!(!host.only().rpc);
}
