//! dlopen: RTLD_DEEPBIND, which would bind a library past our hooks, is taken out where it is known to be harmless.

use super::real;
use std::arch::naked_asm;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

/// Flags that pass. All, until told otherwise.
static MASK: AtomicU32 = AtomicU32::new(u32::MAX);

/// Lets RTLD_DEEPBIND pass no more. PHP opens each extension with it; which copy a clashing symbol binds to then
/// changes, so this is for programs that were tried.
pub(crate) fn without_deepbind() {
    MASK.store(!(libc::RTLD_DEEPBIND as u32), Ordering::Relaxed);
}

/// Hook of `dlopen`. A jump, not a call: the real function looks at its return address (RUNPATH, `$ORIGIN`, namespace).
///
/// # Safety
/// The C contract of `dlopen`.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
    naked_asm!(
        "and esi, [rip + {mask}]",
        "mov rax, [rip + {slot}]",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {find}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        mask = sym MASK,
        slot = sym real::jumps::DLOPEN,
        find = sym find,
    )
}

extern "C" fn find() -> *mut c_void {
    let target = real::jump_target(&real::jumps::DLOPEN);
    if target.is_null() {
        nothing as *mut c_void
    } else {
        target
    }
}

extern "C" fn nothing() -> *mut c_void {
    std::ptr::null_mut()
}
