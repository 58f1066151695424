//! prctl: a program that puts itself into a seccomp sandbox is left alone from then on.
//!
//! The call itself is never altered. But after it, a system call that the program would not have made (the agent's own)
//! may be its death, so the agent hands out what it has and stands down.

use super::process::leave;
use super::real;
use crate::sys::process;
use std::arch::naked_asm;
use std::ffi::{c_int, c_void};

/// Stands down before a sandbox is entered.
pub(crate) fn sandboxed() {
    if process::state().is_some() {
        leave();
        process::disable();
    }
}

/// Whether `prctl` with these arguments enters a sandbox. Libraries also probe what the kernel knows, with null filters.
pub(crate) fn prctl_enters(option: c_int, mode: usize, filter: usize) -> bool {
    option == libc::PR_SET_SECCOMP
        && (mode == libc::SECCOMP_MODE_STRICT as usize
            || (mode == libc::SECCOMP_MODE_FILTER as usize && filter != 0))
}

/// The same for `seccomp`.
pub(crate) fn seccomp_enters(operation: usize, flags: usize, filter: usize) -> bool {
    (operation == libc::SECCOMP_SET_MODE_STRICT as usize && flags == 0 && filter == 0)
        || (operation == libc::SECCOMP_SET_MODE_FILTER as usize && filter != 0)
}

extern "C" fn before(option: c_int, mode: usize, filter: usize) -> *mut c_void {
    if prctl_enters(option, mode, filter) {
        sandboxed();
    }
    let target = real::jump_target(&real::jumps::PRCTL);
    if target.is_null() {
        missing as *mut c_void
    } else {
        target
    }
}

extern "C" fn missing() -> c_int {
    crate::sys::errno::set(libc::ENOSYS);
    -1
}

/// Hook of `prctl`, which is variadic: registers are kept and the real function is jumped to.
///
/// # Safety
/// The C contract of `prctl`.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn prctl() {
    naked_asm!(
        "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
        "call {before}",
        "mov r11, rax",
        "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
        "jmp r11",
        before = sym before,
    )
}
