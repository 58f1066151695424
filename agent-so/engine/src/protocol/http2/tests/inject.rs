//! Fields added to requests that are about to be written.

use proptest::prelude::*;

use super::super::super::tests::Recorder;
use super::*;
use crate::config::traces::Propagators;
use crate::context::headers::{CONTEXT_HEADERS_MAX, Outgoing, write_context_headers};
use crate::context::{SpanContext, SpanId, TraceFlags, TraceId, parse_traceparent};
use crate::protocol::outgoing::{Head, Scan, Syntax};
use crate::protocol::{Direction, Stream};

const CONTEXT: SpanContext = SpanContext {
    trace_id: TraceId([0xab; 16]),
    span_id: SpanId([0xcd; 8]),
    flags: TraceFlags::SAMPLED,
    remote: false,
};
pub(super) const PARENT: &str = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01";
pub(super) const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a request gets, and what a `traceparent` becomes that it has.
#[derive(Clone, Copy)]
pub(super) struct Adds<'a> {
    pub(super) tracestate: &'a [u8],
    pub(super) baggage: &'a [u8],
    pub(super) replace: bool,
}

pub(super) const PARENT_ONLY: Adds<'static> = Adds {
    tracestate: b"",
    baggage: b"",
    replace: false,
};

/// What goes out when the program writes `pieces` in one call.
pub(super) fn write(
    stream: &mut Stream,
    host: &mut Recorder,
    pieces: &[&[u8]],
    adds: Adds<'_>,
) -> Vec<u8> {
    let program = pieces.concat();
    let (mut out, mut done) = (Vec::new(), 0);
    while let Some(head) = find(stream, pieces, done) {
        let end = done + head.len;
        stream.feed(Direction::Out, &program[done..end], 1, host);
        let edited = stream
            .complete_head(head, host)
            .and_then(|head| edit(&program[done..end], head, adds));
        match edited {
            Some(bytes) => out.extend(bytes),
            None => out.extend(&program[done..end]),
        }
        done = end;
    }
    stream.feed(Direction::Out, &program[done..], 1, host);
    out.extend(&program[done..]);
    out
}

/// Scans what is left of the pieces behind the first `done` bytes.
fn find(stream: &Stream, pieces: &[&[u8]], done: usize) -> Option<Head> {
    let mut scan = stream.scan_outgoing()?;
    let mut passed = 0;
    for piece in pieces {
        let from = done.saturating_sub(passed).min(piece.len());
        passed += piece.len();
        if scan.push(&piece[from..]) != Scan::More {
            break;
        }
    }
    scan.head()
}

fn edit(program: &[u8], head: Head, adds: Adds<'_>) -> Option<Vec<u8>> {
    let replaces = head.has_traceparent;
    let restates = replaces && !adds.replace && head.replace.is_some_and(|r| r.restates);
    if head.signed || replaces && !adds.replace && !restates {
        return None;
    }
    let syntax = if replaces {
        Syntax::HeaderBlock(head.replace?)
    } else {
        head.syntax
    };
    let Syntax::HeaderBlock(block) = syntax else {
        return None;
    };
    let own = parse_traceparent(OTHER.as_bytes())?;
    let outgoing = Outgoing {
        syntax,
        propagators: Propagators::default(),
        context: Some(if restates { &own } else { &CONTEXT }),
        tracestate: adds.tracestate,
        baggage: adds.baggage,
        has_tracestate: head.has_tracestate || replaces,
        has_baggage: head.has_baggage || replaces,
    };
    let mut new = vec![0; CONTEXT_HEADERS_MAX];
    new[..block.keep].copy_from_slice(&program[head.insert_at..][..block.keep]);
    let len = write_context_headers(&outgoing, &mut new);
    if len == 0 {
        return None;
    }
    let before = &program[..head.insert_at];
    let after = &program[head.insert_at + block.skip..];
    Some([before, &new[..len], after].concat())
}

/// Every frame: kind, flags, stream, payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    bytes = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    let mut all = Vec::new();
    while let [a, b, c, kind, flags, id @ ..] = bytes {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes(*id.first_chunk().unwrap());
        all.push((*kind, *flags, stream, bytes[9..9 + len].to_vec()));
        bytes = &bytes[9 + len..];
    }
    all
}

/// Streams, and the fields of a block on each.
pub(super) type Blocks = Vec<(u32, Vec<(String, String)>)>;

/// The fields of all blocks, by another implementation, and all other frames.
pub(super) fn understood(bytes: &[u8]) -> (Blocks, Vec<Vec<u8>>) {
    let mut decoder = fluke_hpack::Decoder::new();
    let (mut blocks, mut others, mut open) = (Blocks::new(), Vec::new(), Vec::new());
    for (kind, flags, stream, payload) in frames(bytes) {
        let mut fragment = &payload[..];
        if !matches!(kind, 1 | 9) {
            others.push(frame(kind, flags, stream, &payload));
            continue;
        }
        if kind == 1 && flags & 8 != 0 {
            fragment = &fragment[1..fragment.len() - usize::from(fragment[0])];
        }
        if kind == 1 && flags & 0x20 != 0 {
            fragment = &fragment[5..];
        }
        open.extend(fragment);
        if flags & 4 != 0 {
            let fields = decoder.decode(&std::mem::take(&mut open)).unwrap();
            let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
            let fields = fields.into_iter().map(|(n, v)| (text(n), text(v)));
            blocks.push((stream, fields.collect()));
        }
    }
    (blocks, others)
}

/// What the peer understands of `writes`, with and without the additions, the additions taken out again; and which streams
/// had them.
fn differences(writes: &[Vec<&[u8]>], adds: Adds<'_>) -> Vec<u32> {
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    let mut wire = Vec::new();
    for pieces in writes {
        wire.extend(write(&mut stream, &mut host, pieces, adds));
    }
    let plain: Vec<u8> = writes.concat().concat();
    let (before, others) = understood(&plain);
    let (after, same_others) = understood(&wire);
    assert_eq!(others, same_others, "no other frame is touched");
    assert_eq!(before.len(), after.len());
    let mut changed = Vec::new();
    for ((stream, old), (same, new)) in before.into_iter().zip(after) {
        assert_eq!(stream, same);
        if old == new {
            continue;
        }
        let ours = [
            ("traceparent", PARENT.as_bytes()),
            ("tracestate", adds.tracestate),
            ("baggage", adds.baggage),
        ];
        let mut rest = new.clone();
        let at = rest.iter().position(|(name, _)| !name.starts_with(':'));
        let at = at.unwrap_or(rest.len());
        for (name, value) in ours {
            if rest.get(at).is_some_and(|(n, _)| n == name) {
                let (_, got) = rest.remove(at);
                assert!(value.starts_with(got.as_bytes()), "{name}: {got}");
            }
        }
        assert_eq!(rest, old, "nothing but the additions");
        changed.push(stream);
    }
    changed
}

pub(super) fn get(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(1, 5, stream, &request("GET", "/a", more))
}

#[test]
fn every_request_of_a_write_gets_its_fields() {
    let adds = Adds {
        tracestate: b"a=1",
        baggage: b"b=2,c=3",
        replace: false,
    };
    let padded = [
        vec![2, 0, 0, 0, 0, 7],
        request("GET", "/p", &[("x", "y")]),
        vec![0; 2],
    ]
    .concat();
    let long = request("GET", "/c", &[("x", &"y".repeat(40))]);
    let (front, back) = long.split_at(long.len() - 30);
    let all = [
        PREFACE.to_vec(),
        settings(),
        get(1, &[("user-agent", "x")]),
        frame(1, 4, 3, &request("POST", "/b", &[("te", "trailers")])),
        frame(0, 1, 3, &[b'd'; 300]),
        frame(1, 0x2d, 5, &padded),
        frame(1, 1, 7, front),
        frame(9, 4, 7, back),
        frame(1, 5, 3, &block(&[("x-trailer", "1")])),
        get(9, &[]),
    ]
    .concat();
    for adds in [adds, PARENT_ONLY] {
        assert_eq!(differences(&[vec![&all]], adds), [1, 3, 5, 7, 9]);
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(differences(&[bytes], adds), [1, 3, 5, 7, 9]);
    }
}

/// What stands behind the padding of the first frame is not in it.
#[test]
fn padding_in_front_of_the_rest_of_a_block() {
    let block = request("GET", "/p", &[("x", "y")]);
    let padded = |kept: usize| {
        let payload = [&[9][..], &block[..kept], &[0; 9]].concat();
        let first = frame(1, 9, 1, &payload);
        let rest = frame(9, 4, 1, &block[kept..]);
        [PREFACE.to_vec(), settings(), first, rest].concat()
    };
    let pseudo = request("GET", "/p", &[]).len();
    for kept in 0..=block.len() {
        let changed: &[u32] = if kept < pseudo { &[] } else { &[1] };
        assert_eq!(
            differences(&[vec![&padded(kept)]], PARENT_ONLY),
            changed,
            "{kept}"
        );
    }
}

/// The shape of a request is not taken for that of the next one, which is none.
#[test]
fn a_request_that_ends_in_front_of_what_is_none() {
    let good = get(1, &[("x", "y")]);
    let none = frame(1, 5, 3, &block(&[(":path", "/a"), ("name", "value")]));
    let first = [PREFACE.to_vec(), settings(), good[..12].to_vec()].concat();
    let second = [&good[12..], &none[..], &get(5, &[])].concat();
    assert_eq!(
        differences(&[vec![&first], vec![&second]], PARENT_ONLY),
        [5]
    );
}

#[test]
fn a_block_that_is_not_whole_in_hand_is_left_alone() {
    let open = [PREFACE.to_vec(), settings()].concat();
    let one = [get(1, &[]), frame(0, 0, 1, b"xyz")].concat();
    let (first, two) = (get(1, &[]).len(), get(3, &[]));
    let rest = [one.clone(), two].concat();
    for cut in 1..rest.len() {
        let (a, b) = rest.split_at(cut);
        let expected: &[u32] = match cut {
            _ if cut < first => &[3],
            _ if cut <= one.len() => &[1, 3],
            _ => &[1],
        };
        let writes = [vec![&open[..]], vec![a], vec![b]];
        assert_eq!(differences(&writes, PARENT_ONLY), expected, "cut at {cut}");
    }
}

#[test]
fn the_preface_may_be_cut_anywhere() {
    let all = [PREFACE.to_vec(), settings(), get(1, &[])].concat();
    for cut in 1..PREFACE.len() + 9 {
        let (a, b) = all.split_at(cut);
        assert_eq!(differences(&[vec![a, b]], PARENT_ONLY), [1], "in one write");
        // Until the preface is complete it is not certain what this is.
        let expected: &[u32] = if cut < PREFACE.len() { &[] } else { &[1] };
        let writes = [vec![a], vec![b]];
        assert_eq!(differences(&writes, PARENT_ONLY), expected, "{cut}");
    }
    // What only begins like it is HTTP/1.
    let mut scan = Stream::default().scan_outgoing().unwrap();
    for piece in [&b"PR"[..], b"OPFIND / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        scan.push(piece);
    }
    let head = scan.head().unwrap();
    assert_eq!((head.insert_at, head.syntax), (21, Syntax::FieldLines));
}

#[test]
fn who_carries_a_context_or_a_signature_gets_none() {
    let open = [PREFACE.to_vec(), settings()].concat();
    let untouched = [
        get(1, &[("traceparent", OTHER)]),
        get(1, &[("traceparent", "nonsense")]),
        get(1, &[("authorization", "AWS4-HMAC-SHA256 x")]),
        get(1, &[("signature", "x")]),
        // A pseudo-header field behind another one: no request as it should be.
        frame(
            1,
            5,
            1,
            &[block(&[("x", "y")]), request("GET", "/", &[])].concat(),
        ),
        frame(1, 5, 1, &block(&[(":method", "GET")])),
        // By the table, and coded.
        frame(
            1,
            5,
            1,
            &[
                &request("GET", "/", &[]),
                &[0x40, 11][..],
                b"traceparent",
                &[1, b'x'],
            ]
            .concat(),
        ),
        frame(
            1,
            5,
            1,
            &[
                &request("GET", "/", &[])[..],
                &[
                    0x00, 0x88, 0x4d, 0x83, 0x21, 0x6b, 0x1d, 0x85, 0xa9, 0x3f, 1, b'x',
                ],
            ]
            .concat(),
        ),
    ];
    for request in untouched {
        let writes = [vec![&open[..]], vec![&request]];
        assert_eq!(differences(&writes, PARENT_ONLY), [0u32; 0]);
    }
    // Servers send no requests.
    let (mut stream, mut host) = (Stream::default(), Recorder::default());
    stream.feed(Direction::In, &[open, get(1, &[])].concat(), 1, &mut host);
    assert!(stream.scan_outgoing().is_none());
}

#[test]
fn a_frame_never_grows_beyond_what_the_peer_accepts() {
    let open = [PREFACE.to_vec(), settings()].concat();
    // A length that takes three bytes has to find room as well.
    let field = 1 + 1 + 11 + 3 + 55;
    let empty = request("GET", "/a", &[("x", &"y".repeat(1000))]).len() - 1000;
    for limit in [16_384, 20_000] {
        for spare in [0, field - 1, field, field + 20] {
            let (mut stream, mut host) = (Stream::default(), Recorder::default());
            write(&mut stream, &mut host, &[&open], PARENT_ONLY);
            let value = "y".repeat(limit - empty - spare);
            let [_, _, high, low] = (limit as u32).to_be_bytes();
            let theirs = frame(4, 0, 0, &[0, 5, 0, 0, high, low]);
            stream.feed(Direction::In, &theirs, 1, &mut host);
            // The length of a long value takes a byte more.
            let excess = get(1, &[("x", &value)]).len() - (9 + limit - spare);
            let request = get(1, &[("x", &value[excess..])]);
            let wire = write(&mut stream, &mut host, &[&request], PARENT_ONLY);
            assert_eq!(wire.len() > request.len(), spare >= field, "{spare}");
            assert!(wire.len() <= 9 + limit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// However a program cuts what it writes, the peer understands the same requests, some with additions.
    #[test]
    fn the_peer_understands_the_same(
        cuts in prop::collection::vec((1usize..400, any::<bool>()), 0..30),
        bag in prop::collection::vec(b'a'..=b'z', 0..300),
        value in 0usize..300,
    ) {
        let value = "v".repeat(value);
        let mut all = [PREFACE.to_vec(), settings()].concat();
        for i in 0..10 {
            let stream = 2 * i + 1;
            // The first adds a field to the table, which the others refer to.
            let shared: &[u8] = if i == 0 { b"\x40\x01k\x01v" } else { b"\xbe" };
            let block = [&request("GET", "/path", &[("x", &value)])[..], shared].concat();
            let (front, back) = block.split_at(block.len() * i as usize / 10);
            if i % 3 == 2 {
                all.extend([frame(1, 0, stream, front), frame(9, 4, stream, back)].concat());
            } else {
                all.extend(frame(1, 4, stream, &block));
            }
            all.extend(frame(0, 1, stream, &vec![b'd'; i as usize * 20]));
        }
        let mut writes: Vec<Vec<&[u8]>> = vec![Vec::new()];
        let mut rest = &all[..];
        for (len, ends) in cuts {
            let (piece, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            writes.last_mut().unwrap().push(piece);
            if ends {
                writes.push(Vec::new());
            }
        }
        writes.last_mut().unwrap().push(rest);
        let adds = Adds { baggage: &bag, ..PARENT_ONLY };
        let changed = differences(&writes, adds);
        // In blocks of several frames the place may be in a later one.
        if writes.len() == 1 {
            prop_assert!(changed.len() >= 7);
        }
    }
}
