//! The exported C symbols: one family a file.
//!
//! A hook decides first, by one look at the descriptor table, and jumps on to the real function for what is not
//! followed. Else it makes the real call exactly once, with the program's arguments, and reports the outcome to `conn`.
//! (Writes that begin a request are the exception: `conn::edit`.) No hook allocates, locks, blocks or touches errno; a
//! panic on the agent's side is contained and switches the agent off.

pub(crate) mod exec;
pub(crate) mod fds;
pub(crate) mod input;
pub(crate) mod loader;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod real;
pub(crate) mod resolver;
pub(crate) mod security;
pub(crate) mod socket;
pub(crate) mod sqlite;
pub(crate) mod syscall;
pub(crate) mod tls;
pub(crate) mod transfer;
pub(crate) mod wait;

use crate::conn::table;
use crate::sys::{self, errno, own_fd, thread};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// Runs the agent's part of a hook. A panic in it never reaches the program: the agent is switched off.
#[inline]
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            std::mem::forget(payload);
            if let Some(state) = sys::process::peek() {
                state.counters.panics.fetch_add(1, Ordering::Relaxed);
            }
            sys::process::disable();
            None
        }
    }
}

/// The table's word for `fd`: [`table::IGNORED`] while the agent is not on.
#[inline(always)]
pub(crate) fn word(fd: c_int) -> u32 {
    match sys::process::peek() {
        Some(state) => state.table.get(fd),
        None => table::IGNORED,
    }
}

/// A call by the agent's own thread on a descriptor that is not its own any more (the program closed it, and may have
/// put something of its own there) must fail instead of touching it.
#[inline]
pub(crate) fn refuse_lost(fd: c_int) -> bool {
    if thread::current().has(thread::AGENT) && !own_fd::usable(fd) {
        errno::set(libc::EBADF);
        return true;
    }
    false
}

/// Runs `f` where the state of descriptors is kept: agent on, not its own thread, not a child in its parent's memory.
/// Keeps errno.
pub(crate) fn with_state(f: impl FnOnce(&'static sys::process::State)) {
    let errno = errno::get();
    contain(|| {
        if !thread::current().has(thread::AGENT)
            && let Some(state) = sys::process::state()
        {
            f(state);
        }
    });
    errno::set(errno);
}
