//! What a client writes, cut anywhere, with a context added where that can be done: the peer reads the same frames and the same
//! fields, but for the context.
#![no_main]

#[path = "host.rs"]
mod host;

use agent_engine::config::traces::Propagators;
use agent_engine::context::headers::{CONTEXT_HEADERS_MAX, Outgoing, write_context_headers};
use agent_engine::context::{SpanContext, SpanId, TraceFlags, TraceId};
use agent_engine::protocol::outgoing::{Head, Scan, Syntax};
use agent_engine::protocol::{Direction, Stream, Verdict};
use host::Store;
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// What every block ends with: GET, and a path.
const END: &[u8] = b"\x82\x84";
/// What a peer accepts that has said nothing.
const FRAME_SIZE: usize = 16384;

const CONTEXT: SpanContext = SpanContext {
    trace_id: TraceId([0xab; 16]),
    span_id: SpanId([0xcd; 8]),
    flags: TraceFlags::SAMPLED,
    remote: false,
};
const ADDED: [(&[u8], &[u8]); 3] = [
    (
        b"traceparent",
        b"00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01",
    ),
    (b"tracestate", b"a=1"),
    (b"baggage", b"b=2"),
];

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, (payload.len() >> 8) as u8, payload.len() as u8];
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut all = Vec::new();
    while let [a, b, c, kind, flags, id @ ..] = bytes {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes(*id.first_chunk().expect("a stream"));
        let payload = &bytes[9..9 + len];
        all.push(Frame {
            kind: *kind,
            flags: *flags,
            stream,
            payload,
        });
        bytes = &bytes[9 + len..];
    }
    all
}

/// A request: with bits of `shape` padded, with a priority, and cut into two frames.
fn request(shape: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    let (first, rest) = if shape & 4 != 0 {
        block.split_at(block.len() * usize::from(shape >> 3) / 32)
    } else {
        (block, &[][..])
    };
    let mut payload = Vec::new();
    let padding = if shape & 1 != 0 { shape >> 3 } else { 0 };
    if shape & 1 != 0 {
        payload.push(padding);
    }
    if shape & 2 != 0 {
        payload.extend(b"\0\0\0\0\x10");
    }
    payload.extend(first);
    payload.resize(payload.len() + usize::from(padding), 0);
    let whole = shape & 4 == 0;
    let flags = u8::from(whole) << 2 | (shape & 1) << 3 | (shape & 2) << 4;
    let mut bytes = frame(1, flags, stream, &payload);
    if !whole {
        bytes.extend(frame(9, 4, stream, rest));
    }
    bytes
}

/// The client's bytes behind the preface, as far as both decoders follow them, and the fields of its blocks.
fn program(mut items: &[u8]) -> (Vec<u8>, Vec<Fields>) {
    let (mut stream, mut host) = (Stream::default(), Store::default());
    let mut decoder = fluke_hpack::Decoder::new();
    decoder.set_max_allowed_table_size(8192);
    stream.feed(Direction::Out, PREFACE, 1, &mut host);
    stream.feed(Direction::Out, SETTINGS, 1, &mut host);
    let (mut bytes, mut blocks, mut id) = (SETTINGS.to_vec(), Vec::new(), 1);
    while let [what, shape, len, rest @ ..] = items {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        items = rest;
        // A large block is one field that is long.
        let filler = vec![
            b'f';
            if what & 0x80 != 0 {
                usize::from(*shape) << 6
            } else {
                0
            }
        ];
        let long = [&b"\0\x01l\x7f"[..], &number(filler.len()), &filler].concat();
        let block = [content, if filler.len() < 127 { b"" } else { &long }, END].concat();
        let next = match what & 7 {
            0 => frame(0, 0, id, content),
            1 => frame(2, 0, id, b"\0\0\0\0\x10"),
            2 => frame(6, 0, 0, b"12345678"),
            3 => frame(0x20, *shape, id, content),
            _ => {
                id += 2;
                request(*shape, id, &block)
            }
        };
        if stream.feed(Direction::Out, &next, 1, &mut host) == Verdict::Opaque {
            break;
        }
        if what & 7 > 3 {
            let Ok(fields) = decoder.decode(&block) else {
                break;
            };
            blocks.push(fields);
        }
        bytes.extend(next);
    }
    stream.close(2, &mut host);
    (bytes, blocks)
}

/// What follows the prefix of a length above 126.
fn number(len: usize) -> [u8; 3] {
    let more = len.saturating_sub(127);
    [
        (more & 0x7f) as u8 | 0x80,
        (more >> 7 & 0x7f) as u8 | 0x80,
        (more >> 14) as u8,
    ]
}

/// What goes out when the program writes `bytes` in one call, in two places of its memory.
fn write(stream: &mut Stream, host: &mut Store, bytes: &[u8], cut: usize) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(head) = find(stream, rest, cut) {
        let (front, after) = rest.split_at(head.len);
        stream.feed(Direction::Out, front, 1, host);
        let edited = stream
            .complete_head(head, host)
            .and_then(|head| edit(front, head));
        out.extend(edited.unwrap_or_else(|| front.to_vec()));
        rest = after;
    }
    stream.feed(Direction::Out, rest, 1, host);
    out.extend(rest);
    out
}

fn find(stream: &Stream, bytes: &[u8], cut: usize) -> Option<Head> {
    let mut scan = stream.scan_outgoing()?;
    let (one, other) = bytes.split_at(cut.min(bytes.len()));
    if scan.push(one) == Scan::More {
        scan.push(other);
    }
    scan.head()
}

fn edit(bytes: &[u8], head: Head) -> Option<Vec<u8>> {
    if head.signed {
        return None;
    }
    let syntax = if head.has_traceparent {
        Syntax::HeaderBlock(head.replace?)
    } else {
        head.syntax
    };
    let Syntax::HeaderBlock(block) = syntax else {
        panic!("the syntax of another protocol");
    };
    let outgoing = Outgoing {
        syntax,
        propagators: Propagators::default(),
        context: Some(&CONTEXT),
        tracestate: ADDED[1].1,
        baggage: ADDED[2].1,
        has_tracestate: head.has_tracestate || head.has_traceparent,
        has_baggage: head.has_baggage || head.has_traceparent,
    };
    let mut new = vec![0; CONTEXT_HEADERS_MAX];
    new.get_mut(..block.keep)?
        .copy_from_slice(&bytes[head.insert_at..][..block.keep]);
    let len = write_context_headers(&outgoing, &mut new);
    let before = &bytes[..head.insert_at];
    let after = &bytes[head.insert_at + block.skip..];
    (len > 0).then(|| [before, &new[..len], after].concat())
}

/// The fields of a frame, and its padding.
fn fragment<'a>(frame: &Frame<'a>) -> (&'a [u8], &'a [u8]) {
    let mut bytes = frame.payload;
    let mut padding = &[][..];
    if frame.kind == 1 && frame.flags & 8 != 0 {
        let len = usize::from(bytes[0]);
        (bytes, padding) = bytes[1..].split_at(bytes.len() - 1 - len);
    }
    if frame.kind == 1 && frame.flags & 0x20 != 0 {
        bytes = &bytes[5..];
    }
    (bytes, padding)
}

/// Whether `new` is `old` with a context: behind the pseudo-header fields, or in place of the one that was there.
fn is_with_context(old: &Fields, new: &Fields) -> bool {
    if old == new {
        return true;
    }
    let is_parent = |(name, _): &(Vec<u8>, Vec<u8>)| name == ADDED[0].0;
    if let Some(at) = old.iter().position(is_parent) {
        let mut wanted = old.clone();
        wanted[at].1 = ADDED[0].1.to_vec();
        return wanted == *new;
    }
    let has = |name: &[u8]| {
        old.iter()
            .any(|(other, value)| other == name && !value.trim_ascii().is_empty())
    };
    let added: Vec<_> = ADDED.iter().filter(|(name, _)| !has(name)).collect();
    let pseudo = old.iter().take_while(|(name, _)| name.starts_with(b":"));
    let mut wanted = old.clone();
    let at = pseudo.count();
    wanted.splice(at..at, added.iter().map(|(n, v)| (n.to_vec(), v.to_vec())));
    wanted == *new
}

// The input: how long the writes are, in turn; then frames: what, its shape, a length, content.
fuzz_target!(|input: &[u8]| {
    let [size, count, rest @ ..] = input else {
        return;
    };
    let (cuts, items) = rest.split_at(rest.len().min(usize::from(count & 15)));
    let (bytes, blocks) = program(items);

    let (mut stream, mut host) = (Stream::default(), Store::default());
    let mut wire = Vec::new();
    // The whole of the preface may be in the first write, too.
    let whole = [PREFACE, &bytes].concat();
    let mut rest = &whole[..];
    let mut lengths = cuts.iter().cycle();
    let most = match size & 3 {
        0 => FRAME_SIZE,
        more => FRAME_SIZE + usize::from(more) * 50,
    };
    while !rest.is_empty() {
        let len = match lengths.next() {
            None | Some(0) => rest.len(),
            Some(n) => (usize::from(*n) * usize::from(*n) / 8 + 1).min(rest.len()),
        };
        let (now, after) = rest.split_at(len);
        wire.extend(write(&mut stream, &mut host, now, len / 3));
        if rest.len() == whole.len() {
            let value = (most as u32).to_be_bytes();
            let settings = [b"\0\0\x06\x04\0\0\0\0\0\0\x05", &value[..]].concat();
            stream.feed(Direction::In, &settings, 1, &mut host);
        }
        rest = after;
    }
    stream.close(2, &mut host);
    assert!(host.is_empty());

    let wire = wire.strip_prefix(PREFACE).expect("the preface");
    let (old, new) = (frames(&bytes), frames(wire));
    let mut decoder = fluke_hpack::Decoder::new();
    decoder.set_max_allowed_table_size(8192);
    let (mut blocks, mut open) = (blocks.iter(), Vec::new());
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(
            (old.kind, old.flags, old.stream),
            (new.kind, new.flags, new.stream)
        );
        if !matches!(old.kind, 1 | 9) {
            assert_eq!(old.payload, new.payload);
            continue;
        }
        assert!(new.payload.len() <= most.max(old.payload.len()));
        let (fields, padding) = fragment(new);
        assert_eq!(padding, fragment(old).1);
        open.extend(fields);
        if new.flags & 4 != 0 {
            let fields = decoder.decode(&std::mem::take(&mut open)).expect("fields");
            let before = blocks.next().expect("a block");
            assert!(is_with_context(before, &fields), "{before:?}\n{fields:?}");
        }
    }
});
