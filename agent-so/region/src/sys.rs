//! System calls, without libc.

use std::arch::asm;
use std::ffi::CStr;

/// Makes a system call: its value, or the error number.
///
/// # Safety
/// As dangerous as the call that is made.
unsafe fn call(number: i64, arguments: [usize; 4]) -> Result<usize, i32> {
    let result: isize;
    // SAFETY: the x86-64 Linux convention: number in rax, arguments in rdi rsi rdx r10; rcx and r11 die.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2], in("r10") arguments[3],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    match result {
        -4095..0 => Err(-result as i32),
        value => Ok(value as usize),
    }
}

/// # Safety
/// Whoever uses these pages must get along with it.
pub(crate) unsafe fn mprotect(start: usize, len: usize, protection: i32) -> Result<(), i32> {
    // SAFETY: forwarded to the caller.
    unsafe { call(libc::SYS_mprotect, [start, len, protection as usize, 0]) }.map(|_| ())
}

/// What is in a file.
pub(crate) fn contents(path: &CStr) -> Result<Vec<u8>, i32> {
    let (here, flags) = (libc::AT_FDCWD as usize, libc::O_RDONLY | libc::O_CLOEXEC);
    let arguments = [here, path.as_ptr() as usize, flags as usize, 0];
    // SAFETY: a string.
    let file = unsafe { call(libc::SYS_openat, arguments) }?;
    let mut text = Vec::with_capacity(32 * 1024);
    let result = loop {
        text.reserve(4096);
        let room = text.spare_capacity_mut();
        let arguments = [file, room.as_mut_ptr() as usize, room.len(), 0];
        // SAFETY: the kernel writes at most the room's length.
        match unsafe { call(libc::SYS_read, arguments) } {
            Ok(0) => break Ok(()),
            // SAFETY: the kernel has written that many bytes behind the text.
            Ok(got) => unsafe { text.set_len(text.len() + got) },
            Err(libc::EINTR) => {}
            Err(number) => break Err(number),
        }
    };
    // SAFETY: the descriptor was opened above and nobody else knows of it.
    let _ = unsafe { call(libc::SYS_close, [file, 0, 0, 0]) };
    result.map(|()| text)
}
