//! System calls without libc: no cancellation point, no hook, no errno, usable before libc is ready.

use std::arch::asm;

/// A kernel error number, always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

/// Makes a system call; the result is the kernel's: -4095..=-1 is a negated error number.
///
/// # Safety
/// As dangerous as the call that is made: pointers among the arguments must be what the kernel expects.
#[inline(always)]
pub(crate) unsafe fn syscall6(nr: i64, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the x86-64 Linux syscall ABI: number in rax, arguments in rdi rsi rdx r10 r8 r9, rcx and r11 die.
    unsafe {
        asm!("syscall", inlateout("rax") nr as isize => ret,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    ret
}

/// Splits a kernel result into value and error.
pub(crate) fn check(ret: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&ret) {
        Err(Errno(-ret as i32))
    } else {
        Ok(ret as usize)
    }
}

/// Makes a system call and checks its result.
///
/// # Safety
/// See [`syscall6`].
pub(crate) unsafe fn call(nr: i64, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: forwarded to the caller.
    check(unsafe { syscall6(nr, args) })
}

/// Process id as the kernel tells it now (never cached: a vfork child must see its own).
pub(crate) fn getpid() -> u32 {
    // SAFETY: getpid takes no arguments and cannot fail.
    unsafe { syscall6(libc::SYS_getpid, [0; 6]) as u32 }
}

/// Thread id as the kernel tells it now.
pub(crate) fn gettid() -> u32 {
    // SAFETY: gettid takes no arguments and cannot fail.
    unsafe { syscall6(libc::SYS_gettid, [0; 6]) as u32 }
}

/// Writes bytes to a descriptor once; a short write or an error is the caller's to judge.
pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: pointer and length are of a live slice.
    unsafe {
        call(
            libc::SYS_write,
            [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0],
        )
    }
}

/// Fills `out` with random bytes; false when the kernel has none to give.
pub(crate) fn random(out: &mut [u8]) -> bool {
    // SAFETY: pointer and length are of a live, writable slice.
    let got = unsafe {
        call(
            libc::SYS_getrandom,
            [
                out.as_mut_ptr() as usize,
                out.len(),
                1, /* GRND_NONBLOCK */
                0,
                0,
                0,
            ],
        )
    };
    got == Ok(out.len())
}

/// `getsockopt(SOL_SOCKET, option)` for an int option.
pub(crate) fn socket_option(fd: i32, option: i32) -> Result<i32, Errno> {
    let mut value: i32 = 0;
    // SAFETY: an int, for options that are ints.
    unsafe { get_socket_option(fd, option, &mut value) }.map(|()| value)
}

/// What tells this socket from all others of this boot (`SO_COOKIE`); 0 for what is no socket, and on kernels before 4.12.
pub(crate) fn socket_cookie(fd: i32) -> u64 {
    let mut value: u64 = 0;
    // SAFETY: the option is a 64-bit number.
    match unsafe { get_socket_option(fd, libc::SO_COOKIE, &mut value) } {
        Ok(()) => value,
        Err(_) => 0,
    }
}

unsafe fn get_socket_option<T>(fd: i32, option: i32, value: &mut T) -> Result<(), Errno> {
    let mut len: u32 = size_of::<T>() as u32;
    // SAFETY: value and len outlive the call and have the sizes that are announced; the caller knows the option's type.
    unsafe {
        call(
            libc::SYS_getsockopt,
            [
                fd as usize,
                libc::SOL_SOCKET as usize,
                option as usize,
                std::ptr::from_mut(value) as usize,
                &raw mut len as usize,
                0,
            ],
        )?;
    }
    Ok(())
}

/// Waits while `*word == expected`, at most `timeout_ns` nanoseconds (`None`: without limit). Wakes up for any
/// reason; the caller looks again.
pub(crate) fn futex_wait(
    word: &std::sync::atomic::AtomicU32,
    expected: u32,
    timeout_ns: Option<u64>,
) {
    let limit = timeout_ns.map(|ns| libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    });
    let limit = limit.as_ref().map_or(0, |t| std::ptr::from_ref(t) as usize);
    let op = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the word lives as long as the reference; the timespec (or null) outlives the call.
    let _ = unsafe {
        call(
            libc::SYS_futex,
            [word.as_ptr() as usize, op, expected as usize, limit, 0, 0],
        )
    };
}

/// Wakes every waiter on `word`.
pub(crate) fn futex_wake(word: &std::sync::atomic::AtomicU32) {
    let op = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the word lives as long as the reference.
    let _ = unsafe {
        call(
            libc::SYS_futex,
            [word.as_ptr() as usize, op, i32::MAX as usize, 0, 0, 0],
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_error_numbers() {
        assert_eq!(write(-1, b"x"), Err(Errno(libc::EBADF)));
        assert_eq!(socket_option(-1, libc::SO_TYPE), Err(Errno(libc::EBADF)));
        assert_eq!(check(-4095), Err(Errno(4095)));
        assert_eq!(
            check(-4096),
            Ok(-4096isize as usize),
            "an address, not an error"
        );
    }

    #[test]
    fn ids_are_those_of_libc() {
        assert_eq!(getpid(), std::process::id());
        let mut bytes = [0; 32];
        assert!(random(&mut bytes));
        assert_ne!(bytes, [0; 32]);
    }
}
