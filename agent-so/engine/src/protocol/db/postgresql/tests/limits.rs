//! What is more than can be followed, or is not seen.

use super::*;

#[test]
fn what_cannot_be_followed_ends_the_stream() {
    let ends = [
        In(all(&["ZI"])),
        In(all(&["CSELECT 1|"])),
        In(all(&["Z"])),
        In(all(&["x"])),
        In(all(&["2.", "x"])),
        In(b"T\0\0\0\x03".to_vec()),
        Out(all(&["x"])),
        Out(all(&["S."])),
        Out(all(&["pcanary"])),
        Out(all(&["QSELECT 1"])),
        Out(b"Q\xff\xff\xff\xff".to_vec()),
    ];
    for step in ends {
        let mut steps = entered();
        steps.push(step.clone());
        let (spans, verdict) = run(&steps);
        assert_eq!(verdict, Some(Verdict::Opaque), "{step:?}");
        assert_eq!(spans.len(), 1, "{step:?}");
    }
}

#[test]
fn a_broken_connection_ends_what_waits() {
    let asked = Out(all(&["QSELECT 1|"]));
    let broken = Ended::Failed(Fault::ConnectionReset);
    for (step, end) in [
        (Step::End(Direction::In, broken), " connection_reset"),
        (Step::End(Direction::In, Ended::Eof), " connection_closed"),
        (Close, ""),
    ] {
        let spans = inside(&[asked.clone(), step]);
        assert_eq!(spans, [format!("SELECT 1@shop 30-40{end}")]);
    }
    let spans = inside(&[
        asked,
        In(all(&["D", "EC57P01|"])),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans, ["SELECT 1@shop 30-50 57P01"]);
    let spans = inside(&[
        Out(all(&["QSELECT 2|"])),
        In(b"D\0\0".to_vec()),
        Step::End(Direction::In, Ended::Eof),
    ]);
    assert_eq!(spans, ["SELECT 2@shop 30-50 response_truncated"]);
}

/// Whether each statement is told to be of somebody unknown.
fn mixed(same_sender: bool, calls: &[&[&str]]) -> Vec<bool> {
    let mut steps = entered();
    steps.extend(calls.iter().map(|messages| Out(all(messages))));
    steps.push(Close);
    let mut host = Recorder {
        same_sender,
        ..recorder()
    };
    host.run(&steps, whole);
    let statements = host.finished[1..].iter();
    statements.map(|&i| host.exchanges[i].db.is_mixed).collect()
}

#[test]
fn what_many_ask_for_may_leave_in_one_call() {
    let one = [
        "P|SELECT|||",
        "B||",
        "E|||||",
        "P|SELECT|||",
        "B||",
        "E|||||",
        "S",
    ];
    let two = [&one[..], &one].concat();
    assert_eq!(mixed(false, &[&one, &one]), [false; 4]);
    assert_eq!(mixed(false, &[&two]), [false, false, true, true]);
    assert_eq!(
        mixed(false, &[&["Qa|", "Qb|"], &["Qc|"]]),
        [false, true, false]
    );
    assert_eq!(mixed(true, &[&two]), [false; 4]);
}

#[test]
fn bytes_that_were_not_seen() {
    let copy = [
        Out(all(&["QCOPY t FROM STDIN|"])),
        In(all(&["G.."])),
        Out(b"d\0\0\x10\x04a".to_vec()),
        Step::Skip(Direction::Out, 4094),
        Out(b"z".to_vec()),
        Out(all(&["c"])),
        In(all(&["CCOPY 1|", "ZI"])),
        Close,
    ];
    assert_eq!(inside(&copy), ["COPY t FROM STDIN@shop 30-90"]);
    let lost = [
        Out(b"Q\0\0\x10\0SELECT".to_vec()),
        Step::Skip(Direction::Out, 100),
    ];
    assert_eq!(inside(&lost), [""; 0]);
    let lost = [Out(all(&["QSELECT 1|"])), Step::Skip(Direction::In, 100)];
    assert_eq!(inside(&lost), ["SELECT 1@shop 30-40"]);
}

#[test]
fn long_texts_are_cut() {
    let long = format!("SELECT '{}'", "x".repeat(QUERY_MAX));
    let mut steps = entered();
    steps.extend([
        Out(all(&[&format!("Q{long}|")])),
        In(all(&["CSELECT 0|", "ZI"])),
        Out(all(&[&format!("P|{long}|||"), "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Out(all(&[
            &format!("P|{}|||", &long[..QUERY_MAX]),
            "B||",
            "E|||||",
            "S",
        ])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Close,
    ]);
    let mut host = recorder();
    host.run(&steps, whole);
    for (i, is_cut) in [(1, true), (2, true), (3, false)] {
        let ex = &host.exchanges[host.finished[i]];
        assert_eq!(lossy(ex.text(Field::Query)), long[..QUERY_MAX]);
        assert_eq!(ex.is_cut(Field::Query), is_cut, "{i}");
    }
}

#[test]
fn many_that_wait_are_counted() {
    for (asked, answer) in [
        (vec!["QSELECT 1|"], vec!["CSELECT 0|", "ZI"]),
        (
            vec!["P|SELECT 1|||", "B||", "E|||||", "S"],
            vec!["1", "2", "CSELECT 0|", "ZI"],
        ),
    ] {
        let mut steps: Vec<Step> = (0..200).map(|_| Out(all(&asked))).collect();
        steps.extend((0..200).map(|_| In(all(&answer))));
        steps.extend([Out(all(&asked)), In(all(&answer)), Close]);
        let spans = inside(&steps);
        assert_eq!(spans.len(), 31 + 1);
        assert_eq!(spans[0], "SELECT 1@shop 30-2030 rows=0");
        assert_eq!(spans[31], "SELECT 1@shop 4030-4040 rows=0");
    }
    // All in one go, with one synchronisation.
    let one = ["P|SELECT 1|||", "B||", "E|||||"];
    let mut steps = vec![Out([all(&one).repeat(200), all(&["S"])].concat())];
    steps.push(In([
        all(&["1", "2", "CSELECT 0|"]).repeat(200),
        all(&["ZI"]),
    ]
    .concat()));
    steps.extend([Out(all(&["QSELECT 2|"])), In(all(&["ZI"])), Close]);
    let spans = inside(&steps);
    assert_eq!(spans.len(), 31 + 1);
    assert_eq!(spans[31], "SELECT 2@shop 50-60");
}

#[test]
fn without_room_for_texts_statements_have_none() {
    let mut steps = entered();
    steps.extend([
        Out(all(&["P|SELECT 1|||", "B||", "E|||||", "S"])),
        In(all(&["1", "2", "CSELECT 0|", "ZI"])),
        Close,
    ]);
    let mut host = Recorder {
        no_wides: true,
        ..recorder()
    };
    host.run(&steps, whole);
    assert_eq!(summary(&host)[1], "-@shop 30-40 rows=0");
    let mut host = Recorder {
        full: true,
        ..recorder()
    };
    host.run(&steps, whole);
    assert_eq!(host.verdict, Some(Verdict::Opaque));
    assert_eq!(host.passed_over, 0);
}
