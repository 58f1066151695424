//! SQLite: a statement from its first step to its last, and what could not be prepared.
//!
//! The functions are replaced where they stand, in every copy of the library (`patch`). There are no bytes to read, so the library
//! is asked for what it knows: the text, the file, the error. Only functions are called that neither wait nor change anything.
//!
//! What the library asks of itself (an index for full-text search keeps its words in tables, reading the schema is a query) passes
//! here too. It is told apart by the connection of the call that the thread is in ([`Within`]).

mod library;

use super::tls::{address, helper, hook, slots};
use crate::conn::statements::{self, Begun, Place, Within};
use crate::hooks::contain;
use crate::patch::{COPIES, Family, Hook, Originals};
use crate::settings;
use crate::sys::clock;
use crate::sys::process::{self, State};
use agent_engine::config::instrumentation::Instrumentation;
use agent_engine::exchange::{Exchange, Field, QUERY_MAX};
use library::{Library, function, is_under_way, sql, text};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::AtomicPtr;

/// `sqlite3_stmt *` and `sqlite3 *`.
type Pointer = *mut c_void;
type Callback =
    unsafe extern "C-unwind" fn(Pointer, c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

const OK: c_int = 0;
const MISUSE: c_int = 21;
const ROW: c_int = 100;
const DONE: c_int = 101;

slots! {
    STEP RESET FINALIZE EXEC CLOSE CLOSE_V2 PREPARE PREPARE_V2 PREPARE_V3 PREPARE16 PREPARE16_V2 PREPARE16_V3
    SQL DB_HANDLE DB_FILENAME DB_MUTEX EXTENDED_ERRCODE STMT_BUSY COLUMN_COUNT
}

/// What the patcher looks for and replaces.
static FAMILY: Family = Family {
    name: "SQLite",
    marks: &[
        "sqlite3_step",
        "sqlite3_finalize",
        "sqlite3_sql",
        "sqlite3_db_handle",
    ],
    hooks: &[
        hook!("sqlite3_step", step, STEP),
        hook!("sqlite3_reset", reset, RESET),
        hook!("sqlite3_finalize", finalize, FINALIZE),
        hook!("sqlite3_exec", exec, EXEC),
        hook!("sqlite3_close", close, CLOSE),
        hook!("sqlite3_close_v2", close_v2, CLOSE_V2),
        hook!("sqlite3_prepare", prepare, PREPARE),
        hook!("sqlite3_prepare_v2", prepare_v2, PREPARE_V2),
        hook!("sqlite3_prepare_v3", prepare_v3, PREPARE_V3),
        hook!("sqlite3_prepare16", prepare16, PREPARE16),
        hook!("sqlite3_prepare16_v2", prepare16_v2, PREPARE16_V2),
        hook!("sqlite3_prepare16_v3", prepare16_v3, PREPARE16_V3),
    ],
    helpers: &[
        helper("sqlite3_sql", &SQL),
        helper("sqlite3_db_handle", &DB_HANDLE),
        helper("sqlite3_db_filename", &DB_FILENAME),
        helper("sqlite3_db_mutex", &DB_MUTEX),
        helper("sqlite3_extended_errcode", &EXTENDED_ERRCODE),
        helper("sqlite3_stmt_busy", &STMT_BUSY),
        helper("sqlite3_column_count", &COLUMN_COUNT),
    ],
    begun: |_| {},
    gone: statements::forget_copy,
};

/// What the patcher is to look for, by the settings. Called once, in the constructor.
pub(crate) fn wanted() -> Option<&'static Family> {
    let on = settings::get().config.instrumentations;
    on.is_enabled(Instrumentation::Sqlite).then_some(&FAMILY)
}

/// The way to the function that a replacement stands for. It is published before the replacement can be called.
macro_rules! original {
    ($slot:ident, $copy:expr, fn($($arg:ty),* $(,)?) -> $ret:ty) => {
        match function!($slot, $copy, fn($($arg),*) -> $ret) {
            Some(f) => f,
            None => return MISUSE,
        }
    };
}

unsafe extern "C-unwind" fn step<const COPY: usize>(statement: Pointer) -> c_int {
    let real = original!(STEP, COPY, fn(Pointer) -> c_int);
    let key = statement as usize;
    let (place, library) = match process::state() {
        _ if statement.is_null() => (None, None),
        None => (None, None),
        Some(state) => match state.statements.find(key) {
            Some(place) => {
                let connection = state.statements.connection(place) as Pointer;
                let copy = COPY;
                (Some((state, place)), Some(Library { copy, connection }))
            }
            None => {
                let library = Library::of(COPY, statement);
                let place = first_step(state, library, statement);
                (place.map(|place| (state, place)), Some(library))
            }
        },
    };
    let within = Within::enter(library.map_or(0, Library::address));
    // SAFETY: the program's own call.
    let result = unsafe { real(statement) };
    drop(within);
    if let (Some((state, place)), Some(library)) = (place, library) {
        if result == ROW {
            state.statements.row(place, key);
        } else {
            stepped(state, library, statement, place, result);
        }
    }
    result
}

/// A step of a statement that is not known: its first one, as a rule.
#[inline(never)]
fn first_step(state: &'static State, library: Library, statement: Pointer) -> Option<Place> {
    let copy = library.copy;
    if library.connection.is_null() || library.is_at_it() || is_under_way(copy, statement) {
        return None;
    }
    let text = sql(copy, statement)?;
    let columns = function!(COLUMN_COUNT, copy, fn(Pointer) -> c_int);
    let begun = Begun {
        // SAFETY: a statement in use.
        has_rows: columns.is_some_and(|f| unsafe { f(statement) } > 0),
        ..library.begun(statement as usize)
    };
    statements::begin(state, &begun, |exchange| {
        exchange.set(Field::Query, text, QUERY_MAX);
        library.name(exchange);
    })
}

/// A step gave no row.
#[inline(never)]
fn stepped(
    state: &'static State,
    library: Library,
    statement: Pointer,
    place: Place,
    result: c_int,
) {
    let key = statement as usize;
    if matches!(result, DONE | OK) {
        return statements::done(state, place, key, 0, |_| {});
    }
    let code = library.error(result);
    if is_under_way(library.copy, statement) {
        // Busy: the program may try again, or give up.
        contain(|| state.statements.waits(place, key, code));
    } else {
        statements::done(state, place, key, code, |_| {});
    }
}

macro_rules! ends {
    ($($name:ident = $slot:ident;)*) => {
        $(
            unsafe extern "C-unwind" fn $name<const COPY: usize>(statement: Pointer) -> c_int {
                let real = original!($slot, COPY, fn(Pointer) -> c_int);
                // Before the call: the address may be another statement's as soon as it is free.
                if let Some(state) = process::state() {
                    statements::given_up(state, statement as usize);
                }
                // SAFETY: the program's own call.
                unsafe { real(statement) }
            }
        )*
    };
}
ends! {
    reset = RESET;
    finalize = FINALIZE;
}

macro_rules! closes {
    ($($name:ident = $slot:ident;)*) => {
        $(
            unsafe extern "C-unwind" fn $name<const COPY: usize>(connection: Pointer) -> c_int {
                let real = original!($slot, COPY, fn(Pointer) -> c_int);
                Within::forget(connection as usize);
                let _within = Within::enter(connection as usize);
                // SAFETY: the program's own call.
                unsafe { real(connection) }
            }
        )*
    };
}
closes! {
    close = CLOSE;
    close_v2 = CLOSE_V2;
}

/// A call of `sqlite3_exec` whose rows are handed to the program.
struct Each {
    callback: Callback,
    argument: Pointer,
    running: Option<(&'static State, Place)>,
}

impl Each {
    fn key(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

unsafe extern "C-unwind" fn each(
    own: Pointer,
    count: c_int,
    values: *mut *mut c_char,
    names: *mut *mut c_char,
) -> c_int {
    // SAFETY: what `exec` has passed, which waits for the library to return.
    let own = unsafe { &*own.cast::<Each>() };
    if let Some((state, place)) = own.running
        && !values.is_null()
    {
        state.statements.row(place, own.key());
    }
    let _program = Within::enter(Within::PROGRAM);
    // SAFETY: the program's function with its argument.
    unsafe { (own.callback)(own.argument, count, values, names) }
}

/// Never called: stands for the callback where the program has none.
unsafe extern "C-unwind" fn none(
    _: Pointer,
    _: c_int,
    _: *mut *mut c_char,
    _: *mut *mut c_char,
) -> c_int {
    OK
}

unsafe extern "C-unwind" fn exec<const COPY: usize>(
    connection: Pointer,
    query: *const c_char,
    callback: Option<Callback>,
    argument: Pointer,
    message: *mut *mut c_char,
) -> c_int {
    let real = original!(
        EXEC,
        COPY,
        fn(Pointer, *const c_char, Option<Callback>, Pointer, *mut *mut c_char) -> c_int
    );
    let library = Library {
        copy: COPY,
        connection,
    };
    let state = process::state().filter(|_| {
        let is_own = || library.is_at_it() || library.is_held();
        !connection.is_null() && !query.is_null() && !is_own()
    });
    let Some(state) = state else {
        // SAFETY: the program's own call, or the library's.
        return unsafe { real(connection, query, callback, argument, message) };
    };
    let mut own = Each {
        callback: callback.unwrap_or(none),
        argument,
        running: None,
    };
    // SAFETY: the program's text.
    let query_text = unsafe { text(query, QUERY_MAX) };
    own.running = statements::begin(state, &library.begun(own.key()), |exchange| {
        exchange.set(Field::Query, query_text, QUERY_MAX);
    })
    .map(|place| (state, place));
    let within = Within::enter(library.address());
    let result = match callback {
        // SAFETY: the program's own call, which leads to its function through ours.
        Some(_) => unsafe {
            let argument = (&raw mut own).cast();
            real(connection, query, Some(each), argument, message)
        },
        // SAFETY: the program's own call.
        None => unsafe { real(connection, query, None, argument, message) },
    };
    drop(within);
    if let Some((state, place)) = own.running {
        let code = match result {
            OK => 0,
            MISUSE => MISUSE,
            code => library.error(code),
        };
        statements::done(state, place, own.key(), code, |exchange| {
            if result != MISUSE {
                library.name(exchange);
            }
        });
    }
    result
}

/// A text of the program's, in one of two encodings, and its length in bytes; negative: to its NUL.
#[derive(Clone, Copy)]
enum Text {
    Utf8(*const c_char, c_int),
    Utf16(*const u16, c_int),
}

impl Text {
    /// Writes it down as the query.
    ///
    /// # Safety
    /// The text is what it says it is.
    unsafe fn write(self, exchange: &mut Exchange) {
        let most = |len: c_int| usize::try_from(len).unwrap_or(usize::MAX);
        match self {
            Text::Utf8(at, len) => {
                // SAFETY: by the caller's promise.
                let text = unsafe { text(at, most(len).min(QUERY_MAX + 1) - 1) };
                exchange.set(Field::Query, text, QUERY_MAX);
            }
            Text::Utf16(at, len) => {
                let units = (0..(most(len) / 2).min(QUERY_MAX + 1))
                    // SAFETY: by the caller's promise; nothing behind the NUL is read.
                    .map(|index| unsafe { at.add(index).read_unaligned() })
                    .take_while(|unit| *unit != 0);
                exchange.begin(Field::Query);
                for unit in char::decode_utf16(units) {
                    let unit = unit.unwrap_or(char::REPLACEMENT_CHARACTER);
                    let mut room = [0; 4];
                    let bytes = unit.encode_utf8(&mut room).as_bytes();
                    exchange.append(Field::Query, bytes, QUERY_MAX);
                }
            }
        }
    }
}

/// Prepares a statement by `real`. One that cannot be prepared is told of.
#[inline(never)]
unsafe fn prepared(library: Library, text: Text, real: &dyn Fn() -> c_int) -> c_int {
    // Asked before the call, although few fail: a driver asks for the error of the connection right after it, and when the runtime
    // makes this thread wait there, it is another thread's by then.
    let begun = process::state()
        .filter(|_| !library.is_at_it())
        .map(|state| (state, library.begun(0)));
    let start_ns = clock::monotonic_ns();
    let within = Within::enter(library.address());
    let result = real();
    drop(within);
    if let Some((state, begun)) = begun
        && !matches!(result, OK | MISUSE)
    {
        let code = library.error(result);
        statements::failed(state, &begun, start_ns, code, |exchange| {
            // SAFETY: the caller's text, which the library has just read.
            unsafe { text.write(exchange) };
            library.name(exchange);
        });
    }
    result
}

macro_rules! prepares {
    ($($name:ident = $slot:ident($char:ty, $text:ident $(, $flags:ident: $flags_ty:ty)?);)*) => {
        $(
            unsafe extern "C-unwind" fn $name<const COPY: usize>(
                connection: Pointer,
                query: *const $char,
                len: c_int,
                $($flags: $flags_ty,)?
                statement: *mut Pointer,
                tail: *mut *const $char,
            ) -> c_int {
                let real = original!(
                    $slot, COPY, fn(Pointer, *const $char, c_int, $($flags_ty,)? *mut Pointer, *mut *const $char) -> c_int
                );
                // SAFETY: the program's own call.
                let real = || unsafe { real(connection, query, len, $($flags,)? statement, tail) };
                if query.is_null() || len == 0 || connection.is_null() {
                    return real();
                }
                let library = Library { copy: COPY, connection };
                // SAFETY: the program's own text.
                unsafe { prepared(library, Text::$text(query, len), &real) }
            }
        )*
    };
}
prepares! {
    prepare = PREPARE(c_char, Utf8);
    prepare_v2 = PREPARE_V2(c_char, Utf8);
    prepare_v3 = PREPARE_V3(c_char, Utf8, flags: c_uint);
    prepare16 = PREPARE16(u16, Utf16);
    prepare16_v2 = PREPARE16_V2(u16, Utf16);
    prepare16_v3 = PREPARE16_V3(u16, Utf16, flags: c_uint);
}
