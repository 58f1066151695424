//! What hooks report: bytes that came in, bytes that go out, bytes that passed unseen, and ends.
//!
//! Each function takes the descriptor and its table word, does nothing for what is not followed, and keeps errno. None
//! of them is called while another lock is held; none allocates or blocks.

use super::edit::{self, Edit, Wire};
use super::scribe::Scribe;
use super::{CONNECTING, Conn, EDITING, Inner, SERVER, bury, connect, detach, of, table};
use crate::context;
use crate::export;
use crate::hooks::contain;
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::{clock, errno, memory, thread};
use agent_engine::exchange::{Fault, Kind};
use agent_engine::protocol::http1::scan::{HeadScan, Scan};
use agent_engine::protocol::{Direction, Ended, Verdict};
use libc::iovec;
use std::sync::atomic::Ordering;

/// Most bytes of an outgoing head that are looked at for its end.
const HEAD_LIMIT: usize = 64 * 1024;

/// A read returned `result` (as the real call gave it, errno set) into `buffers`.
pub(crate) fn received(fd: i32, word: u32, result: isize, buffers: &[iovec]) {
    let room = buffers.iter().any(|b| b.iov_len > 0);
    if result == 0 && !room {
        return;
    }
    with_conn(fd, word, result, |state, index, conn| {
        let Some(mut locked) = conn.lock(state, fd, index) else {
            return give_up(state, fd, index, conn);
        };
        let now = clock::monotonic_ns();
        let inner = &mut *locked;
        let verdict = match fate(result) {
            Fate::Nothing => return,
            Fate::Bytes(count) => feed(state, inner, fd, Direction::In, buffers, 0, count, now),
            Fate::Closed => ended(state, inner, fd, Direction::In, Ended::Eof, now),
            Fate::Failed(fault) => {
                if conn.hint(CONNECTING) {
                    connect::failed(state, &mut inner.meta, fault);
                    conn.set_hint(CONNECTING, false);
                }
                ended(state, inner, fd, Direction::In, Ended::Failed(fault), now)
            }
        };
        if inner.stream.role() == Some(Kind::Server) {
            conn.set_hint(SERVER, true);
            context::server::read(state, inner);
        }
        drop(locked);
        settle(state, fd, index, conn, verdict);
    });
}

/// `count` bytes passed from or to the socket without being visible (sendfile, splice, MSG_TRUNC).
pub(crate) fn passed_unseen(fd: i32, word: u32, direction: Direction, result: isize) {
    if result <= 0 {
        return;
    }
    with_conn(fd, word, result, |state, index, conn| {
        let Some(mut locked) = conn.lock(state, fd, index) else {
            return give_up(state, fd, index, conn);
        };
        let inner = &mut *locked;
        let mut scribe = Scribe::new(state, &mut inner.meta, fd);
        let now = clock::monotonic_ns();
        let verdict = inner.stream.skip(direction, result as u64, now, &mut scribe);
        drop(locked);
        settle(state, fd, index, conn, verdict);
    });
}

/// The program shut down its sending side.
pub(crate) fn shut_down(fd: i32, word: u32) {
    with_conn(fd, word, 1, |state, index, conn| {
        let Some(mut locked) = conn.lock(state, fd, index) else { return };
        let now = clock::monotonic_ns();
        let verdict = ended(state, &mut locked, fd, Direction::Out, Ended::Eof, now);
        drop(locked);
        settle(state, fd, index, conn, verdict);
    });
}

/// Writes `program` to `fd` by `send`, which makes the real call; splices context headers in where a request begins.
/// Returns what the program is to see, errno included.
///
/// # Safety
/// `program` is what the program passed: `send` given exactly that must be the call the program made.
pub(crate) unsafe fn write(
    fd: i32,
    word: u32,
    program: &[iovec],
    mut send: impl FnMut(Wire<'_>) -> isize,
    plain: impl FnOnce() -> isize,
) -> isize {
    let before = contain(|| {
        let (state, index, conn) = find(fd, word)?;
        if conn.hint(SERVER) {
            return Some((state, index, conn, None, 0));
        }
        let edit = prepare(state, fd, index, conn, program);
        Some((state, index, conn, edit, clock::monotonic_ns()))
    })
    .flatten();
    let Some((state, index, conn, edit, before)) = before else { return plain() };
    let Some((edit, record)) = edit.and_then(|e| Some((e, state.records.get(e.record()?)?))) else {
        let result = plain();
        sent(state, fd, index, conn, result, program, before);
        return result;
    };
    let noted = |now: Edit, through: usize| {
        contain(|| note_edit(state, fd, index, conn, now, through, program, before));
    };
    // SAFETY: the program's memory as it passed it; `prepare` pinned the record, and programs do not write to one
    // stream from two threads at once in the middle of a request head.
    let result = unsafe { edit::write(record, edit, program, &mut send, noted) };
    if result < 0 {
        sent(state, fd, index, conn, result, program, before);
    }
    let errno = errno::get();
    export::unpin(state, edit.record - 1, record);
    errno::set(errno);
    result
}

/// A write returned `result`; nothing was rewritten.
pub(crate) fn wrote(fd: i32, word: u32, result: isize, program: &[iovec]) {
    if let Some((state, index, conn)) = contain(|| find(fd, word)).flatten() {
        sent(state, fd, index, conn, result, program, 0);
    }
}

/// Whether what is written to this connection is only observed, because this process is the server on it.
pub(crate) fn never_rewritten(word: u32) -> bool {
    word.checked_sub(super::table::CONN)
        .and_then(|index| process::peek()?.conns.get(index))
        .is_some_and(|conn| conn.hint(SERVER))
}

fn sent(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    result: isize,
    program: &[iovec],
    before: u64,
) {
    let failing = match fate(result) {
        Fate::Nothing | Fate::Closed => return,
        Fate::Bytes(_) => None,
        Fate::Failed(fault) => Some(fault),
    };
    let errno = errno::get();
    contain(|| {
        let inside = thread::current().enter()?;
        let Some(mut locked) = conn.lock(state, fd, index) else {
            give_up(state, fd, index, conn);
            return None;
        };
        let inner = &mut *locked;
        let now = if before == 0 { clock::monotonic_ns() } else { before };
        let verdict = match failing {
            None => {
                let count = result as usize;
                let known = inner.meta.fed_ahead.min(count);
                inner.meta.fed_ahead -= known;
                context::server::written(state, inner);
                feed(state, inner, fd, Direction::Out, program, known, count, now)
            }
            Some(fault) => {
                if conn.hint(CONNECTING) {
                    connect::failed(state, &mut inner.meta, fault);
                    conn.set_hint(CONNECTING, false);
                }
                ended(state, inner, fd, Direction::Out, Ended::Failed(fault), now)
            }
        };
        drop(locked);
        settle(state, fd, index, conn, verdict);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// Before a write: does a request begin, whose head is whole and may be given a context? Then the stream is fed that
/// head at once (a response may be read by another thread before this write has returned) and the edit is set up.
/// Also gives the rest of an edit that a short write left over. The edit's record is pinned.
fn prepare(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    program: &[iovec],
) -> Option<Edit> {
    if conn.hint(EDITING) {
        let locked = conn.lock_patiently(state, fd, index)?;
        let edit = locked.meta.edit;
        state.records.get(edit.record()?)?.pin();
        return Some(edit);
    }
    let _inside = thread::current().enter()?;
    let mut locked = conn.lock(state, fd, index)?;
    let inner = &mut *locked;
    if inner.meta.fed_ahead > 0 || !inner.stream.can_start_request(Direction::Out) {
        return None;
    }
    let scan = scan(program)?;
    let before = clock::monotonic_ns();
    let mut scribe = Scribe::new(state, &mut inner.meta, fd);
    let mut left = scan.head_len;
    for piece in program {
        let take = piece.iov_len.min(left);
        if take == 0 {
            continue;
        }
        // SAFETY: `scan` found these bytes readable a moment ago.
        let bytes = unsafe { std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), take) };
        inner.stream.feed(Direction::Out, bytes, before, &mut scribe);
        left -= take;
    }
    let begun = scribe.begun;
    inner.meta.fed_ahead = scan.head_len;
    let record_index = begun?;
    let record = state.records.get(record_index)?;
    if !edit::fits(program, crate::export::record::SCRATCH) {
        return None;
    }
    // SAFETY: the connection's lock is held, and the record is its newest exchange.
    let edit = unsafe { context::client::edit(record_index, record, &scan, settings::get()) }?;
    record.pin();
    Some(edit)
}

/// Looks for a whole request head at the front of what the program is about to write. The kernel, not the program, has
/// to find unreadable memory: so each page is asked for before it is read.
fn scan(program: &[iovec]) -> Option<HeadScan> {
    let mut scan = HeadScan::default();
    let mut looked = 0;
    for piece in program {
        let (mut at, mut left) = (piece.iov_base as usize, piece.iov_len);
        while left > 0 && looked < HEAD_LIMIT {
            let take = left.min(memory::PAGE - at % memory::PAGE).min(HEAD_LIMIT - looked);
            if !memory::readable(at) {
                return None;
            }
            // SAFETY: the page was readable just now, and the program passes it to a call that reads it.
            let bytes = unsafe { std::slice::from_raw_parts(at as *const u8, take) };
            match scan.push(bytes) {
                Scan::Complete => return Some(scan),
                Scan::NotRequest => return None,
                Scan::More => {}
            }
            at += take;
            left -= take;
            looked += take;
        }
    }
    None
}

#[expect(clippy::too_many_arguments, reason = "one call of the hook path, with all it knows")]
fn note_edit(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    edit: Edit,
    through: usize,
    program: &[iovec],
    before: u64,
) -> Option<()> {
    let inside = thread::current().enter();
    let mut locked = conn.lock_patiently(state, fd, index)?;
    let inner = &mut *locked;
    if edit.pending() != inner.meta.edit.pending() {
        hold(state, edit, inner.meta.edit);
    }
    inner.meta.edit = edit;
    conn.set_hint(EDITING, edit.pending());
    let known = inner.meta.fed_ahead.min(through);
    inner.meta.fed_ahead -= known;
    let verdict = feed(state, inner, fd, Direction::Out, program, known, through, before);
    drop(locked);
    settle(state, fd, index, conn, verdict);
    drop(inside);
    Some(())
}

/// An edit left over by a short write keeps its record pinned until it is through.
fn hold(state: &'static State, now: Edit, was: Edit) {
    if let Some(record) = now.record().and_then(|r| state.records.get(r)) {
        record.pin();
    }
    if let Some(index) = was.record()
        && let Some(record) = state.records.get(index)
    {
        export::unpin(state, index, record);
    }
}

#[expect(clippy::too_many_arguments, reason = "one call of the hook path, with all it knows")]
fn feed(
    state: &'static State,
    inner: &mut Inner,
    fd: i32,
    direction: Direction,
    buffers: &[iovec],
    from: usize,
    to: usize,
    now: u64,
) -> Verdict {
    let mut scribe = Scribe::new(state, &mut inner.meta, fd);
    let mut verdict = Verdict::Undecided;
    let mut position = 0;
    for buffer in buffers {
        let end = position + buffer.iov_len;
        let (start, stop) = (from.clamp(position, end), to.clamp(position, end));
        if start < stop {
            // SAFETY: the kernel has just read or written these bytes, so they are there; the program must not change
            // them while its own call is under way.
            let bytes = unsafe {
                std::slice::from_raw_parts(
                    buffer.iov_base.cast::<u8>().add(start - position),
                    stop - start,
                )
            };
            verdict = inner.stream.feed(direction, bytes, now, &mut scribe);
        }
        position = end;
        if position >= to {
            break;
        }
    }
    if inner.meta.stale { Verdict::Opaque } else { verdict }
}

fn ended(
    state: &'static State,
    inner: &mut Inner,
    fd: i32,
    direction: Direction,
    how: Ended,
    now: u64,
) -> Verdict {
    let mut scribe = Scribe::new(state, &mut inner.meta, fd);
    inner.stream.ended(direction, how, now, &mut scribe)
}

/// After a call: a stream from which nothing more is to be learned costs nothing from here on; one that was
/// another's is looked at afresh.
fn settle(state: &'static State, fd: i32, index: u32, conn: &'static Conn, verdict: Verdict) {
    if verdict != Verdict::Opaque || conn.hint(EDITING) {
        return;
    }
    let stale = conn.lock(state, fd, index).is_some_and(|locked| locked.meta.stale);
    if stale {
        detach(state, fd, table::UNKNOWN);
    } else {
        bury(state, fd, index, conn);
    }
}

/// The lock could not be had: bytes were missed, so the stream cannot be followed any more.
fn give_up(state: &'static State, fd: i32, index: u32, conn: &'static Conn) {
    state.counters.contended.fetch_add(1, Ordering::Relaxed);
    bury(state, fd, index, conn);
}

enum Fate {
    /// Try again later, or no news.
    Nothing,
    Bytes(usize),
    Closed,
    Failed(Fault),
}

fn fate(result: isize) -> Fate {
    match result {
        1.. => Fate::Bytes(result as usize),
        0 => Fate::Closed,
        _ => match connect::fault(errno::get()) {
            Fault::None => Fate::Nothing,
            fault => Fate::Failed(fault),
        },
    }
}

/// Runs `f` on the connection of `fd`, if it is followed, the agent is on, and this thread is not inside it. Nothing
/// happens for a result that is no news (EAGAIN and the like). Keeps errno; contains panics.
fn with_conn(
    fd: i32,
    word: u32,
    result: isize,
    f: impl FnOnce(&'static State, u32, &'static Conn),
) {
    let errno = errno::get();
    if result < 0 && connect::fault(errno) == Fault::None {
        return;
    }
    contain(|| {
        if let Some((state, index, conn)) = find(fd, word)
            && let Some(inside) = thread::current().enter()
        {
            f(state, index, conn);
            drop(inside);
        }
    });
    errno::set(errno);
}

fn find(fd: i32, word: u32) -> Option<(&'static State, u32, &'static Conn)> {
    if thread::current().has(thread::AGENT) {
        return None;
    }
    let state = process::state()?;
    // The word the hook saw may be older than a fork: look again.
    let word = if word == state.table.get(fd) { word } else { state.table.get(fd) };
    let errno = errno::get();
    let found = of(state, fd, word);
    errno::set(errno);
    found.map(|(index, conn)| (state, index, conn))
}
