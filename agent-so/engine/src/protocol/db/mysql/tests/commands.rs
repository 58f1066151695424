//! What the client sends, and what it is followed by.

use super::*;

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
