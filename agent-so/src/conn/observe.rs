//! What hooks report: bytes that came in, bytes that go out, bytes that passed unseen, and ends.
//!
//! Each function takes the descriptor and its table word, does nothing for what is not followed, and keeps errno. None
//! of them is called while another lock is held; none allocates or blocks.

use super::edit::Stretch;
use super::scribe::Scribe;
use super::{CONNECTING, Conn, EDITING, Inner, SERVER, bury, connect, detach, of, table};
use crate::context;
use crate::hooks::contain;
use crate::sys::process::{self, State};
use crate::sys::{clock, errno, thread};
use agent_engine::exchange::{Fault, Kind};
use agent_engine::protocol::{Direction, Ended, Verdict};
use libc::iovec;
use std::sync::atomic::Ordering;

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
            Fate::Bytes(count) => {
                let bytes = Stretch {
                    pieces: buffers,
                    from: 0,
                    to: count,
                };
                feed(state, inner, fd, Direction::In, bytes, now)
            }
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
        let verdict = inner
            .stream
            .skip(direction, result as u64, now, &mut scribe);
        drop(locked);
        settle(state, fd, index, conn, verdict);
    });
}

/// The program shut down its sending side.
pub(crate) fn shut_down(fd: i32, word: u32) {
    with_conn(fd, word, 1, |state, index, conn| {
        let Some(mut locked) = conn.lock(state, fd, index) else {
            return;
        };
        let now = clock::monotonic_ns();
        let verdict = ended(state, &mut locked, fd, Direction::Out, Ended::Eof, now);
        drop(locked);
        settle(state, fd, index, conn, verdict);
    });
}

/// A write returned `result`; nothing was rewritten.
pub(crate) fn wrote(fd: i32, word: u32, result: isize, program: &[iovec]) {
    if let Some((state, index, conn)) = contain(|| find(fd, word)).flatten() {
        sent(state, fd, index, conn, result, Stretch::whole(program), 0);
    }
}

/// Whether part of a header is still to go out on this connection, before anything else may.
pub(crate) fn must_be_rewritten(word: u32) -> bool {
    hints(word, EDITING)
}

/// Whether what is written to this connection is only observed, because this process is the server on it.
pub(crate) fn never_rewritten(word: u32) -> bool {
    hints(word, SERVER)
}

fn hints(word: u32, bit: u32) -> bool {
    word.checked_sub(table::CONN)
        .and_then(|index| process::peek()?.conns.get(index))
        .is_some_and(|conn| conn.hint(bit))
}

pub(super) fn sent(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    result: isize,
    program: Stretch<'_>,
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
        let now = if before == 0 {
            clock::monotonic_ns()
        } else {
            before
        };
        let verdict = match failing {
            None => {
                let went = Stretch {
                    to: program.from + result as usize,
                    ..program
                };
                context::server::written(state, inner);
                feed_sent(state, inner, fd, went, now)
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

/// Feeds what was sent, except for the head that the stream was fed before the call.
pub(super) fn feed_sent(
    state: &'static State,
    inner: &mut Inner,
    fd: i32,
    went: Stretch<'_>,
    now: u64,
) -> Verdict {
    let known = inner.meta.fed_ahead.min(went.len());
    inner.meta.fed_ahead -= known;
    let new = Stretch {
        from: went.from + known,
        ..went
    };
    feed(state, inner, fd, Direction::Out, new, now)
}

fn feed(
    state: &'static State,
    inner: &mut Inner,
    fd: i32,
    direction: Direction,
    bytes: Stretch<'_>,
    now: u64,
) -> Verdict {
    let mut scribe = Scribe::new(state, &mut inner.meta, fd);
    let mut verdict = Verdict::Undecided;
    // SAFETY: the kernel has just read or written these bytes, so they are there; the program must not change them
    // while its own call is under way.
    unsafe {
        bytes.each(|bytes| {
            verdict = inner.stream.feed(direction, bytes, now, &mut scribe);
        });
    }
    if inner.meta.stale || inner.meta.lost {
        Verdict::Opaque
    } else {
        verdict
    }
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
pub(super) fn settle(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    verdict: Verdict,
) {
    if verdict != Verdict::Opaque || conn.hint(EDITING) {
        return;
    }
    let stale = conn
        .lock(state, fd, index)
        .is_some_and(|locked| locked.meta.stale);
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

pub(super) fn find(fd: i32, word: u32) -> Option<(&'static State, u32, &'static Conn)> {
    if thread::current().has(thread::AGENT) {
        return None;
    }
    let state = process::state()?;
    // The word the hook saw may be older than a fork: look again.
    let word = if word == state.table.get(fd) {
        word
    } else {
        state.table.get(fd)
    };
    let errno = errno::get();
    let found = of(state, fd, word);
    errno::set(errno);
    found.map(|(index, conn)| (state, index, conn))
}
