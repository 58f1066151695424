//! Requests that go out: their parent, and the headers that tell it.

use super::server::identify;
use super::{candidate, record};
use crate::conn::Meta;
use crate::conn::edit::Edit;
use crate::export::record::{Carried, HEADERS, Identity, Record, Ref};
use crate::settings::{self, Settings};
use crate::sys::process::State;
use agent_engine::context;
use agent_engine::exchange::{Exchange, Field};
use agent_engine::protocol::outgoing::Head;
use std::sync::atomic::Ordering;

/// The head of a client request is complete (or a connect failed): find the parent, sample.
pub(crate) fn begin(
    state: &'static State,
    record: &'static Record,
    exchange: &Exchange,
    meta: &mut Meta,
) {
    let settings = settings::get();
    let at_connect = if meta.requests_sent == 0 {
        meta.connect_parent
    } else {
        Ref::default()
    };
    meta.requests_sent += 1;
    if settings.is_sdk_export(exchange) {
        state.sdk_active.store(true, Ordering::Relaxed);
    }
    let candidate = |at_connect| {
        if exchange.connect_failed && super::bridge::current().is_some() {
            // The runtime is told of it in a turn that is nobody's.
            at_connect
        } else {
            candidate(state, at_connect)
        }
    };
    let found = passed_on(state, settings, exchange)
        .map(|from| (Carried::PassedOn, from))
        .or_else(|| Some((Carried::HandedOut, handed_out(state, settings, exchange)?)));
    let (carried, parent) = match found {
        Some(found) => found,
        None if exchange.text(Field::Traceparent).is_some() => {
            (Carried::Foreign, candidate(at_connect))
        }
        None => (Carried::No, candidate(at_connect)),
    };
    let aside = carried == Carried::Foreign && settings.stands_aside();
    let excluded = aside || settings.excluded(exchange);
    inherit(state, parent, |from| {
        let inherited = from.as_ref().map(|from| from.identity.span);
        let identity = Identity {
            carried,
            ..identify(
                state,
                inherited,
                inherited.is_some_and(|p| p.remote),
                excluded,
            )
        };
        let (tracestate, baggage) =
            from.map_or((&[][..], &[][..]), |from| (from.tracestate, from.baggage));
        // SAFETY: the record is this connection's, whose lock is held, and never opened as a parent.
        unsafe { record.set_context(identity, tracestate, baggage) };
    });
}

/// The server request here whose own inbound context this outgoing request carries: passed on by a proxy, or by code that
/// forwards headers. Then that request is its parent, and our span comes in between.
fn passed_on(state: &'static State, settings: &Settings, exchange: &Exchange) -> Option<Ref> {
    let carried = settings.extract(exchange)?;
    let reference = state.correlation.by_remote_parent(carried.span_id);
    inbound_is(state, reference, &carried).then_some(reference)
}

/// The server request here whose own context this outgoing request carries, because a bridge was given it.
fn handed_out(state: &'static State, settings: &Settings, exchange: &Exchange) -> Option<Ref> {
    let carried = settings.extract(exchange)?;
    let is = |reference: &Ref| {
        identity_of(state, *reference).is_some_and(|identity| {
            identity.span.span_id == carried.span_id && identity.span.trace_id == carried.trace_id
        })
    };
    let mut places = state.correlation.places(carried.span_id);
    places.find_map(|place| Some(Ref(place.load(Ordering::Acquire))).filter(is))
}

/// The context of an open server request, as a header: for a bridge that can say for whom a request is when it is made, but not
/// when it is written. `None`: there is nothing to say, or headers are not wanted.
pub(crate) fn hand_out(reference: Ref) -> Option<[u8; context::TRACEPARENT_LEN]> {
    let state = crate::sys::process::state()?;
    let identity =
        identity_of(state, reference).filter(|_| settings::get().propagates_context())?;
    let id = identity.span.span_id;
    let mut free = None;
    for place in state.correlation.places(id) {
        let there = Ref(place.load(Ordering::Acquire));
        if there == reference {
            free = None;
            break;
        }
        if free.is_none() && !super::is_open(state, there) {
            free = Some(place);
        }
    }
    if let Some(free) = free {
        free.store(reference.0, Ordering::Release);
    }
    let mut header = [0; context::TRACEPARENT_LEN];
    context::format_traceparent(&mut header, &identity.span);
    Some(header)
}

/// What an open server request is.
fn identity_of(state: &'static State, reference: Ref) -> Option<Identity> {
    let from = record(state, reference).filter(|record| record.pin_open(reference))?;
    // SAFETY: pinned, and open, so the context is set.
    let identity = unsafe { from.identity() };
    if let Some(index) = reference.index() {
        crate::export::unpin(state, index, from);
    }
    Some(identity)
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
    identity_of(state, reference).is_some_and(|identity| {
        identity.parent_remote
            && identity.parent == carried.span_id
            && identity.span.trace_id == carried.trace_id
    })
}

/// What is to be spliced into `head`, for the exchange that it began. `None`: nothing.
///
/// # Safety
/// The connection's lock is held and `record` is the exchange just begun on it.
pub(crate) unsafe fn edit(
    index: u32,
    record: &'static Record,
    head: &Head,
    settings: &Settings,
) -> Option<Edit> {
    if head.signed {
        return None;
    }
    // SAFETY: by the caller's promise.
    let (identity, buffer) = unsafe { (record.identity(), record.headers()) };
    let (at, skip, to) = match (identity.carried, head.traceparent) {
        (Carried::Foreign, _) => return None,
        // The parent id is replaced in place: the length stays, and so do tracestate and baggage.
        (Carried::PassedOn, Some(offset)) => {
            let mut value = [0; context::TRACEPARENT_LEN];
            context::format_traceparent(&mut value, &identity.span);
            buffer.get_mut(..value.len())?.copy_from_slice(&value);
            (offset, value.len(), value.len())
        }
        // As many bytes more as tracestate and baggage take: the value is replaced by one with further lines behind it.
        (Carried::HandedOut, Some(offset)) => {
            const NAME: usize = "traceparent: ".len();
            const END: usize = "\r\n".len();
            // SAFETY: by the caller's promise.
            let (tracestate, baggage) = unsafe { (record.tracestate(), record.baggage()) };
            let len = settings.write_headers(buffer, &identity.span, tracestate, baggage, head);
            buffer.copy_within(NAME..len.checked_sub(END)?, 0);
            (offset, context::TRACEPARENT_LEN, len - END - NAME)
        }
        (Carried::No, None) if !head.has_traceparent => {
            // SAFETY: by the caller's promise.
            let (tracestate, baggage) = unsafe { (record.tracestate(), record.baggage()) };
            let len = settings.write_headers(buffer, &identity.span, tracestate, baggage, head);
            (head.insert_at, 0, len)
        }
        _ => return None,
    };
    (0 < to && to <= HEADERS).then_some(Edit {
        record: index + 1,
        at,
        skip,
        from: 0,
        to,
    })
}
