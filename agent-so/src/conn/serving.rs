//! Which request of a connection it is that a runtime hands to the program right now.
//!
//! A server may pass a socket around before it parses what it read, so the runtime says which descriptor it is. A TLS session is
//! found by the socket below it: by the socket's cookie, which the session learned from its hello.

use super::slot::{At, Inner, SERVER};
use super::{Carrier, session, table};
use crate::context;
use crate::export::record::{Record, Ref};
use crate::sys::process::{self, State};
use crate::sys::{errno, thread};
use agent_engine::exchange::{Exchange, Field};
use agent_engine::protocol::ExchangeId;
use agent_engine::protocol::wide::Wide;

/// Most bytes of a target that a runtime need give.
pub(crate) const TARGET: usize = 512;

/// The oldest open server request on the connection of `fd`, or [`Ref::NOBODY`]: responses leave in the order of the requests, so
/// it is the one that a server which answers before it goes on has in hand, whichever thread read it.
pub(crate) fn oldest(fd: i32) -> Ref {
    on_connection(fd, |state, inner| {
        open(state, inner)
            .map(|(_, reference)| reference)
            .next()
            .filter(|reference| context::is_open(state, *reference))
    })
}

/// The oldest request on the connection of `fd` that was not given out and has this target, or [`Ref::NOBODY`]. One read may
/// hold several requests, which are handed out before they are answered: each is given out once, in order. A runtime may answer
/// a request by itself and hand out only the next one: the target tells.
pub(crate) fn claim(fd: i32, target: &[u8]) -> Ref {
    on_connection(fd, |state, inner| {
        let last = inner.meta.claimed;
        let mut given_out = open(state, inner).any(|(_, reference)| reference == last);
        let is_next = |&(record, reference): &(&Record, Ref)| {
            if given_out {
                given_out = reference != last;
                return false;
            }
            // SAFETY: an open exchange of the connection whose lock is held.
            is_for(unsafe { record.exchange() }, target)
        };
        let (_, reference) = open(state, inner).find(is_next)?;
        inner.meta.claimed = reference;
        context::is_open(state, reference).then_some(reference)
    })
}

/// The open request of this stream on the HTTP/2 connection of `fd`, or [`Ref::NOBODY`].
pub(crate) fn on_stream(fd: i32, stream: u32) -> Ref {
    on_connection(fd, |state, inner| {
        let (_, reference) = of_stream(state, inner, stream)?;
        context::is_open(state, reference).then_some(reference)
    })
}

/// The request of this stream, open or not, on a connection whose lock is held.
pub(super) fn of_stream(
    state: &'static State,
    inner: &Inner,
    stream: u32,
) -> Option<(&'static Record, Ref)> {
    record(
        state,
        inner.stream.exchange_on(wide(state, inner)?, stream)?,
    )
}

/// Calls `f` with the lock of the connection of a socket, or of the TLS session that the socket carries.
fn on_connection(fd: i32, f: impl FnOnce(&'static State, &mut Inner) -> Option<Ref>) -> Ref {
    let errno = errno::get();
    let found = || {
        let state = process::state()?;
        let _inside = thread::current().enter()?;
        match of_socket(state, fd) {
            Some(at) => f(state, &mut *at.lock()?),
            None => session::carried_by(state, fd, |inner| f(state, inner)),
        }
    };
    let found = found();
    errno::set(errno);
    found.unwrap_or(Ref::NOBODY)
}

/// The connection of a socket on which requests were read in plain text.
fn of_socket(state: &'static State, fd: i32) -> Option<At> {
    let index = state.table.get(fd).checked_sub(table::CONN)?;
    let conn = state.conns.get(index)?;
    conn.hint(SERVER)
        .then(|| At::new(state, Carrier::Socket(fd), index, conn))
}

/// The requests of a connection that are not answered yet, the oldest first; of those of HTTP/2, which are answered in any order,
/// the one that is alone.
pub(crate) fn open<'a>(
    state: &'static State,
    inner: &'a Inner,
) -> impl Iterator<Item = (&'static Record, Ref)> + 'a {
    let alone = inner.stream.streams_open() <= 1;
    let ids = inner.stream.open_exchanges(wide(state, inner));
    ids.filter_map(move |id| record(state, id).filter(|_| alone))
}

/// What the connection keeps besides its slot.
fn wide<'a>(state: &'static State, inner: &'a Inner) -> Option<&'a Wide> {
    let index = inner.stream.wide()?.0.checked_sub(1)?;
    // SAFETY: the block is that of the connection whose lock is held as long as `inner` is borrowed.
    Some(unsafe { state.wides.get(index)?.wide() })
}

fn record(state: &'static State, id: ExchangeId) -> Option<(&'static Record, Ref)> {
    let index = id.0.checked_sub(1)?;
    let record = state.records.get(index)?;
    Some((record, record.reference(index)))
}

/// Whether the request has this target, of which the front may be all that is known on either side.
fn is_for(exchange: &Exchange, target: &[u8]) -> bool {
    let Some(own) = exchange.text(Field::Target) else {
        return false;
    };
    let len = own.len().min(target.len());
    own[..len] == target[..len]
        && (own.len() == target.len() || exchange.is_cut(Field::Target) || len == TARGET)
}
