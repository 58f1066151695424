//! The real functions.
//!
//! Each has a slot that first holds a fallback: a raw system call where the function is one (hooks run before our
//! constructor, in an allocator's initialiser, where dlsym would recurse), else a function that looks the real one up.
//! The constructor fills the slots. `RTLD_NEXT` alone is not trusted: an address inside our own object is
//! refused, and libc itself is asked next.

use crate::sys::{errno, raw};
use libc::{
    addrinfo, epoll_event, fd_set, iovec, mmsghdr, msghdr, nfds_t, off_t, pid_t, pollfd, sigset_t,
    size_t, sockaddr, socklen_t, ssize_t, timespec, timeval,
};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    static __ehdr_start: u8;
    static _end: u8;
}

/// Where `libagent.so` is mapped.
pub(crate) fn base() -> *const c_void {
    (&raw const __ehdr_start).cast()
}

/// Whether an address lies inside `libagent.so`.
pub(crate) fn is_ours(address: *const c_void) -> bool {
    let (start, end) = (&raw const __ehdr_start as usize, &raw const _end as usize);
    (start..end).contains(&(address as usize))
}

/// The real function of a name, or null.
pub(crate) fn look_up(name: &CStr) -> *mut c_void {
    // SAFETY: a NUL-terminated name; dlsym has no other demands.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if !next.is_null() && !is_ours(next) {
        return next;
    }
    for library in [c"libc.so.6", c"libpthread.so.0", c"libdl.so.2"] {
        // Not dlopen: in here that is our own hook, which may be what is looked up.
        // SAFETY: RTLD_NOLOAD only finds what is loaded already.
        let handle = unsafe {
            libc::dlmopen(
                libc::LM_ID_BASE,
                library.as_ptr(),
                libc::RTLD_LAZY | libc::RTLD_NOLOAD,
            )
        };
        if handle.is_null() {
            continue;
        }
        // SAFETY: a handle that dlopen gave, a NUL-terminated name.
        let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
        if !found.is_null() && !is_ours(found) {
            return found;
        }
    }
    std::ptr::null_mut()
}

/// Gives a raw result the C library's form.
fn c_result(ret: isize) -> isize {
    match raw::check(ret) {
        Ok(_) => ret,
        Err(raw::Errno(number)) => {
            errno::set(number);
            -1
        }
    }
}

macro_rules! arg {
    ($value:expr) => {
        $value as usize
    };
}

/// Functions that are one system call: slot, fallback by raw system call, caller.
macro_rules! syscalls {
    ($($name:ident = $nr:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        $(
            #[doc = concat!("The real `", stringify!($name), "`.")]
            #[inline(always)]
            pub(crate) unsafe fn $name($($arg: $ty),*) -> $ret {
                let f = slots::$name.load(Ordering::Relaxed);
                // SAFETY: the slot holds the fallback below or the symbol of that name, both of this type.
                let f: unsafe extern "C" fn($($ty),*) -> $ret = unsafe { std::mem::transmute(f) };
                // SAFETY: the program's arguments, unchanged.
                unsafe { f($($arg),*) }
            }
        )*
        mod fallback {
            use super::*;
            $(
                pub(super) unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
                    let given = [$(arg!($arg)),*];
                    let mut args = [0usize; 6];
                    for (to, from) in args.iter_mut().zip(given) {
                        *to = from;
                    }
                    // SAFETY: the program's arguments, unchanged.
                    c_result(unsafe { raw::syscall6(libc::$nr, args) }) as $ret
                }
            )*
        }
        #[expect(non_upper_case_globals, reason = "slots are named after their functions")]
        mod slots {
            use super::*;
            $(pub(super) static $name: AtomicPtr<c_void> = AtomicPtr::new(fallback::$name as *mut c_void);)*
        }
        fn resolve_syscalls() {
            $({
                let name = concat!(stringify!($name), "\0");
                if let Ok(name) = CStr::from_bytes_with_nul(name.as_bytes()) {
                    let found = look_up(name);
                    if !found.is_null() {
                        slots::$name.store(found, Ordering::Relaxed);
                    }
                }
            })*
        }
    };
}

syscalls! {
    socket = SYS_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    connect = SYS_connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int;
    accept = SYS_accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    accept4 = SYS_accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int;
    close = SYS_close(fd: c_int) -> c_int;
    close_range = SYS_close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
    shutdown = SYS_shutdown(fd: c_int, how: c_int) -> c_int;
    dup = SYS_dup(fd: c_int) -> c_int;
    dup2 = SYS_dup2(old: c_int, new: c_int) -> c_int;
    dup3 = SYS_dup3(old: c_int, new: c_int, flags: c_int) -> c_int;
    fcntl = SYS_fcntl(fd: c_int, command: c_int, argument: usize) -> c_int;
    fcntl64 = SYS_fcntl(fd: c_int, command: c_int, argument: usize) -> c_int;
    read = SYS_read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t;
    write = SYS_write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t;
    readv = SYS_readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t;
    writev = SYS_writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t;
    recvfrom = SYS_recvfrom(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t) -> ssize_t;
    sendto = SYS_sendto(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int, to: *const sockaddr, to_len: socklen_t) -> ssize_t;
    recvmsg = SYS_recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    sendmsg = SYS_sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    recvmmsg = SYS_recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut libc::timespec) -> c_int;
    sendmmsg = SYS_sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int;
    sendfile = SYS_sendfile(out: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t;
    sendfile64 = SYS_sendfile(out: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t;
    splice = SYS_splice(input: c_int, input_offset: *mut i64, output: c_int, output_offset: *mut i64, len: size_t, flags: c_uint) -> ssize_t;
    epoll_create = SYS_epoll_create(size: c_int) -> c_int;
    epoll_create1 = SYS_epoll_create1(flags: c_int) -> c_int;
    epoll_wait = SYS_epoll_wait(set: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int;
    poll = SYS_poll(descriptors: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int;
    getsockopt = SYS_getsockopt(fd: c_int, level: c_int, option: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int;
}

/// Functions that are more than a system call: slot and caller; the slot is filled at first use if the constructor has
/// not run. A function that this libc does not have ends in `$missing`.
macro_rules! functions {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty, else $missing:expr;)*) => {
        $(
            #[allow(clippy::unused_unit, reason = "closefrom returns nothing")]
            #[doc = concat!("The real `", stringify!($name), "`.")]
            pub(crate) unsafe fn $name($($arg: $ty),*) -> $ret {
                let mut f = function_slots::$name.load(Ordering::Relaxed);
                if f.is_null() {
                    f = find(&function_slots::$name, concat!(stringify!($name), "\0"));
                    if f.is_null() {
                        return $missing;
                    }
                }
                // SAFETY: the symbol of that name has this type.
                let f: unsafe extern "C" fn($($ty),*) -> $ret = unsafe { std::mem::transmute(f) };
                // SAFETY: the program's arguments, unchanged.
                unsafe { f($($arg),*) }
            }
        )*
        #[expect(non_upper_case_globals, reason = "slots are named after their functions")]
        mod function_slots {
            use super::*;
            $(pub(super) static $name: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());)*
        }
        fn resolve_functions() {
            $(find(&function_slots::$name, concat!(stringify!($name), "\0"));)*
        }
    };
}

fn find(slot: &AtomicPtr<c_void>, name: &str) -> *mut c_void {
    let Ok(name) = CStr::from_bytes_with_nul(name.as_bytes()) else {
        return std::ptr::null_mut();
    };
    let found = look_up(name);
    if !found.is_null() {
        slot.store(found, Ordering::Relaxed);
    }
    found
}

fn missing() -> c_int {
    errno::set(libc::ENOSYS);
    -1
}

/// `recv` and `send` are recvfrom and sendto in the kernel; a libc without them does not exist.
pub(crate) unsafe fn recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    let f = more_slots::RECV.load(Ordering::Relaxed);
    // SAFETY: the slot holds the fallback below or the symbol of that name.
    let f: unsafe extern "C" fn(c_int, *mut c_void, size_t, c_int) -> ssize_t =
        unsafe { std::mem::transmute(f) };
    // SAFETY: the program's arguments, unchanged.
    unsafe { f(fd, buffer, len, flags) }
}

/// The real `send`.
pub(crate) unsafe fn send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    let f = more_slots::SEND.load(Ordering::Relaxed);
    // SAFETY: the slot holds the fallback below or the symbol of that name.
    let f: unsafe extern "C" fn(c_int, *const c_void, size_t, c_int) -> ssize_t =
        unsafe { std::mem::transmute(f) };
    // SAFETY: the program's arguments, unchanged.
    unsafe { f(fd, buffer, len, flags) }
}

mod more_slots {
    use super::*;

    pub(super) static RECV: AtomicPtr<c_void> = AtomicPtr::new(recv as *mut c_void);
    pub(super) static SEND: AtomicPtr<c_void> = AtomicPtr::new(send as *mut c_void);

    unsafe extern "C" fn recv(
        fd: c_int,
        buffer: *mut c_void,
        len: size_t,
        flags: c_int,
    ) -> ssize_t {
        let none = std::ptr::null_mut();
        // SAFETY: the program's arguments; no address is asked for.
        unsafe { super::fallback::recvfrom(fd, buffer, len, flags, none, none.cast()) }
    }

    unsafe extern "C" fn send(
        fd: c_int,
        buffer: *const c_void,
        len: size_t,
        flags: c_int,
    ) -> ssize_t {
        // SAFETY: the program's arguments; no address is given.
        unsafe { super::fallback::sendto(fd, buffer, len, flags, std::ptr::null(), 0) }
    }
}

functions! {
    closefrom(first: c_int) -> (), else {};
    __read_chk(fd: c_int, buffer: *mut c_void, len: size_t, size: size_t) -> ssize_t, else {
        // SAFETY: the program's own call, within the buffer's size.
        unsafe { read(fd, buffer, len.min(size)) }
    };
    __recv_chk(fd: c_int, buffer: *mut c_void, len: size_t, size: size_t, flags: c_int) -> ssize_t, else {
        // SAFETY: the program's own call, within the buffer's size.
        unsafe { recv(fd, buffer, len.min(size), flags) }
    };
    __recvfrom_chk(fd: c_int, buffer: *mut c_void, len: size_t, size: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t) -> ssize_t, else {
        // SAFETY: the program's own call, within the buffer's size.
        unsafe { recvfrom(fd, buffer, len.min(size), flags, from, from_len) }
    };
    epoll_pwait(set: c_int, events: *mut epoll_event, count: c_int, timeout: c_int, mask: *const sigset_t) -> c_int, else missing();
    epoll_pwait2(set: c_int, events: *mut epoll_event, count: c_int, timeout: *const timespec, mask: *const sigset_t) -> c_int, else missing();
    __poll_chk(descriptors: *mut pollfd, count: nfds_t, timeout: c_int, size: size_t) -> c_int, else {
        // SAFETY: the program's own call.
        unsafe { poll(descriptors, count, timeout) }
    };
    ppoll(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int, else missing();
    __ppoll_chk(descriptors: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, size: size_t) -> c_int, else {
        // SAFETY: the program's own call.
        unsafe { ppoll(descriptors, count, timeout, mask) }
    };
    select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int, else missing();
    pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int, else missing();
    getaddrinfo(node: *const c_char, service: *const c_char, hints: *const addrinfo, result: *mut *mut addrinfo) -> c_int, else libc::EAI_SYSTEM;
    fork() -> pid_t, else missing();
    posix_spawn(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *mut c_char, envp: *const *mut c_char) -> c_int, else libc::ENOSYS;
    posix_spawnp(pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *mut c_char, envp: *const *mut c_char) -> c_int, else libc::ENOSYS;
}

/// Slots of the functions that are reached by a jump (see `exec`, `loader`, `process`, `syscall`): read by assembly.
pub(crate) mod jumps {
    use std::ffi::c_void;
    use std::sync::atomic::AtomicPtr;

    macro_rules! jump_slots {
        ($($slot:ident = $name:literal;)*) => {
            $(#[doc = concat!("The real `", $name, "`; null until looked up.")]
            pub(crate) static $slot: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());)*
            /// Every jump slot with its name.
            pub(crate) static ALL: &[(&str, &AtomicPtr<c_void>)] =
                &[$((concat!($name, "\0"), &$slot)),*];
        };
    }
    jump_slots! {
        EXECVE = "execve"; EXECV = "execv"; EXECVP = "execvp"; EXECVPE = "execvpe"; EXECL = "execl";
        EXECLP = "execlp"; EXECLE = "execle"; FEXECVE = "fexecve"; EXECVEAT = "execveat";
        VFORK = "vfork"; EXIT = "_exit"; EXIT_C99 = "_Exit"; QUICK_EXIT = "quick_exit";
        DLOPEN = "dlopen"; SYSCALL = "syscall"; PRCTL = "prctl";
    }
}

/// Looks one jump slot up, for calls before the constructor.
pub(crate) fn jump_target(slot: &'static AtomicPtr<c_void>) -> *mut c_void {
    let known = slot.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    match jumps::ALL.iter().find(|(_, s)| std::ptr::eq(*s, slot)) {
        Some((name, slot)) => find(slot, name),
        None => std::ptr::null_mut(),
    }
}

/// Fills all slots. Called once, in the constructor.
pub(crate) fn resolve() {
    resolve_syscalls();
    resolve_functions();
    for (slot, name) in [(&more_slots::RECV, c"recv"), (&more_slots::SEND, c"send")] {
        let found = look_up(name);
        if !found.is_null() {
            slot.store(found, Ordering::Relaxed);
        }
    }
    for (name, slot) in jumps::ALL {
        find(slot, name);
    }
    // What this libc does not have must not be the program's first dlerror().
    // SAFETY: only reads and clears the calling thread's last error.
    unsafe { libc::dlerror() };
}
