//! The agent's own log: silent unless asked, to standard error or a file, never to standard output.
//!
//! Lines are formatted off the hook path only (constructor, exporter); the hook path counts. One `write` per line,
//! so that lines of several processes in one file do not mix.

use super::raw;
use agent_engine::config::LogLevel;
use std::fmt::Write;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

static LEVEL: AtomicU8 = AtomicU8::new(0);
static FD: AtomicI32 = AtomicI32::new(2);
/// The same for the agent's thread, when it has a descriptor table of its own.
static THREAD_FD: AtomicI32 = AtomicI32::new(2);

/// What standard error was when the program began (device, inode; 0, 0: closed). The number may become anything later, one
/// end of a connection of the program's included.
static STDERR: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Device and inode behind a descriptor, and whether it is a file, a terminal or a pipe; zeros when it is not open.
fn identity(fd: i32) -> ([u64; 2], bool) {
    // SAFETY: a stat of zeros is a valid value to be overwritten.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the struct outlives the call.
    let got = unsafe {
        raw::call(
            libc::SYS_fstat,
            [fd as usize, &raw mut stat as usize, 0, 0, 0, 0],
        )
    };
    let plain = matches!(
        stat.st_mode & libc::S_IFMT,
        libc::S_IFREG | libc::S_IFCHR | libc::S_IFIFO
    );
    if got.is_ok() {
        ([stat.st_dev, stat.st_ino], plain)
    } else {
        ([0, 0], false)
    }
}

/// Remembers what standard error is. Called once, in the constructor.
pub(crate) fn know_stderr() {
    for (known, now) in STDERR.iter().zip(identity(2).0) {
        known.store(now, Ordering::Relaxed);
    }
}

/// Whether descriptor 2 still is standard error: what it was when the program began, or a file, a terminal or a pipe that the
/// program has put in its place. A socket there is a connection of the program's.
pub(crate) fn stderr_is_known() -> bool {
    let [device, inode] = [
        STDERR[0].load(Ordering::Relaxed),
        STDERR[1].load(Ordering::Relaxed),
    ];
    let (now, plain) = identity(2);
    [device, inode] != [0, 0] && (now == [device, inode] || plain)
}

/// Sets the level. Lines go to standard error until a file is opened.
pub(crate) fn set_up(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Sends the log to a file from here on.
pub(crate) fn open_file(path: &std::path::Path) {
    let Ok(name) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return;
    };
    let flags = (libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC) as usize;
    // SAFETY: the path is NUL-terminated and outlives the call.
    let opened = unsafe {
        raw::call(
            libc::SYS_openat,
            [
                libc::AT_FDCWD as usize,
                name.as_ptr() as usize,
                flags,
                0o600,
                0,
                0,
            ],
        )
    };
    match opened {
        Ok(fd) if super::thread::current().has(super::thread::SEPARATE) => {
            THREAD_FD.store(fd as i32, Ordering::Relaxed);
        }
        Ok(fd) => FD.store(super::own_fd::lift(fd as i32), Ordering::Relaxed),
        Err(errno) => emit(format_args!(
            "OTEL_RUN_LOG_FILE={}: cannot be opened (errno {}); logging to standard error",
            path.display(),
            errno.0
        )),
    }
}

/// The program closed `fd`: if it was the log file, what follows goes to standard error.
pub(crate) fn lost(fd: i32) {
    let _ = FD.compare_exchange(fd, 2, Ordering::Relaxed, Ordering::Relaxed);
}

/// In a forked child: the log file is still open and ours, though the table was wiped.
pub(crate) fn remark(state: &super::process::State) {
    let fd = FD.load(Ordering::Relaxed);
    if fd > 2 {
        state.table.set(fd, crate::conn::table::OWN);
    }
}

/// Whether lines of `level` are written.
pub(crate) fn enabled(level: LogLevel) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Writes one line. Not for the hook path: it formats and allocates.
pub(crate) fn line(level: LogLevel, message: std::fmt::Arguments<'_>) {
    if enabled(level) {
        emit(message);
    }
}

/// Writes one line whatever the level: a wrong value in the configuration must be seen.
pub(crate) fn emit(message: std::fmt::Arguments<'_>) {
    let mut text = String::with_capacity(160);
    if writeln!(text, "otel-run[{}]: {message}", raw::getpid()).is_ok() {
        raw_text(text.as_bytes());
    }
}

/// Writes ready-made text at `level`; safe on the hook path.
pub(crate) fn text(level: LogLevel, line: &[u8]) {
    if enabled(level) {
        raw_text(line);
    }
}

/// Writes ready-made text whatever the level.
pub(crate) fn raw_text(text: &[u8]) {
    if super::thread::current().has(super::thread::SEPARATE) {
        let _ = raw::write(THREAD_FD.load(Ordering::Relaxed), text);
        return;
    }
    let fd = FD.load(Ordering::Relaxed);
    if fd == 2 && stderr_is_known() {
        without_sigpipe(|| raw::write(fd, text));
    } else if fd != 2 && super::own_fd::is_ours(fd) {
        let _ = raw::write(fd, text);
    }
}

/// A broken pipe at standard error must not end the program: SIGPIPE is blocked for the write, and taken back if the write
/// raised it.
fn without_sigpipe(write: impl FnOnce() -> Result<usize, raw::Errno>) {
    const SET: usize = 8;
    const SIGPIPE: u64 = 1 << (libc::SIGPIPE - 1);
    let mut before = 0u64;
    let only = SIGPIPE;
    let mask = |how: i32, set: &u64, old: *mut u64| {
        // SAFETY: the sets (or null) outlive the call and have the announced size.
        let _ = unsafe {
            let set = std::ptr::from_ref(set) as usize;
            raw::call(
                libc::SYS_rt_sigprocmask,
                [how as usize, set, old as usize, SET, 0, 0],
            )
        };
    };
    mask(libc::SIG_BLOCK, &only, &raw mut before);
    let result = write();
    if result == Err(raw::Errno(libc::EPIPE)) && before & SIGPIPE == 0 {
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the set and the time outlive the call; no information about the signal is asked for.
        let _ = unsafe {
            let (set, now) = (&raw const only as usize, &raw const now as usize);
            raw::call(libc::SYS_rt_sigtimedwait, [set, 0, now, SET, 0, 0])
        };
    }
    mask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
}
