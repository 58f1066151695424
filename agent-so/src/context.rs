//! Which request a request belongs to.
//!
//! First come what the bytes say (a request that carries the context of one that came in, `inbound`), and what a runtime says
//! (`bridge`). Else the rule is "the server request whose bytes this thread read last, while it is open" (*last read*). It is
//! right where a thread serves one request at a time, and in proxies that send upstream in the turn in which they read. It is
//! wrong on event loops, so it is given up for the process at the first evidence of one: a thread that waits for other
//! requests while the one it has read is open (`turn`), or reads a new one meanwhile, a response written by another thread
//! than the one that read the request, or a program known to be one. Then there is none, also while only one request is
//! open: what a loop sends may be a timer's work, or what is left of a request that is answered. A wrong parent is worse
//! than none.

pub(crate) mod bridge;
pub(crate) mod client;
mod inbound;
pub(crate) mod server;
pub(crate) mod turn;

use crate::export::record::{Record, Ref};
use crate::sys::process::State;
use crate::sys::thread::{self, DOUBT};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// How the program runs its requests, as far as its name tells. Set once, in the constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// One request a thread at a time, until there is evidence to the contrary.
    Blocking,
    /// A proxy that sends upstream in the turn in which it read the request (nginx).
    Proxy,
    /// An event loop.
    EventLoop,
}

/// Process-wide knowledge. All-zero bytes are a process that has served nothing.
#[repr(C)]
pub(crate) struct Correlation {
    /// Server requests open now.
    open: AtomicI64,
    /// Evidence of an event loop was seen.
    multiplexed: AtomicBool,
    inbound: inbound::Inbound,
}

impl Correlation {
    fn see_event_loop(&self) {
        if !self.multiplexed.load(Ordering::Relaxed) {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
    }
}

/// The server request that the calling thread works for, if that can be told. `at_connect` is the one found when the
/// connection was made, for its first request.
pub(crate) fn candidate(state: &State, at_connect: Ref) -> Ref {
    if let Some(told) = bridge::current() {
        return if is_open(state, told) {
            told
        } else {
            Ref::default()
        };
    }
    let thread = thread::current();
    let last = Ref(thread.last_read.get());
    match model(state) {
        Model::Proxy if is_open(state, at_connect) => at_connect,
        Model::Blocking if thread.has(DOUBT) => Ref::default(),
        Model::Proxy | Model::Blocking => {
            if is_open(state, last) {
                last
            } else {
                Ref::default()
            }
        }
        Model::EventLoop => Ref::default(),
    }
}

fn model(state: &State) -> Model {
    match crate::settings::model() {
        Model::Blocking if state.correlation.multiplexed.load(Ordering::Relaxed) => {
            Model::EventLoop
        }
        model => model,
    }
}

fn record(state: &State, reference: Ref) -> Option<&Record> {
    state.records.get(reference.index()?)
}

/// Whether the request is still being served.
pub(crate) fn is_open(state: &State, reference: Ref) -> bool {
    record(state, reference).is_some_and(|record| record.is_open(reference))
}

/// The exchange is over: it parents nothing any more.
pub(crate) fn end(state: &State, record: &Record) {
    if record.shut() && state.correlation.open.fetch_sub(1, Ordering::AcqRel) == 1 {
        state.correlation.inbound.idle();
    }
}
