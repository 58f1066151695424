//! Requests that go out: their parent, and the headers that tell it.

use super::inbound::{self, Found};
use super::server::identify;
use super::{Model, candidate, record, turn};
use crate::conn::Meta;
use crate::conn::edit::Edit;
use crate::export::record::{Carried, HEADERS, Identity, Record, Ref};
use crate::settings::{self, Settings};
use crate::sys::process::State;
use crate::sys::thread;
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
    if exchange.db.is_connect {
        // Begun when `connect` was called, and told of when the first query follows.
        return decide(state, record, meta.connect_parent, Carried::No, false);
    }
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
    let (carried, parent) = match passed_on(state, settings, exchange, at_connect) {
        Some(from) => (Carried::PassedOn, from),
        None if exchange.text(Field::Traceparent).is_some() => {
            (Carried::Foreign, candidate(at_connect))
        }
        None => (Carried::No, candidate(at_connect)),
    };
    let aside = carried == Carried::Foreign && settings.stands_aside();
    meta.sender = thread::identity();
    meta.works_for = match settings::model() {
        Model::Blocking => Ref(thread::current().last_read.get()),
        _ => parent,
    };
    let excluded = aside || settings.excluded(exchange);
    decide(state, record, parent, carried, excluded);
}

/// Decides identity and context of a span under `parent`.
fn decide(
    state: &'static State,
    record: &'static Record,
    parent: Ref,
    carried: Carried,
    excluded: bool,
) {
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

/// The thread has news of a connection that this process made, `bytes` of it perhaps. In a proxy it goes on with the request
/// for which the connection was made, whatever it has read before.
pub(crate) fn heard(state: &State, meta: &Meta, bytes: bool) {
    match settings::model() {
        Model::Proxy if meta.connect_start_ns != 0 => {
            thread::current().last_read.set(meta.works_for.0);
        }
        Model::Blocking if bytes && meta.sender == thread::identity() => {
            turn::answered(state, meta.works_for);
        }
        _ => {}
    }
}

/// The server request here whose own inbound context this outgoing request carries: passed on by a proxy, or by code that
/// forwards headers. Then that request is its parent, and our span comes in between.
fn passed_on(
    state: &'static State,
    settings: &Settings,
    exchange: &Exchange,
    at_connect: Ref,
) -> Option<Ref> {
    let carried = settings.extract(exchange)?;
    match state.correlation.inbound.find(state, &carried) {
        Found::None => None,
        Found::One(reference) => Some(reference),
        Found::Several => {
            let likely = candidate(state, at_connect);
            inbound::is_of(state, likely, &carried).then_some(likely)
        }
    }
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
