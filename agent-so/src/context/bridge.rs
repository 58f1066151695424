//! The finer units of execution that a runtime knows: tasks, coroutines, jobs of a pool.
//!
//! A bridge tells which server request the unit that runs on this thread works for. It answers with an opaque number (a
//! token, [`Ref`]), kept in the thread's word, where [`super::candidate`] looks first:
//!
//! * A bridge *within* the runtime says so whenever a unit begins to run and when it stops ([`enter`], [`leave`]): it
//!   claims the request that the thread has just read ([`claim`]) when the runtime hands it to the program, and carries
//!   the token along as the runtime carries context.
//! * A bridge that can *ask* the runtime does so when it is needed: before a request is sent ([`ask`]), and it tells the
//!   runtime when one was read ([`request_read`]). Both are called without any lock held and outside of the agent, because
//!   the runtime may take locks of its own and run the program's code.
//!
//! Where no bridge speaks for a thread the rules of the parent module hold.

pub(crate) mod java;

use crate::export::record::Ref;
use crate::sys::thread;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A bridge that can ask. All functions may be called on any thread, at any time between two calls of the program's.
pub(crate) struct Bridge {
    /// The thread has read the head of this server request.
    pub(crate) request_read: fn(Ref),
    /// The thread is about to send a request or to connect: says for whom by [`set`].
    pub(crate) ask: fn(),
}

/// The bridge of this process that can ask; null where there is none.
static BRIDGE: AtomicPtr<Bridge> = AtomicPtr::new(std::ptr::null_mut());

/// Installs the bridge that can ask. In the constructor.
pub(crate) fn install(bridge: &'static Bridge) {
    BRIDGE.store(std::ptr::from_ref(bridge).cast_mut(), Ordering::Release);
}

fn installed() -> Option<&'static Bridge> {
    // SAFETY: null or what `install` was given.
    unsafe { BRIDGE.load(Ordering::Acquire).as_ref() }
}

/// Tells the runtime that the thread has read the head of a server request. No lock is held.
pub(crate) fn request_read(reference: Ref) {
    if let Some(bridge) = installed() {
        (bridge.request_read)(reference);
    }
}

/// Brings the thread's word up to date before a request is sent. No lock is held.
pub(crate) fn ask() {
    if let Some(bridge) = installed() {
        (bridge.ask)();
    }
}

/// What the bridge says of the calling thread: a request, [`Ref::NOBODY`], or `None` where no bridge speaks.
pub(super) fn current() -> Option<Ref> {
    match thread::current().current.get() {
        0 => None,
        token => Some(Ref(token)),
    }
}

/// The calling thread works for this request from here on, or for [`Ref::NOBODY`], or (null) nobody can tell. Returns what
/// it was before.
pub(crate) fn set(reference: Ref) -> Ref {
    Ref(thread::current().current.replace(reference.0))
}

/// The open request that a bridge has said the calling thread works for; or [`Ref::NOBODY`].
pub(crate) fn told() -> Ref {
    match (current(), crate::sys::process::state()) {
        (Some(told), Some(state)) if super::is_open(state, told) => told,
        _ => Ref::NOBODY,
    }
}

/// The server request that the thread has read last, for a bridge whose runtime hands it to the program right now; or
/// [`Ref::NOBODY`].
pub(crate) fn claim() -> Ref {
    let last = Ref(thread::current().last_read.get());
    match crate::sys::process::state() {
        Some(state) if super::is_open(state, last) => last,
        _ => Ref::NOBODY,
    }
}
