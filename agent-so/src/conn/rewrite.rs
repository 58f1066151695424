//! Writes in which a request begins: the program's call, with context headers spliced in.
//!
//! What is to be written is looked at before the kernel has seen it. A whole request head is fed to the stream at once, its
//! context decided, and an edit set up (`conn::edit`); the real call is then made with the edited bytes, and what it
//! reports is mapped back to the program's own.

use super::edit::{self, Edit, Form, Wire};
use super::observe::{feed_sent, find, sent};
use super::scribe::Scribe;
use super::session::{self, Call};
use super::slot::{At, BODY, EDITING, Inner, Locked, SERVER, STREAMS};
use super::stretch::Stretch;
use crate::context;
use crate::export;
use crate::export::record::{Record, SCRATCH};
use crate::hooks::contain;
use crate::settings;
use crate::sys::process::State;
use crate::sys::{clock, errno, memory, thread};
use agent_engine::exchange::Fault;
use agent_engine::protocol::Direction;
use agent_engine::protocol::http1::Tail;
use agent_engine::protocol::outgoing::{Head, RequestScan, Scan};
use libc::iovec;
use std::sync::atomic::Ordering;

/// Most bytes of a write that are looked at for the end of a head: on HTTP/2 other streams' DATA may stand in front.
const HEAD_LIMIT: usize = 4 * 1024 * 1024;

/// Writes `program` to `fd` by `send`, which makes the real call; splices context headers in where a request begins.
/// Returns what the program is to see, errno included.
///
/// # Safety
/// `program` is what the program passed; `plain` is the call that it made, and `send` the same call with other bytes.
pub(crate) unsafe fn write(
    fd: i32,
    word: u32,
    program: &[iovec],
    send: impl FnMut(Wire<'_>) -> isize,
    plain: impl FnOnce() -> isize,
) -> isize {
    let Some(at) = contain(|| find(fd, word)).flatten() else {
        return plain();
    };
    let program = Stretch::whole(program);
    // SAFETY: forwarded to the caller.
    let written = unsafe { write_at(&at, program, Form::Any, send, plain) };
    if written.last >= 0 || written.through > 0 {
        written.through as isize
    } else {
        written.last
    }
}

/// Writes `buffer` to a TLS session by `send`, which makes the real call on one buffer and returns the bytes taken or -1;
/// splices as [`write`] does. `partial`: the program expects that a call takes only some of its bytes.
///
/// The library's rule is that a call that failed for now is repeated with the same bytes. Towards the library it is kept:
/// what was spliced stays in the record until it is through. Where one call of the program's became several and a later one
/// failed, the program repeats the whole, and what is through already is left out.
///
/// # Safety
/// `buffer` is what the program passed to a write on the session's object, and `send` makes such a call.
pub(crate) unsafe fn write_on(
    call: &Call,
    buffer: iovec,
    partial: bool,
    send: impl Fn(Wire<'_>) -> isize,
) -> isize {
    let at = &call.at;
    let pieces = [buffer];
    let whole = Stretch::whole(&pieces);
    let accepted = at.conn.session.accepted();
    let mut from = accepted.swap(0, Ordering::Relaxed).min(whole.to);
    loop {
        let rest = Stretch { from, ..whole };
        let plain = || {
            let mut bytes = &[][..];
            // SAFETY: one piece of the program's own bytes, handed on to the call that it made.
            unsafe { rest.each(|part| bytes = part) };
            send(Wire::Flat(bytes))
        };
        // SAFETY: forwarded to the caller.
        let written = unsafe { write_at(at, rest, Form::Flat, &send, plain) };
        from += written.through;
        if written.last < 0 {
            if from > 0 && partial {
                return from as isize;
            }
            accepted.store(from, Ordering::Relaxed);
            return written.last;
        }
        if from == whole.to || partial || written.through == 0 {
            return from as isize;
        }
    }
}

/// The program repeated a write without giving its bytes again, which the library has kept (GnuTLS), and `wire` of these went
/// out. Returns how many of the program's these are.
pub(crate) fn repeated_on(call: &Call, wire: usize) -> usize {
    let at = &call.at;
    let errno = errno::get();
    let through = contain(|| {
        let inside = thread::current().enter()?;
        let mut locked = at.lock_patiently()?;
        let inner = &mut *locked;
        let was = inner.meta.edit;
        let mut edit = was;
        let through = if was.pending() {
            edit.advance(wire)
        } else {
            wire
        };
        if !edit.pending() {
            hold(at.state, edit, was);
        }
        inner.meta.edit = edit;
        inner.meta.head_hash = 0;
        at.conn.set_hint(EDITING, edit.pending());
        let known = inner.meta.fed_ahead.min(through);
        inner.meta.fed_ahead -= known;
        let unseen = (through - known) as u64;
        let now = clock::monotonic_ns();
        let mut scribe = Scribe::new(at.state, &mut inner.meta, at.fd());
        let verdict = inner.stream.skip(Direction::Out, unseen, now, &mut scribe);
        drop(locked);
        at.settle(verdict);
        drop(inside);
        Some(through)
    });
    errno::set(errno);
    through.flatten().unwrap_or(wire)
}

/// What became of a stretch of the program's bytes.
struct Written {
    /// How many of them went out.
    through: usize,
    /// What the last real call returned, in bytes of the program's.
    last: isize,
}

unsafe fn write_at(
    at: &At,
    whole: Stretch<'_>,
    form: Form,
    mut send: impl FnMut(Wire<'_>) -> isize,
    plain: impl FnOnce() -> isize,
) -> Written {
    let before = clock::monotonic_ns();
    let plan = if at.conn.hint(SERVER) {
        None
    } else {
        if !at.conn.hint(BODY) && (at.conn.hint(STREAMS) || may_begin_request(whole)) {
            context::bridge::ask();
        }
        contain(|| prepare(at, whole)).flatten()
    };
    let Some(mut plan) = plan else {
        let last = plain();
        let before = if at.conn.hint(SERVER) { 0 } else { before };
        sent(at, last, whole, before);
        return Written {
            through: last.max(0) as usize,
            last,
        };
    };
    // One turn for each request that is whole in this write, as if the program had written them one by one.
    loop {
        let part = plan.part;
        let noted = |now: Edit, through: usize| {
            let went = Stretch {
                to: part.from + through,
                ..part
            };
            contain(|| note_edit(at, now, went, before));
        };
        // SAFETY: the program's memory as it passed it; `prepare` pinned the record, and programs do not write to one
        // stream from two threads at once in the middle of a request head.
        let result = unsafe { edit::write(plan.record, plan.edit, part, form, &mut send, noted) };
        if result < 0 {
            let errno = errno::get();
            if at.fault() == Fault::None && plan.edit.pending() {
                contain(|| keep_edit(at, plan.edit));
                errno::set(errno);
            } else {
                sent(at, result, part, before);
            }
        }
        let errno = errno::get();
        let next = if result as usize == part.len() && part.to < whole.to {
            let rest = Stretch {
                from: part.to,
                ..whole
            };
            let next = contain(|| prepare(at, rest)).flatten();
            // Nothing more begins here that could be whole: the rest goes as it is.
            Some(next.unwrap_or_else(|| plan.without_edit(rest)))
        } else {
            None
        };
        match next {
            Some(next) => {
                if next.index != plan.index {
                    export::unpin(at.state, plan.index, plan.record);
                }
                plan = next;
            }
            None => {
                export::unpin(at.state, plan.index, plan.record);
                errno::set(errno);
                return Written {
                    through: part.from - whole.from + result.max(0) as usize,
                    last: result,
                };
            }
        }
    }
}

/// What one real call is to send, and how it is changed.
#[derive(Clone, Copy)]
struct Plan<'a> {
    index: u32,
    /// Pinned.
    record: &'static Record,
    edit: Edit,
    /// Ends with the request, where that can be told.
    part: Stretch<'a>,
}

impl<'a> Plan<'a> {
    fn without_edit(self, part: Stretch<'a>) -> Self {
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
fn prepare<'a>(at: &At, program: Stretch<'a>) -> Option<Plan<'a>> {
    let state = at.state;
    if at.conn.hint(EDITING) {
        let locked = at.lock_patiently()?;
        return rest_of_edit(at, locked, program);
    }
    let _inside = thread::current().enter()?;
    let mut locked = at.lock()?;
    let inner = &mut *locked;
    session::bind(at, inner);
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
    let (index, found) = (begun?, found?);
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
        // What follows it in this write may be given one.
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

/// Tells whether a retried write begins with the same bytes (FNV-1a; never 0). Bytes that cannot be read give another
/// number than any that can, most likely.
fn hash(bytes: Stretch<'_>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    look(bytes, |part| {
        for byte in part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        true
    });
    hash.max(1)
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
fn may_begin_request(program: Stretch<'_>) -> bool {
    let mut letter = false;
    look(program, |bytes| {
        letter = bytes.first().is_some_and(u8::is_ascii_alphabetic);
        false
    });
    letter
}

/// Looks for the end of a request's head in what the program is about to write.
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

fn note_edit(at: &At, edit: Edit, went: Stretch<'_>, before: u64) -> Option<()> {
    let inside = thread::current().enter();
    let mut locked = at.lock_patiently()?;
    let inner = &mut *locked;
    if edit.pending() != inner.meta.edit.pending() {
        hold(at.state, edit, inner.meta.edit);
    }
    inner.meta.edit = edit;
    at.conn.set_hint(EDITING, edit.pending());
    if !went.is_empty() || edit.from > 0 {
        // From here on the program cannot take its words back, nor can we.
        inner.meta.head_hash = 0;
    }
    let verdict = feed_sent(at, inner, went, before);
    drop(locked);
    at.settle(verdict);
    drop(inside);
    Some(())
}

/// A write that could not write anything (EAGAIN) will be tried again, and the edit with it.
fn keep_edit(at: &At, edit: Edit) -> Option<()> {
    let inside = thread::current().enter();
    let mut locked = at.lock_patiently()?;
    if !locked.meta.edit.pending() {
        hold(at.state, edit, Edit::default());
        locked.meta.edit = edit;
        at.conn.set_hint(EDITING, true);
    }
    drop(locked);
    drop(inside);
    Some(())
}

/// An edit left over by a short write keeps its record pinned until it is through.
fn hold(state: &'static State, now: Edit, was: Edit) {
    if let Some(record) = now.record().and_then(|r| state.records.get(r)) {
        // The caller pins it already, so it was not given up.
        let _ = record.pin();
    }
    if let Some(index) = was.record()
        && let Some(record) = state.records.get(index)
    {
        export::unpin(state, index, record);
    }
}
