//! CPython: the request is a context variable, set when the request is read and read when one is sent.
//!
//! asyncio, trio, anyio, gevent and eventlet carry context variables from task to task, so that nothing of theirs has to be
//! touched. What they do not carry is filled in:
//!
//! * asyncio servers that serve a whole connection in one task (aiohttp, hypercorn, `asyncio.start_server`) make it when the
//!   connection is accepted. So the variable names the *socket* then, and `cells` knows which request that means. A task made
//!   while a request of the connection is served is bound to that request for good (`redirect`), so that what it goes
//!   on with afterwards is not taken for the next one's.
//! * uvloop reads outside of any context and enters one to call the program (`redirect`).
//! * Threads, thread pools and greenlets begin with an empty context: a few lines of Python carry the variable over
//!   (`embedded`).
//!
//! Frameworks are asked for the route that they have matched, Cassandra's driver for whom it will write, by a few lines too. So is grpcio told whom its calls are for (`grpc`).
//!
//! The interpreter's lock is taken for this, in a hook: only where the program does not hold any lock of the agent's, only on
//! threads that have run Python, at the head of a request, and never in a child in its parent's memory, in a signal handler, or
//! beside sub-interpreters. In free-threaded builds and unknown versions the bridge stands down.

mod api;
mod embedded;
mod grpc;
mod redirect;

use super::cells::Cell;
use super::{Bridge, Read};
use crate::export::{self, record::Ref};
use crate::patch::{Family, Helper, Originals};
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::thread::{self, READS_OUTSIDE, Thread};
use crate::sys::{errno, log, raw};
use agent_engine::config::LogLevel;
use agent_engine::config::instrumentation::Instrumentation;
use api::Object;
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

static BRIDGE: Bridge = Bridge {
    server_read,
    accepted,
    handshake,
    ask,
    loading: grpc::loading,
};

/// An interpreter that is loaded after the program has started.
static LATE: Family = Family {
    name: "CPython",
    marks: &["Py_IsInitialized", "PyContextVar_Set"],
    hooks: &[],
    helpers: &[Helper {
        name: "Py_IsInitialized",
        addresses: &LATE_ADDRESSES,
    }],
    begun: |copy| {
        let address = LATE_ADDRESSES[copy].load(Ordering::Acquire);
        api::LATE.store(address, Ordering::Release);
        super::install(&BRIDGE);
    },
    gone: |_| STAGE.store(AWAY, Ordering::Release),
};

static LATE_ADDRESSES: Originals =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; crate::patch::COPIES];

/// Installs the bridge where there is an interpreter; else gives what the patcher is to wait for. In the constructor.
pub(crate) fn start() -> Option<&'static Family> {
    if !is_on(Instrumentation::Asyncio) {
        return None;
    }
    if !api::is_linked() {
        return Some(&LATE);
    }
    super::install(&BRIDGE);
    None
}

fn is_on(which: Instrumentation) -> bool {
    settings::get().config.instrumentations.is_enabled(which)
}

/// Not set up yet; being set up; in use; not to be used any more.
const NEW: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;
const AWAY: u8 = 3;
static STAGE: AtomicU8 = AtomicU8::new(NEW);
/// What is read outside of contexts reaches the program in the next one that is entered. Before 3.10 uvloop calls
/// protocols without entering one by the C API: the next one is another's.
static LENDS: AtomicBool = AtomicBool::new(false);
/// The context variable.
static VAR: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// What the variable can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// No request.
    Nobody,
    /// This one.
    Request(Ref),
    /// What this socket brought. `watched`: the tasks that are made on its behalf are bound to a request as it begins.
    Socket { cookie: u64, watched: bool },
}

const SOCKET: u64 = 1 << 31;
const WATCHED: u64 = 1 << 30;
/// Bits of a cookie below the two marks, which no reference to a record has.
const LOW: u32 = 30;

impl Token {
    fn socket(cookie: u64) -> Self {
        if cookie == 0 || cookie >> (32 + LOW) != 0 {
            return Token::Nobody;
        }
        let watched = false;
        Token::Socket { cookie, watched }
    }

    fn encode(self) -> u64 {
        match self {
            Token::Nobody => 0,
            Token::Request(request) => request.0,
            Token::Socket { cookie, watched } => {
                let low = cookie & ((1 << LOW) - 1);
                cookie >> LOW << 32 | SOCKET | low | if watched { WATCHED } else { 0 }
            }
        }
    }

    fn decode(value: u64) -> Self {
        match value {
            0 => Token::Nobody,
            _ if value & SOCKET == 0 => Token::Request(Ref(value)),
            _ => Token::Socket {
                cookie: value >> 32 << LOW | value & ((1 << LOW) - 1),
                watched: value & WATCHED != 0,
            },
        }
    }
}

/// The thread holds the interpreter's lock.
struct Held {
    state: &'static State,
    gil: i32,
    errno: i32,
    /// The exception that the program was about to raise.
    error: [Object; 3],
}

impl Held {
    /// Takes the lock, if this is a thread and a moment for it.
    fn take(state: &'static State) -> Option<Self> {
        if is_in_handler() {
            return None;
        }
        let errno = errno::get();
        // SAFETY: the functions were resolved; the first ones may be called at any time on any thread. The lock is only taken where
        // the interpreter has a state of the thread, and only while there is no other interpreter whose lock the thread could hold.
        unsafe {
            let usable = api::is_initialized() != 0
                && api::is_finalizing() == 0
                && api::interpreters() == api::main_interpreter()
                && !api::thread_state().is_null();
            if !usable {
                return None;
            }
            let gil = api::ensure();
            let mut error = [std::ptr::null_mut(); 3];
            let at = error.as_mut_ptr();
            api::error_fetch(at, at.add(1), at.add(2));
            Some(Held {
                state,
                gil,
                errno,
                error,
            })
        }
    }

    /// What the variable says here.
    fn get(&self) -> Token {
        get(self.state)
    }

    /// Makes the variable say this from here on.
    fn set(&self, token: Token) {
        let undo = set(self.state, token);
        if !undo.is_null() {
            // SAFETY: the lock is held, and this is our reference.
            unsafe { api::dec_ref(undo) };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let [kind, value, trace] = self.error;
        // SAFETY: the lock is held, and was taken with this state; the three are what was fetched.
        unsafe {
            api::error_restore(kind, value, trace);
            api::release(self.gil);
        }
        errno::set(self.errno);
    }
}

/// Reads the variable. The interpreter's lock is held.
fn get(state: &State) -> Token {
    let mut value = std::ptr::null_mut();
    // SAFETY: the lock is held; the variable is one and lives for ever; a value is a new reference.
    unsafe {
        let var = VAR.load(Ordering::Relaxed);
        if api::var_get(var, std::ptr::null_mut(), &raw mut value) != 0 {
            api::error_clear();
            return Token::Nobody;
        }
        if value.is_null() {
            return Token::Nobody;
        }
        let number = api::long_as(value);
        api::dec_ref(value);
        Token::decode(number ^ state.ids.salt())
    }
}

/// Sets the variable. Gives a new reference to what undoes it, or null. The interpreter's lock is held.
fn set(state: &State, token: Token) -> Object {
    // A forked child inherits the program's contexts, but none of its requests: the salt makes these values senseless there.
    let number = token.encode() ^ state.ids.salt();
    // SAFETY: the lock is held, and the variable is one and lives for ever.
    unsafe {
        let value = api::long_from(number);
        let undo = if value.is_null() {
            value
        } else {
            let undo = api::var_set(VAR.load(Ordering::Relaxed), value);
            api::dec_ref(value);
            undo
        };
        if undo.is_null() {
            api::error_clear();
        }
        undo
    }
}

/// Whether this may be a handler of a signal: these run with more signals blocked than the thread usually has.
fn is_in_handler() -> bool {
    let blocked = export::blocked_signals();
    blocked != 0 && blocked != thread::current().usual_mask.get()
}

/// The state, if the bridge is in use: set up now if it was not.
fn in_use() -> Option<&'static State> {
    if thread::current().has(thread::AGENT) {
        return None;
    }
    let state = process::state()?;
    if STAGE.load(Ordering::Acquire) == NEW {
        set_up(state);
    }
    (STAGE.load(Ordering::Acquire) == READY).then_some(state)
}

#[cold]
fn set_up(state: &'static State) {
    let errno = errno::get();
    if !is_in_handler() && change_stage(NEW, BUSY) {
        let stage = match begin(state) {
            Ok(true) => READY,
            Ok(false) => NEW,
            Err(why) => {
                log::line(
                    LogLevel::Info,
                    format_args!("tasks of Python are not told apart: {why}"),
                );
                AWAY
            }
        };
        // Unless the interpreter has ended meanwhile.
        change_stage(BUSY, stage);
    }
    errno::set(errno);
}

fn change_stage(from: u8, to: u8) -> bool {
    STAGE
        .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

/// Makes the variable. False: not yet.
fn begin(state: &'static State) -> Result<bool, &'static str> {
    api::resolve().map_err(|_| "a function of its C API is missing")?;
    // SAFETY: resolved; a string that lives as long as the interpreter.
    let version = unsafe { CStr::from_ptr(api::version()) }.to_bytes();
    LENDS.store(check_version(version)? >= 10, Ordering::Relaxed);
    let Some(held) = Held::take(state) else {
        return Ok(false);
    };
    // SAFETY: the lock is held; the name is a string; the function lives as long as the object, which is never unloaded.
    unsafe {
        if api::at_exit(ended) != 0 {
            return Err("it has no room for one more exit function");
        }
        let var = api::var_new(c"otel_run".as_ptr(), std::ptr::null_mut());
        if var.is_null() {
            api::error_clear();
            return Err("it has no memory");
        }
        VAR.store(var, Ordering::Release);
    }
    if is_on(Instrumentation::Threading) {
        embedded::carry_into_threads();
    }
    embedded::follow_imports();
    drop(held);
    redirect::start();
    Ok(true)
}

/// The interpreter's last words to others: its objects are gone.
extern "C" fn ended() {
    STAGE.store(AWAY, Ordering::Release);
}

/// 3.8 to 3.14 (gives the second number), with a lock to take.
fn check_version(text: &[u8]) -> Result<u32, &'static str> {
    if memchr::memmem::find(text, b"free-threading").is_some() {
        return Err("it is a free-threaded build");
    }
    let minor = text.strip_prefix(b"3.").unwrap_or_default();
    let digits = minor.iter().take_while(|c| c.is_ascii_digit());
    let minor = digits.fold(0u32, |n, c| (n * 10 + u32::from(c - b'0')).min(100));
    if (8..=14).contains(&minor) {
        Ok(minor)
    } else {
        Err("this version is not known")
    }
}

fn ask() {
    let held = if STAGE.load(Ordering::Acquire) == READY {
        in_use().and_then(Held::take)
    } else {
        None
    };
    let found = match held {
        Some(held) => resolve(held.state, held.get()),
        None => Ref::default(),
    };
    super::set(found);
}

/// The request that a token means on this thread now.
fn resolve(state: &State, token: Token) -> Ref {
    match token {
        Token::Nobody => Ref::NOBODY,
        Token::Request(request) => request,
        Token::Socket { cookie, watched } => match state.cells.find(cookie) {
            // Only what runs on the connection's own thread is known to be at its newest request.
            Some(cell) if cell.reader == thread::identity() && (cell.first || watched) => {
                cell.request
            }
            _ => Ref::NOBODY,
        },
    }
}

fn server_read(read: &Read) {
    let Some(state) = in_use() else { return };
    let thread = thread::current();
    let token = if [Ref::default(), Ref::NOBODY].contains(&read.request) {
        Token::Nobody
    } else {
        Token::Request(read.request)
    };
    let outside = read.plain && thread.has(READS_OUTSIDE);
    if read.request != Ref::default() && read.socket != 0 {
        state.cells.put(Cell {
            socket: read.socket,
            request: read.request,
            first: read.first,
            // Contexts do not tell sockets apart there.
            reader: if outside { 0 } else { thread::identity() },
        });
    }
    if outside {
        if LENDS.load(Ordering::Relaxed) {
            thread.pending.set(token.encode());
        }
    } else if thread.told.get() != token.encode() {
        tell(state, thread, token);
    }
}

fn accepted(fd: i32) {
    let thread = thread::current();
    if thread.has(READS_OUTSIDE) {
        return;
    }
    let told = Token::decode(thread.told.get());
    if fd < 0 && !matches!(told, Token::Socket { .. }) {
        return;
    }
    let Some(state) = in_use() else { return };
    let token = if fd < 0 {
        Token::Nobody
    } else {
        let errno = errno::get();
        let cookie = raw::socket_cookie(fd);
        errno::set(errno);
        Token::socket(cookie)
    };
    if token != told {
        tell(state, thread, token);
    }
}

/// A handshake on a loop that reads outside of contexts: whatever was told there concerns another connection.
fn handshake() {
    let thread = thread::current();
    if thread.has(READS_OUTSIDE)
        && let Some(state) = in_use()
    {
        tell(state, thread, Token::Nobody);
    }
}

fn tell(state: &'static State, thread: &Thread, token: Token) {
    if let Some(held) = Held::take(state) {
        held.set(token);
        thread.told.set(token.encode());
        embedded::look(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_being_numbers() {
        let cookie = (1 << 61) | 0x2fff_ffff;
        for token in [
            Token::Nobody,
            Token::Request(Ref(7 << 32 | 9)),
            Token::Request(Ref::NOBODY),
            Token::Socket {
                cookie,
                watched: true,
            },
            Token::socket(1),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
        assert_eq!(Token::socket(0), Token::Nobody);
        assert_eq!(Token::socket(1 << 62), Token::Nobody);
    }

    #[test]
    fn versions() {
        for (known, minor) in [
            ("3.8.18 (default, ..", 8),
            ("3.9.0", 9),
            ("3.14.0rc1 (main", 14),
        ] {
            assert_eq!(check_version(known.as_bytes()), Ok(minor), "{known}");
        }
        for unknown in ["3.7.16", "2.7.18", "3.15.0a1", "4.0", "", "3.100"] {
            assert!(check_version(unknown.as_bytes()).is_err(), "{unknown}");
        }
        let free = b"3.13.0 experimental free-threading build (main, Oct  7 2024)";
        assert!(check_version(free).is_err());
    }
}
