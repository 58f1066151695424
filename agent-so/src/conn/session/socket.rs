//! The socket below a session: who the peer is, and whether the handshake came to anything.

use super::{Id, call::Call, find_or_begin, made};
use crate::conn::hello::Hello;
use crate::conn::slot::{At, DEAD, Inner, Meta};
use crate::conn::{Carrier, classify, connect};
use crate::hooks::contain;
use crate::sys::process::{self, State};
use crate::sys::{errno, raw, thread};
use agent_engine::exchange::{Endpoint, Exchange, Fault, Field, VALUE_MAX};
use agent_engine::protocol::Direction;
use std::sync::atomic::Ordering;

/// How often the socket of a session is asked for before it is taken to have none (a pair of memory buffers).
const ATTEMPTS: u32 = 8;

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
    if let Some((hello, _)) = hello(at, id) {
        belongs(at, meta, &hello);
    } else if let Some(fd) = id.library.descriptor(id) {
        meta.peer = classify::peer_of(fd);
    }
    meta.peer_known = meta.peer != Endpoint::Unknown;
}

fn belongs(at: &At, meta: &mut Meta, hello: &Hello) {
    meta.peer = hello.peer;
    meta.connect_parent = hello.connect_parent;
    meta.connect_start_ns = hello.connect_start_ns;
    meta.cookie = hello.cookie;
    let bearer = at.state.sessions.bearer(hello.cookie);
    bearer.store(at.index + 1, Ordering::Release);
}

/// The handshake of a session is through, and only now its library can tell the client's random.
pub(crate) fn introduce(id: Id, random: &[u8; 32], is_server: bool) {
    made(id, is_server);
    let dir = if is_server {
        Direction::In
    } else {
        Direction::Out
    };
    let errno = errno::get();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let at = find_or_begin(state, id)?;
        let hello = state.hellos.find(random, dir)?;
        let mut locked = at.lock()?;
        belongs(&at, &mut locked.meta, &hello);
        locked.meta.peer_known = true;
        drop(locked);
        drop(inside);
        Some(())
    });
    errno::set(errno);
}

/// Calls `f` on the session whose records the socket `fd` carries, if that is known.
pub(crate) fn carried_by<R>(
    state: &'static State,
    fd: i32,
    f: impl FnOnce(&mut Inner) -> Option<R>,
) -> Option<R> {
    let cookie = raw::socket_cookie(fd);
    let bearer = state.sessions.bearer(cookie);
    let index = bearer.load(Ordering::Acquire).checked_sub(1)?;
    let conn = state.conns.get(index)?;
    let object = conn.session.key.load(Ordering::Acquire);
    let at = At::new(state, Carrier::Session(object), index, conn);
    let mut locked = at.lock()?;
    let is_its = cookie != 0 && object != 0 && locked.meta.cookie == cookie;
    is_its.then(|| f(&mut locked)).flatten()
}

/// Whether the program is the server of the session, where that is known.
fn is_server(at: &At, id: Id) -> Option<bool> {
    match at.conn.session.role.load(Ordering::Relaxed) {
        0 => id.library.is_server(id),
        role => Some(role == 1),
    }
}

/// The connection that began with the session's random. Where it is not known which end the program is, only one end of
/// it may be in this process.
fn hello(at: &At, id: Id) -> Option<(Hello, Direction)> {
    let random = id.library.client_random(id)?;
    let find = |dir| Some((at.state.hellos.find(&random, dir)?, dir));
    match is_server(at, id) {
        Some(true) => find(Direction::In),
        Some(false) => find(Direction::Out),
        None => match (find(Direction::In), find(Direction::Out)) {
            (Some(_), Some(_)) => None,
            (one, other) => one.or(other),
        },
    }
}

/// Whether the program is certainly the client of the session.
fn is_client(at: &At, id: Id) -> bool {
    match is_server(at, id) {
        Some(server) => !server,
        None => matches!(hello(at, id), Some((_, Direction::Out))),
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
        if locked.meta.requests_sent > 0 {
            return None; // A later handshake on the same connection: what is open ends with it.
        }
        locked.meta.tls.filter(|id| is_client(at, *id))?;
        bind(at, &mut locked);
        connect::failed(at.state, &mut locked.meta, Fault::TlsHandshake);
        drop(locked);
        at.conn.set_hint(DEAD, true);
        drop(inside);
        Some(())
    });
}
