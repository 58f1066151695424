//! Commands and their answers.

use super::*;

#[test]
fn a_command_and_its_answer() {
    for (request, shown) in [
        (find(7), FIND),
        (command(7, "ping", int("ping", 1), &[]), "shop.ping -"),
        (
            command(7, "aggregate", string("aggregate", "items"), &[]),
            "shop.aggregate items",
        ),
        (
            command(7, "aggregate", int("aggregate", 1), &[]),
            "shop.aggregate -",
        ),
        (
            command(7, "explain", nested("explain", &[string("find", "x")]), &[]),
            "shop.explain -",
        ),
        (
            command(
                7,
                "getMore",
                element(0x12, "getMore", &[7; 8]),
                &[string("collection", "items")],
            ),
            "shop.getMore items",
        ),
        (
            command(
                7,
                "createUser",
                string("createUser", "hush"),
                &[string("pwd", "hush")],
            ),
            "shop.createUser -",
        ),
        (
            message(7, 0, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"),
            "-.- -",
        ),
    ] {
        let (spans, _) = run(&[Out(request), In(done(7)), Close]);
        assert_eq!(spans, ["connect 1-2", &format!("{shown} 10-20")]);
    }
}

#[test]
fn every_type_of_value_is_passed_over() {
    let mut all = Vec::new();
    for (kind, value) in [
        (0x01, &[0; 8][..]),
        (0x05, b"\x02\0\0\0\x04ab"),
        (0x06, b""),
        (0x07, &[1; 12]),
        (0x08, b"\x01"),
        (0x09, &[2; 8]),
        (0x0a, b""),
        (0x0b, b"regex\0i\0"),
        (0x0c, b"\x02\0\0\0n\0abcdefghijkl"),
        (0x0d, b"\x02\0\0\0c\0"),
        (0x0e, b"\x02\0\0\0s\0"),
        (0x0f, b"\x0f\0\0\0\x02\0\0\0c\0\x05\0\0\0\0"),
        (0x10, &[3; 4]),
        (0x11, &[4; 8]),
        (0x12, &[5; 8]),
        (0x13, &[6; 16]),
        (0xff, b""),
        (0x7f, b""),
        (0x03, b"\x05\0\0\0\0"),
        (0x04, b"\x05\0\0\0\0"),
    ] {
        all.push(element(kind, "x", value));
    }
    let (spans, _) = run(&[
        Out(command(1, "find", string("find", "items"), &all)),
        In(msg(2, 1, 0, &[all.concat(), ok(1.0)])),
        Close,
    ]);
    assert_eq!(spans[1], format!("{FIND} 10-20"));
}

#[test]
fn what_went_wrong_has_a_code() {
    let wrong = |elements: &[Vec<u8>]| msg(9, 7, 0, elements);
    let text = string("errmsg", "hush");
    for (answer, shown) in [
        (wrong(&[ok(0.0), text.clone(), int("code", 59)]), " 59"),
        (wrong(&[int("ok", 0), int("code", 11000)]), " 11000"),
        (wrong(&[element(8, "ok", &[0]), int("code", -1)]), " -1"),
        (wrong(&[ok(0.0), text.clone()]), " _OTHER"),
        (
            wrong(&[
                int("n", 0),
                array(
                    "writeErrors",
                    2,
                    &[int("index", 0), int("code", 11000), text.clone()],
                ),
                ok(1.0),
            ]),
            " 11000",
        ),
        (
            wrong(&[nested("writeConcernError", &[int("code", 64)]), ok(1.0)]),
            " 64",
        ),
        (wrong(&[nested("other", &[int("code", 64)]), ok(1.0)]), ""),
        (message(9, 7, 2012, b"\xdd\x07\0\0\x99\0\0\0\x03packed"), ""),
    ] {
        let (spans, _) = run(&[Out(find(7)), In(answer), Close]);
        assert_eq!(spans[1], format!("{FIND} 10-20{shown}"));
    }
}

#[test]
fn rows_and_batches_are_counted() {
    let batch = |elements: &[Vec<u8>]| msg(9, 7, 0, elements);
    let found = |name, n| {
        nested(
            "cursor",
            &[
                array(name, n, &[string("a", "hush"), int("code", 5)]),
                int("id", 0),
            ],
        )
    };
    for (name, n) in [("firstBatch", 0), ("firstBatch", 3), ("nextBatch", 101)] {
        let (spans, _) = run(&[Out(find(7)), In(batch(&[found(name, n), ok(1.0)])), Close]);
        assert_eq!(spans[1], format!("{FIND} 10-20 rows={n}"));
    }
    let body = bson(&[string("insert", "items"), string("$db", "shop")]);
    for (content, shown) in [
        (
            [&[0; 5][..], &body, &sequence("documents", 3)].concat(),
            " x3",
        ),
        (
            [&[0; 4][..], &sequence("documents", 2), b"\0", &body].concat(),
            " x2",
        ),
        ([&[0; 5][..], &body, &sequence("documents", 1)].concat(), ""),
        ([&[0; 5][..], &body, &sequence("others", 4)].concat(), ""),
        (
            [
                &b"\x01\0\0\0\0"[..],
                &body,
                &sequence("documents", 5),
                b"sum!",
            ]
            .concat(),
            " x5",
        ),
    ] {
        let (spans, _) = run(&[Out(message(7, 0, 2013, &content)), In(done(7)), Close]);
        assert_eq!(spans[1], format!("shop.insert items 10-20{shown}"));
    }
    let documents = array("documents", 4, &[string("a", "hush")]);
    let (spans, _) = run(&[
        Out(command(
            7,
            "insert",
            string("insert", "items"),
            &[documents],
        )),
        In(done(7)),
        Close,
    ]);
    assert_eq!(spans[1], "shop.insert items 10-20 x4");
}

#[test]
fn answers_are_found_by_what_they_answer() {
    let (spans, _) = run(&[
        Out(find(1)),
        Out(find(2)),
        Out(msg(
            3,
            0,
            2,
            &[string("delete", "items"), string("$db", "shop")],
        )),
        In(done(2)),
        In(done(77)),
        In(done(1)),
        Close,
    ]);
    assert_eq!(
        spans,
        [
            "connect 1-2",
            "shop.delete items 30-30",
            &format!("{FIND} 20-40"),
            &format!("{FIND} 10-60")
        ]
    );
    // Several answers to one.
    let rows = |id, answers, flags| {
        msg(
            id,
            answers,
            flags,
            &[nested("cursor", &[array("nextBatch", 2, &[])]), ok(1.0)],
        )
    };
    let (spans, _) = run(&[
        Out(find(1)),
        In(rows(2, 1, 2)),
        In(rows(3, 2, 2)),
        In(rows(4, 3, 0)),
        Out(find(5)),
        In(done(5)),
        Close,
    ]);
    assert_eq!(
        spans[1..],
        [format!("{FIND} 10-40 rows=6"), format!("{FIND} 50-60")]
    );
}
