//! Which request a request belongs to.
//!
//! The rule is "the server request whose bytes this thread read last, while it is open" (*last read*). It is right
//! where a thread serves one request at a time, and in proxies that send upstream in the same turn. It is wrong on
//! event loops, so it is given up for the process at the first evidence of one: a thread that reads a new request
//! while the one it read before is still open on another connection, a response written by another thread than the one
//! that read the request, or a program known to be one. Then a request has a parent only while exactly one
//! server request is open in the process and the sender is a thread that reads requests. A wrong parent is worse than
//! none.

pub(crate) mod bridge;
pub(crate) mod client;
pub(crate) mod server;

use crate::export::record::{Record, Ref};
use crate::sys::process::State;
use crate::sys::thread::{self, SERVES};
use agent_engine::context::SpanId;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

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

/// Open server requests by the parent id they came with, or by their own: entries of each index.
const INDEX: usize = 1024;
/// Places in the index of own ids that are looked at for one.
const PROBES: usize = 16;

/// Process-wide knowledge. All-zero bytes are a process that has served nothing.
#[repr(C)]
pub(crate) struct Correlation {
    /// Server requests open now.
    open: AtomicI64,
    /// The server request that was opened last.
    latest: AtomicU64,
    /// Evidence of an event loop was seen.
    multiplexed: AtomicBool,
    /// Open server requests, hashed by the span id of their remote parent.
    inbound: [AtomicU64; INDEX],
    /// Open server requests whose context was handed out, hashed by their own span id.
    handed_out: [AtomicU64; INDEX],
}

impl Correlation {
    fn begun(&self, reference: Ref) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.latest.store(reference.0, Ordering::Release);
    }

    fn index(&self, remote_parent: SpanId, reference: Ref) {
        self.inbound[slot(remote_parent)].store(reference.0, Ordering::Release);
    }

    /// The server request that came with this parent id, if it is the last one with that hash.
    fn by_remote_parent(&self, id: SpanId) -> Ref {
        Ref(self.inbound[slot(id)].load(Ordering::Acquire))
    }

    /// Where to look for the server request of this span id.
    fn places(&self, id: SpanId) -> impl Iterator<Item = &AtomicU64> {
        let from = slot(id);
        (from..from + PROBES).map(|at| &self.handed_out[at % INDEX])
    }

    fn see_event_loop(&self) {
        if !self.multiplexed.load(Ordering::Relaxed) {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
    }
}

fn slot(id: SpanId) -> usize {
    // Span ids are random: their last bytes serve as a hash.
    usize::from(u16::from_le_bytes([id.0[6], id.0[7]])) % INDEX
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
        Model::Proxy | Model::Blocking => {
            if is_open(state, last) {
                last
            } else {
                Ref::default()
            }
        }
        Model::EventLoop => {
            let alone = state.correlation.open.load(Ordering::Acquire) == 1;
            let latest = Ref(state.correlation.latest.load(Ordering::Acquire));
            if alone && thread.has(SERVES) && is_open(state, latest) {
                latest
            } else {
                Ref::default()
            }
        }
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
    if record.shut() {
        state.correlation.open.fetch_sub(1, Ordering::AcqRel);
    }
}
