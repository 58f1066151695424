//! Requests found in what a server has read.

use super::super::super::tests::Recorder;
use super::inject::{PARENT, understood};
use super::*;
use crate::protocol::http2::arrivals::{Arrival, Arrivals};
use crate::protocol::{Direction, Stream};

fn requests(mut arrivals: Arrivals, bytes: &[u8]) -> Vec<Arrival> {
    std::iter::from_fn(|| arrivals.next(bytes)).collect()
}

/// Frames, and whether each is the whole head of a request.
fn frames() -> Vec<(Vec<u8>, Option<u32>)> {
    let get = |more: &[(&str, &str)]| request("GET", "/a", more);
    let padded = [&[3][..], &get(&[]), &[0; 3]].concat();
    let prioritized = [&[4, 0, 0, 0, 1, 9][..], &get(&[("x", "y")]), &[0; 4]].concat();
    let halves = get(&[("half", "and half")]);
    let (front, back) = halves.split_at(20);
    vec![
        (settings(), None),
        (frame(1, 5, 1, &get(&[])), Some(1)),
        (frame(1, 0xc, 3, &padded), Some(3)),
        (frame(0, 0, 3, b"data"), None),
        (frame(1, 5, 3, &block(&[("trailer", "1")])), None),
        (frame(1, 1, 5, front), None),
        (frame(9, 4, 5, back), None),
        (frame(8, 0, 0, &[0, 0, 1, 0]), None),
        (frame(1, 0x2d, 9, &prioritized), Some(9)),
        (frame(0xfa, 0xff, 0, b"unknown"), None),
        (frame(1, 5, 11, &get(&[])), Some(11)),
    ]
}

#[test]
fn whole_requests_are_found_wherever_the_read_begins_and_ends() {
    let frames = frames();
    let mut places = Vec::new();
    let mut bytes = PREFACE.to_vec();
    for (frame, stream) in &frames {
        places.extend(stream.map(|stream| (bytes.len(), bytes.len() + frame.len(), stream)));
        bytes.extend(frame);
    }
    for from in 0..bytes.len() {
        let mut host = Recorder::default();
        let mut stream = Stream::default();
        stream.feed(Direction::In, &bytes[..from], 1, &mut host);
        for to in [from + 60, from + 200, bytes.len()] {
            let to = to.min(bytes.len());
            let expected = places
                .iter()
                .filter(|(begin, end, _)| from <= *begin && *end <= to);
            let expected: Vec<_> = expected.map(|(at, _, n)| (at - from, *n)).collect();
            let found = stream.arrivals().map(|a| requests(a, &bytes[from..to]));
            let got: Vec<_> = found.iter().flatten().map(|a| (a.at, a.stream)).collect();
            // In the middle of a header nobody can tell; and with a preface that has just begun it may be another protocol.
            assert!(
                got == expected || found.is_none() && from > 0,
                "{from}..{to}: {got:?} instead of {expected:?}"
            );
        }
    }
    let told = (24..bytes.len()).filter(|from| {
        let mut stream = Stream::default();
        stream.feed(Direction::In, &bytes[..*from], 1, &mut Recorder::default());
        stream.arrivals().is_some()
    });
    assert!(told.count() > bytes.len() / 2);
}

#[test]
fn a_field_at_the_end_is_read_with_the_others() {
    let bytes = [
        PREFACE.to_vec(),
        frames().into_iter().flat_map(|(f, _)| f).collect(),
    ]
    .concat();
    let found = requests(Stream::default().arrivals().unwrap(), &bytes);
    let mut changed = bytes.clone();
    let added = field("traceparent", PARENT);
    for arrival in found.iter().rev() {
        let [_, length @ ..] = ((arrival.length + added.len()) as u32).to_be_bytes();
        changed.splice(arrival.end..arrival.end, added.iter().copied());
        changed[arrival.at..arrival.at + 3].copy_from_slice(&length);
    }
    let (mut blocks, others) = understood(&changed);
    let mut carrying = Vec::new();
    for (stream, fields) in &mut blocks {
        if let Some(at) = fields.iter().position(|(name, _)| name == "traceparent") {
            assert_eq!(fields.remove(at).1, PARENT);
            carrying.push(*stream);
        }
    }
    assert_eq!(carrying, [1, 3, 9, 11]);
    assert_eq!((blocks, others), understood(&bytes));
}

#[test]
fn only_servers_have_arrivals() {
    let opening = [PREFACE, &settings()].concat();
    for (dir, expected) in [(Direction::In, true), (Direction::Out, false)] {
        let mut stream = Stream::default();
        stream.feed(dir, &opening, 1, &mut Recorder::default());
        assert_eq!(stream.arrivals().is_some(), expected);
    }
    let mut stream = Stream::default();
    stream.feed(
        Direction::In,
        b"GET / HTTP/1.1\r\n",
        1,
        &mut Recorder::default(),
    );
    assert!(stream.arrivals().is_none());
}
