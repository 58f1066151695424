//! A copy of SQLite, and what it is asked.

use super::{DB_FILENAME, DB_HANDLE, DB_MUTEX, EXTENDED_ERRCODE, Pointer, SQL, STMT_BUSY, address};
use crate::conn::statements::{Begun, Within};
use crate::context::bridge;
use crate::sys::raw;
use agent_engine::exchange::{Exchange, Field, QUERY_MAX, System, VALUE_MAX};
use std::ffi::{c_char, c_int, c_void};

/// A function of a copy of the library; `None` where that copy has none. Functions of the program's are called below it, which may
/// unwind.
macro_rules! function {
    ($slot:ident, $copy:expr, fn($($arg:ty),* $(,)?) -> $ret:ty) => {{
        let at = address(&$slot, $copy);
        // SAFETY: a slot holds null or the library's function of that name, whose type this is.
        unsafe { std::mem::transmute::<*mut c_void, Option<unsafe extern "C-unwind" fn($($arg),*) -> $ret>>(at) }
    }};
}
pub(super) use function;

/// One copy of the library, and a connection of its.
#[derive(Clone, Copy)]
pub(super) struct Library {
    pub(super) copy: usize,
    pub(super) connection: Pointer,
}

impl Library {
    /// The one that the statement is of; null for one that is finalized.
    #[inline]
    pub(super) fn of(copy: usize, statement: Pointer) -> Self {
        let connection = function!(DB_HANDLE, copy, fn(Pointer) -> Pointer)
            // SAFETY: a statement that the program uses.
            .map_or(std::ptr::null_mut(), |f| unsafe { f(statement) });
        Library { copy, connection }
    }

    pub(super) fn address(self) -> usize {
        self.connection as usize
    }

    /// Whether the thread is in a call of the library for this connection already.
    pub(super) fn is_at_it(self) -> bool {
        Within::connection() == Some(self.address())
    }

    /// Whether the thread holds the connection's lock, be it in a function of the library that is not replaced or because the
    /// program has taken it. The lock is one of libc's (unless the program has brought its own kind), which tells its owner.
    pub(super) fn is_held(self) -> bool {
        const OWNER: usize = 2;
        let Some(mutex) = function!(DB_MUTEX, self.copy, fn(Pointer) -> *const c_int) else {
            return false;
        };
        // SAFETY: a connection in use; its lock is null or begins with a `pthread_mutex_t`.
        let owner = unsafe {
            let mutex = mutex(self.connection);
            if mutex.is_null() {
                return false;
            }
            mutex.add(OWNER).read_volatile()
        };
        owner != 0 && owner.cast_unsigned() == raw::gettid()
    }

    /// Has the runtime say for whom the thread works, where it may be waited for: it may itself be waiting for the connection's
    /// lock.
    fn ask(self) -> bool {
        if Within::connection().is_some() || self.is_held() {
            return !bridge::can_ask();
        }
        bridge::ask();
        true
    }

    /// What an execution that begins is.
    pub(super) fn begun(self, key: usize) -> Begun {
        Begun {
            system: System::Sqlite,
            key,
            connection: self.address(),
            copy: self.copy,
            asked: self.ask(),
            has_rows: false,
        }
    }

    /// Says which file the database is.
    pub(super) fn name(self, exchange: &mut Exchange) {
        let f = function!(
            DB_FILENAME,
            self.copy,
            fn(Pointer, *const c_char) -> *const c_char
        );
        // SAFETY: a connection in use; the answer is null or a string that lives as long as it.
        let file = f.map_or(&b""[..], |f| unsafe {
            text(f(self.connection, c"main".as_ptr()), VALUE_MAX)
        });
        let name = if file.is_empty() { b":memory:" } else { file };
        exchange.set(Field::Namespace, name, VALUE_MAX);
    }

    /// All that is known of an error whose code a function has returned.
    pub(super) fn error(self, code: c_int) -> c_int {
        let f = function!(EXTENDED_ERRCODE, self.copy, fn(Pointer) -> c_int);
        // SAFETY: a connection in use.
        let extended = f.map_or(code, |f| unsafe { f(self.connection) });
        // Another thread's error it is not, at least not of another kind.
        if extended & 0xff == code & 0xff {
            extended
        } else {
            code
        }
    }
}

/// The front of a string, as much as is kept and a byte more.
///
/// # Safety
/// Null, or a NUL-terminated string that lives as long as the result is used.
pub(super) unsafe fn text<'a>(at: *const c_char, most: usize) -> &'a [u8] {
    if at.is_null() {
        return b"";
    }
    // SAFETY: by the caller's promise.
    unsafe { std::slice::from_raw_parts(at.cast(), libc::strnlen(at, most + 1)) }
}

/// The statement's text; `None` for those that the library makes for its own use.
pub(super) fn sql<'a>(copy: usize, statement: Pointer) -> Option<&'a [u8]> {
    let f = function!(SQL, copy, fn(Pointer) -> *const c_char)?;
    // SAFETY: a statement in use, which keeps its text.
    Some(unsafe { text(f(statement), QUERY_MAX) }).filter(|text| !text.is_empty())
}

/// Whether the statement has begun and not ended.
pub(super) fn is_under_way(copy: usize, statement: Pointer) -> bool {
    let f = function!(STMT_BUSY, copy, fn(Pointer) -> c_int);
    // SAFETY: a statement in use.
    f.is_some_and(|f| unsafe { f(statement) } != 0)
}
