//! Which open server request an outgoing one carries the context of.
//!
//! An entry is found by a span id: the parent's that the request came with, or the request's own where the program was given it to
//! pass on (a proxy by `conn::inward`, Java's HTTP client by its bridge). The same context may come more than once at a time (a caller that makes two calls within one
//! span, a load generator with a fixed header): then the bytes do not tell the requests apart, and nothing is concluded.

use super::{is_open, record};
use crate::export::record::{Identity, Ref};
use crate::sys::process::State;
use agent_engine::context::{SpanContext, SpanId};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Entries, a power of two: many times the requests that are open at once in a busy proxy.
const ENTRIES: usize = 16 * 1024;
/// Where an entry may stand, counted from its hash.
const REACH: usize = 8;

/// Open server requests by the context that they came with or handed on. All-zero bytes are an empty one.
#[repr(C)]
pub(super) struct Inbound {
    /// Some request found no room since the process was last idle: of a context that was found once it is not known
    /// whether it is there only once.
    crowded: AtomicBool,
    entries: [AtomicU64; ENTRIES],
}

/// What is known of the request that a context came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is no open request's.
    None,
    /// Exactly this one came with it.
    One(Ref),
    /// It is this one's own.
    Own(Ref),
    /// One of several.
    Several,
}

impl Inbound {
    fn places(&self, id: SpanId) -> impl Iterator<Item = &AtomicU64> {
        // Span ids should be random; those of some callers count up.
        let spread = u64::from_be_bytes(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (spread >> 48) as usize;
        (0..REACH).filter_map(move |i| self.entries.get((hash + i) % ENTRIES))
    }

    /// Notes an open request under `id`.
    pub(super) fn add(&self, state: &State, id: SpanId, reference: Ref) {
        for place in self.places(id) {
            let there = place.load(Ordering::Acquire);
            if there == reference.0 {
                return;
            }
            let free = !is_open(state, Ref(there));
            if free
                && place
                    .compare_exchange(there, reference.0, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
        }
        self.crowded.store(true, Ordering::Release);
    }

    /// No request is open.
    pub(super) fn idle(&self) {
        if self.crowded.load(Ordering::Relaxed) {
            self.crowded.store(false, Ordering::Release);
        }
    }

    /// The open request that `carried` came from.
    pub(super) fn find(&self, state: &'static State, carried: &SpanContext) -> Found {
        let mut found = Found::None;
        for place in self.places(carried.span_id) {
            let reference = Ref(place.load(Ordering::Acquire));
            let Some(identity) = open_identity(state, reference) else {
                continue;
            };
            if is_own(&identity, carried) {
                return Found::Own(reference);
            }
            if came_with(&identity, carried) {
                found = match found {
                    Found::None if !self.crowded.load(Ordering::Acquire) => Found::One(reference),
                    _ => Found::Several,
                };
            }
        }
        found
    }
}

/// Whether `carried` is the context of the request's own span.
fn is_own(identity: &Identity, carried: &SpanContext) -> bool {
    identity.span.span_id == carried.span_id && identity.span.trace_id == carried.trace_id
}

/// Whether the request came with `carried`.
fn came_with(identity: &Identity, carried: &SpanContext) -> bool {
    identity.parent_remote
        && identity.parent == carried.span_id
        && identity.span.trace_id == carried.trace_id
}

/// Whether the open request `reference` came with `carried`.
pub(super) fn is_of(state: &'static State, reference: Ref, carried: &SpanContext) -> bool {
    open_identity(state, reference).is_some_and(|identity| came_with(&identity, carried))
}

/// What an open server request is.
pub(super) fn open_identity(state: &'static State, reference: Ref) -> Option<Identity> {
    let from = record(state, reference).filter(|record| record.pin_open(reference))?;
    // SAFETY: pinned, and open, so the context is set.
    let identity = unsafe { from.identity() };
    if let Some(index) = reference.index() {
        crate::export::unpin(state, index, from);
    }
    Some(identity)
}
