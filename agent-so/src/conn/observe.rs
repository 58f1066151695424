//! What hooks report: bytes that came in, bytes that go out, bytes that passed unseen, and ends.
//!
//! Each function takes the descriptor and its table word, does nothing for what is not followed, and keeps errno. None
//! of them is called while another lock is held; none allocates or blocks.

use super::edit::{self, Edit, Stretch, Wire};
use super::scribe::Scribe;
use super::{CONNECTING, Conn, EDITING, Inner, Locked, SERVER, bury, connect, detach, of, table};
use crate::context;
use crate::export;
use crate::export::record::Record;
use crate::hooks::contain;
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::{clock, errno, memory, thread};
use agent_engine::exchange::{Fault, Kind};
use agent_engine::protocol::http1::Tail;
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

/// Writes `program` to `fd` by `send`, which makes the real call; splices context headers in where a request begins.
/// Returns what the program is to see, errno included.
///
/// # Safety
/// `program` is what the program passed; `plain` is the call that it made, and `send` the same call with other bytes.
pub(crate) unsafe fn write(
    fd: i32,
    word: u32,
    program: &[iovec],
    mut send: impl FnMut(Wire<'_>) -> isize,
    plain: impl FnOnce() -> isize,
) -> isize {
    let whole = Stretch::whole(program);
    let before = contain(|| {
        let (state, index, conn) = find(fd, word)?;
        if conn.hint(SERVER) {
            return Some((state, index, conn, None, 0));
        }
        let plan = prepare(state, fd, index, conn, whole);
        Some((state, index, conn, plan, clock::monotonic_ns()))
    })
    .flatten();
    let Some((state, index, conn, plan, before)) = before else {
        return plain();
    };
    let Some(mut plan) = plan else {
        let result = plain();
        sent(state, fd, index, conn, result, whole, before);
        return result;
    };
    // One turn for each request that is whole in this write, as if the program had written them one by one.
    loop {
        let part = plan.part;
        let noted = |now: Edit, through: usize| {
            let went = Stretch {
                to: part.from + through,
                ..part
            };
            contain(|| note_edit(state, fd, index, conn, now, went, before));
        };
        // SAFETY: the program's memory as it passed it; `prepare` pinned the record, and programs do not write to one
        // stream from two threads at once in the middle of a request head.
        let result = unsafe { edit::write(plan.record, plan.edit, part, &mut send, noted) };
        if result < 0 {
            let errno = errno::get();
            if connect::fault(errno) == Fault::None && plan.edit.pending() {
                contain(|| keep_edit(state, fd, index, conn, plan.edit));
                errno::set(errno);
            } else {
                sent(state, fd, index, conn, result, part, before);
            }
        }
        let errno = errno::get();
        let next = if result as usize == part.len() && part.to < whole.to {
            let rest = Stretch {
                from: part.to,
                ..whole
            };
            let next = contain(|| prepare(state, fd, index, conn, rest)).flatten();
            // Nothing more begins here that could be whole: the rest goes as it is.
            Some(next.unwrap_or_else(|| plan.without_edit(rest)))
        } else {
            None
        };
        match next {
            Some(next) => {
                if next.index != plan.index {
                    export::unpin(state, plan.index, plan.record);
                }
                plan = next;
            }
            None => {
                export::unpin(state, plan.index, plan.record);
                errno::set(errno);
                let earlier = part.from as isize;
                return if result >= 0 || earlier > 0 {
                    earlier + result.max(0)
                } else {
                    result
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

fn sent(
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

/// Before a write: does a request begin, whose head is whole and may be given a context? Then the stream is fed that
/// head at once (a response may be read by another thread before this write has returned) and the edit is set up.
/// Also gives the rest of an edit that a short write left over. The edit's record is pinned.
fn prepare<'a>(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    program: Stretch<'a>,
) -> Option<Plan<'a>> {
    if conn.hint(EDITING) {
        let locked = conn.lock_patiently(state, fd, index)?;
        return rest_of_edit(state, locked, conn, program);
    }
    let _inside = thread::current().enter()?;
    let mut locked = conn.lock(state, fd, index)?;
    let inner = &mut *locked;
    if inner.meta.fed_ahead > 0 {
        return None;
    }
    if !inner.stream.can_start_request(Direction::Out) {
        return rest_of_request(state, inner, program);
    }
    let scan = scan(program)?;
    let head = Stretch {
        to: program.from + scan.head_len,
        ..program
    };
    let before = clock::monotonic_ns();
    let mut scribe = Scribe::new(state, &mut inner.meta, fd);
    // SAFETY: `scan` found these bytes readable a moment ago.
    unsafe {
        head.each(|bytes| {
            inner
                .stream
                .feed(Direction::Out, bytes, before, &mut scribe);
        });
    }
    let begun = scribe.begun;
    inner.meta.fed_ahead = head.len();
    let index = begun?;
    let record = state.records.get(index)?;
    if !edit::fits(program.pieces, crate::export::record::SCRATCH) {
        return None;
    }
    // SAFETY: the connection's lock is held, and the record is its newest exchange.
    let edit = unsafe { context::client::edit(index, record, &scan, settings::get()) }?;
    if !record.pin() {
        return None;
    }
    inner.meta.head_hash = hash(head);
    let rest = Stretch {
        from: head.to,
        ..program
    };
    let part = Stretch {
        to: request_end(inner.stream.outgoing_tail(), rest),
        ..program
    };
    Some(Plan {
        index,
        record,
        edit,
        part,
    })
}

/// The plan for a write that goes on with an edit: after a short write, or after one that could not write anything. In
/// the latter case the program is free to write something else, and then nothing of the edit may reach the wire.
fn rest_of_edit<'a>(
    state: &'static State,
    mut locked: Locked<'_>,
    conn: &'static Conn,
    program: Stretch<'a>,
) -> Option<Plan<'a>> {
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
    let index = edit.record()?;
    let record = state.records.get(index)?;
    record.pin().then_some(Plan {
        index,
        record,
        edit,
        part: program,
    })
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

/// The plan for a write that begins inside a request's body, if another request follows in it.
fn rest_of_request<'a>(
    state: &'static State,
    inner: &Inner,
    program: Stretch<'a>,
) -> Option<Plan<'a>> {
    let end = request_end(inner.stream.outgoing_tail(), program);
    if end >= program.to || !edit::fits(program.pieces, crate::export::record::SCRATCH) {
        return None;
    }
    let index = inner.stream.open_exchanges().last()?.0.checked_sub(1)?;
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

/// Where the request under way ends, if another one follows in `rest`; else the end of `rest`.
fn request_end(tail: Tail, rest: Stretch<'_>) -> usize {
    if rest.len() == 0 {
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

/// Looks for a whole request head at the front of what the program is about to write.
fn scan(program: Stretch<'_>) -> Option<HeadScan> {
    let mut scan = HeadScan::default();
    let mut state = Scan::More;
    look(program, |bytes| {
        state = scan.push(bytes);
        state == Scan::More
    });
    (state == Scan::Complete).then_some(scan)
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

fn note_edit(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    edit: Edit,
    went: Stretch<'_>,
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
    if !went.is_empty() {
        // From here on the program cannot take its words back.
        inner.meta.head_hash = 0;
    }
    let verdict = feed_sent(state, inner, fd, went, before);
    drop(locked);
    settle(state, fd, index, conn, verdict);
    drop(inside);
    Some(())
}

/// A write that could not write anything (EAGAIN) will be tried again, and the edit with it.
fn keep_edit(
    state: &'static State,
    fd: i32,
    index: u32,
    conn: &'static Conn,
    edit: Edit,
) -> Option<()> {
    let inside = thread::current().enter();
    let mut locked = conn.lock_patiently(state, fd, index)?;
    if !locked.meta.edit.pending() {
        hold(state, edit, Edit::default());
        locked.meta.edit = edit;
        conn.set_hint(EDITING, true);
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

/// Feeds what was sent, except for the head that the stream was fed before the call.
fn feed_sent(
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
fn settle(state: &'static State, fd: i32, index: u32, conn: &'static Conn, verdict: Verdict) {
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

fn find(fd: i32, word: u32) -> Option<(&'static State, u32, &'static Conn)> {
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
