//! Writes in which a request begins: the program's call, with context headers spliced in.
//!
//! What is to be written is looked at before the kernel has seen it. A whole request head is fed to the stream at once, its
//! context decided, and an edit set up (`conn::edit`); the real call is then made with the edited bytes, and what it
//! reports is mapped back to the program's own.

mod plan;

use super::edit::{self, Edit, Form, Wire};
use super::observe::{feed_sent, find, sent};
use super::scribe::Scribe;
use super::session::Call;
use super::slot::{At, BODY, EDITING, QUERIES, SERVER, STREAMS};
use super::stretch::Stretch;
use crate::context;
use crate::export;
use crate::hooks::contain;
use crate::sys::process::State;
use crate::sys::{clock, errno, thread};
use agent_engine::exchange::Fault;
use agent_engine::protocol::Direction;
use libc::iovec;
use plan::{may_begin_request, prepare};
use std::sync::atomic::Ordering;

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
        let begins = || at.conn.hint(STREAMS) || may_begin_request(whole);
        if at.conn.hint(QUERIES) || !at.conn.hint(BODY) && begins() {
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
