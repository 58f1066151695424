//! The agent's own log: silent unless asked, to standard error or a file, never to standard output.
//!
//! Lines are formatted off the hook path only (constructor, exporter); the hook path counts. One `write` per line,
//! so that lines of several processes in one file do not mix.

use super::raw;
use agent_engine::config::LogLevel;
use std::fmt::Write;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

static LEVEL: AtomicU8 = AtomicU8::new(0);
static FD: AtomicI32 = AtomicI32::new(2);
/// The same for the agent's thread, when it has a descriptor table of its own.
static THREAD_FD: AtomicI32 = AtomicI32::new(2);

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
    if fd == 2 || super::own_fd::is_ours(fd) {
        let _ = raw::write(fd, text);
    }
}
