//! The context of a request that a proxy has read, written into the proxy's own copy, for it to pass on.
//!
//! A proxy that is an event loop sends a request upstream in whatever turn a server is free for it; no thread and no order
//! tells whose it was. But it sends the header lines that it has read. So for the programs of which that is known
//! (`settings`) the line goes into the buffer of the read in which a request without a context stands whole, right after
//! the request line, and the call returns that many bytes more, as if the client had sent them; a context that is there
//! makes way for the request's own, as in what such a proxy sends. What then goes out carries the request's own context
//! (`context::inbound`), however late, however often, on whatever connection.
//!
//! It is done only where the program can notice no more than that: the head is whole in this read, or (nginx, which begins with
//! a small buffer) its last lines are; it is the only one that ends in it; and the buffer has the room that the program leaves
//! for lines of its own. In HTTP/2 it is a field of the header block (`streams`), of each request that has none.
//!
//! A bridge may ask for the same where a handler is told of the headers, but not of the connection they came on (gRPC in Python).

mod streams;

use super::slot::{At, Inner};
use crate::context::server;
use crate::export::record::Record;
use crate::settings::{self, Room};
use agent_engine::context;
use agent_engine::exchange::{Field, Kind};
use agent_engine::protocol::HeadPart;
use agent_engine::protocol::http1::scan::{HeadScan, Scan};
use agent_engine::protocol::http2::arrivals::Arrivals;
use agent_engine::protocol::outgoing::Syntax;
use libc::iovec;

/// Most lines of a head that gets one more: programs have limits too (haproxy: 101 by default).
const LINES: usize = 64;

/// What was known before the bytes were fed to the stream.
#[derive(Clone, Copy)]
pub(super) struct Before {
    room: Room,
    /// HTTP/1, or a new connection.
    part: Option<HeadPart>,
    /// HTTP/2, or a new connection.
    arrivals: Option<Arrivals>,
    served: u32,
}

/// Before a read is fed: whether a request may be given its context. `None` for all programs but a few.
pub(super) fn expected(inner: &Inner) -> Option<Before> {
    Some(Before {
        room: settings::gives_contexts()?,
        part: inner.stream.request_head(),
        arrivals: inner.stream.arrivals(),
        served: inner.meta.requests_served,
    })
}

/// After `count` bytes in `buffer`, all that was read, were fed: how many bytes longer they have become.
///
/// # Safety
/// `buffer` is what the program passed to the read that has just returned `count`, the connection's lock is held.
pub(super) unsafe fn give(
    at: &At,
    inner: &Inner,
    before: Before,
    buffer: iovec,
    count: usize,
) -> usize {
    if inner.stream.role() != Some(Kind::Server) || inner.meta.requests_served == before.served {
        return 0;
    }
    // SAFETY: a buffer of the program's of that length, which it cannot use before its call has returned.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(buffer.iov_base.cast::<u8>(), buffer.iov_len) };
    if inner.stream.is_multiplexed() {
        return before.arrivals.map_or(0, |arrivals| {
            streams::give(at, inner, before.room, arrivals, bytes, count)
        });
    }
    if inner.meta.requests_served != before.served.wrapping_add(1) {
        return 0;
    }
    let reference = inner.meta.newest;
    let Some(record) = reference.index().and_then(|i| at.state.records.get(i)) else {
        return 0;
    };
    if !record.is_open(reference) {
        return 0;
    }
    // SAFETY: the lock is held, and the record is the exchange that has just begun on this connection.
    let Some(text) = (unsafe { text_for(record, &bytes[..count], before, bytes.len()) }) else {
        return 0;
    };
    let end = text.at + text.bytes.len();
    let more = text.bytes.len() - text.replaces;
    bytes.copy_within(text.at + text.replaces..count, end);
    bytes[text.at..end].copy_from_slice(text.bytes);
    server::handed_on(at.state, record, reference);
    more
}

/// What goes into the head.
struct Text<'a> {
    at: usize,
    /// So many bytes make way.
    replaces: usize,
    bytes: &'a [u8],
}

/// The request's context as a line of its own, or in the place of the one that it came with; `None` where the head is not to be
/// changed.
///
/// # Safety
/// The lock of the request's connection is held.
unsafe fn text_for<'a>(
    record: &'a Record,
    bytes: &[u8],
    before: Before,
    size: usize,
) -> Option<Text<'a>> {
    // SAFETY: by the caller's promise.
    let (identity, buffer, exchange) =
        unsafe { (record.identity(), record.headers(), record.exchange()) };
    if exchange.signed {
        return None;
    }
    let mut scan = HeadScan::default();
    let at = match before.part? {
        HeadPart::Start => {
            if scan.push(bytes) != Scan::Complete {
                return None;
            }
            if let Some((at, _)) = scan.traceparent.filter(|_| identity.parent_remote) {
                let value = buffer.first_chunk_mut()?;
                context::format_traceparent(value, &identity.span);
                let replaces = value.len();
                return Some(Text {
                    at,
                    replaces,
                    bytes: value,
                });
            }
            scan.line_end
        }
        HeadPart::Fields if before.room == Room::All => last_line(bytes)?,
        HeadPart::Fields => return None,
    };
    let carries = scan.has_traceparent || exchange.text(Field::Traceparent).is_some();
    if carries || exchange.traceparent_repeated {
        return None;
    }
    let lines = memchr::memchr_iter(b'\n', &bytes[..scan.head_len]).count();
    let syntax = Syntax::FieldLines;
    let len = settings::get().write_traceparent(buffer, &identity.span, syntax);
    let fits = match before.room {
        Room::All => bytes.len() + len < size,
        Room::Calls => false,
        Room::Half => bytes.len() + len < size / 2 && lines <= LINES,
    };
    (len > 0 && fits).then(|| Text {
        at,
        replaces: 0,
        bytes: &buffer[..len],
    })
}

/// Where the empty line begins that ends the head, in bytes that go on in the middle of one. A read that begins with the end of a
/// line is left alone: that line may be the empty one.
fn last_line(bytes: &[u8]) -> Option<usize> {
    if matches!(bytes.first()?, b'\r' | b'\n') {
        return None;
    }
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    ends.into_iter()
        .find(|at| bytes[*at..].starts_with(b"\r\n") || bytes[*at..].starts_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_before_the_empty_one_is_found() {
        let cases: [(&[u8], Option<usize>); 7] = [
            (b"b: c\r\n\r\n", Some(6)),
            (b"b: c\n\nbody\r\n\r\n", Some(5)),
            (b": c\r\nd: e\r\n\r\nGET / HTTP/1.1\r\n\r\n", Some(11)),
            (b"\r\n\r\n", None),
            (b"\nbody\r\n\r\n", None),
            (b"b: c\r\n", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(last_line(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
