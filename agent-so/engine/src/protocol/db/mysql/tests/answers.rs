//! Where answers end, and what is said of them.

use super::*;
use crate::protocol::db::tests::recorder;

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
