//! Calls that wait for several descriptors: epoll, poll, select and what makes epoll sets.
//!
//! Only a thread that has read a request is of interest (`context::turn`); the calls of others go on at once.
//! What a thread waits for is looked at after the call, when the kernel has read it; only `select` overwrites it.

use super::{real, with_state};
use crate::context::turn::{self, Wait};
use crate::sys::{errno, memory};
use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};
use std::ffi::c_int;

/// Highest descriptor of a `select` that is looked at, in words of its sets.
const WORDS: usize = 64;

/// The thread waits for an epoll set.
#[inline(always)]
pub(super) fn waits(set: c_int) {
    #[cold]
    #[inline(never)]
    fn looked_at(set: c_int) {
        with_state(|state| turn::waits(state, Wait::Set(set)));
    }
    turn::multiplexes();
    if turn::matters() {
        looked_at(set);
    }
}

macro_rules! sets {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(set: c_int, $($arg: $ty),*) -> c_int {
                waits(set);
                // SAFETY: the program's own call.
                unsafe { real::$name(set, $($arg),*) }
            }
        )*
    };
}

sets! {
    epoll_wait(events: *mut epoll_event, count: c_int, timeout: c_int);
    epoll_pwait(events: *mut epoll_event, count: c_int, timeout: c_int, mask: *const sigset_t);
    epoll_pwait2(events: *mut epoll_event, count: c_int, timeout: *const timespec, mask: *const sigset_t);
}

/// Notes a new epoll set.
fn made(set: c_int) -> c_int {
    if set >= 0 && turn::knows_sets() {
        with_state(|_| turn::made_set(set));
    }
    set
}

/// Hook of `epoll_create`.
///
/// # Safety
/// The C contract of `epoll_create`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_create(size: c_int) -> c_int {
    // SAFETY: the program's own call.
    made(unsafe { real::epoll_create(size) })
}

/// Hook of `epoll_create1`.
///
/// # Safety
/// The C contract of `epoll_create1`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_create1(flags: c_int) -> c_int {
    // SAFETY: the program's own call.
    made(unsafe { real::epoll_create1(flags) })
}

/// The kernel has read `descriptors`, and `result` of them are ready. `probes`: the program did not want to wait.
#[cold]
#[inline(never)]
unsafe fn waited(descriptors: *const pollfd, count: nfds_t, result: c_int, probes: bool) {
    if result < 0 || descriptors.is_null() {
        return;
    }
    // SAFETY: the kernel has just read and written this many.
    let all = unsafe { std::slice::from_raw_parts(descriptors, count as usize) };
    let each = &mut |f: &mut dyn FnMut(c_int)| {
        for one in all.iter().filter(|one| one.fd >= 0) {
            f(one.fd);
        }
    };
    let expired = result == 0 && !probes;
    with_state(|state| turn::waits(state, Wait::These { each, expired }));
}

macro_rules! polls {
    ($($name:ident($($arg:ident: $ty:ty),*) probes $probes:expr;)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(descriptors: *mut pollfd, count: nfds_t, $($arg: $ty),*) -> c_int {
                // SAFETY: the program's own call.
                let result = unsafe { real::$name(descriptors, count, $($arg),*) };
                if turn::matters() || (count > 1 && turn::is_unproven()) {
                    // SAFETY: what the call was given.
                    unsafe { waited(descriptors, count, result, $probes) };
                }
                result
            }
        )*
    };
}

polls! {
    poll(timeout: c_int) probes timeout == 0;
    __poll_chk(timeout: c_int, size: size_t) probes timeout == 0;
    ppoll(timeout: *const timespec, mask: *const sigset_t) probes is_zero(timeout.cast());
    __ppoll_chk(timeout: *const timespec, mask: *const sigset_t, size: size_t) probes is_zero(timeout.cast());
}

/// Whether a time-out is none, so that the program only asks. Both kinds are two words.
fn is_zero(timeout: *const [u64; 2]) -> bool {
    let ends = [timeout as usize, (timeout as usize).wrapping_add(15)];
    if timeout.is_null() || !ends.into_iter().all(memory::readable) {
        return false;
    }
    // SAFETY: readable a moment ago, and the program passes it to a call that reads it.
    unsafe { timeout.read_unaligned() == [0, 0] }
}

/// A copy of what a `select` waits for.
struct Selected {
    /// All its sets in one.
    descriptors: [u64; WORDS],
    probes: bool,
}

impl Selected {
    /// `None` where nothing is to be looked at.
    #[cold]
    #[inline(never)]
    fn copy(count: c_int, sets: [*const fd_set; 3], timeout: *const [u64; 2]) -> Option<Self> {
        let words = usize::try_from(count).ok()?.div_ceil(64).min(WORDS);
        let errno = errno::get();
        let mut descriptors = [0; WORDS];
        let mut readable = true;
        for set in sets.into_iter().filter(|set| !set.is_null()) {
            let set = set.cast::<u64>();
            for (i, word) in descriptors.iter_mut().take(words).enumerate() {
                let at = set.wrapping_add(i);
                if i == 0 || at as usize % memory::PAGE < size_of::<u64>() {
                    let last = at as usize + size_of::<u64>() - 1;
                    readable &= memory::readable(at as usize) && memory::readable(last);
                }
                if !readable {
                    break;
                }
                // SAFETY: readable a moment ago, and the program passes it to a call that reads it.
                *word |= unsafe { at.read_unaligned() };
            }
        }
        let probes = is_zero(timeout);
        errno::set(errno);
        readable.then_some(Self {
            descriptors,
            probes,
        })
    }

    fn waited(&self, result: c_int) {
        if result < 0 {
            return;
        }
        let each = &mut |f: &mut dyn FnMut(c_int)| {
            for (i, word) in self.descriptors.iter().enumerate() {
                let mut rest = *word;
                while rest != 0 {
                    f((i * 64) as c_int + rest.trailing_zeros() as c_int);
                    rest &= rest - 1;
                }
            }
        };
        let expired = result == 0 && !self.probes;
        with_state(|state| turn::waits(state, Wait::These { each, expired }));
    }
}

macro_rules! selects {
    ($($name:ident($($arg:ident: $ty:ty),*) until $timeout:ident;)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(
                count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, $($arg: $ty),*
            ) -> c_int {
                if !turn::matters() {
                    turn::multiplexes();
                    // SAFETY: the program's own call.
                    return unsafe { real::$name(count, read, write, except, $($arg),*) };
                }
                let selected = Selected::copy(count, [read, write, except], $timeout.cast());
                // SAFETY: the program's own call.
                let result = unsafe { real::$name(count, read, write, except, $($arg),*) };
                if let Some(selected) = selected {
                    selected.waited(result);
                }
                result
            }
        )*
    };
}

selects! {
    select(timeout: *mut timeval) until timeout;
    pselect(timeout: *const timespec, mask: *const sigset_t) until timeout;
}
