//! The finer units of execution that a runtime knows: tasks, coroutines, jobs of a pool.
//!
//! A bridge tells which server request the unit that runs on this thread works for. It answers with an opaque number (a
//! token, [`Ref`]), kept in the thread's word, where [`super::candidate`] looks first:
//!
//! * A bridge *within* the runtime says so whenever a unit begins to run and when it stops ([`set`]): it
//!   claims the request that the thread has just read (`conn::serving`) when the runtime hands it to the program, and carries
//!   the token along as the runtime carries context.
//! * A bridge that can *ask* the runtime does so when it is needed: before a request is sent ([`ask`]), and it tells the
//!   runtime when one was read ([`server_read`]) or is going to be ([`accepted`]). All are called without any lock held and outside of the agent, because
//!   the runtime may take locks of its own and run the program's code.
//!
//! Where no bridge speaks for a thread the rules of the parent module hold.

pub(crate) mod cells;
pub(crate) mod java;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod ruby;
pub(crate) mod told;

use crate::export::record::Ref;
use crate::sys::thread;
use agent_engine::exchange::{Exchange, Field};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// What the thread has just read as a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// The oldest request of the connection that is not answered yet; null if there is none.
    pub(crate) request: Ref,
    /// Which socket it came from (`SO_COOKIE`, 0 where that is not known).
    pub(crate) socket: u64,
    /// No request was read on the connection before.
    pub(crate) first: bool,
    /// The call was `read`, as of a file.
    pub(crate) plain: bool,
}

/// A bridge that can ask. All functions may be called on any thread, at any time between two calls of the program's.
pub(crate) struct Bridge {
    /// The thread has read from a connection on which this process is the server.
    pub(crate) server_read: fn(&Read),
    /// The thread has accepted this descriptor, or (negative) failed to.
    pub(crate) accepted: fn(i32),
    /// The thread works on the handshake of a TLS session on which this process is the server.
    pub(crate) handshake: fn(),
    /// The thread is about to send a request or to connect: says for whom by [`set`].
    pub(crate) ask: fn(),
    /// The thread is about to load the object with this name (`dlopen`).
    pub(crate) loading: fn(&[u8]),
}

/// The bridge of this process that can ask; null where there is none.
static BRIDGE: AtomicPtr<Bridge> = AtomicPtr::new(std::ptr::null_mut());

/// Where the bridge says nothing of a thread, nobody can.
static SPEAKS_FOR_ALL: AtomicBool = AtomicBool::new(false);

/// The runtime has more than the threads that a bridge speaks for: the rules hold for none of them.
pub(crate) fn speak_for_all() {
    SPEAKS_FOR_ALL.store(true, Ordering::Relaxed);
}

/// Installs the bridge that can ask. In the constructor.
pub(crate) fn install(bridge: &'static Bridge) {
    BRIDGE.store(std::ptr::from_ref(bridge).cast_mut(), Ordering::Release);
}

fn installed() -> Option<&'static Bridge> {
    // SAFETY: null or what `install` was given.
    unsafe { BRIDGE.load(Ordering::Acquire).as_ref() }
}

/// Tells the runtime what the thread has read. No lock is held.
pub(crate) fn server_read(read: &Read) {
    if let Some(bridge) = installed() {
        (bridge.server_read)(read);
    }
}

/// Tells the runtime what the thread has accepted. No lock is held.
pub(crate) fn accepted(fd: i32) {
    if let Some(bridge) = installed() {
        (bridge.accepted)(fd);
    }
}

/// Tells the runtime of a handshake. No lock is held.
pub(crate) fn handshake() {
    if let Some(bridge) = installed() {
        (bridge.handshake)();
    }
}

/// Brings the thread's word up to date before a request is sent. No lock is held.
pub(crate) fn ask() {
    if let Some(bridge) = installed() {
        (bridge.ask)();
    }
}

/// Whether there is a runtime to be asked before the thread's word says anything.
pub(crate) fn can_ask() -> bool {
    installed().is_some()
}

/// Tells the runtime that the thread is about to load an object. No lock is held.
pub(crate) fn loading(name: &[u8]) {
    if let Some(bridge) = installed() {
        (bridge.loading)(name);
    }
}

/// Where gRPC's own core is loaded, in a process whose bridge gives its calls their contexts; zeros elsewhere.
static CORE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The bridge gives the calls of gRPC's core, which is loaded here, their contexts as they are made: who writes them says nothing.
pub(crate) fn tell_by_headers(core: Range<usize>) {
    CORE[0].store(core.start, Ordering::Relaxed);
    CORE[1].store(core.end, Ordering::Release);
}

/// The bridge gives requests of HTTP/2 their contexts as they are made.
static HTTP2: AtomicBool = AtomicBool::new(false);

/// The bridge gives the requests of all clients of HTTP/2 that it knows their contexts as they are made: who writes them says nothing.
pub(crate) fn tell_http2_by_headers() {
    HTTP2.store(true, Ordering::Relaxed);
}

/// Whether this outgoing request is known to belong to nobody if it carries no context.
pub(crate) fn is_told_by_header(exchange: &Exchange) -> bool {
    const NAME: &[u8] = b"grpc-c/";
    let of_core = || {
        exchange.rpc
            && exchange
                .text(Field::UserAgent)
                .is_some_and(|agent| memchr::memmem::find(agent, NAME).is_some())
    };
    HTTP2.load(Ordering::Relaxed) && exchange.version == 20
        || CORE[1].load(Ordering::Acquire) != 0 && of_core()
}

/// Whether `caller` is code of gRPC's core: its channels connect for no call in particular, to several addresses at once, and again
/// and again.
pub(crate) fn is_of_core(caller: usize) -> bool {
    let end = CORE[1].load(Ordering::Acquire);
    (CORE[0].load(Ordering::Relaxed)..end).contains(&caller)
}

/// What the bridge says of the calling thread: a request, [`Ref::NOBODY`], or `None` where no bridge speaks.
pub(super) fn current() -> Option<Ref> {
    match thread::current().current.get() {
        0 => SPEAKS_FOR_ALL
            .load(Ordering::Relaxed)
            .then_some(Ref::NOBODY),
        token if token & IN_TURN != 0 => Some(Ref::NOBODY),
        token => Some(Ref(token)),
    }
}

/// Marks a token in the thread's word: the request was read in this turn of an event loop. What is handed in meanwhile is for it;
/// but who sends from there may send what another request has waited to send. (No record's number is that high.)
const IN_TURN: u64 = 1 << 31;

/// The calling thread has read this request in a turn of its event loop.
fn set_in_turn(reference: Ref) {
    set(Ref(reference.0 | IN_TURN));
}

/// The calling thread works for this request from here on, or for [`Ref::NOBODY`], or (null) nobody can tell. Returns what
/// it was before.
pub(crate) fn set(reference: Ref) -> Ref {
    Ref(thread::current().current.replace(reference.0))
}

/// The open request for which is what the calling thread hands in; or [`Ref::NOBODY`].
fn hands_in_for() -> Ref {
    let told = Ref(thread::current().current.get() & !IN_TURN);
    match crate::sys::process::state() {
        Some(state) if super::is_open(state, told) => told,
        _ => Ref::NOBODY,
    }
}
