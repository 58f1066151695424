//! The slot of one connection, its lock, and what a call on it holds.

use super::edit::Edit;
use super::{Carrier, connect, scribe, session, table};
use crate::export::record::Ref;
use crate::sys::process::State;
use crate::sys::slab::Slot;
use crate::sys::spin::{self, Guard, SpinLock};
use crate::sys::{clock, errno, raw};
use agent_engine::exchange::{Endpoint, Fault};
use agent_engine::protocol::{Stream, Verdict};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hint: this process is the server on the connection: no header is ever spliced into what it writes.
pub(crate) const SERVER: u32 = 1;
/// Hint: part of a context header is still to be written.
pub(crate) const EDITING: u32 = 2;
/// Hint: a connect is under way.
pub(crate) const CONNECTING: u32 = 4;
/// Hint: nothing more is to be learned.
pub(crate) const DEAD: u32 = 8;
/// Hint: the body of a request is being sent: no request begins with what is written next.
pub(crate) const BODY: u32 = 16;
/// Hint: requests may begin anywhere in what is sent (HTTP/2).
pub(crate) const STREAMS: u32 = 32;
/// Hint: what is sent goes to a database.
pub(crate) const QUERIES: u32 = 64;

/// A connection slot. All-zero bytes are a fresh one.
#[repr(C)]
pub(crate) struct Conn {
    link: AtomicU32,
    /// Counts the uses of the slot: a call that outlives the connection it was made on does not touch the next one.
    epoch: AtomicU32,
    lock: SpinLock,
    /// Descriptors that refer to the slot; 1 for a TLS session.
    pub(super) fds: AtomicU32,
    /// What can be known without the lock.
    hint: AtomicU32,
    /// What only TLS sessions have.
    pub(super) session: session::Part,
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
    /// Which socket this is (`SO_COOKIE`); for a TLS session the one that carries it, once that is known.
    pub(crate) cookie: u64,
    /// The descriptor turned out to be another socket's, or a file's.
    pub(crate) stale: bool,
    /// Whether `peer` was asked for.
    pub(crate) peer_known: bool,
    /// The TLS session whose plaintext this is.
    pub(crate) tls: Option<session::Id>,
    /// Identity of the thread that read the last request head.
    pub(crate) reader: usize,
    /// The server request whose head was read last.
    pub(crate) newest: Ref,
    /// Whether a request was read before that one.
    pub(crate) newest_is_later: bool,
    /// The server request that was given out last (`conn::serving`).
    pub(crate) claimed: Ref,
    /// Server requests whose heads were read so far.
    pub(crate) requests_served: u32,
    /// The server request that was being served when `connect` was called.
    pub(crate) connect_parent: Ref,
    /// Identity of the thread that sent the last request.
    pub(crate) sender: usize,
    /// The server request for which `connect` was called, or the last request was sent, as far as the thread told.
    pub(crate) works_for: Ref,
    /// When `connect` was called.
    pub(crate) connect_start_ns: u64,
    /// When the connection stood, as far as a call told; else 0.
    pub(crate) connected_ns: u64,
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
pub(crate) struct Locked<'a> {
    conn: &'a Conn,
    _guard: Guard<'a>,
}

impl Deref for Locked<'_> {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        // SAFETY: the lock is held.
        unsafe { &*self.conn.inner.get() }
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        // SAFETY: the lock is held, and `self` is borrowed mutably.
        unsafe { &mut *self.conn.inner.get() }
    }
}

impl Conn {
    /// Begins a use of a slot just taken from the slab: `set_up` sees it empty.
    pub(super) fn begin(&self, set_up: impl FnOnce(&mut Meta)) {
        self.fds.store(1, Ordering::Relaxed);
        self.hint.store(0, Ordering::Relaxed);
        self.epoch.fetch_add(1, Ordering::Relaxed);
        if let Some(mut locked) = self.acquire(spin::YIELDS) {
            *locked = Inner::default();
            set_up(&mut locked.meta);
        }
    }

    /// Takes the lock whatever the slot is used for.
    pub(super) fn acquire(&self, yields: u32) -> Option<Locked<'_>> {
        let guard = self.lock.acquire(yields)?;
        Some(Locked {
            conn: self,
            _guard: guard,
        })
    }

    /// What tells the connection apart in records: where its state is.
    pub(super) fn name(&self) -> usize {
        self.inner.get() as usize + std::mem::offset_of!(Inner, meta)
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

    /// Nothing more will pass: finishes what is open. `fd` may be asked about the connection, unless it is -1.
    pub(super) fn finish(&self, state: &'static State, fd: i32, yields: u32) {
        if let Some(mut locked) = self.acquire(yields) {
            locked.finish(state, fd);
        }
    }
}

impl Inner {
    fn finish(&mut self, state: &'static State, fd: i32) {
        let mut scribe = scribe::Scribe::new(state, &mut self.meta, fd);
        self.stream.close(clock::monotonic_ns(), &mut scribe);
        self.meta.edit.abandon(state);
    }
}

/// One use of a connection slot, as a call on it found it.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) state: &'static State,
    pub(crate) carrier: Carrier,
    pub(crate) index: u32,
    pub(crate) conn: &'static Conn,
    epoch: u32,
}

/// What a call's result means for the stream.
pub(crate) enum Fate {
    /// Try again later, or no news.
    Nothing,
    /// So many bytes passed.
    Bytes(usize),
    /// The peer closed its side.
    Closed,
    /// The stream is broken.
    Failed(Fault),
}

impl At {
    /// For a slot that was just found to belong to `carrier`.
    pub(super) fn new(
        state: &'static State,
        carrier: Carrier,
        index: u32,
        conn: &'static Conn,
    ) -> Self {
        Self {
            state,
            carrier,
            index,
            conn,
            epoch: conn.epoch.load(Ordering::Relaxed),
        }
    }

    /// The descriptor that may be asked about the connection; -1 where there is none.
    pub(crate) fn fd(&self) -> i32 {
        match self.carrier {
            Carrier::Socket(fd) => fd,
            Carrier::Session(_) => -1,
        }
    }

    /// Takes the lock if this still is the connection it was. Waits briefly: the holder only parses. `None` when the holder
    /// is this very thread (a signal handler interrupted it) or does not let go (it was cancelled or killed in there).
    pub(crate) fn lock(&self) -> Option<Locked<'static>> {
        // One thread reads and another writes there all the time, and what would be given up is many requests'.
        let patience = if self.conn.hint(STREAMS) { 100 } else { 1 };
        self.lock_waiting(spin::YIELDS * patience)
    }

    /// As [`At::lock`], but waits long: for the few cases in which giving up would damage the program's stream.
    pub(crate) fn lock_patiently(&self) -> Option<Locked<'static>> {
        self.lock_waiting(spin::YIELDS * 1000)
    }

    fn lock_waiting(&self, yields: u32) -> Option<Locked<'static>> {
        let locked = self.conn.acquire(yields)?;
        self.is_current().then_some(locked)
    }

    /// Whether the slot still is the connection that it was.
    pub(super) fn is_current(&self) -> bool {
        self.conn.epoch.load(Ordering::Relaxed) == self.epoch
            && match self.carrier {
                Carrier::Socket(fd) => self.state.table.get(fd) == table::CONN + self.index,
                Carrier::Session(object) => self.conn.session.is(object),
            }
    }

    /// What `result` (with errno, or what the TLS library said) means.
    pub(crate) fn fate(&self, result: isize) -> Fate {
        match result {
            1.. => Fate::Bytes(result as usize),
            0 => Fate::Closed,
            _ => match self.fault() {
                Fault::None => Fate::Nothing,
                fault => Fate::Failed(fault),
            },
        }
    }

    /// Why the call that just failed did; [`Fault::None`] where it may be tried again.
    pub(crate) fn fault(&self) -> Fault {
        match self.carrier {
            Carrier::Socket(_) => connect::fault(errno::get()),
            Carrier::Session(_) => self.conn.session.fault(),
        }
    }

    /// Nothing more is to be learned here: what passes from now on costs next to nothing.
    pub(crate) fn bury(&self) {
        if self.conn.hint(EDITING) {
            // Not while a header is half out.
            return;
        }
        match self.carrier {
            Carrier::Socket(fd) => super::bury(self.state, fd, self.index, self.conn),
            Carrier::Session(_) => {
                if let Some(mut locked) = self.lock() {
                    self.conn.set_hint(DEAD, true);
                    locked.finish(self.state, -1);
                }
            }
        }
    }

    /// The lock could not be had: bytes were missed, so the stream cannot be followed any more.
    pub(crate) fn give_up(&self) {
        self.state
            .counters
            .contended
            .fetch_add(1, Ordering::Relaxed);
        self.bury();
    }

    /// After a call: a stream from which nothing more is to be learned is buried; one that was another's is looked at
    /// afresh.
    pub(crate) fn settle(&self, verdict: Verdict) {
        if verdict != Verdict::Opaque || self.conn.hint(EDITING) {
            return;
        }
        let stale = self.lock().is_some_and(|locked| locked.meta.stale);
        match self.carrier {
            Carrier::Socket(fd) if stale => super::detach(self.state, fd, table::UNKNOWN),
            _ => self.bury(),
        }
    }
}
