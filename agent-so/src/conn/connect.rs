//! Connections that this process makes: the request under which they were made, and those that fail.
//!
//! A connect that fails is a CLIENT span of its own: no request was ever written, so all that is known is where it was to
//! go and why it failed. A name that resolves to several addresses is tried one after the other (`localhost` is ::1 and
//! then 127.0.0.1); only the failure of its last address is one that the program sees.

use super::slot::CONNECTING;
use super::{At, Carrier, Meta, classify, detach, of, session, table};
use crate::context;
use crate::export::{self, record::Ref};
use crate::hooks::contain;
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::{clock, errno, thread};
use agent_engine::exchange::{Db, Endpoint, Fault, Field, Kind, System, VALUE_MAX};
use std::sync::atomic::Ordering;

/// What is remembered across the real connect.
pub(crate) struct Attempt {
    at: At,
    /// Whether its failure would be the program's.
    tells: bool,
}

/// The program is about to connect `fd` to `address`, in code at `caller`.
pub(crate) fn begin(fd: i32, address: &[u8], caller: usize) -> Option<Attempt> {
    context::bridge::ask();
    contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let tells = !context::bridge::is_of_core(caller);
        let word = state.table.get(fd);
        if word == table::IGNORED || word == table::OWN {
            return None;
        }
        if word >= table::CONN && !state.conns.get(word - table::CONN)?.hint(CONNECTING) {
            // Connected anew: whatever the number was before, this is another stream.
            detach(state, fd, table::FRESH);
        }
        let at = of(state, fd, state.table.get(fd))?;
        let mut locked = at.lock()?;
        if !at.conn.hint(CONNECTING) {
            locked.meta.connect_start_ns = clock::monotonic_ns();
            let parent = if tells {
                context::candidate(state, Ref::default())
            } else {
                Ref::default()
            };
            locked.meta.connect_parent = parent;
            locked.meta.works_for = parent;
        }
        locked.meta.peer = classify::endpoint(address);
        locked.meta.peer_known = locked.meta.peer != Endpoint::Unknown;
        drop(locked);
        drop(inside);
        Some(Attempt { at, tells })
    })
    .flatten()
}

/// The real connect returned `result`, errno set (and kept).
pub(crate) fn done(attempt: &Attempt, result: i32) {
    let errno = errno::get();
    let Attempt { at, tells } = attempt;
    contain(|| {
        if result == 0 {
            at.conn.set_hint(CONNECTING, false);
            if let Some(mut locked) = at.lock() {
                locked.meta.connected_ns = clock::monotonic_ns();
            }
            return;
        }
        match fault(errno) {
            // In progress, interrupted, or already on its way.
            _ if !tells => {}
            Fault::None => at.conn.set_hint(CONNECTING, errno != libc::EISCONN),
            fault => report(at, fault),
        }
    });
    errno::set(errno);
}

/// The program asked for the outcome of a connect under way (`SO_ERROR`): 0 or an error number.
pub(crate) fn outcome(fd: i32, word: u32, error: i32) {
    contain(|| {
        let state = process::state()?;
        let index = word.checked_sub(table::CONN)?;
        let conn = state.conns.get(index)?;
        if !conn.hint(CONNECTING) {
            return None;
        }
        let at = At::new(state, Carrier::Socket(fd), index, conn);
        if let Some(inside) = thread::current().enter() {
            if let Some(mut locked) = at.lock() {
                context::client::heard(state, &locked.meta, false);
                locked.meta.connected_ns = clock::monotonic_ns();
            }
            drop(inside);
        }
        match fault(error) {
            Fault::None => conn.set_hint(CONNECTING, error == libc::EINPROGRESS),
            fault => report(&at, fault),
        }
        Some(())
    });
}

fn report(at: &At, fault: Fault) {
    at.conn.set_hint(CONNECTING, false);
    if let Some(inside) = thread::current().enter()
        && let Some(mut locked) = at.lock()
    {
        failed(at.state, &mut locked.meta, fault);
        drop(locked);
        drop(inside);
    }
}

/// Makes the span of a connect that failed, or of the TLS handshake after it.
pub(crate) fn failed(state: &'static State, meta: &mut Meta, fault: Fault) {
    let system = state.stores.find(&meta.peer);
    let wanted = match system {
        System::None => settings::enabled(Kind::Client, false),
        _ => settings::queries(Kind::Client, system),
    };
    if !matches!(meta.peer, Endpoint::V4 { .. } | Endpoint::V6 { .. })
        || !wanted
        || state.sdk_active.load(Ordering::Relaxed)
    {
        return;
    }
    let name = state.names.find(&meta.peer);
    if meta.tls.is_none() && name.as_ref().is_some_and(|n| n.more) {
        return;
    }
    let Some(index) = state.records.take() else {
        return;
    };
    let Some(record) = state.records.get(index) else {
        return;
    };
    record.begin(0);
    // SAFETY: just taken, known to nobody else.
    let exchange = unsafe { record.exchange() };
    exchange.kind = Kind::Client;
    exchange.connect_failed = true;
    exchange.db = Db {
        system,
        is_connect: system != System::None,
        ..Db::default()
    };
    exchange.fault = fault;
    exchange.peer = meta.peer;
    exchange.tls = meta.tls.is_some();
    exchange.end_ns = clock::monotonic_ns();
    exchange.start_ns = match meta.connect_start_ns {
        0 => exchange.end_ns,
        start => start.min(exchange.end_ns),
    };
    if let Some(id) = meta.tls {
        session::name_host(id, exchange);
    }
    if let (Some(name), None) = (&name, exchange.text(Field::Host)) {
        exchange.set(Field::Host, name.text(), VALUE_MAX);
    }
    if let Endpoint::V4 { port, .. } | Endpoint::V6 { port, .. } = meta.peer
        && exchange.text(Field::Host).is_some()
        && system == System::None
    {
        exchange.append(Field::Host, b":", VALUE_MAX);
        exchange.append_number(Field::Host, port.into());
    }
    context::client::begin(state, record, exchange, meta);
    export::submit(state, index, record);
}

/// What an error number of a socket call means for the stream; [`Fault::None`] when it means nothing (would block,
/// interrupted, a bad argument of this one call).
pub(crate) fn fault(errno: i32) -> Fault {
    match errno {
        libc::ECONNREFUSED => Fault::ConnectionRefused,
        libc::ECONNRESET => Fault::ConnectionReset,
        libc::ECONNABORTED => Fault::ConnectionAborted,
        libc::EPIPE => Fault::BrokenPipe,
        libc::ETIMEDOUT => Fault::TimedOut,
        libc::EHOSTUNREACH | libc::EHOSTDOWN => Fault::HostUnreachable,
        libc::ENETUNREACH => Fault::NetworkUnreachable,
        libc::ENETDOWN => Fault::NetworkDown,
        libc::EADDRNOTAVAIL => Fault::AddressNotAvailable,
        libc::EACCES | libc::EPERM => Fault::AccessDenied,
        _ => Fault::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_would_block_are_no_fault() {
        for errno in [
            libc::EAGAIN,
            libc::EINTR,
            libc::EINPROGRESS,
            libc::EALREADY,
            libc::EFAULT,
        ] {
            assert_eq!(fault(errno), Fault::None);
        }
        assert_eq!(fault(libc::ECONNRESET), Fault::ConnectionReset);
    }
}
