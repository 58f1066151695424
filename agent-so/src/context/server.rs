//! Requests that came in: their context becomes the current one.

use super::{Model, is_open};
use crate::conn::{Inner, Meta, serving};
use crate::export;
use crate::export::record::{Carried, Identity, Record, Ref};
use crate::settings::{self, Room};
use crate::sys::process::State;
use crate::sys::thread::{self, SERVES};
use agent_engine::context::{SpanContext, SpanId};
use agent_engine::exchange::Exchange;
use std::sync::atomic::Ordering;

/// The head of a server request is complete: extract its parent, sample, publish it as a possible parent.
pub(crate) fn begin(
    state: &'static State,
    index: u32,
    record: &'static Record,
    exchange: &Exchange,
    meta: &mut Meta,
) {
    let settings = settings::get();
    let parent = settings.extract(exchange);
    let excluded = settings.excluded(exchange);
    let mut identity = identify(state, parent, true, excluded);
    if let Some(parent) = parent.filter(|_| excluded) {
        // No span of ours: what is sent meanwhile hangs under the caller's.
        identity.span = parent;
    }
    let (tracestate, baggage) = settings.inherited(exchange, parent.is_some());
    // SAFETY: the record is this connection's, whose lock is held, and not open yet.
    unsafe { record.set_context(identity, tracestate, baggage) };
    if excluded && parent.is_none() {
        // Not traced, so nothing can hang under it.
        return;
    }
    let reference = record.reference(index);
    record.open();
    state.correlation.open.fetch_add(1, Ordering::AcqRel);
    if let Some(parent) = parent {
        state
            .correlation
            .inbound
            .add(state, parent.span_id, reference);
    }
    meta.reader = thread::identity();
    meta.newest_is_later = meta.newest != Ref::default();
    meta.newest = reference;
    meta.requests_served = meta.requests_served.wrapping_add(1);
    note_reader(state, reference);
}

/// The program was given the request's own context to pass on: what carries it is the request's.
pub(crate) fn handed_on(state: &State, record: &Record, reference: Ref) {
    // SAFETY: the caller holds the lock of the request's connection, and the context was set.
    let span = unsafe { record.identity() }.span;
    state
        .correlation
        .inbound
        .add(state, span.span_id, reference);
}

/// Decides ids and sampling of a span under `parent`.
pub(super) fn identify(
    state: &State,
    parent: Option<SpanContext>,
    remote: bool,
    excluded: bool,
) -> Identity {
    let settings = settings::get();
    let [a, b] = state.ids.next();
    let trace_id = match &parent {
        Some(parent) => parent.trace_id,
        None => settings::new_trace_id(state.ids.next()),
    };
    let sampled = settings.sampler.decide(parent.as_ref(), trace_id);
    let span = SpanContext {
        trace_id,
        span_id: SpanId((a ^ b.rotate_left(32)).max(1).to_be_bytes()),
        flags: settings::flags(parent.as_ref(), sampled),
        remote: false,
    };
    Identity {
        span,
        parent: parent.map_or_else(SpanId::default, |p| p.span_id),
        parent_remote: remote && parent.is_some(),
        exported: sampled
            && !excluded
            && settings.exports()
            && !state.sdk_active.load(Ordering::Relaxed),
        carried: Carried::No,
    }
}

/// The thread has read `reference`'s head: is it an event loop?
fn note_reader(state: &'static State, reference: Ref) {
    let thread = thread::current();
    let before = Ref(thread.last_read.replace(reference.0));
    if !thread.has(SERVES) {
        thread.set(SERVES);
        thread.usual_mask.set(crate::export::blocked_signals());
        if settings::is_event_loop_thread() {
            state.correlation.see_event_loop();
        }
    }
    if before != reference
        && is_open(state, before)
        && !same_connection(state, before, reference)
        && settings::model() == Model::Blocking
    {
        state.correlation.see_event_loop();
    }
}

/// Two requests of one connection, pipelined, are no evidence.
fn same_connection(state: &State, one: Ref, other: Ref) -> bool {
    let connection = |r: Ref| super::record(state, r).map(Record::connection);
    connection(one) == connection(other)
}

/// Bytes were read on a server connection: what the thread read last is the oldest request that waits there, which is given
/// (or null). With several open streams, and for calls that a bridge finds by what they carry, it is [`Ref::NOBODY`].
pub(crate) fn read(state: &'static State, inner: &mut Inner) -> Ref {
    let oldest = || {
        let (_, reference) = serving::open(state, inner).next()?;
        is_open(state, reference).then_some(reference)
    };
    let handed_up_elsewhere = || {
        settings::gives_contexts() == Some(Room::Calls)
            && serving::open(state, inner)
                .next()
                .is_some_and(|(record, _)| {
                    // SAFETY: an open exchange of the connection whose lock is held.
                    unsafe { record.exchange() }.rpc
                })
    };
    if inner.stream.streams_open() > 1 || inner.stream.is_multiplexed() && handed_up_elsewhere() {
        // Nothing tells which of them the thread goes on with.
        thread::current().last_read.set(0);
        if settings::model() == Model::Blocking {
            state.correlation.see_event_loop();
        }
        return Ref::NOBODY;
    }
    let Some(reference) = oldest() else {
        return Ref::default();
    };
    thread::current().last_read.set(reference.0);
    reference
}

/// Bytes were written on a connection: a response that leaves from another thread than the one that read its request
/// shows that requests move between threads.
pub(crate) fn written(state: &State, inner: &Inner) {
    let reader = inner.meta.reader;
    if reader != 0 && reader != thread::identity() {
        state.correlation.see_event_loop();
    }
}

/// The router of the program's framework matched `route` for this request, which is not answered yet. The first one counts.
/// Any thread may say so, with or without a lock.
pub(crate) fn routed(state: &'static State, reference: Ref, route: &[u8]) {
    let Some(record) = super::record(state, reference).filter(|r| r.pin_open(reference)) else {
        return;
    };
    // SAFETY: pinned.
    unsafe { record.set_route(route) };
    if let Some(index) = reference.index() {
        export::unpin(state, index, record);
    }
}
