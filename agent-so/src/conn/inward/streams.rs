//! HTTP/2: a field at the end of the header block of each request that came without a context.
//!
//! It is a literal that is never indexed, so that no table changes, and header blocks are not subject to flow control: the frame
//! is longer, that is all.

use super::super::serving;
use super::super::slot::{At, Inner};
use crate::context::server;
use crate::export::record::{Record, Ref};
use crate::settings::{self, Room};
use agent_engine::exchange::Field;
use agent_engine::protocol::http2::arrivals::{Arrival, Arrivals};
use agent_engine::protocol::outgoing::{BlockEdit, Syntax};

/// Bytes of a frame's header.
const HEADER: usize = 9;
/// The payload that every peer accepts (RFC 9113 section 4.2).
const FRAME_SIZE: usize = 16_384;

/// Which requests get one.
#[derive(Clone, Copy)]
struct Which {
    calls_only: bool,
    /// Bytes of payload that a frame may have then.
    longest: usize,
}

impl Which {
    /// For a program with a buffer of so many bytes.
    fn of(room: Room, size: usize) -> Self {
        Self {
            calls_only: room == Room::Calls,
            longest: match room {
                Room::All | Room::Calls => FRAME_SIZE,
                Room::Half => FRAME_SIZE.min(size / 2),
            },
        }
    }
}

/// A request whose record holds its frame's new header and the field.
struct Written {
    record: &'static Record,
    reference: Ref,
    /// Bytes of the field.
    field: usize,
}

/// As [`super::give`].
pub(super) fn give(
    at: &At,
    inner: &Inner,
    room: Room,
    arrivals: Arrivals,
    buffer: &mut [u8],
    count: usize,
) -> usize {
    let which = Which::of(room, buffer.len());
    let (mut requests, mut more, mut next) = (0, 0, arrivals);
    while let Some(arrival) = next.next(&buffer[..count]) {
        let Some(Written { field, .. }) = write(at, inner, which, &arrival, &buffer[..count])
        else {
            continue;
        };
        if count + more + field > buffer.len() {
            break;
        }
        (requests, more) = (requests + 1, more + field);
    }
    if requests == 0 {
        return 0;
    }
    // All is moved to the end of the room for it, and goes back with a field behind each block.
    buffer.copy_within(..count, more);
    let (mut from, mut to, mut next) = (0, 0, arrivals);
    while requests > 0 {
        let Some(arrival) = next.next(&buffer[more..more + count]) else {
            break;
        };
        let Some(written) = write(at, inner, which, &arrival, &buffer[more..more + count]) else {
            continue;
        };
        let Written {
            record,
            reference,
            field,
        } = written;
        buffer.copy_within(more + from..more + arrival.end, to);
        // SAFETY: an open request of the connection whose lock is held.
        let text = unsafe { record.headers() };
        let frame = to + arrival.at - from;
        buffer[frame..frame + HEADER].copy_from_slice(&text[..HEADER]);
        to += arrival.end - from;
        buffer[to..to + field].copy_from_slice(&text[HEADER..HEADER + field]);
        server::handed_on(at.state, record, reference);
        (from, to, requests) = (arrival.end, to + field, requests - 1);
    }
    buffer.copy_within(more + from..more + count, to);
    to - from
}

/// If the request that has arrived is to be given its context: writes that down in its record, behind the frame's new header.
fn write(at: &At, inner: &Inner, which: Which, arrival: &Arrival, bytes: &[u8]) -> Option<Written> {
    let (record, reference) = serving::of_stream(at.state, inner, arrival.stream)?;
    if !record.is_open(reference) {
        return None;
    }
    // SAFETY: an open request of the connection whose lock is held.
    let (identity, buffer, exchange) =
        unsafe { (record.identity(), record.headers(), record.exchange()) };
    let carries = exchange.text(Field::Traceparent).is_some() || exchange.traceparent_repeated;
    if carries || exchange.signed || (which.calls_only && !exchange.rpc) {
        return None;
    }
    let header = bytes.get(arrival.at..)?.get(..HEADER)?;
    buffer.get_mut(..HEADER)?.copy_from_slice(header);
    let frame = BlockEdit {
        keep: HEADER,
        skip: HEADER,
        length: arrival.length,
        most: which.longest,
        ..BlockEdit::default()
    };
    let syntax = Syntax::HeaderBlock(frame);
    let len = settings::get().write_traceparent(buffer, &identity.span, syntax);
    let field = len.checked_sub(HEADER).filter(|len| *len > 0)?;
    Some(Written {
        record,
        reference,
        field,
    })
}
