//! Requests that go out: their parent, and the header lines that tell it.

use super::server::identify;
use super::{candidate, record};
use crate::conn::Meta;
use crate::conn::edit::Edit;
use crate::export::record::{HEADERS, Identity, Record, Ref};
use crate::settings::{self, Settings};
use crate::sys::process::State;
use agent_engine::context;
use agent_engine::exchange::{Exchange, Field};
use agent_engine::protocol::http1::scan::HeadScan;
use std::sync::atomic::Ordering;

/// The head of a client request is complete (or a connect failed): find the parent, sample.
pub(crate) fn begin(
    state: &'static State,
    index: u32,
    record: &'static Record,
    exchange: &Exchange,
    meta: &mut Meta,
) {
    let settings = settings::get();
    let at_connect = if meta.requests_sent == 0 { meta.connect_parent } else { Ref::default() };
    meta.requests_sent += 1;
    if settings.is_sdk_export(exchange) {
        state.sdk_active.store(true, Ordering::Relaxed);
    }
    let carried = settings.extract(exchange);
    // A request that carries the very context that a server request here came with is passed on by a proxy, or by code
    // that forwards headers: that server request is its parent, and ours comes in between.
    let passed_on = carried
        .map(|c| (c, state.correlation.by_remote_parent(c.span_id)))
        .filter(|(c, r)| inbound_is(state, *r, c));
    let present = exchange.text(Field::Traceparent).is_some();
    let foreign = present && passed_on.is_none() && settings.stands_aside();
    let parent = match passed_on {
        Some((_, reference)) => reference,
        None => candidate(state, at_connect),
    };
    let _ = index;
    let excluded = foreign || settings.excluded_client(exchange);
    inherit(state, parent, |from| {
        let inherited = from.map(|from| from.identity.span);
        let mut identity = identify(state, inherited, false, excluded);
        if foreign {
            // An SDK made this request: its context is on the wire and stays there.
            identity.exported = false;
        }
        let (tracestate, baggage) =
            from.map_or((&[][..], &[][..]), |from| (from.tracestate, from.baggage));
        // SAFETY: the record is this connection's, whose lock is held, and never opened as a parent.
        unsafe { record.set_context(identity, tracestate, baggage) };
    });
}

struct Parent<'a> {
    identity: Identity,
    tracestate: &'a [u8],
    baggage: &'a [u8],
}

/// Calls `f` with the context of `parent`, or with none if it is not open any more.
fn inherit(state: &'static State, parent: Ref, f: impl FnOnce(Option<Parent<'_>>)) {
    let pinned = record(state, parent).filter(|record| record.pin_open(parent));
    let Some(from) = pinned else { return f(None) };
    // SAFETY: pinned, and open, so the context is set.
    f(Some(unsafe {
        Parent {
            identity: from.identity(),
            tracestate: from.tracestate(),
            baggage: from.baggage(),
        }
    }));
    if let Some(index) = parent.index() {
        crate::export::unpin(state, index, from);
    }
}

/// Whether `reference` is an open server request whose remote parent is the carried context.
fn inbound_is(state: &'static State, reference: Ref, carried: &context::SpanContext) -> bool {
    let Some(from) = record(state, reference).filter(|record| record.pin_open(reference)) else {
        return false;
    };
    // SAFETY: pinned, and open, so the context is set.
    let identity = unsafe { from.identity() };
    if let Some(index) = reference.index() {
        crate::export::unpin(state, index, from);
    }
    identity.parent_remote
        && identity.parent == carried.span_id
        && identity.span.trace_id == carried.trace_id
}

/// What is to be spliced into the head that `scan` found, for the exchange that it began. `None`: nothing.
///
/// # Safety
/// The connection's lock is held and `record` is the exchange just begun on it.
pub(crate) unsafe fn edit(
    _state: &'static State,
    index: u32,
    record: &'static Record,
    scan: &HeadScan,
    settings: &Settings,
) -> Option<Edit> {
    // SAFETY: by the caller's promise.
    let (identity, buffer) = unsafe { (record.identity(), record.headers()) };
    let (at, skip, len) = match scan.traceparent() {
        _ if scan.signed() => return None,
        Some(offset) if settings.propagates_context() => {
            // Carried already. Ours only when it was passed on (see `begin`): then the parent id is replaced in place.
            // SAFETY: by the caller's promise; `begin` has set the exchange.
            let exchange = unsafe { record.exchange() };
            let carried = settings.extract(exchange)?;
            if carried.trace_id != identity.span.trace_id || identity.parent == identity.span.span_id {
                return None;
            }
            if !identity.span.trace_id_is(carried) || !is_passed_on(&identity) {
                return None;
            }
            let mut value = [0; context::TRACEPARENT_LEN];
            context::format_traceparent(&mut value, &identity.span);
            buffer.get_mut(..value.len())?.copy_from_slice(&value);
            (offset, value.len(), value.len())
        }
        Some(_) => return None,
        None if scan.has_traceparent() => return None,
        None => {
            // SAFETY: by the caller's promise.
            let (tracestate, baggage) = unsafe { (record.tracestate(), record.baggage()) };
            let len = settings.write_headers(buffer, &identity.span, tracestate, baggage, scan);
            (scan.line_end, 0, len)
        }
    };
    (len > 0 && len <= HEADERS).then_some(Edit { record: index + 1, at, skip, from: 0, to: len })
}
