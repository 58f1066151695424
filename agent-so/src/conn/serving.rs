//! Which request of a connection it is that a server hands to the program right now.
//!
//! Responses leave in the order of the requests, so it is the oldest one that is not answered yet, whichever thread
//! read it. A TLS session is found by the socket below it: by the socket's cookie, which the session learned from its hello.

use super::session;
use super::slot::{At, Inner, SERVER};
use super::{Carrier, table};
use crate::context;
use crate::export::record::Ref;
use crate::sys::process::{self, State};
use crate::sys::{errno, thread};

/// The oldest open server request on the connection of `fd`; or [`Ref::NOBODY`].
pub(crate) fn oldest(fd: i32) -> Ref {
    let errno = errno::get();
    let found = || {
        let state = process::state()?;
        let _inside = thread::current().enter()?;
        match of_socket(state, fd) {
            Some(at) => oldest_of(state, &*at.lock()?),
            None => session::carried_by(state, fd, |inner| oldest_of(state, inner)),
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

fn oldest_of(state: &State, inner: &Inner) -> Option<Ref> {
    let index = inner.stream.open_exchange()?.0.checked_sub(1)?;
    let reference = state.records.get(index)?.reference(index);
    context::is_open(state, reference).then_some(reference)
}
