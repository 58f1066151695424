//! Calls that close or duplicate descriptors: close, close_range, closefrom, dup, dup2, dup3, fcntl.

use super::{real, refuse_lost, with_state, word};
use crate::conn::{detach, share, table};
use crate::sys::{own_fd, raw, thread};
use std::ffi::{c_int, c_uint};

/// Hook of `close`: the state goes before the descriptor, whose number another thread may get at once.
///
/// # Safety
/// The C contract of `close`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn close(fd: c_int) -> c_int {
    if word(fd) != table::UNKNOWN {
        if refuse_lost(fd) {
            return -1;
        }
        forget(fd);
    } else if refuse_lost(fd) {
        return -1;
    }
    // SAFETY: the program's own call.
    unsafe { real::close(fd) }
}

fn forget(fd: c_int) {
    if thread::current().has(thread::AGENT) {
        if !thread::current().has(thread::SEPARATE)
            && own_fd::is_ours(fd)
            && let Some(state) = crate::sys::process::peek()
        {
            state.table.set(fd, table::UNKNOWN);
        }
        return;
    }
    with_state(|state| detach(state, fd, table::UNKNOWN));
}

fn forget_range(first: c_uint, last: c_uint) {
    with_state(|state| {
        let highest = c_uint::try_from(state.table.highest()).unwrap_or(0);
        for fd in first..=last.min(highest) {
            if let Ok(fd) = c_int::try_from(fd)
                && state.table.get(fd) != table::UNKNOWN
            {
                detach(state, fd, table::UNKNOWN);
            }
        }
    });
}

/// Hook of `close_range`.
///
/// # Safety
/// The C contract of `close_range`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // With any other flag the call fails or closes nothing.
    let closes = matches!(flags as c_uint, 0 | libc::CLOSE_RANGE_UNSHARE) && first <= last;
    if closes {
        forget_range(first, last);
    }
    // SAFETY: the program's own call.
    unsafe { real::close_range(first, last, flags) }
}

/// Hook of `closefrom` (glibc 2.34 and later).
///
/// # Safety
/// The C contract of `closefrom`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn closefrom(first: c_int) {
    forget_range(first.max(0) as c_uint, c_uint::MAX);
    // SAFETY: the program's own call.
    unsafe { real::closefrom(first) }
}

fn duplicated(old: c_int, new: c_int) -> c_int {
    if new < 0 {
        return new;
    }
    if thread::current().has(thread::AGENT) {
        return own_fd::lift(new);
    }
    with_state(|state| share(state, old, new));
    new
}

/// Hook of `dup`.
///
/// # Safety
/// The C contract of `dup`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the program's own call.
    duplicated(fd, unsafe { real::dup(fd) })
}

/// dup2 and dup3 close their target without a word: forget it first, but only if the call will do so.
fn forget_target(old: c_int, new: c_int) {
    if old == new || word(new) == table::UNKNOWN {
        return;
    }
    // SAFETY: asking for descriptor flags touches no memory.
    let open = unsafe {
        raw::call(
            libc::SYS_fcntl,
            [old as usize, libc::F_GETFD as usize, 0, 0, 0, 0],
        )
    };
    if open.is_ok() {
        forget(new);
    }
}

/// Hook of `dup2`.
///
/// # Safety
/// The C contract of `dup2`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    forget_target(old, new);
    // SAFETY: the program's own call.
    let result = unsafe { real::dup2(old, new) };
    if old == new {
        result
    } else {
        duplicated(old, result)
    }
}

/// Hook of `dup3`.
///
/// # Safety
/// The C contract of `dup3`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    forget_target(old, new);
    // SAFETY: the program's own call.
    duplicated(old, unsafe { real::dup3(old, new, flags) })
}

macro_rules! fcntls {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`: duplicates share their socket's state.")]
            ///
            /// # Safety
            /// The C contract of `fcntl`, whose third argument is an int, a long or a pointer, or missing.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(fd: c_int, command: c_int, argument: usize) -> c_int {
                // SAFETY: the program's own call; a missing argument is not looked at by the kernel either.
                let result = unsafe { real::$name(fd, command, argument) };
                match command {
                    libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => duplicated(fd, result),
                    _ => result,
                }
            }
        )*
    };
}
fcntls! { fcntl fcntl64 }
