//! Sessions of TLS libraries: streams whose plaintext passes through calls on an object of the library's.
//!
//! A session has a connection slot of its own. It is found by the object's address and ends when the library frees or
//! clears the object. The socket that carries its records is another connection, of which the first bytes already tell
//! that nothing is to be learned there: no request is seen twice.

mod call;
mod socket;

use super::Carrier;
use super::slot::{At, Conn};
use crate::export;
use crate::hooks::contain;
use crate::hooks::tls::Library;
use crate::sys::process::{self, State};
use crate::sys::spin::{self, SpinLock};
use crate::sys::{errno, thread};
use agent_engine::exchange::Fault;
use call::Frame;
pub(crate) use call::{ANY, Call, Doing, enter};
pub(super) use socket::carried_by;
pub(crate) use socket::{bind, handshake_failed, introduce, name_host};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Shards of the table.
const SHARDS: usize = 1024;
/// Objects of one shard that are looked at: many more than there ever are.
const CHAIN: usize = 4096;
/// Sockets that are remembered as carrying a session, hashed: the newest replaces the others.
const BEARERS: usize = 16 * 1024;

/// Which object of which library it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    /// The kind of library.
    pub(crate) library: Library,
    /// Which of its copies in this process.
    pub(crate) copy: usize,
    /// The object's address.
    pub(crate) object: usize,
}

/// What a connection slot has for a session.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Part {
    /// The object's address; 0 where the slot is a socket's.
    key: AtomicUsize,
    /// Slot + 1 of the next session in its shard.
    next: AtomicU32,
    /// What the library said of the last call that failed.
    fault: AtomicU32,
    /// Calls under way, one of each kind: a program may read and write in two threads at once.
    calls: [Frame; 3],
    /// Bytes of the write that the program is to repeat which the library has taken already.
    accepted: AtomicUsize,
    /// How often the socket was asked for.
    attempts: AtomicU32,
    /// Owners of the object besides the first.
    shares: AtomicU32,
    /// Which end the program is, where it said so: 1 the server, 2 the client.
    role: AtomicU32,
    /// Whether what the program writes is only gathered for now.
    corked: AtomicBool,
}

impl Part {
    /// Whether the slot is the session of this object.
    pub(super) fn is(&self, object: usize) -> bool {
        self.key.load(Ordering::Acquire) == object
    }

    /// Why the last call failed.
    pub(super) fn fault(&self) -> Fault {
        FAULTS
            .get(self.fault.load(Ordering::Relaxed) as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Bytes at the front of the program's next write that went out with an earlier one, which failed.
    pub(super) fn accepted(&self) -> &AtomicUsize {
        &self.accepted
    }
}

/// The faults that a call on a session can have.
const FAULTS: [Fault; 7] = [
    Fault::None,
    Fault::Other,
    Fault::TlsHandshake,
    Fault::ConnectionReset,
    Fault::BrokenPipe,
    Fault::TimedOut,
    Fault::ConnectionAborted,
];

/// The table. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Sessions {
    shards: [Shard; SHARDS],
    /// Slot + 1 of the session by the cookie of its socket.
    bearers: [AtomicU32; BEARERS],
}

#[repr(C)]
struct Shard {
    lock: SpinLock,
    /// Slot + 1 of its first session.
    first: AtomicU32,
}

impl Sessions {
    fn shard(&self, object: usize) -> &Shard {
        // Objects are aligned and large: the low bits say nothing.
        let hash = (object >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.shards[(hash >> 48) % SHARDS]
    }

    fn bearer(&self, cookie: u64) -> &AtomicU32 {
        // Cookies are counted up.
        &self.bearers[cookie as usize % BEARERS]
    }
}

impl Shard {
    /// The links of the chain, up to the one that leads to `object`.
    fn find<'a>(
        &'a self,
        state: &'static State,
        object: usize,
    ) -> Option<(&'a AtomicU32, u32, &'static Conn)> {
        let mut link: &'a AtomicU32 = &self.first;
        for _ in 0..CHAIN {
            let index = link.load(Ordering::Acquire).checked_sub(1)?;
            let conn = state.conns.get(index)?;
            if conn.session.is(object) {
                return Some((link, index, conn));
            }
            link = &conn.session.next;
        }
        None
    }
}

fn find_or_begin(state: &'static State, id: Id) -> Option<At> {
    let shard = state.sessions.shard(id.object);
    let _guard = shard.lock.acquire(spin::YIELDS)?;
    let (index, conn) = match shard.find(state, id.object) {
        Some((_, index, conn)) => (index, conn),
        None => {
            let Some(index) = state.conns.take() else {
                state.counters.no_conn.fetch_add(1, Ordering::Relaxed);
                return None;
            };
            let conn = state.conns.get(index)?;
            begin(conn, id);
            let next = shard.first.load(Ordering::Relaxed);
            conn.session.next.store(next, Ordering::Relaxed);
            conn.session.key.store(id.object, Ordering::Release);
            shard.first.store(index + 1, Ordering::Release);
            (index, conn)
        }
    };
    Some(At::new(state, Carrier::Session(id.object), index, conn))
}

fn begin(conn: &'static Conn, id: Id) {
    conn.begin(|meta| meta.tls = Some(id));
    let part = &conn.session;
    part.fault.store(0, Ordering::Relaxed);
    part.calls.iter().for_each(|call| call.store([0; 3]));
    part.accepted.store(0, Ordering::Relaxed);
    part.attempts.store(0, Ordering::Relaxed);
    part.shares.store(0, Ordering::Relaxed);
    part.role.store(0, Ordering::Relaxed);
    part.corked.store(false, Ordering::Relaxed);
}

/// The program made an object, as one end or the other.
pub(crate) fn made(id: Id, is_server: bool) {
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let at = find_or_begin(state, id)?;
        let role = if is_server { 1 } else { 2 };
        at.conn.session.role.store(role, Ordering::Relaxed);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// The object has one owner more.
pub(crate) fn shared(id: Id) {
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let shares = &find_or_begin(state, id)?.conn.session.shares;
        shares.fetch_add(1, Ordering::Relaxed);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// An owner of the object is about to let go of it: the last one ends the session.
pub(crate) fn release(object: usize) {
    let errno = errno::get();
    let is_shared = contain(|| {
        let state = process::state()?;
        let _inside = thread::current().enter()?;
        let shard = state.sessions.shard(object);
        let _guard = shard.lock.acquire(spin::YIELDS)?;
        let (_, _, conn) = shard.find(state, object)?;
        let fewer = |shares: u32| shares.checked_sub(1);
        let shares = &conn.session.shares;
        shares
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer)
            .ok()
    });
    errno::set(errno);
    if is_shared.flatten().is_none() {
        end(object);
    }
}

/// The object is about to be made fit for another connection. The library does so by itself as a handshake begins: then
/// nothing has passed yet.
pub(crate) fn cleared(object: usize) {
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let shard = state.sessions.shard(object);
        let guard = shard.lock.acquire(spin::YIELDS)?;
        let (_, _, conn) = shard.find(state, object)?;
        if conn.session.calls.iter().any(Frame::is_around) {
            return None;
        }
        let id = conn.acquire(spin::YIELDS)?.meta.tls?;
        conn.finish(state, -1, spin::YIELDS);
        let shares = conn.session.shares.load(Ordering::Relaxed);
        begin(conn, id);
        conn.session.shares.store(shares, Ordering::Relaxed);
        drop(guard);
        export::poke(state);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// The library is about to free the object.
pub(crate) fn end(object: usize) {
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        end_inside(state, object);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// As [`end`], inside the agent.
fn end_inside(state: &'static State, object: usize) -> Option<()> {
    let shard = state.sessions.shard(object);
    let guard = shard.lock.acquire(spin::YIELDS)?;
    let (link, index, conn) = shard.find(state, object)?;
    link.store(conn.session.next.load(Ordering::Relaxed), Ordering::Release);
    conn.session.key.store(0, Ordering::Release);
    drop(guard);
    conn.fds.store(0, Ordering::Release);
    conn.finish(state, -1, spin::YIELDS);
    state.conns.give(index);
    export::poke(state);
    Some(())
}

/// A copy of a library was unloaded: its objects are gone. Inside the agent.
pub(crate) fn forget_copy(library: Library, copy: usize) {
    let Some(state) = process::state() else {
        return;
    };
    for index in 0..state.conns.high_water() {
        let Some(conn) = state.conns.get(index) else {
            continue;
        };
        let object = conn.session.key.load(Ordering::Acquire);
        let is_its = object != 0
            && conn.acquire(0).is_some_and(|locked| {
                locked
                    .meta
                    .tls
                    .is_some_and(|id| id.library == library && id.copy == copy)
            });
        if is_its {
            end_inside(state, object);
        }
    }
}
