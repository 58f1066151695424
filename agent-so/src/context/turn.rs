//! Threads that wait for several connections at once: the end of what they were doing, and the sign of an event loop.
//!
//! A server of one request a thread waits, in the middle of a request, for the other end of a call that it made: it reads, or
//! polls that descriptor, or a set of its own (curl, a database's library, a nested loop that exists for this request). It
//! does not wait for other requests. A thread that does, while the one it has read is unanswered, will go on with any of
//! them, and what it sends next may be anybody's.
//!
//! The first request that a loop leaves unanswered at the end of its turn gives it away; but within that turn something else
//! (a timer) may have sent already. So the rule does not hold for a request that came out of a wait for many, until the
//! thread has shown once that it waits for the answer to a call in the middle of a request: threads that share one epoll
//! set and serve what they have read pay with the parents of their first request. A connection that the thread itself has
//! just accepted is no such case: servers of one request a thread wait for their listeners like that.

use super::{Model, is_open};
use crate::conn::{self, table};
use crate::export::record::{Record, Ref};
use crate::sys::process::{self, State};
use crate::sys::raw;
use crate::sys::thread::{self, DOUBT, PROVEN, WAITED};

/// Calls its argument with each of some descriptors.
pub(crate) type Each<'a> = dyn FnMut(&mut dyn FnMut(i32)) + 'a;

/// What a thread waits for.
pub(crate) enum Wait<'a> {
    /// Whatever is in this epoll set.
    Set(i32),
    /// One of these, or (`expired`) none of them came in time.
    These {
        each: &'a mut Each<'a>,
        /// The time was up.
        expired: bool,
    },
}

/// The calling thread waits for many: what it reads next may be any.
#[inline(always)]
pub(crate) fn multiplexes() {
    let thread = thread::current();
    thread.accepted.set(0);
    if !thread.has(WAITED) {
        thread.set(WAITED);
    }
}

/// Whether it is not known yet how the calling thread waits.
#[inline(always)]
pub(crate) fn is_unproven() -> bool {
    !thread::current().has(PROVEN)
}

/// The calling thread has accepted a connection.
pub(crate) fn accepted(fd: i32) {
    thread::current().accepted.set(fd + 1);
}

/// The calling thread has read the head of a request from `fd` (-1: through a TLS library).
pub(crate) fn read_head(fd: i32) {
    let thread = thread::current();
    let accepted = thread.accepted.get();
    let just_accepted = accepted != 0 && (fd < 0 || accepted == fd + 1);
    if thread.has(WAITED)
        && is_unproven()
        && !just_accepted
        && !crate::settings::serves_one_by_one()
    {
        thread.set(DOUBT);
    } else {
        thread.clear(DOUBT);
    }
}

/// The calling thread has read from the other end of a call that it made while it worked for `request`.
pub(crate) fn answered(state: &State, request: Ref) {
    let thread = thread::current();
    if is_unproven() && request.0 == thread.last_read.get() && is_open(state, request) {
        thread.set(PROVEN);
        thread.clear(DOUBT);
    }
}

/// Whether a wait of the calling thread is of interest: it has read a request. One load.
#[inline(always)]
pub(crate) fn matters() -> bool {
    thread::current().last_read.get() != 0
}

/// Whether a new epoll set of the calling thread's is.
pub(crate) fn knows_sets() -> bool {
    matters() || thread::current().nested.get() != 0
}

/// The calling thread waits, or has waited.
pub(crate) fn waits(state: &'static State, wait: Wait<'_>) {
    let thread = thread::current();
    let last = Ref(thread.last_read.get());
    if !is_open(state, last) {
        thread.last_read.set(0);
        if let Wait::These { each, .. } = wait {
            let mut known = 0;
            each(&mut |fd| known += u32::from(is_known(state, fd)));
            // One, and a pipe by which to be woken: so does a thread of Ruby's that serves one connection.
            if known > 1 {
                multiplexes();
            }
        }
        return;
    }
    let others = match wait {
        Wait::Set(set) => !(thread.nested.get() == set && thread.nested_in.get() == last.0),
        Wait::These { each, expired } => {
            let own = super::record(state, last).map(Record::connection);
            let (mut others, mut mine) = (false, false);
            each(&mut |fd| match serves(state, fd) {
                Some(connection) if Some(connection) == own => mine = true,
                Some(_) => others = true,
                None => {}
            });
            if mine && expired && !others {
                // The only connection of a loop, perhaps: what comes next may be a timer's work.
                thread.last_read.set(0);
            }
            others
        }
    };
    if others {
        multiplexes();
        thread.last_read.set(0);
        if crate::settings::model() == Model::Blocking {
            state.correlation.see_event_loop();
        }
    }
}

/// Whether requests may come from `fd`, as far as can be told without asking.
fn is_known(state: &'static State, fd: i32) -> bool {
    match state.table.get(fd) {
        table::FRESH => true,
        word => conn::served(state, word).is_some(),
    }
}

/// The connection of requests to this process behind `fd` (0: a listening or idle one); `None` for everything else.
fn serves(state: &'static State, fd: i32) -> Option<usize> {
    match state.table.get(fd) {
        table::IGNORED | table::OWN => None,
        word @ (table::UNKNOWN | table::FRESH) => {
            let listens = raw::socket_option(fd, libc::SO_ACCEPTCONN) == Ok(1);
            // One that this process connected is known from then on.
            (listens || word == table::FRESH).then_some(0)
        }
        word => conn::served(state, word),
    }
}

/// The calling thread has made an epoll set: one made in the middle of a request is the request's own.
pub(crate) fn made_set(set: i32) {
    let thread = thread::current();
    if process::state().is_some_and(|state| is_open(state, Ref(thread.last_read.get()))) {
        thread.nested.set(set);
        thread.nested_in.set(thread.last_read.get());
    } else if thread.nested.get() == set {
        thread.nested_in.set(0);
    }
}
