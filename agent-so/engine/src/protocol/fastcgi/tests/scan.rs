//! The look at a request before it is written.

use super::super::super::tests::Recorder;
use super::*;
use crate::protocol::outgoing::{Head, Scan, Syntax};
use crate::protocol::{Direction, Stream};

const TP: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is found in `now` after `before` went out, in all splits in two; all must agree.
fn find(before: &[u8], now: &[u8]) -> Option<Head> {
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    if !before.is_empty() {
        stream.feed(Direction::Out, before, 1, &mut host);
    }
    let found = |pieces: &[&[u8]]| {
        let mut scan = stream.scan_outgoing()?;
        for piece in pieces {
            scan.push(piece);
        }
        scan.head()
    };
    let whole = found(&[now]);
    let bytes: Vec<&[u8]> = now.chunks(1).collect();
    assert_eq!(found(&bytes), whole);
    for at in 0..now.len() {
        let (a, b) = now.split_at(at);
        assert_eq!(found(&[a, b]), whole, "cut at {at}");
    }
    whole
}

/// The records of a request up to the empty one, as nginx (one write) and Apache (three) send them.
fn head(params: &[(&str, &str)]) -> [Vec<u8>; 3] {
    [
        begin(7, true),
        padded(PARAMS, 7, &pairs(params), 3),
        record(PARAMS, 7, b""),
    ]
}

#[test]
fn the_place_is_in_front_of_the_empty_record() {
    let parts = head(&GET);
    let before_end = parts[0].len() + parts[1].len();
    let expected = Head {
        insert_at: before_end,
        len: before_end + 8,
        traceparent: None,
        has_traceparent: false,
        has_tracestate: false,
        has_baggage: false,
        signed: false,
        is_partial: false,
        syntax: Syntax::Params(7),
    };
    assert_eq!(
        find(b"", &request(7, true, &GET, b"body").clone()),
        Some(Head {
            insert_at: before_end - 3,
            len: before_end + 5,
            ..expected
        })
    );
    assert_eq!(find(b"", &parts.concat()), Some(expected));
    // The second request of a connection.
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    stream.feed(Direction::Out, &get(7, true), 1, &mut host);
    assert!(stream.scan_outgoing().is_none(), "one at a time");
    stream.feed(Direction::In, &answer(7, OK), 1, &mut host);
    let mut scan = stream.scan_outgoing().unwrap();
    assert_eq!(scan.push(&parts.concat()), Scan::Complete);
    assert_eq!(scan.head(), Some(expected));
    // Whatever the program wrote before, as long as the empty record begins in this write.
    let all = parts.concat();
    for cut in 1..all.len() {
        let found = find(&all[..cut], &all[cut..]);
        let expected = Head {
            insert_at: before_end.wrapping_sub(cut),
            len: all.len() - cut,
            ..expected
        };
        // The first 15 bytes of a connection leave it unknown.
        let possible = (16..=before_end).contains(&cut);
        assert_eq!(found, possible.then_some(expected), "cut at {cut}");
    }
}

#[test]
fn what_the_request_carries_already() {
    let carrying = [
        GET[0],
        ("HTTP_TRACEPARENT", TP),
        GET[1],
        ("HTTP_TRACESTATE", "a=1"),
        ("HTTP_BAGGAGE", ""),
    ];
    let all = head(&carrying).concat();
    let value_at = all
        .windows(TP.len())
        .position(|w| w == TP.as_bytes())
        .unwrap();
    let found = find(b"", &all).unwrap();
    assert_eq!(found.traceparent, Some(value_at));
    assert!(found.has_traceparent && found.has_tracestate && found.has_baggage && !found.signed);
    for cut in 16..head(&carrying)[..2].concat().len() {
        let found = find(&all[..cut], &all[cut..]).unwrap();
        let whole = cut <= value_at - "HTTP_TRACEPARENT".len();
        if whole || cut > value_at {
            assert_eq!(
                found.traceparent,
                whole.then(|| value_at - cut),
                "cut at {cut}"
            );
        }
        assert!(
            found.has_traceparent && found.has_tracestate && found.has_baggage,
            "cut at {cut}"
        );
    }
    // In two records, twice, or of another length: not replaced.
    let bytes = pairs(&carrying);
    let (a, b) = bytes.split_at(60);
    let split = [
        begin(7, true),
        record(PARAMS, 7, a),
        record(PARAMS, 7, b),
        record(PARAMS, 7, b""),
    ]
    .concat();
    let twice = head(&[("HTTP_TRACEPARENT", TP), ("HTTP_TRACEPARENT", TP)]).concat();
    let longer = head(&[("HTTP_TRACEPARENT", &(TP.to_owned() + " "))]).concat();
    for odd in [split, twice, longer] {
        let found = find(b"", &odd).unwrap();
        assert_eq!((found.traceparent, found.has_traceparent), (None, true));
    }
    for signed in [
        ("HTTP_SIGNATURE", "x"),
        ("HTTP_AUTHORIZATION", "AWS4-HMAC-SHA256 x"),
    ] {
        let all = head(&[GET[0], GET[1], signed]).concat();
        for cut in [0, 16, all.len() - 8] {
            assert!(find(&all[..cut], &all[cut..]).unwrap().signed);
        }
    }
}

#[test]
fn where_nothing_may_be_added() {
    let inside = [
        begin(7, true),
        record(PARAMS, 7, &pairs(&GET)[..20]),
        record(PARAMS, 7, b""),
    ];
    let early = [
        begin(7, true),
        record(PARAMS, 7, &pairs(&GET)),
        record(STDIN, 7, b"x"),
        record(PARAMS, 7, b""),
    ];
    let two = [begin(7, true), begin(8, true), record(PARAMS, 7, b"")];
    let others = [begin(7, true), record(PARAMS, 8, b"")];
    let no_begin = [record(PARAMS, 7, &pairs(&GET)), record(PARAMS, 7, b"")];
    let bytes = [
        inside.concat(),
        early.concat(),
        two.concat(),
        others.concat(),
        no_begin.concat(),
        b"\x01".to_vec(),
    ];
    for bytes in bytes {
        assert_eq!(find(b"", &bytes), None, "{}", bytes.escape_ascii());
    }
    let mut stream = Stream::default();
    stream.feed(Direction::In, &begin(1, true), 1, &mut Recorder::default());
    assert!(stream.scan_outgoing().is_none(), "a server");
}

#[test]
fn a_context_is_replaced_before_the_head_ends() {
    let carrying = [GET[0], ("HTTP_TRACEPARENT", TP), GET[1]];
    let (begin, params) = (begin(7, true), record(PARAMS, 7, &pairs(&carrying)));
    let found = find(&begin, &params).unwrap();
    assert!(found.is_partial && found.len == params.len());
    let at = found.traceparent.unwrap();
    assert_eq!(&params[at..at + TP.len()], TP.as_bytes());
    // Not in the middle of a record or of a pair.
    assert_eq!(find(&begin, &params[..params.len() - 1]), None);
    let cut = record(PARAMS, 7, &pairs(&carrying)[..90]);
    assert_eq!(find(&begin, &cut), None);

    // The head is told once, if enough is known of the request.
    for (more, heads) in [(&carrying[..], 1), (&carrying[..2], 0)] {
        let (mut stream, mut host) = (Stream::default(), Recorder::default());
        let feed = |stream: &mut Stream, host: &mut Recorder, dir, bytes: &[u8]| {
            stream.feed(dir, bytes, 1, host);
        };
        feed(&mut stream, &mut host, Direction::Out, &begin);
        feed(
            &mut stream,
            &mut host,
            Direction::Out,
            &record(PARAMS, 7, &pairs(more)),
        );
        stream.settle_head(&mut host);
        stream.settle_head(&mut host);
        assert_eq!(host.events.len(), heads);
        let rest = [record(PARAMS, 7, &pairs(&GET[1..])), record(PARAMS, 7, b"")].concat();
        feed(&mut stream, &mut host, Direction::Out, &rest);
        assert_eq!(host.events, ["head /a"]);
        feed(&mut stream, &mut host, Direction::In, &answer(7, OK));
        assert_eq!(host.summary(), ["GET /a 200 ok 0/5 1-1"]);
    }
    // A settled head is no partial one any more.
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    stream.feed(Direction::Out, &[begin, params].concat(), 1, &mut host);
    stream.settle_head(&mut host);
    stream.close(2, &mut host);
    assert_eq!(host.summary(), ["GET /a 0 ok 0/0 1-2"]);
}
