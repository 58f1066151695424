//! Calls that bring bytes in: read, readv, recv, recvfrom, recvmsg, recvmmsg and their fortified forms.

use super::{real, refuse_lost, with_state, word};
use crate::conn::table::IGNORED;
use crate::conn::{detach, observe, table};
use agent_engine::protocol::Direction;
use libc::{iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec};
use std::ffi::{c_int, c_uint, c_void};

/// Peeked bytes come again and out-of-band ones are not in the stream.
const NOT_CONSUMED: c_int = libc::MSG_PEEK | libc::MSG_OOB | libc::MSG_ERRQUEUE;

#[inline]
fn piece(buffer: *mut c_void, len: size_t) -> iovec {
    iovec {
        iov_base: buffer,
        iov_len: len,
    }
}

/// In the place of flags: the call was `read`, which has none.
const PLAIN: c_int = 1 << 30;

/// Returns what the program is to see.
fn took(fd: c_int, word: u32, result: ssize_t, buffers: &[iovec], flags: c_int) -> ssize_t {
    if flags & NOT_CONSUMED != 0 {
        return result;
    }
    // MSG_TRUNC on a stream discards bytes instead of storing them.
    if flags & libc::MSG_TRUNC != 0 {
        observe::passed_unseen(fd, word, Direction::In, result);
        return result;
    }
    result + observe::received(fd, word, result, buffers, flags == PLAIN)
}

/// Each hook is two functions, so that the first one, which every read of a file or pipe takes, has no frame and
/// ends in a jump.
macro_rules! simple_reads {
    ($($name:ident($($arg:ident: $ty:ty),*) buffer $buffer:ident len $len:ident flags $flags:expr;)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`: what it returned is observed.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(fd: c_int, $($arg: $ty),*) -> ssize_t {
                if word(fd) == IGNORED {
                    // SAFETY: the program's own call.
                    return unsafe { real::$name(fd, $($arg),*) };
                }
                // SAFETY: the program's own call.
                unsafe { followed::$name(fd, $($arg),*) }
            }
        )*
        mod followed {
            use super::*;
            $(
                #[inline(never)]
                pub(super) unsafe extern "C" fn $name(fd: c_int, $($arg: $ty),*) -> ssize_t {
                    let word = word(fd);
                    if refuse_lost(fd) {
                        return -1;
                    }
                    // SAFETY: the program's own call.
                    let result = unsafe { real::$name(fd, $($arg),*) };
                    took(fd, word, result, &[piece($buffer, $len)], $flags)
                }
            )*
        }
    };
}

simple_reads! {
    read(buffer: *mut c_void, len: size_t) buffer buffer len len flags PLAIN;
    recv(buffer: *mut c_void, len: size_t, flags: c_int) buffer buffer len len flags flags;
    recvfrom(buffer: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t)
        buffer buffer len len flags flags;
    __read_chk(buffer: *mut c_void, len: size_t, size: size_t) buffer buffer len len flags PLAIN;
    __recv_chk(buffer: *mut c_void, len: size_t, size: size_t, flags: c_int) buffer buffer len len flags flags;
    __recvfrom_chk(buffer: *mut c_void, len: size_t, size: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t)
        buffer buffer len len flags flags;
}

/// The pieces of a vectored call that succeeded or failed in the kernel, which has checked them.
///
/// # Safety
/// `pieces` and `count` are what the real call was given, and it did not fail with EFAULT or EINVAL.
unsafe fn checked<'a>(pieces: *const iovec, count: usize) -> &'a [iovec] {
    if pieces.is_null() || count > libc::UIO_MAXIOV as usize {
        return &[];
    }
    // SAFETY: the kernel has read them.
    unsafe { std::slice::from_raw_parts(pieces, count) }
}

/// Hook of `readv`.
///
/// # Safety
/// The C contract of `readv`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    let word = word(fd);
    if word == IGNORED {
        // SAFETY: the program's own call.
        return unsafe { real::readv(fd, pieces, count) };
    }
    if refuse_lost(fd) {
        return -1;
    }
    // SAFETY: the program's own call.
    let result = unsafe { real::readv(fd, pieces, count) };
    if result >= 0 {
        // SAFETY: the call succeeded with these pieces.
        let pieces = unsafe { checked(pieces, count as usize) };
        took(fd, word, result, pieces, 0)
    } else {
        took(fd, word, result, &[], 0)
    }
}

/// Hook of `recvmsg`: also notes descriptors that arrive, whose numbers meant something else before.
///
/// # Safety
/// The C contract of `recvmsg`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    // SAFETY: the program's own call.
    let result = unsafe { real::recvmsg(fd, message, flags) };
    if result < 0 {
        if word != IGNORED {
            took(fd, word, result, &[], flags);
        }
        return result;
    }
    // SAFETY: the kernel has just filled it in.
    unsafe { took_message(fd, word, &*message, result, flags) }
}

/// Returns how many bytes the program is to see.
///
/// # Safety
/// The message is one that the kernel has filled in, with `result` bytes.
unsafe fn took_message(
    fd: c_int,
    word: u32,
    message: &msghdr,
    result: ssize_t,
    flags: c_int,
) -> ssize_t {
    if message.msg_controllen > 0 {
        // SAFETY: by the caller's promise.
        unsafe { arrived(message) };
    }
    if word == IGNORED {
        return result;
    }
    // SAFETY: as above.
    let pieces = unsafe { checked(message.msg_iov, message.msg_iovlen) };
    took(fd, word, result, pieces, flags)
}

/// Forgets what the numbers of descriptors passed by SCM_RIGHTS were.
unsafe fn arrived(message: &msghdr) {
    // SAFETY: walks the control data that the kernel has just written, by libc's own macros.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<c_int>();
                let bytes = (*header)
                    .cmsg_len
                    .saturating_sub(libc::CMSG_LEN(0) as usize);
                for i in 0..bytes / size_of::<c_int>() {
                    let fd = data.add(i).read_unaligned();
                    with_state(|state| detach(state, fd, table::UNKNOWN));
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

/// Hook of `recvmmsg`.
///
/// # Safety
/// The C contract of `recvmmsg`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    // SAFETY: the program's own call.
    let result = unsafe { real::recvmmsg(fd, messages, count, flags, timeout) };
    for i in 0..result.max(0) as usize {
        // SAFETY: the kernel has filled in this many messages.
        unsafe {
            let message = &mut *messages.add(i);
            let len = message.msg_len as ssize_t;
            message.msg_len = took_message(fd, word, &message.msg_hdr, len, flags) as c_uint;
        }
    }
    if result < 0 && word != IGNORED {
        took(fd, word, -1, &[], flags);
    }
    result
}
