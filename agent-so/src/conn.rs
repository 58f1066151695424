//! Connections: which descriptor belongs to which stream, and who may look at it.
//!
//! A stream socket gets a slot when the first bytes pass. The slot is shared by all descriptors that `dup` made of it
//! and lives until the last one is closed, or until nothing more is to be learned from its bytes. State is
//! cleared before the real close, because another thread may get the number at once.

pub(crate) mod classify;
pub(crate) mod connect;
pub(crate) mod edit;
pub(crate) mod observe;
pub(crate) mod resolver;
pub(crate) mod rewrite;
pub(crate) mod scribe;
pub(crate) mod table;

use crate::export;
use crate::export::record::Ref;
use crate::settings;
use crate::sys::process::State;
use crate::sys::slab::Slot;
use crate::sys::{clock, raw, thread};
use agent_engine::exchange::Endpoint;
use agent_engine::protocol::Stream;
use edit::Edit;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Hint: this process is the server on the connection: no header is ever spliced into what it writes.
pub(crate) const SERVER: u32 = 1;
/// Hint: part of a context header is still to be written.
pub(crate) const EDITING: u32 = 2;
/// Hint: a connect is under way.
pub(crate) const CONNECTING: u32 = 4;
/// Hint: nothing more is to be learned.
pub(crate) const DEAD: u32 = 8;

/// A connection slot. All-zero bytes are a fresh one.
#[repr(C)]
pub(crate) struct Conn {
    link: AtomicU32,
    lock: AtomicU32,
    owner: AtomicUsize,
    /// Descriptors that refer to the slot.
    fds: AtomicU32,
    /// What can be known without the lock.
    hint: AtomicU32,
    inner: UnsafeCell<Inner>,
}

/// What the lock guards.
#[derive(Default)]
pub(crate) struct Inner {
    /// The protocol machine.
    pub(crate) stream: Stream,
    /// The rest.
    pub(crate) meta: Meta,
}

/// What is known of a connection besides its bytes.
#[derive(Default)]
pub(crate) struct Meta {
    /// The other end, once asked for.
    pub(crate) peer: Endpoint,
    /// Which socket this is (`SO_COOKIE`).
    pub(crate) cookie: u64,
    /// The descriptor turned out to be another socket's, or a file's.
    pub(crate) stale: bool,
    /// Whether `peer` was asked for.
    pub(crate) peer_known: bool,
    /// Identity of the thread that read the last request head.
    pub(crate) reader: usize,
    /// The server request that was being served when `connect` was called.
    pub(crate) connect_parent: Ref,
    /// When `connect` was called.
    pub(crate) connect_start_ns: u64,
    /// Requests sent so far.
    pub(crate) requests_sent: u32,
    /// Bytes at the front of the program's next writes that the stream was fed before the call.
    pub(crate) fed_ahead: usize,
    /// Hash of the head that was fed ahead, while not one byte of it went out; else 0.
    pub(crate) head_hash: u64,
    /// The stream was fed what was never sent.
    pub(crate) lost: bool,
    /// What is to be spliced into the program's next writes.
    pub(crate) edit: Edit,
}

impl Meta {
    /// Whether `fd` still is the socket that the state is about. Kernels without cookies can only tell that it is one.
    pub(crate) fn is_still(&self, fd: i32) -> bool {
        let cookie = raw::socket_cookie(fd);
        cookie == self.cookie && (cookie != 0 || raw::socket_option(fd, libc::SO_TYPE).is_ok())
    }
}

// SAFETY: `inner` is only reached through the lock.
unsafe impl Sync for Conn {}

// SAFETY: atomics and plain data, documented as valid when zero; nothing to drop.
unsafe impl Slot for Conn {
    const PER_CHUNK: u32 = 1024;
    const MAX: u32 = 1024 * 1024;
    fn link(&self) -> &AtomicU32 {
        &self.link
    }
}

/// The lock of one connection, held.
pub(crate) struct Locked<'a>(&'a Conn);

impl Deref for Locked<'_> {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        // SAFETY: the lock is held.
        unsafe { &*self.0.inner.get() }
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        // SAFETY: the lock is held, and `self` is borrowed mutably.
        unsafe { &mut *self.0.inner.get() }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.owner.store(0, Ordering::Relaxed);
        self.0.lock.store(0, Ordering::Release);
    }
}

/// Tries before a turn is given away, and turns given away before the connection is given up.
const SPINS: u32 = 200;
const YIELDS: u32 = 100;

impl Conn {
    /// Takes the lock if `fd` still is this connection. Waits briefly: the holder only parses. `None` when the holder is
    /// this very thread (a signal handler interrupted it) or does not let go (it was cancelled or killed in there).
    pub(crate) fn lock(&self, state: &State, fd: i32, index: u32) -> Option<Locked<'_>> {
        self.lock_waiting(state, fd, index, YIELDS)
    }

    /// As [`Conn::lock`], but waits long: for the few cases in which giving up would damage the program's stream.
    pub(crate) fn lock_patiently(&self, state: &State, fd: i32, index: u32) -> Option<Locked<'_>> {
        self.lock_waiting(state, fd, index, YIELDS * 1000)
    }

    fn lock_waiting(&self, state: &State, fd: i32, index: u32, yields: u32) -> Option<Locked<'_>> {
        let locked = self.acquire(yields)?;
        (state.table.get(fd) == table::CONN + index).then_some(locked)
    }

    fn acquire(&self, yields: u32) -> Option<Locked<'_>> {
        let me = thread::identity();
        for _ in 0..=yields {
            for _ in 0..SPINS {
                if self
                    .lock
                    .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    self.owner.store(me, Ordering::Relaxed);
                    return Some(Locked(self));
                }
                if self.owner.load(Ordering::Relaxed) == me {
                    return None;
                }
                std::hint::spin_loop();
            }
            // SAFETY: sched_yield takes no arguments.
            unsafe { raw::syscall6(libc::SYS_sched_yield, [0; 6]) };
        }
        None
    }

    /// What is known without the lock.
    #[inline]
    pub(crate) fn hint(&self, bit: u32) -> bool {
        self.hint.load(Ordering::Relaxed) & bit != 0
    }

    /// Sets or clears a hint.
    pub(crate) fn set_hint(&self, bit: u32, on: bool) {
        if on {
            self.hint.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.hint.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

/// The connection behind `fd`, given its table word; makes one for a stream socket seen for the first time. `None`:
/// nothing to observe.
pub(crate) fn of(state: &'static State, fd: i32, mut word: u32) -> Option<(u32, &'static Conn)> {
    if word == table::UNKNOWN {
        word = classify::classify(state, fd);
    }
    if word == table::FRESH {
        word = attach(state, fd)?;
    }
    let index = word.checked_sub(table::CONN)?;
    let conn = state.conns.get(index)?;
    if conn.hint(DEAD) && !conn.hint(EDITING) {
        if state.table.replace(fd, word, table::IGNORED) {
            release(state, fd, index, conn);
        }
        return None;
    }
    Some((index, conn))
}

fn attach(state: &'static State, fd: i32) -> Option<u32> {
    settings::say_warnings();
    let Some(index) = state.conns.take() else {
        state.counters.no_conn.fetch_add(1, Ordering::Relaxed);
        state.table.set(fd, table::IGNORED);
        return None;
    };
    let conn = state.conns.get(index)?;
    conn.fds.store(1, Ordering::Relaxed);
    conn.hint.store(0, Ordering::Relaxed);
    if let Some(mut locked) = conn.acquire(YIELDS) {
        *locked = Inner::default();
        locked.meta.cookie = raw::socket_cookie(fd);
    }
    if state.table.replace(fd, table::FRESH, table::CONN + index) {
        return Some(table::CONN + index);
    }
    // Another thread attached it, or the program closed the descriptor.
    state.conns.give(index);
    Some(state.table.get(fd)).filter(|word| *word >= table::CONN)
}

/// Marks a connection from which nothing more is to be learned; its descriptors follow one by one.
pub(crate) fn bury(state: &'static State, fd: i32, index: u32, conn: &'static Conn) {
    // Not while a header is half out, and not when the slot has become another connection's meanwhile.
    if !conn.hint(EDITING) && state.table.replace(fd, table::CONN + index, table::IGNORED) {
        conn.set_hint(DEAD, true);
        release(state, fd, index, conn);
    }
}

/// One descriptor less; with the last one what is open is finished and the slot is free.
fn release(state: &'static State, fd: i32, index: u32, conn: &'static Conn) {
    if conn.fds.fetch_sub(1, Ordering::AcqRel) != 1 {
        return;
    }
    if let Some(mut locked) = conn.acquire(YIELDS) {
        let inner = &mut *locked;
        let mut scribe = scribe::Scribe::new(state, &mut inner.meta, fd);
        inner.stream.close(clock::monotonic_ns(), &mut scribe);
        inner.meta.edit.abandon(state);
    }
    state.conns.give(index);
    export::poke(state);
}

/// Forgets what `fd` was, before it is closed or becomes something else. `value` is what it is from now on.
pub(crate) fn detach(state: &'static State, fd: i32, value: u32) {
    let word = state.table.get(fd);
    if word == value || (word > table::IGNORED && !state.is_ours()) {
        return;
    }
    match word {
        table::UNKNOWN | table::IGNORED | table::FRESH => {
            state.table.set(fd, value);
        }
        table::OWN => {
            crate::sys::log::lost(fd);
            state.table.set(fd, value);
        }
        _ => {
            let index = word - table::CONN;
            if state.table.replace(fd, word, value)
                && let Some(conn) = state.conns.get(index)
            {
                release(state, fd, index, conn);
            }
        }
    }
}

/// `new` now is the same socket as `old`.
pub(crate) fn share(state: &'static State, old: i32, new: i32) {
    let followed = |fd| state.table.get(fd) > table::IGNORED;
    if (followed(old) || followed(new)) && !state.is_ours() {
        // A child in our memory (clone) arranges descriptors of its own: ours stay what they are.
        return;
    }
    let word = state.table.get(old);
    if word >= table::CONN && state.table.get(new) == word {
        return;
    }
    let word = if word == table::OWN {
        table::UNKNOWN
    } else {
        word
    };
    if let Some(index) = word.checked_sub(table::CONN)
        && let Some(conn) = state.conns.get(index)
    {
        conn.fds.fetch_add(1, Ordering::AcqRel);
        detach(state, new, word);
        return;
    }
    // Two descriptors of a socket on which nothing passed yet must become one connection: attach it now.
    if word == table::FRESH
        && let Some(word) = attach(state, old)
        && let Some(conn) = state.conns.get(word - table::CONN)
    {
        conn.fds.fetch_add(1, Ordering::AcqRel);
        detach(state, new, word);
        return;
    }
    detach(state, new, word);
}

/// Finishes what is still open on every connection, when the process ends without closing them.
pub(crate) fn finish_all(state: &'static State) {
    for index in 0..state.conns.high_water() {
        let Some(conn) = state.conns.get(index) else {
            continue;
        };
        if conn.fds.load(Ordering::Acquire) == 0 {
            continue;
        }
        let Some(mut locked) = conn.acquire(0) else {
            continue;
        };
        let inner = &mut *locked;
        let mut scribe = scribe::Scribe::new(state, &mut inner.meta, -1);
        inner.stream.close(clock::monotonic_ns(), &mut scribe);
    }
}
