//! Calls that make, connect, shut and ask sockets: socket, connect, accept, accept4, shutdown, getsockopt.

use super::{real, refuse_lost, with_state, word};
use crate::conn::{classify, connect as attempts, detach, observe, table};
use crate::context::{bridge, turn};
use crate::export;
use crate::settings;
use crate::sys::{own_fd, thread};
use libc::{sockaddr, socklen_t};
use std::arch::naked_asm;
use std::ffi::{c_int, c_void};

/// Hook of `socket`: a number that meant something else before is a fresh stream, or nothing of interest.
///
/// # Safety
/// The C contract of `socket`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the program's own call.
    let fd = unsafe { real::socket(domain, kind, protocol) };
    if fd < 0 {
        return fd;
    }
    if thread::current().has(thread::AGENT) {
        return own_fd::lift(fd);
    }
    let stream = kind & 0xf == libc::SOCK_STREAM && classify::is_followed(domain);
    let word = if stream { table::FRESH } else { table::IGNORED };
    with_state(|state| {
        detach(state, fd, word);
        if stream {
            settings::say_warnings();
            export::poke(state);
        }
    });
    fd
}

/// Hook of `connect`.
///
/// # Safety
/// The C contract of `connect`.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn connect(
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    naked_asm!("mov rcx, [rsp]", "jmp {}", sym connect_from)
}

/// As [`connect`], which code at `caller` has called.
///
/// # Safety
/// The C contract of `connect`.
unsafe extern "C" fn connect_from(
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
    caller: usize,
) -> c_int {
    if word(fd) == table::IGNORED {
        // SAFETY: the program's own call.
        return unsafe { real::connect(fd, address, len) };
    }
    if refuse_lost(fd) {
        return -1;
    }
    let mut copy = [0u8; 128];
    let known = address_bytes(address, len, &mut copy);
    let attempt = if thread::current().has(thread::AGENT) {
        None
    } else {
        attempts::begin(fd, known, caller)
    };
    // SAFETY: the program's own call.
    let result = unsafe { real::connect(fd, address, len) };
    if let Some(attempt) = attempt {
        attempts::done(&attempt, result);
    }
    result
}

/// A copy of an address that the program passes; empty when it cannot be read (the kernel will say so).
fn address_bytes(address: *const sockaddr, len: socklen_t, copy: &mut [u8; 128]) -> &[u8] {
    let len = (len as usize).min(copy.len());
    let (first, last) = (
        address as usize,
        (address as usize).wrapping_add(len.max(1) - 1),
    );
    if len == 0 || !crate::sys::memory::readable(first) || !crate::sys::memory::readable(last) {
        return &[];
    }
    // SAFETY: both pages it can lie on were readable just now, and the program passes it to a call that reads it.
    unsafe { std::ptr::copy_nonoverlapping(address.cast::<u8>(), copy.as_mut_ptr(), len) };
    &copy[..len]
}

fn accepted(fd: c_int) -> c_int {
    if fd >= 0 {
        with_state(|state| {
            detach(state, fd, table::FRESH);
            turn::accepted(fd);
            export::poke(state);
        });
    }
    bridge::accepted(fd);
    fd
}

/// Hook of `accept`.
///
/// # Safety
/// The C contract of `accept`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn accept(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the program's own call.
    accepted(unsafe { real::accept(fd, address, len) })
}

/// Hook of `accept4`.
///
/// # Safety
/// The C contract of `accept4`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the program's own call.
    accepted(unsafe { real::accept4(fd, address, len, flags) })
}

/// Hook of `shutdown`: the end of what is sent ends a response that has no announced length.
///
/// # Safety
/// The C contract of `shutdown`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn shutdown(fd: c_int, how: c_int) -> c_int {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    // SAFETY: the program's own call.
    let result = unsafe { real::shutdown(fd, how) };
    if result == 0 && word >= table::CONN && matches!(how, libc::SHUT_WR | libc::SHUT_RDWR) {
        observe::shut_down(fd, word);
    }
    result
}

/// Hook of `getsockopt`: asking for `SO_ERROR` is how programs learn the outcome of a connect under way.
///
/// # Safety
/// The C contract of `getsockopt`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the program's own call.
    let result = unsafe { real::getsockopt(fd, level, option, value, len) };
    if level == libc::SOL_SOCKET && option == libc::SO_ERROR && result == 0 {
        let word = word(fd);
        // SAFETY: the kernel has just written the length and that many bytes of the value.
        if word >= table::CONN && unsafe { *len } as usize == size_of::<c_int>() {
            // SAFETY: as above.
            let error = unsafe { value.cast::<c_int>().read_unaligned() };
            with_state(|_| attempts::outcome(fd, word, error));
        }
    }
    result
}
