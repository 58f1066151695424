//! What becomes of connections: how they are made, what they are for, and how they end.

use super::*;

#[test]
fn what_sets_a_connection_up_belongs_to_it() {
    let hello = message(
        1,
        0,
        2004,
        &[
            b"\0\0\0\0admin.$cmd\0\0\0\0\0\xff\xff\xff\xff",
            &bson(&[int("ismaster", 1), nested("client", &[string("x", "hush")])])[..],
        ]
        .concat(),
    );
    let greeted = message(
        2,
        1,
        1,
        &[&[0; 16][..], b"\x01\0\0\0", &bson(&[ok(1.0)])].concat(),
    );
    let steps = [
        Out(hello),
        In(greeted),
        Out(command(
            3,
            "saslStart",
            int("saslStart", 1),
            &[string("payload", "hush")],
        )),
        In(done(3)),
        Out(command(
            4,
            "saslContinue",
            int("saslContinue", 1),
            &[string("payload", "hush")],
        )),
        In(done(4)),
        Out(find(5)),
        In(done(5)),
        Out(command(6, "endSessions", array("endSessions", 1, &[]), &[])),
        In(msg(7, 6, 0, &[ok(0.0), int("code", 59)])),
        Close,
    ];
    let (spans, _) = run(&steps);
    assert_eq!(spans, ["connect 1-60", &format!("{FIND} 70-80")]);
    // Not who he says.
    let mut steps = steps[..4].to_vec();
    steps[3] = In(msg(9, 3, 0, &[ok(0.0), int("code", 18)]));
    steps.push(Close);
    assert_eq!(run(&steps).0, ["connect 1-40 18"]);
    steps[3] = Step::End(Direction::In, Ended::Eof);
    assert_eq!(run(&steps).0, ["connect 1-40 connection_closed"]);
}

#[test]
fn a_connection_that_only_watches_makes_nothing() {
    let hello = || msg(1, 0, 1 << 16, &[int("hello", 1), string("$db", "admin")]);
    let (spans, verdict) = run(&[
        Out(hello()),
        In(msg(2, 1, 2, &[ok(1.0)])),
        In(msg(3, 2, 2, &[ok(1.0)])),
        In(msg(4, 3, 0, &[ok(0.0), int("code", 9)])),
        Out(hello()),
        In(msg(5, 1, 0, &[ok(1.0)])),
        Close,
    ]);
    assert_eq!(spans, [""; 0]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn many_that_wait_are_not_all_recorded() {
    let mut steps: Vec<Step> = (0..40).map(|id| Out(find(id))).collect();
    steps.extend((0..40).map(|id| In(done(id))));
    steps.extend([Out(find(99)), In(done(99)), Close]);
    let (spans, _) = run(&steps);
    assert_eq!(spans.len(), 1 + super::super::PENDING + 1);
    assert_eq!(spans.last().unwrap(), &format!("{FIND} 810-820"));
}

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let mut cut = find(1);
    cut[0] -= 1;
    let mut long = find(1);
    long[21] += 1;
    let flags = msg(1, 0, 4, &[int("ping", 1)]);
    let text = element(2, "$db", b"\xff\xff\xff\x7fx\0");
    let empty = element(2, "$db", b"\0\0\0\0");
    for bytes in [
        vec![0; 16],
        cut,
        long,
        flags,
        msg(1, 0, 0, &[int("ping", 1), text]),
        msg(1, 0, 0, &[int("ping", 1), empty]),
        msg(1, 0, 0, &[element(0x20, "ping", b"")]),
        msg(1, 0, 0, &[int("$ping", 1)]),
        msg(1, 0, 0, &[element(3, "documents", b"\x04\0\0\0")]),
    ] {
        let (spans, verdict) = run(&[Out(find(7)), In(done(7)), Out(bytes.clone())]);
        assert_eq!(verdict, Some(Verdict::Opaque), "{}", bytes.escape_ascii());
        assert_eq!(spans.len(), 2);
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let broken = Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset));
    assert_eq!(
        run(&[Out(find(1)), broken]).0[1],
        format!("{FIND} 10-20 connection_reset")
    );
    let half = done(1)[..20].to_vec();
    let eof = Step::End(Direction::In, Ended::Eof);
    let left = run(&[Out(find(1)), In(done(1)), Out(find(2)), eof.clone()]);
    assert_eq!(left.0[2], format!("{FIND} 30-40 connection_closed"));
    assert_eq!(
        run(&[Out(find(1)), In(half), eof]).0[1],
        format!("{FIND} 10-30 response_truncated")
    );
}

#[test]
fn what_is_not_seen_is_passed_over_inside_a_message() {
    let (front, back) = (find(1)[..50].to_vec(), find(1)[60..].to_vec());
    let (spans, _) = run(&[
        Out(front),
        Step::Skip(Direction::Out, 10),
        Out(back),
        In(done(1)),
        Out(find(2)),
        In(done(2)),
        Close,
    ]);
    assert_eq!(
        spans[1..],
        ["-.find items 10-40".to_owned(), format!("{FIND} 50-60")]
    );
}

#[test]
fn a_server_has_no_connect() {
    let (spans, _) = run(&[In(find(1)), Out(done(1)), Close]);
    assert_eq!(spans, [format!("{FIND} 10-20")]);
}
