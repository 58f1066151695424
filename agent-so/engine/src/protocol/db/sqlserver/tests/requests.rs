//! What is asked.

use super::*;

#[test]
fn batches_of_statements() {
    // MS-TDS 4.6.
    let example = b"\x01\x01\0\x5c\0\0\x01\0\x16\0\0\0\x12\0\0\0\x02\0\0\0\0\0\0\0\0\0\x01\0\0\0\x0a\0\x73\0\x65\0\x6c\0\x65\0\x63\0\x74\
\0\x20\0\x27\0\x66\0\x6f\0\x6f\0\x27\0\x20\0\x61\0\x73\0\x20\0\x27\0\x62\0\x61\0\x72\0\x27\0\x0a\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0";
    let (spans, _) = asked([
        Out(example.to_vec()),
        answer(&[rows(3), done(0xfd, 0x10, 0xc1, 3)]),
        batch("SELECT 'ä', N'\u{1f600}' -- \u{fffd}"),
        answer(&[fine()]),
    ]);
    let wanted = [
        "\nselect 'foo' as 'bar'\n        @shop 50-60 rows=3",
        "SELECT 'ä', N'\u{1f600}' -- \u{fffd}@shop 70-80",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn a_long_batch_in_packets() {
    let text = format!("SELECT '{}'", "ä".repeat(5000));
    let content = with_headers(&utf16(&text));
    let packets: Vec<Vec<u8>> = content
        .chunks(4000)
        .enumerate()
        .map(|(i, part)| packet(1, u8::from((i + 1) * 4000 >= content.len()), part))
        .collect();
    let mut steps = logged_in();
    steps.push(Out(packets.concat()));
    steps.push(answer(&[fine()]));
    let one = replayed(&steps);
    let ex = &one.exchanges[1];
    assert_eq!(ex.text(Field::Query), Some(&text.as_bytes()[..4096]));
    assert!(ex.is_cut(Field::Query));
}

#[test]
fn statements_with_parameters() {
    let text = "SELECT a FROM t WHERE b = @p1";
    let ids = [NO_INT.to_vec(), nvarchar("@p1 int"), nvarchar(text)];
    let long = {
        let text = utf16("SELECT 1");
        let (one, two) = text.split_at(5);
        let mut bytes = vec![0xe7, 0xff, 0xff, 9, 4, 0xd0, 0, 0x34];
        bytes.extend((text.len() as u64).to_le_bytes());
        for part in [one, two] {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part);
        }
        bytes.extend([0; 4]);
        bytes
    };
    let ntext = |text: &str| {
        let text = utf16(text);
        let mut bytes = vec![0x63, 0xff, 0xff, 0, 0, 9, 4, 0xd0, 0, 0x34];
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text);
        bytes
    };
    let (spans, _) = asked([
        rpc(&[call(10, &[nvarchar(text), nvarchar("@p1 int"), int(1)])]),
        answer(&[
            rows(2),
            done(0xff, 0x11, 0xc1, 2),
            vec![0x79, 0, 0, 0, 0],
            done(0xfe, 0, 0xe0, 0),
        ]),
        rpc(&[named("sp_executesql", &[long])]),
        answer(&[fine()]),
        rpc(&[call(13, &ids)]),
        answer(&[
            rows(1),
            done(0xff, 0x11, 0xc1, 1),
            returned(5),
            done(0xfe, 0, 0xe0, 0),
        ]),
        rpc(&[call(12, &[int(5), int(1)])]),
        answer(&[fine()]),
        rpc(&[call(15, &[int(5)])]),
        answer(&[fine()]),
        rpc(&[call(12, &[int(5), int(1)])]),
        answer(&[fine()]),
        rpc(&[named("SP_EXECUTESQL", &[ntext("SELECT 2")])]),
        answer(&[fine()]),
    ]);
    let wanted = [
        &format!("{text}@shop 50-60 rows=2"),
        "SELECT 1@shop 70-80",
        &format!("{text}@shop 90-100 rows=1"),
        &format!("{text}@shop 110-120"),
        "EXECUTE sp_execute@shop 150-160",
        "SELECT 2@shop 170-180",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn statements_are_prepared() {
    let prepare = |text| call(11, &[NO_INT.to_vec(), nvarchar(""), nvarchar(text), int(1)]);
    let (spans, _) = asked([
        rpc(&[prepare("SELECT 1")]),
        answer(&[columns(&[INT]), returned(1), fine()]),
        rpc(&[prepare("SELECT 2")]),
        answer(&[error(8180), error(102), done(0xfe, 2, 0, 0)]),
        rpc(&[call(12, &[int(1)])]),
        answer(&[fine()]),
        // The pool gives the session to another: nothing is prepared any more.
        Out(packet(3, 9, &with_headers(&call(12, &[int(1)])))),
        answer(&[fine()]),
    ]);
    let wanted = [
        "SELECT 2@shop 70-80 8180",
        "SELECT 1@shop 90-100",
        "EXECUTE sp_execute@shop 110-120",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn cursors() {
    let open = [
        NO_INT.to_vec(),
        nvarchar("SELECT a"),
        int(1),
        int(1),
        NO_INT.to_vec(),
    ];
    let prepare = [
        NO_INT.to_vec(),
        NO_INT.to_vec(),
        nvarchar(""),
        nvarchar("SELECT b"),
    ];
    let (spans, _) = asked([
        rpc(&[call(2, &open)]),
        answer(&[fine()]),
        rpc(&[call(5, &prepare)]),
        answer(&[returned(7), fine()]),
        rpc(&[call(4, &[int(7), NO_INT.to_vec()])]),
        answer(&[fine()]),
        rpc(&[call(7, &[int(1), int(2)])]),
        answer(&[rows(1), fine()]),
        rpc(&[call(9, &[int(1)])]),
        answer(&[fine()]),
    ]);
    let wanted = [
        "SELECT a@shop 50-60",
        "SELECT b@shop 70-80",
        "SELECT b@shop 90-100",
        "EXECUTE sp_cursorfetch@shop 110-120 rows=1",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn procedures_by_name() {
    let (spans, _) = asked([
        // MS-TDS 4.8.
        rpc(&[named("foo3", &[[&[0x26, 2, 2][..], &[0x40, 0]].concat()])]),
        answer(&[vec![0x79, 0, 0, 0, 0], done(0xfe, 0, 0xe0, 0)]),
        rpc(&[named(
            "dbo.[new order]",
            &[nvarchar("canary"), vec![0x1f], vec![0x32, 1]],
        )]),
        answer(&[error(2812), done(0xfe, 2, 0xe0, 0)]),
        rpc(&[named(&"long".repeat(40), &[])]),
        answer(&[fine()]),
        rpc(&[call(99, &[])]),
        answer(&[fine()]),
    ]);
    let wanted = [
        "EXECUTE foo3@shop 50-60",
        "EXECUTE dbo.[new order]@shop 70-80 2812",
        "<EXECUTE>@shop 90-100",
        "<EXECUTE>@shop 110-120",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn several_calls_in_a_message() {
    let insert = |n| {
        call(
            10,
            &[nvarchar("INSERT t VALUES (@a)"), nvarchar("@a int"), int(n)],
        )
    };
    let (spans, _) = asked([
        rpc(&[insert(1), insert(2), insert(3)]),
        answer(&[fine()]),
        rpc(&[insert(1), call(10, &[nvarchar("DELETE t")])]),
        answer(&[fine()]),
        rpc(&[call(15, &[int(4)]), insert(2)]),
        answer(&[fine()]),
        rpc(&[call(15, &[int(4)]), call(15, &[int(5)])]),
        answer(&[fine()]),
    ]);
    let wanted = [
        "INSERT t VALUES (@a)@shop 50-60 batch=3",
        "<BATCH>@shop 70-80 batch=2",
        "INSERT t VALUES (@a)@shop 90-100",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn parameters_of_all_types() {
    let types: &[&[u8]] = &[
        &[0x1f],
        &[0x24, 16, 0],
        &[0x28, 3, 1, 2, 3],
        &[0x29, 7, 5, 1, 2, 3, 4, 5],
        &[0x6a, 17, 18, 2, 5, 1, 1, 2, 3, 4],
        &[0xa5, 8, 0, 0xff, 0xff],
        &[
            0xa5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        &[0xad, 2, 0, 2, 0, 1, 2],
        &[0xa7, 9, 0, 9, 4, 0xd0, 0, 0x34, 1, 0, 0x61],
        &[0x22, 9, 0, 0, 0, 2, 0, 0, 0, 1, 2],
        &[0x62, 9, 0, 0, 0, 6, 0, 0, 0, 0x38, 0, 1, 2, 3, 4],
        &[
            0xf1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 0, 0, 0,
        ],
        &[
            0xf1, 1, 1, 0x61, 0, 0, 1, 0, 0x61, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        &[0x3d, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    let types: Vec<Vec<u8>> = types.iter().map(|t| t.to_vec()).collect();
    let last = call(10, &[nvarchar("SELECT 1")]);
    let (spans, _) = asked([
        rpc(&[named("p", &types), last.clone(), last]),
        answer(&[fine()]),
    ]);
    // The calls behind them were found.
    assert_eq!(spans, ["<BATCH>@shop 50-60 batch=3"]);
    // A table, which cannot be passed over.
    let (spans, _) = asked([
        rpc(&[call(
            10,
            &[nvarchar("SELECT 1"), vec![0xf3, 0, 0, 1, 2, 3, 4]],
        )]),
        answer(&[fine()]),
    ]);
    assert_eq!(spans, ["SELECT 1@shop 50-60"]);
}

#[test]
fn transactions_and_bulks() {
    let ask = |what: u8, rest: &[u8]| Out(message(14, &with_headers(&[&[what, 0], rest].concat())));
    let (spans, _) = asked([
        ask(5, &[0, 0]),
        answer(&[counted(0xe3, &[8, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0]), fine()]),
        batch("insert bulk t (a int)"),
        answer(&[fine()]),
        Out([packet(7, 0, b"canary"), packet(7, 1, b"canary")].concat()),
        answer(&[done(0xfd, 0x10, 0, 2)]),
        ask(9, &[1, 0x61, 0]),
        answer(&[fine()]),
        ask(8, &[0, 0]),
        answer(&[fine()]),
        ask(7, &[0, 0]),
        answer(&[error(3902), done(0xfd, 2, 0, 0)]),
        ask(0, &[0, 0]),
        answer(&[fine()]),
    ]);
    let wanted = [
        "<BEGIN>@shop 50-60",
        "insert bulk t (a int)@shop 70-80",
        "<INSERT BULK>@shop 90-100",
        "<SAVE>@shop 110-120",
        "<ROLLBACK>@shop 130-140",
        "<COMMIT>@shop 150-160 3902",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn requests_are_stopped() {
    let stop = || Out(message(6, b""));
    let stopped = || done(0xfd, 0x20, 0, 0);
    let (spans, _) = asked([
        batch("WAITFOR DELAY '1'"),
        stop(),
        answer(&[stopped()]),
        batch("SELECT 1"),
        stop(),
        answer(&[rows(1), fine()]),
        answer(&[stopped()]),
        // What is sent is given up.
        Out(packet(1, 0, &with_headers(&utf16("SELECT")))),
        Out(packet(1, 3, b"")),
        answer(&[done(0xfd, 2, 0, 0)]),
        batch("SELECT 2"),
        answer(&[fine()]),
        Out(packet(1, 3, &with_headers(&utf16("SELECT")))),
        batch("SELECT 3"),
        answer(&[fine()]),
    ]);
    let wanted = [
        "WAITFOR DELAY '1'@shop 50-70 _OTHER",
        "SELECT 1@shop 80-100 rows=1 _OTHER",
        "SELECT@shop 120-140 _OTHER",
        "SELECT 2@shop 150-160",
        "SELECT@shop 170-180 _OTHER",
        "SELECT 3@shop 180-190",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn what_is_not_understood_ends_it() {
    for step in [
        Out(vec![0x53, 1, 0, 0, 16, 0, 0, 0]),
        Out(message(2, b"")),
        Out(message(0x10, b"")),
        Out(packet(1, 0, b"")[..3]
            .iter()
            .chain(&[7; 5])
            .copied()
            .collect()),
        In(message(1, b"")),
        answer(&[fine()]),
        Step::Skip(Direction::Out, 1),
    ] {
        let (spans, verdict) = asked([step.clone(), batch("SELECT 1"), answer(&[fine()])]);
        assert_eq!(
            (spans.len(), verdict),
            (0, Some(Verdict::Opaque)),
            "{step:?}"
        );
    }
    // A second request before the answer.
    let (spans, verdict) = asked([batch("SELECT 1"), batch("SELECT 2")]);
    assert_eq!(spans, ["SELECT 1@shop 50-60"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
}

#[test]
fn an_old_client_has_no_headers() {
    let version = counted(
        0xad,
        &[vec![1, 0x71, 0, 0, 1], short("x"), vec![8, 0, 0, 0]].concat(),
    );
    let old = |status: u8| [0xfd, status, 0, 0xc1, 0, 1, 0, 0, 0].to_vec();
    let described = [0x81, 1, 0, 0, 0, 0, 0, 0x38, 1, 0x61, 0, 0xd1, 1, 2, 3, 4].to_vec();
    let one = call(10, &[nvarchar("SELECT 2")]);
    let steps = [
        Out(login_as(0x7100_0001, "db", "shop")),
        answer(&[version, old(0)]),
        Out(message(1, &utf16("SELECT 1"))),
        answer(&[described, old(0x10)]),
        Out(message(3, &[one.clone(), vec![0x80], one].concat())),
        answer(&[vec![0x88, 1, 2, 3], old(0x10)]),
    ];
    let wanted = [
        "connect@shop 1-20",
        "SELECT 1@shop 30-40 rows=1",
        "SELECT 2@shop 50-60 batch=2 rows=1",
    ];
    assert_eq!(run(&steps).0, wanted);
}
