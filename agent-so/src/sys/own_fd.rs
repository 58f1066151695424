//! The agent's own descriptors, kept out of the program's way.
//!
//! The agent's thread gets a descriptor table of its own: it neither takes numbers that the program expects to get (`close(0)`
//! and then `open` must give 0), nor loses anything when the program closes all descriptors it does not know (daemons,
//! shells, test suites), nor leaks a collector connection into forked children.
//!
//! Where that is refused (kernels before 5.9 in containers that also forbid `unshare`), it shares the program's table:
//! then its descriptors are moved to high numbers, close-on-exec, and checked before use. The table of connections marks
//! them; a close, dup2 or close_range over one clears the mark, and the exporter's calls then fail with EBADF instead of
//! touching what the program has put there. The exporter's libraries call libc: what creates descriptors passes
//! through the wrappers at the end of this file (`--wrap`, see build.rs) or through our own exported hooks.

use super::process;
use super::raw;
use super::thread::{self, SEPARATE};
use crate::conn::table;
use std::sync::atomic::{AtomicI32, Ordering};

/// How many numbers below the limit are used.
const RESERVE: i32 = 64;
/// Never as high as this, however high the limit is: the descriptor table of the kernel grows with the number.
const HIGHEST: i32 = 16 * 1024;

static BASE: AtomicI32 = AtomicI32::new(0);

/// Gives the calling thread, the agent's own, a descriptor table with nothing in it but standard error, and that only if
/// asked: an open descriptor here would keep the program's pipes from ending.
pub(crate) fn separate(keep_stderr: bool) {
    const UNSHARE: usize = libc::CLOSE_RANGE_UNSHARE as usize;
    const LAST: usize = u32::MAX as usize;
    let close = |first: usize, last: usize, flags: usize| {
        // SAFETY: with the flag, or after a call with it, only this thread's table is changed.
        unsafe { raw::call(libc::SYS_close_range, [first, last, flags, 0, 0, 0]) }.is_ok()
    };
    let first = if keep_stderr { 3 } else { 0 };
    if close(first, LAST, UNSHARE) {
        if keep_stderr {
            close(0, 1, 0);
        }
        thread::current().set(SEPARATE);
        return;
    }
    // SAFETY: only this thread's table is changed.
    let unshared = unsafe {
        raw::call(
            libc::SYS_unshare,
            [libc::CLONE_FILES as usize, 0, 0, 0, 0, 0],
        )
    };
    if unshared.is_err() {
        return;
    }
    thread::current().set(SEPARATE);
    let highest = process::peek()
        .map_or(0, |state| state.table.highest())
        .max(HIGHEST);
    for fd in 0..=highest {
        if fd != 2 || !keep_stderr {
            // SAFETY: as above: the table is this thread's own.
            let _ = unsafe { raw::call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
        }
    }
}

/// Lowest number that the agent's descriptors get.
pub(crate) fn base() -> i32 {
    let known = BASE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the struct outlives the call.
    let got = unsafe {
        raw::call(
            libc::SYS_prlimit64,
            [
                0,
                libc::RLIMIT_NOFILE as usize,
                0,
                &raw mut limit as usize,
                0,
                0,
            ],
        )
    };
    let soft = if got.is_ok() {
        limit.rlim_cur.min(HIGHEST as u64) as i32
    } else {
        1024
    };
    let base = (soft - RESERVE).max(soft / 2).max(3);
    BASE.store(base, Ordering::Relaxed);
    base
}

/// Moves a descriptor just made to a high number and marks it as ours, unless the thread has a table of its own. When there is no room up there it keeps a
/// number of at least 3, or its own.
pub(crate) fn lift(fd: i32) -> i32 {
    if thread::current().has(SEPARATE) {
        return fd;
    }
    let duplicate = |from: i32| {
        // SAFETY: duplicating a descriptor touches no memory.
        unsafe {
            raw::call(
                libc::SYS_fcntl,
                [
                    fd as usize,
                    libc::F_DUPFD_CLOEXEC as usize,
                    from as usize,
                    0,
                    0,
                    0,
                ],
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
    thread::current().has(SEPARATE) || is_ours(fd) || fd < base()
}

/// What the exporter's I/O driver (epoll and its waker) calls instead of libc: descriptors are lifted when made and
/// checked when used, because a program may have closed them or put its own in their place.
#[cfg(not(test))]
mod wrapped {
    use super::{lift, usable};
    use crate::sys::errno;
    use std::arch::global_asm;
    use std::ffi::c_int;

    // What `--wrap` looks for, hidden: only hooks are exported.
    global_asm!(
        ".hidden __wrap_epoll_create1", ".globl __wrap_epoll_create1", "__wrap_epoll_create1: jmp {create}",
        ".hidden __wrap_eventfd", ".globl __wrap_eventfd", "__wrap_eventfd: jmp {eventfd}",
        ".hidden __wrap_epoll_ctl", ".globl __wrap_epoll_ctl", "__wrap_epoll_ctl: jmp {ctl}",
        ".hidden __wrap_epoll_wait", ".globl __wrap_epoll_wait", "__wrap_epoll_wait: jmp {wait}",
        create = sym wrap_epoll_create1,
        eventfd = sym wrap_eventfd,
        ctl = sym wrap_epoll_ctl,
        wait = sym wrap_epoll_wait,
    );

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

    unsafe extern "C" fn wrap_epoll_create1(flags: c_int) -> c_int {
        // SAFETY: forwarded.
        let fd = unsafe { __real_epoll_create1(flags) };
        if fd < 0 { fd } else { lift(fd) }
    }

    unsafe extern "C" fn wrap_eventfd(value: u32, flags: c_int) -> c_int {
        // SAFETY: forwarded.
        let fd = unsafe { __real_eventfd(value, flags) };
        if fd < 0 { fd } else { lift(fd) }
    }

    unsafe extern "C" fn wrap_epoll_ctl(
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

    unsafe extern "C" fn wrap_epoll_wait(
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
