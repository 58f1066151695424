//! Sessions of TLS libraries: streams whose plaintext passes through calls on an object of the library's.
//!
//! A session has a connection slot of its own. It is found by the object's address and ends when the library frees or
//! clears the object. The socket that carries its records is another connection, of which the first bytes already tell
//! that nothing is to be learned there: no request is seen twice.

use super::hello::Hello;
use super::slot::{At, Conn, DEAD, Inner, Meta};
use super::{Carrier, classify, connect};
use crate::export;
use crate::hooks::contain;
use crate::hooks::tls::Library;
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::spin::{self, SpinLock};
use crate::sys::{errno, thread};
use agent_engine::exchange::{Endpoint, Exchange, Fault, Field, VALUE_MAX};
use agent_engine::protocol::Direction;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Shards of the table.
const SHARDS: usize = 1024;
/// Objects of one shard that are looked at: many more than there ever are.
const CHAIN: usize = 4096;
/// How often the socket of a session is asked for before it is taken to have none (a pair of memory buffers).
const ATTEMPTS: u32 = 8;

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
    /// Identity of the thread that is in a call on the object, and the buffer that it passed: the same call again is one that
    /// the library makes of itself, and is not seen twice. Another may come from a callback of the program's.
    caller: AtomicUsize,
    passed: AtomicUsize,
    /// Bytes of the write that the program is to repeat which the library has taken already.
    accepted: AtomicUsize,
    /// How often the socket was asked for.
    attempts: AtomicU32,
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
    part.caller.store(0, Ordering::Relaxed);
    part.passed.store(0, Ordering::Relaxed);
    part.accepted.store(0, Ordering::Relaxed);
    part.attempts.store(0, Ordering::Relaxed);
}

/// A call of the program's on a session that is followed.
pub(crate) struct Call {
    pub(crate) at: At,
    /// Of the call around it, if a callback made it.
    outer: (usize, usize),
}

impl Call {
    /// The library says why the call failed; [`Fault::None`] where it is to be repeated.
    pub(crate) fn failed(&self, fault: Fault) {
        let at = FAULTS.iter().position(|f| *f == fault).unwrap_or(1);
        self.at
            .conn
            .session
            .fault
            .store(at as u32, Ordering::Relaxed);
    }

    /// The library is about to be called with this buffer, which need not be the program's.
    pub(crate) fn passes(&self, buffer: *const c_void) {
        self.at
            .conn
            .session
            .passed
            .store(buffer as usize, Ordering::Relaxed);
    }

    /// Whether the last call failed for good.
    pub(crate) fn has_failed(&self) -> bool {
        self.at.conn.session.fault() != Fault::None
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.at.is_current() {
            let part = &self.at.conn.session;
            part.caller.store(self.outer.0, Ordering::Relaxed);
            part.passed.store(self.outer.1, Ordering::Relaxed);
        }
    }
}

/// The program is about to call a function on a session's object, with this buffer (or null). `None`: the call is of no
/// interest.
pub(crate) fn enter(id: Id, buffer: *const c_void) -> Option<Call> {
    let errno = errno::get();
    let call = contain(|| {
        if thread::current().has(thread::AGENT) {
            return None;
        }
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let at = find_or_begin(state, id)?;
        drop(inside);
        if at.conn.hint(DEAD) {
            return None;
        }
        let part = &at.conn.session;
        let (me, buffer) = (thread::identity(), buffer as usize);
        let outer = (
            part.caller.load(Ordering::Relaxed),
            part.passed.load(Ordering::Relaxed),
        );
        if outer == (me, buffer) {
            return None;
        }
        part.caller.store(me, Ordering::Relaxed);
        part.passed.store(buffer, Ordering::Relaxed);
        settings::say_warnings();
        Some(Call { at, outer })
    })
    .flatten();
    errno::set(errno);
    call
}

/// The library is about to free the object, or to make it fit for another connection.
pub(crate) fn end(object: usize) {
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
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
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// The object is cleared; by the library itself as a handshake begins, inside a call that is under way.
pub(crate) fn restart(object: usize) {
    let inside_call = process::state().is_some_and(|state| {
        let shard = state.sessions.shard(object);
        shard.lock.acquire(spin::YIELDS).is_some_and(|_guard| {
            shard.find(state, object).is_some_and(|(_, _, conn)| {
                conn.session.caller.load(Ordering::Relaxed) == thread::identity()
            })
        })
    });
    if !inside_call {
        end(object);
    }
}

/// A copy of a library was unloaded: its objects are gone.
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
            end(object);
        }
    }
}

/// The handshake of a session is through, whose library can tell the client's random only now: which connection it is. A client's
/// random went `dir` out, a server's in.
pub(crate) fn introduce(id: Id, random: &[u8; 32], dir: Direction) {
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let at = find_or_begin(state, id)?;
        if let Some(hello) = state.hellos.find(random, dir) {
            at.lock()?.meta.belongs_to(&hello);
        }
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

impl Meta {
    fn belongs_to(&mut self, hello: &Hello) {
        self.peer = hello.peer;
        self.connect_parent = hello.connect_parent;
        self.connect_start_ns = hello.connect_start_ns;
        self.peer_known = hello.peer != Endpoint::Unknown;
    }
}

/// Looks for the socket of a session, until it is known: the connection that began with the client's random that the
/// library tells, or else the descriptor that the library reads from.
pub(crate) fn bind(at: &At, inner: &mut Inner) {
    let (part, meta) = (&at.conn.session, &mut inner.meta);
    let Some(id) = meta.tls.filter(|_| !meta.peer_known) else {
        return;
    };
    if part.attempts.fetch_add(1, Ordering::Relaxed) >= ATTEMPTS {
        meta.peer_known = true;
        return;
    }
    if let Some((hello, _)) = hello(at.state, id) {
        meta.belongs_to(&hello);
    } else if let Some(fd) = id.library.descriptor(id) {
        meta.peer = classify::peer_of(fd);
        meta.peer_known = meta.peer != Endpoint::Unknown;
    }
}

/// The connection that began with the session's random. Where the library does not tell which end it is, only one end of
/// it may be in this process.
fn hello(state: &'static State, id: Id) -> Option<(Hello, Direction)> {
    let random = id.library.client_random(id)?;
    let find = |dir| Some((state.hellos.find(&random, dir)?, dir));
    match id.library.is_server(id) {
        Some(true) => find(Direction::In),
        Some(false) => find(Direction::Out),
        None => match (find(Direction::In), find(Direction::Out)) {
            (Some(_), Some(_)) => None,
            (one, other) => one.or(other),
        },
    }
}

/// Whether the program is certainly the client of the session.
fn is_client(state: &'static State, id: Id) -> bool {
    match id.library.is_server(id) {
        Some(server) => !server,
        None => matches!(hello(state, id), Some((_, Direction::Out))),
    }
}

/// The host name that the client asked for, for a request that does not name its host.
pub(crate) fn name_host(id: Id, exchange: &mut Exchange) {
    id.library.server_name(id, |name| {
        exchange.set(Field::Host, name, VALUE_MAX);
    });
}

/// The handshake failed for good, before any request. Where the program is the client that is a span of its own, as a
/// failed connect is.
pub(crate) fn handshake_failed(call: &Call) {
    let at = &call.at;
    contain(|| {
        let inside = thread::current().enter()?;
        let mut locked = at.lock()?;
        locked.meta.tls.filter(|id| is_client(at.state, *id))?;
        bind(at, &mut locked);
        connect::failed(at.state, &mut locked.meta, Fault::TlsHandshake);
        drop(locked);
        at.conn.set_hint(DEAD, true);
        drop(inside);
        Some(())
    });
}
