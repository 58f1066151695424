//! The agent's own descriptors: high-numbered, close-on-exec, and checked before use.
//!
//! Programs close descriptors that they did not open (daemons, shells, test suites). The descriptor table marks
//! ours; a close, dup2 or close_range over one clears the mark, and the exporter's calls then fail with EBADF instead
//! of touching what the program has put there. The exporter's libraries call libc: what creates descriptors passes
//! through the wrappers at the end of this file (`--wrap`, see build.rs) or through our own exported hooks.

use super::process;
use super::raw;
use crate::conn::table;
use std::sync::atomic::{AtomicI32, Ordering};

/// How many numbers below the limit are used.
const RESERVE: i32 = 64;
/// Never as high as this, however high the limit is: the descriptor table of the kernel grows with the number.
const HIGHEST: i32 = 16 * 1024;

static BASE: AtomicI32 = AtomicI32::new(0);

/// Lowest number that the agent's descriptors get.
pub(crate) fn base() -> i32 {
    let known = BASE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct outlives the call.
    let got = unsafe {
        raw::call(
            libc::SYS_prlimit64,
            [0, libc::RLIMIT_NOFILE as usize, 0, &raw mut limit as usize, 0, 0],
        )
    };
    let soft = if got.is_ok() { limit.rlim_cur.min(HIGHEST as u64) as i32 } else { 1024 };
    let base = (soft - RESERVE).max(soft / 2).max(3);
    BASE.store(base, Ordering::Relaxed);
    base
}

/// Moves a descriptor just made to a high number and marks it as ours. When there is no room up there it keeps a
/// number of at least 3, or its own.
pub(crate) fn lift(fd: i32) -> i32 {
    let duplicate = |from: i32| {
        // SAFETY: duplicating a descriptor touches no memory.
        unsafe {
            raw::call(
                libc::SYS_fcntl,
                [fd as usize, libc::F_DUPFD_CLOEXEC as usize, from as usize, 0, 0, 0],
            )
        }
    };
    let lifted = match duplicate(base()).or_else(|_| duplicate(3)) {
        Ok(high) => {
            // SAFETY: closing the descriptor that was just made and is known to nobody else.
            let _ = unsafe { raw::call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
            high as i32
        }
        Err(_) => fd,
    };
    if let Some(state) = process::peek() {
        state.table.set(lifted, table::OWN);
    }
    lifted
}

/// Whether `fd` still is the agent's.
pub(crate) fn is_ours(fd: i32) -> bool {
    process::peek().is_some_and(|state| state.table.get(fd) == table::OWN)
}

/// Whether the agent's thread may use `fd`: its own, or a low number (a file that it is just reading).
pub(crate) fn usable(fd: i32) -> bool {
    is_ours(fd) || fd < base()
}

/// What the exporter's I/O driver (epoll and its waker) calls instead of libc: descriptors are lifted when made and
/// checked when used, because a program may have closed them or put its own in their place.
#[cfg(not(test))]
mod wrapped {
    use super::{lift, usable};
    use crate::sys::errno;
    use std::ffi::c_int;

    unsafe extern "C" {
        fn __real_epoll_create1(flags: c_int) -> c_int;
        fn __real_eventfd(value: u32, flags: c_int) -> c_int;
        fn __real_epoll_ctl(
            epoll: c_int,
            op: c_int,
            fd: c_int,
            event: *mut libc::epoll_event,
        ) -> c_int;
        fn __real_epoll_wait(
            epoll: c_int,
            events: *mut libc::epoll_event,
            max: c_int,
            timeout: c_int,
        ) -> c_int;
    }

    fn refused() -> c_int {
        errno::set(libc::EBADF);
        -1
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn __wrap_epoll_create1(flags: c_int) -> c_int {
        // SAFETY: forwarded.
        let fd = unsafe { __real_epoll_create1(flags) };
        if fd < 0 { fd } else { lift(fd) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn __wrap_eventfd(value: u32, flags: c_int) -> c_int {
        // SAFETY: forwarded.
        let fd = unsafe { __real_eventfd(value, flags) };
        if fd < 0 { fd } else { lift(fd) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn __wrap_epoll_ctl(
        epoll: c_int,
        op: c_int,
        fd: c_int,
        event: *mut libc::epoll_event,
    ) -> c_int {
        if !usable(epoll) || !usable(fd) {
            return refused();
        }
        // SAFETY: forwarded.
        unsafe { __real_epoll_ctl(epoll, op, fd, event) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn __wrap_epoll_wait(
        epoll: c_int,
        events: *mut libc::epoll_event,
        max: c_int,
        timeout: c_int,
    ) -> c_int {
        if !usable(epoll) {
            return refused();
        }
        // SAFETY: forwarded.
        unsafe { __real_epoll_wait(epoll, events, max, timeout) }
    }
}
