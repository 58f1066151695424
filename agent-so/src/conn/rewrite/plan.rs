//! What the next real call of a write is to send: where a request begins and ends in the program's bytes, and what goes into it.

use super::super::edit::{self, Edit};
use super::super::scribe::Scribe;
use super::super::session;
use super::super::slot::{At, EDITING, Inner, Locked, QUERIES, STREAMS};
use super::super::stretch::Stretch;
use crate::context;
use crate::export::record::{HEADERS, Record, SCRATCH};
use crate::settings;
use crate::sys::process::State;
use crate::sys::{clock, memory, thread};
use agent_engine::hash::{START, fnv1a};
use agent_engine::protocol::http1::Tail;
use agent_engine::protocol::outgoing::{Head, RequestScan, Scan};
use agent_engine::protocol::{Direction, FRONT, Verdict, may_begin_query};

/// Most bytes of a write that are looked at for the end of a head: on HTTP/2 other streams' DATA may stand in front.
const HEAD_LIMIT: usize = 4 * 1024 * 1024;

/// What one real call is to send, and how it is changed.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) index: u32,
    /// Pinned.
    pub(super) record: &'static Record,
    pub(super) edit: Edit,
    /// Ends with the request, where that can be told.
    pub(super) part: Stretch<'a>,
}

impl<'a> Plan<'a> {
    pub(super) fn without_edit(self, part: Stretch<'a>) -> Self {
        Self {
            edit: Edit::default(),
            part,
            ..self
        }
    }
}

/// Before a write: does a request begin, whose head is whole and may be given a context? Then the stream is fed that
/// head at once (a response may be read by another thread before this write has returned) and the edit is set up.
/// Also gives the rest of an edit that a short write left over. The edit's record is pinned.
pub(super) fn prepare<'a>(at: &At, program: Stretch<'a>) -> Option<Plan<'a>> {
    let state = at.state;
    if at.conn.hint(EDITING) {
        let locked = at.lock_patiently()?;
        return rest_of_edit(at, locked, program);
    }
    let _inside = thread::current().enter()?;
    let mut locked = at.lock()?;
    let inner = &mut *locked;
    session::bind(at, inner);
    let mut room = [0; FRONT];
    if inner.stream.is_query(|| front(program, &mut room)) {
        let first = inner.meta.fed_ahead == 0;
        let begun = feed_ahead(at, inner, program).filter(|_| first)?;
        return comment_on(at, inner, begun, program);
    }
    if inner.meta.fed_ahead > 0 {
        return rest_of_request(state, inner, program);
    }
    let Some(scan) = inner.stream.scan_outgoing() else {
        return rest_of_request(state, inner, program);
    };
    let found = find_head(scan, program)?;
    let head = Stretch {
        to: program.from + found.len,
        ..program
    };
    let before = clock::monotonic_ns();
    let mut scribe = Scribe::new(state, &mut inner.meta, at.fd());
    // SAFETY: `scan` found these bytes readable a moment ago.
    unsafe {
        head.each(|bytes| {
            inner
                .stream
                .feed(Direction::Out, bytes, before, &mut scribe);
        });
    }
    if found.is_partial {
        inner.stream.settle_head(&mut scribe);
    }
    let begun = scribe.begun;
    let found = inner.stream.complete_head(found, &mut scribe);
    inner.meta.fed_ahead = head.len();
    at.conn.set_hint(STREAMS, inner.stream.is_multiplexed());
    let (Some(index), Some(found)) = (begun, found) else {
        // What follows it in this write may be given a context.
        return rest_of_request(state, inner, program);
    };
    let record = state.records.get(index)?;
    if !edit::fits(program.pieces, SCRATCH) {
        return None;
    }
    // SAFETY: the connection's lock is held, and the record is its newest exchange.
    let edit = unsafe {
        let front = |out: &mut [u8]| copy(head, found.insert_at, out);
        context::client::edit(index, record, &found, settings::get(), front)
    };
    let Some(edit) = edit else {
        return rest_of_request(state, inner, program);
    };
    if !record.pin() {
        return None;
    }
    inner.meta.head_hash = hash(head);
    let part = Stretch {
        to: end_of_fed(inner, program),
        ..program
    };
    Some(Plan {
        index,
        record,
        edit,
        part,
    })
}

/// Fills `out` with the bytes from `from` on.
///
/// # Safety
/// They are readable.
unsafe fn copy(bytes: Stretch<'_>, from: usize, out: &mut [u8]) {
    let part = Stretch {
        from: bytes.to.min(bytes.from + from),
        ..bytes
    };
    let mut used = 0;
    // SAFETY: by the caller's promise.
    unsafe {
        part.each(|piece| {
            let len = piece.len().min(out.len() - used);
            out[used..used + len].copy_from_slice(&piece[..len]);
            used += len;
        });
    }
}

/// Feeds what is about to be sent to a database, up to [`HEAD_LIMIT`]: the answer may be read by another thread before the call
/// has returned. A call that is repeated because it took only a part was fed before. Returns the record of the request that begins
/// there.
#[inline(never)]
fn feed_ahead(at: &At, inner: &mut Inner, program: Stretch<'_>) -> Option<u32> {
    let new = Stretch {
        from: program.to.min(program.from + inner.meta.fed_ahead),
        ..program
    };
    inner.stream.call_begins();
    let now = clock::monotonic_ns();
    let mut scribe = Scribe::new(at.state, &mut inner.meta, at.fd());
    let mut fed = 0;
    look(new, |bytes| {
        fed += bytes.len();
        let verdict = inner.stream.feed(Direction::Out, bytes, now, &mut scribe);
        verdict != Verdict::Opaque
    });
    inner.stream.call_ends(now, &mut scribe);
    let begun = scribe.begun;
    inner.meta.fed_ahead += fed;
    // The first byte alone may have been another protocol's.
    at.conn.set_hint(QUERIES, inner.stream.is_query(|| &[]));
    begun
}

/// The plan for a write that is all of a statement, which was fed and gets the context of its span as a comment.
#[inline(never)]
fn comment_on<'a>(
    at: &At,
    inner: &mut Inner,
    index: u32,
    program: Stretch<'a>,
) -> Option<Plan<'a>> {
    let is_whole = program.len() == inner.meta.fed_ahead && program.len() <= HEADERS;
    if !settings::get().config.sqlcommenter || !is_whole {
        return None;
    }
    let record = at.state.records.get(index)?;
    let mut message = &[][..];
    // SAFETY: `feed_ahead` found all of these bytes readable a moment ago.
    unsafe {
        program.each(|piece| {
            if piece.len() == program.len() {
                message = piece;
            }
        });
    }
    // SAFETY: the connection's lock is held, and the record is its newest exchange.
    let edit = unsafe { context::client::comment(index, record, message) }?;
    if !record.pin() {
        return None;
    }
    inner.meta.head_hash = hash(program);
    Some(Plan {
        index,
        record,
        edit,
        part: program,
    })
}

/// The plan for a write that goes on with an edit: after a short write, or after one that could not write anything. In
/// the latter case the program is free to write something else, and then nothing of the edit may reach the wire.
fn rest_of_edit<'a>(at: &At, mut locked: Locked<'_>, program: Stretch<'a>) -> Option<Plan<'a>> {
    let (state, conn) = (at.state, at.conn);
    let meta = &mut locked.meta;
    if meta.head_hash != 0 {
        let head = Stretch {
            to: program.to.min(program.from + meta.fed_ahead),
            ..program
        };
        if head.len() != meta.fed_ahead || hash(head) != meta.head_hash {
            meta.edit.abandon(state);
            meta.fed_ahead = 0;
            conn.set_hint(EDITING, false);
            // The stream was fed a head that was never sent: it cannot be followed any more.
            meta.lost = true;
            return None;
        }
    }
    let edit = meta.edit;
    let part = Stretch {
        to: end_of_fed(&locked, program),
        ..program
    };
    let index = edit.record()?;
    let record = state.records.get(index)?;
    record.pin().then_some(Plan {
        index,
        record,
        edit,
        part,
    })
}

/// Where the request under way ends in `program`, if another one follows; else the end of `program`.
fn end_of_fed(inner: &Inner, program: Stretch<'_>) -> usize {
    // What is left of its head was fed already.
    let rest = Stretch {
        from: program.to.min(program.from + inner.meta.fed_ahead),
        ..program
    };
    request_end(inner.stream.outgoing_tail(), rest)
}

/// Tells whether a retried write begins with the same bytes (never 0). Bytes that cannot be read give another
/// number than any that can, most likely.
fn hash(bytes: Stretch<'_>) -> u64 {
    let mut all = START;
    look(bytes, |part| {
        all = fnv1a(all, part);
        true
    });
    all.max(1)
}

/// The plan for a write that begins inside a request, if another request follows in it.
fn rest_of_request<'a>(
    state: &'static State,
    inner: &Inner,
    program: Stretch<'a>,
) -> Option<Plan<'a>> {
    let end = end_of_fed(inner, program);
    if end >= program.to || !edit::fits(program.pieces, SCRATCH) {
        return None;
    }
    let index = inner.stream.open_exchanges(None).last()?.0.checked_sub(1)?;
    let record = state.records.get(index)?;
    if !record.pin() {
        return None;
    }
    Some(Plan {
        index,
        record,
        edit: Edit::default(),
        part: Stretch { to: end, ..program },
    })
}

/// As [`end_of_fed`], `rest` being what comes after the head.
fn request_end(tail: Tail, rest: Stretch<'_>) -> usize {
    if rest.is_empty() {
        return rest.to;
    }
    match tail {
        Tail::Ended => rest.from,
        Tail::Unknown => rest.to,
        Tail::Body(body) if body.left().is_some_and(|left| left >= rest.len() as u64) => rest.to,
        Tail::Body(mut body) => {
            let (mut seen, mut end) = (0, None);
            look(rest, |bytes| {
                end = body.push(bytes).map(|used| rest.from + seen + used);
                seen += bytes.len();
                end.is_none()
            });
            end.unwrap_or(rest.to)
        }
    }
}

/// Whether a request could begin with these bytes. What handlers of signals write to wake a loop (Python writes the signal's
/// number) does not: a runtime must not be asked anything there.
pub(super) fn may_begin_request(program: Stretch<'_>) -> bool {
    let mut room = [0; FRONT];
    let front = front(program, &mut room);
    front.first().is_some_and(u8::is_ascii_alphabetic) || may_begin_query(front)
}

/// The first bytes of what is about to be written, as far as they can be read.
fn front<'a>(program: Stretch<'_>, room: &'a mut [u8; FRONT]) -> &'a [u8] {
    let mut len = 0;
    look(program, |bytes| {
        let more = bytes.len().min(FRONT - len);
        room[len..len + more].copy_from_slice(&bytes[..more]);
        len += more;
        len < FRONT
    });
    &room[..len]
}

/// Looks for the end of a request's head in what the program is about to write.
#[inline(never)]
fn find_head(mut scan: RequestScan, program: Stretch<'_>) -> Option<Head> {
    look(program, |bytes| scan.push(bytes) == Scan::More);
    scan.head()
}

/// Shows `see` the front of what the program is about to write, up to [`HEAD_LIMIT`], while it asks for more. The kernel,
/// not the agent, has to find unreadable memory: so each page is asked for before it is read.
fn look(program: Stretch<'_>, mut see: impl FnMut(&[u8]) -> bool) {
    let mut left = HEAD_LIMIT;
    let mut more = true;
    let mut page_by_page = |mut bytes: &[u8]| {
        while more && left > 0 && !bytes.is_empty() {
            let at = bytes.as_ptr() as usize;
            let take = bytes.len().min(memory::PAGE - at % memory::PAGE).min(left);
            if !memory::readable(at) {
                more = false;
                return;
            }
            let (now, later) = bytes.split_at(take);
            more = see(now);
            bytes = later;
            left -= take;
        }
    };
    // SAFETY: the slices are only looked at, page by page, after the kernel has said that it can be done.
    unsafe { program.each(&mut page_by_page) };
}
