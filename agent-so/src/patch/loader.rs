//! Following the linker's announcements.
//!
//! Before and after each change of its lists, however a library is loaded, the linker calls an empty function, so that debuggers can
//! stop there. After a change, no code of the new objects has run yet, and the linker's lock is held: no dlsym, no dlopen.
//!
//! The function's first five bytes become a jump of ours. Not by the back end: that would cost every process the better part of a
//! millisecond, and here there is nothing to move and, both being libraries, nothing out of reach.

use super::changed;
use super::check::Refusal;
use crate::hooks::contain;
use crate::sys::memory::PAGE;
use crate::sys::thread;
use crate::sys::{errno, process, raw};
use std::arch::naked_asm;
use std::sync::atomic::{AtomicU64, Ordering};

const JUMP: usize = 5;
/// How the padding that compilers use begins: `nop`, `int3`, or a longer `nop` with or without prefixes.
macro_rules! nop {
    () => {
        0x90 | 0xcc | 0x0f | 0x66 | 0x2e
    };
}

/// Puts a jump to us into the linker's empty function.
///
/// # Safety
/// `brk` must be that function (`r_brk`).
pub(super) unsafe fn follow(brk: usize) -> Result<(), Refusal> {
    let target = announced as *const () as usize;
    let distance = target as i64 - (brk + JUMP) as i64;
    let distance = i32::try_from(distance).map_err(|_| "the linker is too far away")?;
    if !brk.is_multiple_of(16) {
        return Err("the linker's function is not aligned");
    }
    // SAFETY: by the caller's promise code, and within an aligned 16 bytes.
    let code = unsafe { std::slice::from_raw_parts(brk as *const u8, 16) };
    // Functions are aligned to 16 bytes and what is between them is never run: what follows the return is free.
    if !matches!(
        code,
        [0xc3, nop!(), ..] | [0xf3, 0x0f, 0x1e, 0xfa, 0xc3, ..]
    ) {
        return Err(
            "the linker's function is not empty: a debugger stops there, or another tool does",
        );
    }
    let mut jump = [0xe9, 0, 0, 0, 0];
    jump[1..].copy_from_slice(&distance.to_le_bytes());
    write(brk, &jump)
}

/// Writes to an aligned address of the linker's by one store: a thread may be about to run what is there.
fn write(at: usize, bytes: &[u8; JUMP]) -> Result<(), Refusal> {
    let page = at & !(PAGE - 1);
    let protect = |protection: i32| {
        // SAFETY: a page of the linker's code. It stays executable, so that nobody who runs in it is disturbed.
        unsafe {
            raw::call(
                libc::SYS_mprotect,
                [page, PAGE, protection as usize, 0, 0, 0],
            )
        }
    };
    protect(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)
        .map_err(|_| "memory that is writable and executable is refused")?;
    // SAFETY: an aligned word of the page that was just made writable.
    let word = unsafe { AtomicU64::from_ptr(at as *mut u64) };
    let mut value = word.load(Ordering::Relaxed).to_ne_bytes();
    value[..JUMP].copy_from_slice(bytes);
    word.store(u64::from_ne_bytes(value), Ordering::SeqCst);
    let _ = protect(libc::PROT_READ | libc::PROT_EXEC);
    Ok(())
}

/// The linker's function. Compiled together with its callers, which may know that an empty one changes no register.
#[unsafe(naked)]
unsafe extern "C" fn announced() {
    naked_asm!(
        "push rax", "push rcx", "push rdx", "push rsi", "push rdi", "push r8", "push r9", "push r10", "push r11",
        "call {look}",
        "pop r11", "pop r10", "pop r9", "pop r8", "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rax",
        "ret",
        look = sym look,
    )
}

extern "C" fn look() {
    let errno = errno::get();
    // Not for a child in its parent's memory, and not after the agent stood down: in a sandbox the calls that are needed may be fatal.
    if process::state().is_some() {
        contain(|| {
            let _inside = thread::current().enter();
            changed();
        });
    }
    errno::set(errno);
}
