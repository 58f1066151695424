//! What is answered.

use super::*;

#[test]
fn rows_of_all_types() {
    let types: &[(&[u8], &[u8])] = &[
        (INT, &[1, 2, 3, 4]),
        (&[0x26, 8], &[8, 1, 2, 3, 4, 5, 6, 7, 8]),
        (&[0x28], &[0]),
        (&[0x2b, 7], &[3, 1, 2, 3]),
        (&[0x6c, 17, 5, 2], &[2, 1, 9]),
        (NVARCHAR, &[0xff, 0xff]),
        (
            &[0xa5, 0xff, 0xff],
            &[2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0xd1, 0xfd, 0, 0, 0, 0],
        ),
        (&[0x62, 9, 0, 0, 0], &[0, 0, 0, 0]),
        (&[0xf1, 0], &[0xff; 8]),
        (&[0xf0, 9, 0, 0, 1, 0x61, 0, 0, 1, 0, 0x61, 0], &[0xff; 8]),
        (&[0x27, 9, 9, 4, 0xd0, 0, 0x34], &[1, 0x61]),
        (
            &[
                0x23, 9, 0, 0, 0, 9, 4, 0xd0, 0, 0x34, 2, 1, 0, 0x61, 0, 0, 0,
            ],
            &[
                2, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0xd1, 0xd1, 0xd1,
            ],
        ),
        (&[0x22, 9, 0, 0, 0, 0], &[0]),
    ];
    let described = columns(&types.iter().map(|t| t.0).collect::<Vec<_>>());
    let mut row = vec![0xd1];
    row.extend(types.iter().flat_map(|t| t.1));
    // The second and the last are there, besides those from the fourth to the eighth.
    let mut sparse = vec![0xd2, 0b0000_0101, 0b0000_1111];
    for (i, (_, value)) in types.iter().enumerate() {
        if ![0, 2, 8, 9, 10, 11].contains(&i) {
            sparse.extend(*value);
        }
    }
    let order = counted(0xa9, &[1, 0]);
    let all = [
        described,
        order,
        row.clone(),
        sparse,
        row,
        error(245),
        done(0xfd, 2, 0xc1, 0),
    ];
    let (spans, _) = asked([batch("SELECT *"), answer(&all)]);
    assert_eq!(spans, ["SELECT *@shop 50-60 rows=3 245"]);
}

#[test]
fn several_results() {
    let update = done(0xfd, 0x11, 0xc5, 9);
    let (spans, _) = asked([
        batch("UPDATE t; SELECT 1; SELECT 2"),
        answer(&[
            update,
            rows(2),
            done(0xfd, 0x11, 0xc1, 2),
            rows(1),
            done(0xfd, 0x10, 0xc1, 1),
        ]),
        batch("UPDATE t"),
        answer(&[done(0xfd, 0x10, 0xc5, 9)]),
        batch("USE other"),
        answer(&[database("other"), counted(0xab, &[0; 9]), fine()]),
        batch("SELECT 1"),
        answer(&[fine()]),
        Out(packet(1, 9, &with_headers(&utf16("SELECT 2")))),
        answer(&[fine()]),
    ]);
    let wanted = [
        "UPDATE t; SELECT 1; SELECT 2@shop 50-60 rows=3",
        "UPDATE t@shop 70-80",
        "USE other@shop 90-100",
        "SELECT 1@other 110-120",
        "SELECT 2@shop 130-140",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn what_cannot_be_passed_over() {
    let unknown = columns(&[INT, &[0xf4, 1, 2]]);
    let wide = columns(&[INT; 97]);
    let totals = vec![0x88, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
    for odd in [unknown, wide, totals, vec![0xd1, 1, 2], vec![0x99]] {
        let (spans, verdict) = asked([
            batch("SELECT 1"),
            answer(&[odd.clone(), done(0xfd, 0x10, 0xc1, 7)]),
            batch("SELECT 2"),
            answer(&[odd.clone(), done(0xfe, 2, 0xe0, 0)]),
            batch("SELECT 3"),
            answer(&[error(50000), odd.clone(), done(0xfe, 2, 0xe0, 0)]),
            batch("SELECT 4"),
            Out(message(6, b"")),
            answer(&[odd.clone(), done(0xfd, 0x20, 0, 0)]),
            batch("SELECT 5"),
            answer(&[fine()]),
        ]);
        let wanted = [
            "SELECT 1@shop 50-60 rows=7",
            "SELECT 2@shop 70-80 _OTHER",
            "SELECT 3@shop 90-100 50000",
            "SELECT 4@shop 110-130 _OTHER",
            "SELECT 5@shop 140-150",
        ];
        assert_eq!(
            (&spans[..], verdict),
            (&wanted.map(String::from)[..], Some(Verdict::Tracked))
        );
        // There is no end.
        let (spans, verdict) = asked([batch("SELECT 1"), answer(&[odd])]);
        assert_eq!(
            (&spans[..], verdict),
            (
                &["SELECT 1@shop 50-60".to_owned()][..],
                Some(Verdict::Opaque)
            )
        );
    }
}

#[test]
fn bytes_that_are_not_seen() {
    let blob = [&[0xa5, 0xff, 0xff][..]];
    let mut front = columns(&blob);
    front.extend([0xd1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]);
    let end = [vec![0; 4], done(0xfd, 0x10, 0xc1, 1)].concat();
    let [high, low] = (8 + front.len() as u16 + 1024 + end.len() as u16).to_be_bytes();
    let head = vec![4, 1, high, low, 0, 0, 1, 0];
    let inside = |n| {
        [
            batch("SELECT b"),
            In([head.clone(), front.clone(), vec![0]].concat()),
            Step::Skip(Direction::In, n),
            In([vec![0; 1023_usize.saturating_sub(n as usize)], end.clone()].concat()),
        ]
    };
    assert_eq!(asked(inside(1000)).0, ["SELECT b@shop 50-80 rows=1"]);
    let (spans, verdict) = asked(inside(1024));
    assert_eq!(spans, ["SELECT b@shop 50-70"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let gone = Step::End(Direction::In, Ended::Eof);
    let (spans, _) = asked([batch("SELECT a"), gone.clone()]);
    assert_eq!(spans, ["SELECT a@shop 50-60 connection_closed"]);
    let (spans, _) = asked([batch("SELECT a"), In(vec![4, 1]), gone.clone()]);
    assert_eq!(spans, ["SELECT a@shop 50-70 response_truncated"]);
    let (spans, verdict) = asked([gone]);
    assert_eq!((spans.len(), verdict), (0, Some(Verdict::Opaque)));
    let failed = Step::End(Direction::In, Ended::Failed(Fault::ConnectionReset));
    let (spans, _) = asked([batch("SELECT a"), failed]);
    assert_eq!(spans, ["SELECT a@shop 50-60 connection_reset"]);
    // Half a request is none.
    let half = Out(packet(1, 0, &with_headers(&utf16("SELECT a"))));
    assert_eq!(asked([half, Close]).0.len(), 0);
}
