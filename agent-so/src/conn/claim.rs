//! Which request of a connection it is that a runtime hands to the program right now.
//!
//! One read may hold several requests, and a server may pass a socket around before it parses what it read: so the runtime
//! says which descriptor and which target, and each request is given out once, in order. A runtime may answer a request by
//! itself and hand out only the next one: the target tells.

use super::slot::{At, Inner, SERVER};
use super::{Carrier, classify, session, table};
use crate::context;
use crate::export::record::Ref;
use crate::hooks::contain;
use crate::sys::process::{self, State};
use crate::sys::{errno, thread};
use agent_engine::exchange::{Endpoint, Exchange, Field};

/// The oldest request on the connection of `fd` that was not given out and has this target; or [`Ref::NOBODY`].
pub(crate) fn claim(fd: i32, target: &[u8]) -> Ref {
    let errno = errno::get();
    let found = contain(|| {
        let state = process::state()?;
        let inside = thread::current().enter()?;
        let found = match of_socket(state, fd) {
            Some(at) => take(&at, &mut *at.lock()?, target),
            None => {
                let at = session::read_last(state)?;
                let mut locked = at.lock()?;
                let peer = locked.meta.peer;
                if peer == Endpoint::Unknown || peer != classify::peer_of(fd) {
                    return None;
                }
                take(&at, &mut locked, target)
            }
        };
        drop(inside);
        found
    });
    errno::set(errno);
    found.flatten().unwrap_or(Ref::NOBODY)
}

/// The connection of a socket on which requests were read in plain text.
fn of_socket(state: &'static State, fd: i32) -> Option<At> {
    let index = state.table.get(fd).checked_sub(table::CONN)?;
    let conn = state.conns.get(index)?;
    let at = At::new(state, Carrier::Socket(fd), index, conn);
    conn.hint(SERVER).then_some(at)
}

fn take(at: &At, inner: &mut Inner, target: &[u8]) -> Option<Ref> {
    let open = || {
        inner.stream.open_exchanges().filter_map(|id| {
            let index = id.0.checked_sub(1)?;
            let record = at.state.records.get(index)?;
            Some((record, record.reference(index)))
        })
    };
    let last = inner.meta.claimed;
    let mut given_out = open().any(|(_, reference)| reference == last);
    for (record, reference) in open() {
        if given_out {
            given_out = reference != last;
            continue;
        }
        // SAFETY: an open exchange of the connection whose lock is held.
        if is_for(unsafe { record.exchange() }, target) {
            inner.meta.claimed = reference;
            return context::is_open(at.state, reference).then_some(reference);
        }
    }
    None
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

/// Most bytes of a target that a runtime need give.
pub(crate) const TARGET: usize = 512;
