//! What hooks report: bytes that came in, bytes that go out, bytes that passed unseen, and ends.
//!
//! Each function takes the descriptor and its table word, does nothing for what is not followed, and keeps errno. None
//! of them is called while another lock is held; none allocates or blocks.

use super::scribe::Scribe;
use super::slot::{At, BODY, CONNECTING, EDITING, Fate, Inner, SERVER, STREAMS};
use super::stretch::Stretch;
use super::{connect, inward, of, session, table};
use crate::context;
use crate::context::bridge::Read;
use crate::hooks::contain;
use crate::sys::process;
use crate::sys::{clock, errno, thread};
use agent_engine::exchange::{Fault, Kind};
use agent_engine::protocol::http1::Tail;
use agent_engine::protocol::{Direction, Ended, Verdict};
use libc::iovec;

/// A read returned `result` (as the real call gave it, errno set) into `buffers`. `plain`: by `read`, as of a file. Returns how
/// many bytes more the program is to see (`conn::inward`).
pub(crate) fn received(fd: i32, word: u32, result: isize, buffers: &[iovec], plain: bool) -> isize {
    if result == 0 && !buffers.iter().any(|b| b.iov_len > 0) {
        return 0;
    }
    with_socket(fd, word, result, |at| took(at, result, buffers, true))
        .map_or(0, |took| took.told(plain))
}

/// The program read from a TLS session: `result` bytes into `buffer`, 0 at the end of the stream, or -1 (the session
/// knows why).
pub(crate) fn received_on(call: &session::Call, result: isize, buffer: iovec) {
    if let Some(took) = with_session(call, |at| took(at, result, &[buffer], false)) {
        took.told(false);
    }
}

/// As [`received_on`]. Returns how many bytes more the program is to see.
pub(crate) fn received_into_on(call: &session::Call, result: isize, buffer: iovec) -> isize {
    with_session(call, |at| took(at, result, &[buffer], true)).map_or(0, |took| took.told(false))
}

/// What a read brought.
#[derive(Default)]
struct Took {
    /// What a bridge has to know of a server's.
    read: Option<Read>,
    /// Bytes added.
    more: usize,
}

impl Took {
    /// Tells the bridge, now that nothing is locked.
    fn told(self, plain: bool) -> isize {
        if let Some(read) = self.read {
            context::bridge::server_read(&Read { plain, ..read });
        }
        self.more as isize
    }
}

/// `growing`: the program can be told of more bytes, if what was read is in the first buffer.
fn took(at: &At, result: isize, buffers: &[iovec], growing: bool) -> Took {
    let fate = at.fate(result);
    if matches!(fate, Fate::Nothing) {
        return Took::default();
    }
    let Some(mut locked) = at.lock() else {
        at.give_up();
        return Took::default();
    };
    let before = locked.meta.newest;
    let now = clock::monotonic_ns();
    let inner = &mut *locked;
    let expected = if growing {
        inward::expected(inner)
    } else {
        None
    };
    let verdict = match fate {
        Fate::Nothing => return Took::default(),
        Fate::Bytes(count) => {
            let bytes = Stretch {
                pieces: buffers,
                from: 0,
                to: count,
            };
            feed(at, inner, Direction::In, bytes, now)
        }
        Fate::Closed => ended(at, inner, Direction::In, Ended::Eof, now),
        Fate::Failed(fault) => failed(at, inner, Direction::In, fault, now),
    };
    let read = (inner.stream.role() == Some(Kind::Server)).then(|| {
        at.conn.set_hint(SERVER, true);
        Read {
            request: context::server::read(at.state, inner),
            socket: inner.meta.cookie,
            first: !inner.meta.newest_is_later,
            plain: false,
        }
    });
    if read.is_none() {
        context::client::heard(at.state, &inner.meta, matches!(fate, Fate::Bytes(_)));
    } else if inner.meta.newest != before {
        context::turn::read_head(at.fd());
    }
    let more = match (expected, buffers) {
        // SAFETY: the program's buffer, into which a read brought so many bytes; the lock is held.
        (Some(expected), [buffer, ..]) if (1..=buffer.iov_len as isize).contains(&result) => unsafe {
            inward::give(at, inner, expected, *buffer, result as usize)
        },
        _ => 0,
    };
    drop(locked);
    at.settle(verdict);
    Took { read, more }
}

/// `count` bytes passed from or to the socket without being visible (sendfile, splice, MSG_TRUNC).
pub(crate) fn passed_unseen(fd: i32, word: u32, direction: Direction, result: isize) {
    if result > 0 {
        with_socket(fd, word, result, |at| skipped(at, direction, result as u64));
    }
}

/// `count` bytes passed on a TLS session without being visible (`SSL_sendfile`).
pub(crate) fn passed_unseen_on(call: &session::Call, direction: Direction, count: u64) {
    with_session(call, |at| skipped(at, direction, count));
}

fn skipped(at: &At, direction: Direction, count: u64) {
    let Some(mut locked) = at.lock() else {
        return at.give_up();
    };
    let inner = &mut *locked;
    let mut scribe = Scribe::new(at.state, &mut inner.meta, at.fd());
    let now = clock::monotonic_ns();
    let verdict = inner.stream.skip(direction, count, now, &mut scribe);
    drop(locked);
    at.settle(verdict);
}

/// The program shut down its sending side.
pub(crate) fn shut_down(fd: i32, word: u32) {
    with_socket(fd, word, 1, sending_ended);
}

/// The program said goodbye on a TLS session.
pub(crate) fn shut_down_on(call: &session::Call) {
    with_session(call, sending_ended);
}

fn sending_ended(at: &At) {
    let Some(mut locked) = at.lock() else {
        return;
    };
    let now = clock::monotonic_ns();
    let verdict = ended(at, &mut locked, Direction::Out, Ended::Eof, now);
    drop(locked);
    at.settle(verdict);
}

/// A write returned `result`; nothing was rewritten.
pub(crate) fn wrote(fd: i32, word: u32, result: isize, program: &[iovec]) {
    if let Some(at) = contain(|| find(fd, word)).flatten() {
        sent(&at, result, Stretch::whole(program), 0);
    }
}

/// A write on a TLS session took `result` bytes of `buffer`, or failed for good (-1); nothing was rewritten.
pub(crate) fn wrote_on(call: &session::Call, result: isize, buffer: iovec) {
    sent(&call.at, result, Stretch::whole(&[buffer]), 0);
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

/// The program's call, or the real one in its place, wrote `result` bytes of `program`, or failed. `before` is the time of
/// the call, 0 for now. Keeps errno.
pub(super) fn sent(at: &At, result: isize, program: Stretch<'_>, before: u64) {
    let fate = at.fate(result);
    if matches!(fate, Fate::Nothing | Fate::Closed) {
        return;
    }
    let errno = errno::get();
    contain(|| {
        let inside = thread::current().enter()?;
        let Some(mut locked) = at.lock() else {
            at.give_up();
            return None;
        };
        let inner = &mut *locked;
        let now = if before == 0 {
            clock::monotonic_ns()
        } else {
            before
        };
        let verdict = match fate {
            Fate::Failed(fault) => failed(at, inner, Direction::Out, fault, now),
            _ => {
                let went = Stretch {
                    to: program.from + result as usize,
                    ..program
                };
                context::server::written(at.state, inner);
                feed_sent(at, inner, went, now)
            }
        };
        drop(locked);
        at.settle(verdict);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// Feeds what was sent, except for the head that the stream was fed before the call.
pub(super) fn feed_sent(at: &At, inner: &mut Inner, went: Stretch<'_>, now: u64) -> Verdict {
    let known = inner.meta.fed_ahead.min(went.len());
    inner.meta.fed_ahead -= known;
    let new = Stretch {
        from: went.from + known,
        ..went
    };
    feed(at, inner, Direction::Out, new, now)
}

fn feed(at: &At, inner: &mut Inner, direction: Direction, bytes: Stretch<'_>, now: u64) -> Verdict {
    session::bind(at, inner);
    if direction == Direction::In {
        inner.stream.call_begins();
    }
    let mut scribe = Scribe::new(at.state, &mut inner.meta, at.fd());
    let mut verdict = Verdict::Undecided;
    // SAFETY: the kernel or the library has just read or written these bytes, so they are there; the program must not
    // change them while its own call is under way.
    unsafe {
        bytes.each(|bytes| {
            verdict = inner.stream.feed(direction, bytes, now, &mut scribe);
        });
    }
    if direction == Direction::Out {
        inner.stream.call_ends(now, &mut scribe);
        let body = matches!(inner.stream.outgoing_tail(), Tail::Body(_));
        at.conn.set_hint(BODY, body);
        at.conn.set_hint(STREAMS, inner.stream.is_multiplexed());
    }
    if inner.meta.stale || inner.meta.lost {
        Verdict::Opaque
    } else {
        verdict
    }
}

fn ended(at: &At, inner: &mut Inner, direction: Direction, how: Ended, now: u64) -> Verdict {
    let mut scribe = Scribe::new(at.state, &mut inner.meta, at.fd());
    inner.stream.ended(direction, how, now, &mut scribe)
}

fn failed(at: &At, inner: &mut Inner, direction: Direction, fault: Fault, now: u64) -> Verdict {
    if at.conn.hint(CONNECTING) {
        connect::failed(at.state, &mut inner.meta, fault);
        at.conn.set_hint(CONNECTING, false);
    }
    ended(at, inner, direction, Ended::Failed(fault), now)
}

/// Runs `f` on the connection of `fd`, if it is followed, the agent is on, and this thread is not inside it. Nothing
/// happens for a result that is no news (EAGAIN and the like). Keeps errno; contains panics.
fn with_socket<R>(fd: i32, word: u32, result: isize, f: impl FnOnce(&At) -> R) -> Option<R> {
    let errno = errno::get();
    if result < 0 && connect::fault(errno) == Fault::None {
        return None;
    }
    let done = contain(|| {
        let at = find(fd, word)?;
        let inside = thread::current().enter()?;
        let done = f(&at);
        drop(inside);
        Some(done)
    });
    errno::set(errno);
    done.flatten()
}

/// As [`with_socket`], for a call on a session.
fn with_session<R>(call: &session::Call, f: impl FnOnce(&At) -> R) -> Option<R> {
    let errno = errno::get();
    let done = contain(|| {
        let inside = thread::current().enter()?;
        let done = f(&call.at);
        drop(inside);
        Some(done)
    });
    errno::set(errno);
    done.flatten()
}

/// The connection of `fd`, if it is followed and the agent is on.
pub(super) fn find(fd: i32, word: u32) -> Option<At> {
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
    found
}
