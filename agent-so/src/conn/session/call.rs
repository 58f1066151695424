//! Calls of the program's on a session's object, and those that a library makes of itself meanwhile.

use super::{FAULTS, Id, find_or_begin};
use crate::conn::slot::{At, DEAD};
use crate::hooks::contain;
use crate::settings;
use crate::sys::{errno, process, thread};
use agent_engine::exchange::Fault;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Reading.
    Reads,
    /// Writing.
    Writes,
    /// Neither: a handshake, a goodbye.
    Else,
}

/// Stands for every buffer.
pub(crate) const ANY: *const c_void = std::ptr::without_provenance(usize::MAX);

/// A call on the object that is under way: the same call again is one that the library makes of itself, and is not seen
/// twice. Another may come from a callback of the program's.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Frame {
    /// Identity of the thread; 0: no call.
    caller: AtomicUsize,
    /// Its stack at the call. A call from further up the stack was left by a longjmp or a cancellation.
    stack: AtomicUsize,
    /// The buffer that it passed.
    passed: AtomicUsize,
}

impl Frame {
    pub(super) fn load(&self) -> [usize; 3] {
        [&self.caller, &self.stack, &self.passed].map(|part| part.load(Ordering::Relaxed))
    }

    pub(super) fn store(&self, values: [usize; 3]) {
        for (part, value) in [&self.caller, &self.stack, &self.passed]
            .into_iter()
            .zip(values)
        {
            part.store(value, Ordering::Relaxed);
        }
    }

    /// Whether this thread is further down in the call.
    pub(super) fn is_around(&self) -> bool {
        let [caller, stack, _] = self.load();
        caller == thread::identity() && thread::stack_pointer() < stack
    }
}

/// A call of the program's on a session that is followed.
pub(crate) struct Call {
    pub(crate) at: At,
    doing: Doing,
    /// The call of its kind around it, if a callback made it.
    outer: [usize; 3],
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
        self.frame()
            .passed
            .store(buffer as usize, Ordering::Relaxed);
    }

    fn frame(&self) -> &Frame {
        &self.at.conn.session.calls[self.doing as usize]
    }

    /// Whether writes are gathered: set by [`Call::cork`].
    pub(crate) fn is_corked(&self) -> bool {
        self.at.conn.session.corked.load(Ordering::Relaxed)
    }

    /// Writes are gathered from now on, or no more.
    pub(crate) fn cork(&self, on: bool) {
        self.at.conn.session.corked.store(on, Ordering::Relaxed);
    }

    /// Whether the last call failed for good.
    pub(crate) fn has_failed(&self) -> bool {
        self.at.conn.session.fault() != Fault::None
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.at.is_current() {
            self.frame().store(self.outer);
        }
    }
}

/// The program is about to call a function on a session's object, with this buffer (or null). `None`: the call is of no
/// interest.
pub(crate) fn enter(id: Id, doing: Doing, buffer: *const c_void) -> Option<Call> {
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
        let frame = &at.conn.session.calls[doing as usize];
        let outer @ [_, _, passed] = frame.load();
        let buffer = buffer as usize;
        if frame.is_around() && (passed == buffer || passed == ANY as usize) {
            return None;
        }
        frame.store([thread::identity(), thread::stack_pointer(), buffer]);
        settings::say_warnings();
        Some(Call { at, doing, outer })
    })
    .flatten();
    errno::set(errno);
    call
}
