//! Calls that make and end processes: fork, vfork, _exit, _Exit, quick_exit, posix_spawn, posix_spawnp.

use super::{contain, real};
use crate::export;
use crate::settings;
use crate::sys::{errno, log, process, thread};
use agent_engine::config::LogLevel;
use libc::pid_t;
use std::arch::naked_asm;
use std::ffi::{CStr, c_char, c_int, c_void};

/// Hook of `fork`. The child finds all state empty (wipe on fork); only kernels that cannot do that need help.
///
/// # Safety
/// The C contract of `fork`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn fork() -> pid_t {
    // SAFETY: the program's own call.
    let pid = unsafe { real::fork() };
    if pid == 0 {
        contain(process::forked);
    }
    pid
}

/// Hook of `vfork`: marks the thread, whose child runs in its parent's memory, and jumps on. It must not have a frame of
/// its own: the child returns through it first, and the parent returns to the same place.
///
/// # Safety
/// The C contract of `vfork`.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn vfork() -> pid_t {
    naked_asm!(
        "push rax",
        "call {prepare}",
        "pop rcx",
        "jmp rax",
        prepare = sym before_vfork,
    )
}

extern "C" fn before_vfork() -> *mut c_void {
    thread::current().set(thread::VFORK);
    real::jump_target(&real::jumps::VFORK)
}

macro_rules! exits {
    ($($name:ident $slot:ident)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`: hands out what is finished, within the exit budget.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(status: c_int) -> ! {
                leave();
                let target = real::jump_target(&real::jumps::$slot);
                if !target.is_null() {
                    // SAFETY: the symbol of that name has this type.
                    let f: unsafe extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(target) };
                    // SAFETY: the program's own call.
                    unsafe { f(status) }
                }
                loop {
                    // SAFETY: ends the process.
                    unsafe {
                        crate::sys::raw::syscall6(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]);
                    }
                }
            }
        )*
    };
}
exits! { _exit EXIT quick_exit QUICK_EXIT }

/// Hook of `_Exit`.
///
/// # Safety
/// The C contract of `_Exit`.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[allow(non_snake_case, reason = "the C library's name")]
pub(crate) unsafe extern "C" fn _Exit(status: c_int) -> ! {
    // SAFETY: the same function.
    unsafe { _exit(status) }
}

/// The process is about to end, by a call that a signal handler may make.
pub(crate) fn leave() {
    let errno = errno::get();
    contain(export::flush::at_quick_exit);
    errno::set(errno);
}

/// The process may be about to become another program.
pub(crate) fn change() {
    let errno = errno::get();
    contain(export::flush::before_exec);
    errno::set(errno);
}

macro_rules! spawns {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`: notes children that leave the agent behind.")]
            ///
            /// # Safety
            /// The C contract of the function of that name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(
                pid: *mut pid_t,
                path: *const c_char,
                actions: *const c_void,
                attributes: *const c_void,
                argv: *const *mut c_char,
                envp: *const *mut c_char,
            ) -> c_int {
                // SAFETY: the program's own arguments.
                unsafe { note_child(path, envp) };
                // SAFETY: the program's own call.
                unsafe { real::$name(pid, path, actions, attributes, argv, envp) }
            }
        )*
    };
}
spawns! { posix_spawn posix_spawnp }

/// With the log at debug: says when a child is started with an environment from which the preload is gone. It is not put
/// back: an environment that was emptied was emptied on purpose.
///
/// # Safety
/// `path` is a string and `envp` an environment block, or null.
pub(crate) unsafe fn note_child(path: *const c_char, envp: *const *mut c_char) {
    if !log::enabled(LogLevel::Debug) || !settings::started() || path.is_null() || envp.is_null() {
        return;
    }
    let mut at = envp;
    // SAFETY: an environment block ends with a null pointer, and its entries are strings.
    unsafe {
        while !(*at).is_null() {
            if CStr::from_ptr(*at).to_bytes().starts_with(b"LD_PRELOAD=") {
                return;
            }
            at = at.add(1);
        }
        log::text(
            LogLevel::Debug,
            b"otel-run: started without the agent (its environment has no LD_PRELOAD): ",
        );
        log::text(LogLevel::Debug, CStr::from_ptr(path).to_bytes());
        log::text(LogLevel::Debug, b"\n");
    }
}
