//! dlopen: RTLD_DEEPBIND, which would bind a library past our hooks, is taken out where it is known to be harmless. Bridges are
//! told what is going to be loaded.

use super::{contain, real};
use crate::context::bridge;
use std::arch::naked_asm;
use std::ffi::{CStr, c_char, c_int, c_void};
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
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {loading}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
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
        loading = sym loading,
        slot = sym real::jumps::DLOPEN,
        find = sym find,
    )
}

extern "C" fn loading(name: *const c_char) {
    if !name.is_null() {
        // SAFETY: the program passes a string.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        contain(|| bridge::loading(name));
    }
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
