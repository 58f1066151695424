//! The exec family: what is finished must leave before the process becomes another program.
//!
//! The variadic forms (`execl`, ...) cannot be written in Rust, so all of them enter the same way: save the argument
//! registers, flush, restore them, and jump to the real function, which finds its stack as the caller left it.

use super::process::{change, note_child};
use super::real::{self, jumps};
use crate::sys::process;
use std::arch::naked_asm;
use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicPtr;

/// Flushes, and gives the address to jump to. `envp` is null where the call inherits the environment.
extern "C" fn before(
    slot: &'static AtomicPtr<c_void>,
    path: *const c_char,
    envp: *const *mut c_char,
) -> *mut c_void {
    if process::state().is_some() {
        change();
        // SAFETY: the program's own arguments, as its call demands.
        unsafe { note_child(path, envp) };
    }
    let target = real::jump_target(slot);
    if target.is_null() {
        no_such_function as *mut c_void
    } else {
        target
    }
}

extern "C" fn no_such_function() -> i32 {
    crate::sys::errno::set(libc::ENOSYS);
    -1
}

/// `$envp` is the instruction that moves the environment argument (if the call has one in a register) to rdx.
macro_rules! execs {
    ($($name:ident $slot:ident path $path:literal envp $envp:literal;)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[unsafe(naked)]
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name() {
                naked_asm!(
                    // rax: the number of vector registers of a variadic call. Seven pushes align the stack.
                    "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
                    $envp,
                    $path,
                    "lea rdi, [rip + {slot}]",
                    "call {before}",
                    "mov r11, rax",
                    "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
                    "jmp r11",
                    slot = sym jumps::$slot,
                    before = sym before,
                )
            }
        )*
    };
}

execs! {
    execve EXECVE path "mov rsi, rdi" envp "nop";
    execvpe EXECVPE path "mov rsi, rdi" envp "nop";
    execv EXECV path "mov rsi, rdi" envp "xor edx, edx";
    execvp EXECVP path "mov rsi, rdi" envp "xor edx, edx";
    execl EXECL path "mov rsi, rdi" envp "xor edx, edx";
    execlp EXECLP path "mov rsi, rdi" envp "xor edx, edx";
    execle EXECLE path "mov rsi, rdi" envp "xor edx, edx";
    fexecve FEXECVE path "xor esi, esi" envp "xor edx, edx";
    execveat EXECVEAT path "nop" envp "mov rdx, rcx";
}
