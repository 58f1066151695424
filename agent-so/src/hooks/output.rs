//! Calls that send bytes: write, writev, send, sendto, sendmsg, sendmmsg.
//!
//! The hot ones are two functions each, so that the first one, which every write to a file or pipe takes, has no frame and
//! ends in a jump.

use super::{real, refuse_lost, word};
use crate::conn::edit::Wire;
use crate::conn::table::IGNORED;
use crate::conn::{observe, rewrite};
use libc::{iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use std::ffi::{c_int, c_uint, c_void};

#[inline]
fn one(buffer: *const c_void, len: size_t) -> [iovec; 1] {
    [iovec {
        iov_base: buffer.cast_mut(),
        iov_len: len,
    }]
}

fn flat(bytes: &[u8]) -> iovec {
    iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

fn message(pieces: &[iovec]) -> msghdr {
    // SAFETY: a msghdr of zeros is an empty message.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = pieces.as_ptr().cast_mut();
    message.msg_iovlen = pieces.len();
    message
}

/// Hook of `write`.
///
/// # Safety
/// The C contract of `write`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
    if word(fd) == IGNORED {
        // SAFETY: the program's own call.
        return unsafe { real::write(fd, buffer, len) };
    }
    // SAFETY: the program's own call.
    unsafe { followed_write(fd, buffer, len) }
}

#[inline(never)]
unsafe extern "C" fn followed_write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    let send = |wire: Wire<'_>| match wire {
        // SAFETY: live buffers.
        Wire::Flat(bytes) => unsafe { real::write(fd, bytes.as_ptr().cast(), bytes.len()) },
        // SAFETY: live pieces over live buffers.
        Wire::Pieces(pieces) => unsafe { real::writev(fd, pieces.as_ptr(), pieces.len() as c_int) },
    };
    // SAFETY: the program's own call.
    let plain = || unsafe { real::write(fd, buffer, len) };
    // SAFETY: `plain` is the call the program made; `send` makes the same kind of call.
    unsafe { rewrite::write(fd, word, &one(buffer, len), send, plain) }
}

/// Hook of `send`.
///
/// # Safety
/// The C contract of `send`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn send(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    if word(fd) == IGNORED || flags & libc::MSG_OOB != 0 {
        // SAFETY: the program's own call.
        return unsafe { real::send(fd, buffer, len, flags) };
    }
    // SAFETY: the program's own call.
    unsafe { followed_send(fd, buffer, len, flags) }
}

#[inline(never)]
unsafe extern "C" fn followed_send(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    let send = |wire: Wire<'_>| match wire {
        // SAFETY: live buffers.
        Wire::Flat(bytes) => unsafe { real::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) },
        // SAFETY: live pieces over live buffers.
        Wire::Pieces(pieces) => unsafe { real::sendmsg(fd, &message(pieces), flags) },
    };
    // SAFETY: the program's own call.
    let plain = || unsafe { real::send(fd, buffer, len, flags) };
    // A zero-copy send keeps reading its buffer after the call.
    if flags & libc::MSG_ZEROCOPY != 0 && !observe::must_be_rewritten(word) {
        let result = plain();
        observe::wrote(fd, word, result, &one(buffer, len));
        return result;
    }
    // SAFETY: as for write.
    unsafe { rewrite::write(fd, word, &one(buffer, len), send, plain) }
}

/// Hook of `sendto`. With an address it connects by TCP Fast Open or is refused; such a first write is observed but
/// not rewritten.
///
/// # Safety
/// The C contract of `sendto`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendto(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    let word = word(fd);
    if word == IGNORED || flags & libc::MSG_OOB != 0 {
        // SAFETY: the program's own call.
        return unsafe { real::sendto(fd, buffer, len, flags, to, to_len) };
    }
    if refuse_lost(fd) {
        return -1;
    }
    let send = |wire: Wire<'_>| match wire {
        Wire::Flat(bytes) => {
            // SAFETY: live buffers; the program's address.
            unsafe { real::sendto(fd, bytes.as_ptr().cast(), bytes.len(), flags, to, to_len) }
        }
        Wire::Pieces(pieces) => {
            let mut message = message(pieces);
            message.msg_name = to.cast_mut().cast();
            message.msg_namelen = to_len;
            // SAFETY: live pieces over live buffers; the program's address.
            unsafe { real::sendmsg(fd, &message, flags) }
        }
    };
    // SAFETY: the program's own call.
    let plain = || unsafe { real::sendto(fd, buffer, len, flags, to, to_len) };
    // With an address it opens the connection too (TCP Fast Open), which can be done once only.
    let fixed = !to.is_null() || flags & libc::MSG_ZEROCOPY != 0;
    if fixed && !observe::must_be_rewritten(word) {
        let result = plain();
        observe::wrote(fd, word, result, &one(buffer, len));
        return result;
    }
    // SAFETY: as for write.
    unsafe { rewrite::write(fd, word, &one(buffer, len), send, plain) }
}

/// The program's pieces, if they can be looked at before the kernel has: an array that cannot be read, is too long, or
/// whose lengths overflow is the kernel's to refuse.
unsafe fn looked_at<'a>(pieces: *const iovec, count: usize) -> Option<&'a [iovec]> {
    let size = count.checked_mul(size_of::<iovec>())?;
    if count == 0 || count > libc::UIO_MAXIOV as usize {
        return None;
    }
    let (first, last) = (pieces as usize, (pieces as usize).checked_add(size - 1)?);
    let mut page = first;
    while page <= last {
        if !crate::sys::memory::readable(page) {
            return None;
        }
        page = (page | (crate::sys::memory::PAGE - 1)).checked_add(1)?;
    }
    // SAFETY: readable as just asked, and the program passes it to a call that reads it.
    let pieces = unsafe { std::slice::from_raw_parts(pieces, count) };
    let total = pieces
        .iter()
        .try_fold(0usize, |sum, p| sum.checked_add(p.iov_len))?;
    (total <= isize::MAX as usize).then_some(pieces)
}

/// The pieces of a call that returned `result`; none of one that failed, which may have failed because of them.
unsafe fn sent<'a>(result: ssize_t, pieces: *const iovec, count: usize) -> &'a [iovec] {
    if result <= 0 || pieces.is_null() {
        return &[];
    }
    // SAFETY: the kernel has read them.
    unsafe { std::slice::from_raw_parts(pieces, count) }
}

/// Hook of `writev`.
///
/// # Safety
/// The C contract of `writev`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    if word(fd) == IGNORED {
        // SAFETY: the program's own call.
        return unsafe { real::writev(fd, pieces, count) };
    }
    // SAFETY: the program's own call.
    unsafe { followed_writev(fd, pieces, count) }
}

#[inline(never)]
unsafe extern "C" fn followed_writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    // SAFETY: the program's own call.
    let plain = || unsafe { real::writev(fd, pieces, count) };
    if observe::never_rewritten(word) {
        let result = plain();
        // SAFETY: a call that succeeded has read its pieces.
        observe::wrote(fd, word, result, unsafe {
            sent(result, pieces, count as usize)
        });
        return result;
    }
    // SAFETY: only looked at.
    let Some(program) = (unsafe { looked_at(pieces, count.max(0) as usize) }) else {
        return plain();
    };
    let send = |wire: Wire<'_>| match wire {
        // SAFETY: a live buffer.
        Wire::Flat(bytes) => unsafe { real::writev(fd, &flat(bytes), 1) },
        // SAFETY: live pieces over live buffers.
        Wire::Pieces(pieces) => unsafe { real::writev(fd, pieces.as_ptr(), pieces.len() as c_int) },
    };
    // SAFETY: as for write.
    unsafe { rewrite::write(fd, word, program, send, plain) }
}

/// Hook of `sendmsg`. A message with control data is observed but not rewritten.
///
/// # Safety
/// The C contract of `sendmsg`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendmsg(fd: c_int, given: *const msghdr, flags: c_int) -> ssize_t {
    let word = word(fd);
    // SAFETY: the program's own call.
    let plain = || unsafe { real::sendmsg(fd, given, flags) };
    if word == IGNORED || flags & libc::MSG_OOB != 0 {
        return plain();
    }
    if refuse_lost(fd) {
        return -1;
    }
    if !crate::sys::memory::readable(given as usize)
        || !crate::sys::memory::readable((given as usize).wrapping_add(size_of::<msghdr>() - 1))
    {
        return plain();
    }
    // SAFETY: readable as just asked.
    let header = unsafe { &*given };
    // Control data must go out exactly once, and zero-copy sends keep reading their buffer after the call.
    let fixed = header.msg_controllen > 0 || flags & libc::MSG_ZEROCOPY != 0;
    if observe::never_rewritten(word) || (fixed && !observe::must_be_rewritten(word)) {
        let result = plain();
        // SAFETY: a call that succeeded has read its pieces.
        observe::wrote(fd, word, result, unsafe {
            sent(result, header.msg_iov, header.msg_iovlen)
        });
        return result;
    }
    let mut first = true;
    // SAFETY: only looked at.
    let Some(program) = (unsafe { looked_at(header.msg_iov, header.msg_iovlen) }) else {
        return plain();
    };
    let send = |wire: Wire<'_>| {
        let mut copy = *header;
        if !std::mem::take(&mut first) {
            copy.msg_control = std::ptr::null_mut();
            copy.msg_controllen = 0;
        }
        let single;
        match wire {
            Wire::Flat(bytes) => {
                single = flat(bytes);
                copy.msg_iov = (&raw const single).cast_mut();
                copy.msg_iovlen = 1;
            }
            Wire::Pieces(pieces) => {
                copy.msg_iov = pieces.as_ptr().cast_mut();
                copy.msg_iovlen = pieces.len();
            }
        }
        // SAFETY: the program's header over live pieces and buffers.
        unsafe { real::sendmsg(fd, &copy, flags) }
    };
    // SAFETY: as for write.
    unsafe { rewrite::write(fd, word, program, send, plain) }
}

/// Hook of `sendmmsg`. The kernel sends one message after the other; so does this where the first one may begin a
/// request: it goes alone, as `sendmsg` would send it, and then the others.
///
/// # Safety
/// The C contract of `sendmmsg`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let word = word(fd);
    if refuse_lost(fd) {
        return -1;
    }
    let first = messages as usize;
    if word == IGNORED
        || observe::never_rewritten(word)
        || count == 0
        || !crate::sys::memory::readable(first)
        || !crate::sys::memory::readable(first.wrapping_add(size_of::<mmsghdr>() - 1))
    {
        // SAFETY: the program's own call.
        let result = unsafe { real::sendmmsg(fd, messages, count, flags) };
        if word != IGNORED {
            // SAFETY: the kernel has read this many messages.
            unsafe { went(fd, word, messages, result) };
        }
        return result;
    }
    // SAFETY: readable as just asked.
    let sent = unsafe { sendmsg(fd, &raw const (*messages).msg_hdr, flags) };
    if sent < 0 {
        return -1;
    }
    // SAFETY: as above; the kernel would write the length there too.
    unsafe { (*messages).msg_len = sent as c_uint };
    // As the kernel does: the next message only after all of this one went out.
    // SAFETY: the kernel has read the pieces of a message that it sent.
    let total = unsafe {
        self::sent(
            sent,
            (*messages).msg_hdr.msg_iov,
            (*messages).msg_hdr.msg_iovlen,
        )
    }
    .iter()
    .map(|piece| piece.iov_len)
    .sum::<usize>();
    if count == 1 || (sent as usize) < total {
        return 1;
    }
    // SAFETY: the rest of the program's own call.
    let rest = unsafe { real::sendmmsg(fd, messages.add(1), count - 1, flags) };
    // SAFETY: the kernel has read this many messages.
    unsafe { went(fd, word, messages.add(1), rest) };
    // What was sent before an error is the result, as in the kernel.
    1 + rest.max(0)
}

/// Observes the first `result` messages, whose lengths the kernel has noted.
unsafe fn went(fd: c_int, word: u32, messages: *const mmsghdr, result: c_int) {
    for i in 0..result.max(0) as usize {
        // SAFETY: by the caller's promise.
        let (pieces, len) = unsafe {
            let message = &*messages.add(i);
            let header = &message.msg_hdr;
            (
                std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen),
                message.msg_len,
            )
        };
        observe::wrote(fd, word, len as ssize_t, pieces);
    }
}
