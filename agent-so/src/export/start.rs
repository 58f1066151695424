//! Starting the agent's thread, at the first record and not before.
//!
//! `pthread_create` calls malloc, and a record may be finished inside a signal handler that interrupted malloc. A
//! handler runs with at least its own signal blocked, so the thread is started from a thread that has no signal blocked, or
//! the same ones as when it began to serve; otherwise the start waits for a call that no handler makes
//! (`export::poke`), or for the end of the process.

use super::{stop, worker};
use crate::hooks::contain;
use crate::settings;
use crate::sys::own_fd;
use crate::sys::process::State;
use crate::sys::thread::{self, AGENT, SEPARATE};
use crate::sys::{heap, log, raw};
use agent_engine::config::LogLevel;
use agent_engine::config::exporter::Exporter;
use std::ffi::c_void;
use std::sync::atomic::Ordering;

/// Stack of the agent's thread: TLS handshakes and encoders need more than the 128 KiB of some libcs.
const STACK: usize = 1024 * 1024;
/// State of the thread: runs (or is being started).
pub(super) const RUNS: u32 = 1;
/// State of the thread: could not be started, or gave up.
pub(super) const FAILED: u32 = 2;
/// Signals 32 and 33, which libc uses to cancel threads and to change user ids in all of them: a thread that blocks the
/// latter makes `setuid` wait for ever.
const LIBC_SIGNALS: u64 = 0b11 << 31;
/// Bytes of a kernel signal set.
const SET: usize = 8;

/// Starts the thread unless this may be a signal handler.
pub(super) fn if_safe(state: &'static State) {
    if state.queue.thread.load(Ordering::Relaxed) != 0 {
        return;
    }
    let blocked = blocked_signals();
    if blocked == 0 || blocked == thread::current().usual_mask.get() {
        now(state);
    }
}

/// Signals that the calling thread blocks now, one bit each.
pub(crate) fn blocked_signals() -> u64 {
    change_mask(None)
}

fn change_mask(new: Option<u64>) -> u64 {
    let mut old = 0u64;
    let new = new
        .as_ref()
        .map_or(0, |set| std::ptr::from_ref(set) as usize);
    // SAFETY: both sets (or null) outlive the call and have the announced size.
    let _ = unsafe {
        raw::call(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                new,
                &raw mut old as usize,
                SET,
                0,
                0,
            ],
        )
    };
    old
}

/// Starts the thread if it does not run.
pub(super) fn now(state: &'static State) {
    if !state.libc_knows() {
        // Forked behind libc's back: its locks may be held by threads that do not exist here.
        return;
    }
    if state
        .queue
        .thread
        .compare_exchange(0, RUNS, Ordering::AcqRel, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    // The new thread inherits the mask: it must never run a handler of the program's.
    let before = change_mask(Some(!LIBC_SIGNALS));
    let started = spawn(state);
    change_mask(Some(before));
    if !started {
        // Not tried again: whatever is missing (a limit, a sandbox) will be missing still.
        state.queue.thread.store(FAILED, Ordering::Release);
    }
}

fn spawn(state: &'static State) -> bool {
    // SAFETY: an attribute object that is initialised, used and destroyed here; `enter` has the type of a start routine
    // and its argument lives for ever.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_attr_init(&raw mut attributes) != 0 {
            return false;
        }
        libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(&raw mut attributes, STACK);
        let mut id: libc::pthread_t = std::mem::zeroed();
        let argument = std::ptr::from_ref(state).cast_mut().cast::<c_void>();
        let made = libc::pthread_create(&raw mut id, &raw const attributes, enter, argument);
        libc::pthread_attr_destroy(&raw mut attributes);
        made == 0
    }
}

/// Whether there is memory to begin with. The standard library takes the handle of a thread from malloc, not from the agent's
/// heap, and ends the process when there is none: so it is asked for here, after a look.
fn has_memory() -> bool {
    // Blocks of each small size, taken and given back: they then wait in the allocator's cache of this thread.
    let mut blocks = [[std::ptr::null_mut(); 4]; 32];
    let mut had = true;
    for (i, same) in blocks.iter_mut().enumerate() {
        for block in same {
            // SAFETY: a block that is given back below, and not used.
            *block = unsafe { libc::malloc(16 * i + 8) };
            had &= !block.is_null();
        }
    }
    for block in blocks.into_iter().flatten() {
        // SAFETY: taken above, or null.
        unsafe { libc::free(block) };
    }
    if had {
        let _ = std::thread::current();
    }
    had && heap::has_room(256 * 1024)
}

extern "C" fn enter(argument: *mut c_void) -> *mut c_void {
    thread::current().set(AGENT);
    if !has_memory() {
        stop();
    }
    let config = &settings::get().config;
    let writes = config.exporter == Exporter::Console || config.log.level > LogLevel::Off;
    own_fd::separate(writes && log::stderr_is_known());
    // SAFETY: a NUL-terminated name of at most 15 characters.
    let _ = unsafe {
        raw::call(
            libc::SYS_prctl,
            [
                libc::PR_SET_NAME as usize,
                c"otel-run".as_ptr() as usize,
                0,
                0,
                0,
                0,
            ],
        )
    };
    // SAFETY: the state region, as `spawn` passed it.
    let state = unsafe { &*argument.cast::<State>() };
    // Of this copy of the standard library only: a panic in here must not write to the program's standard error.
    std::panic::set_hook(Box::new(|_| {}));
    // A table of its own has no log file yet; one that is shared has.
    if let Some(file) = config.log.file.as_deref()
        && thread::current().has(SEPARATE)
        && config.log.level > LogLevel::Off
    {
        log::open_file(file);
    }
    let _ = contain(|| worker::run(state));
    stop()
}
