//! Requests that go out: their parent, and the headers that tell it.

use super::inbound::{self, Found};
use super::server::identify;
use super::{Model, candidate, is_open, record, turn};
use crate::conn::Meta;
use crate::conn::edit::Edit;
use crate::export::record::{Carried, HEADERS, Identity, Record, Ref};
use crate::settings::{self, Settings};
use crate::sys::process::State;
use crate::sys::thread;
use agent_engine::context;
use agent_engine::exchange::{Exchange, Field, System};
use agent_engine::protocol::outgoing::{Head, Syntax};
use agent_engine::protocol::{self, Commented};
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
    if let Some(told) = told(state, exchange, meta) {
        return decide(state, record, told, Carried::No, false);
    }
    if exchange.db.is_mixed || exchange.db.is_shared && super::bridge::current().is_some() {
        return decide(state, record, Ref::default(), Carried::No, false);
    }
    if settings.is_sdk_export(exchange) {
        state.sdk_active.store(true, Ordering::Relaxed);
    }
    let candidate = |at_connect| {
        if super::bridge::is_told_by_header(exchange) {
            Ref::default()
        } else if exchange.connect_failed && super::bridge::current().is_some() {
            // The runtime is told of it in a turn that is nobody's.
            at_connect
        } else {
            candidate(state, at_connect)
        }
    };
    let (carried, parent) = match passed_on(state, settings, exchange, at_connect) {
        Some(found) => found,
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

/// The request for which a bridge has said that a database's exchange is, before others sent it; null: it said nobody, or the
/// request is over.
fn told(state: &State, exchange: &Exchange, meta: &Meta) -> Option<Ref> {
    let db = &exchange.db;
    let place = match db.system {
        System::None => return None,
        _ if db.is_shared => db.stream.into(),
        _ => db.place,
    };
    let told = state.told.take(meta.cookie, place)?;
    Some(if is_open(state, told) {
        told
    } else {
        Ref::default()
    })
}

/// A statement begins that a library in this process carries out: nothing is sent, so only the thread tells for whom it is.
/// `asked`: and it was asked.
pub(crate) fn begin_inside(state: &'static State, record: &'static Record, asked: bool) {
    let parent = if asked {
        candidate(state, Ref::default())
    } else {
        Ref::default()
    };
    decide(state, record, parent, Carried::No, false);
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

/// The server request here whose inbound context this outgoing request carries (passed on by a proxy, or by code that
/// forwards headers), or whose own (which the program was given). Then that request is its parent, and our span comes in
/// between.
fn passed_on(
    state: &'static State,
    settings: &Settings,
    exchange: &Exchange,
    at_connect: Ref,
) -> Option<(Carried, Ref)> {
    let carried = settings.extract(exchange)?;
    match state.correlation.inbound.find(state, &carried) {
        Found::None => None,
        // A proxy passes on what came with it, too.
        Found::Own(reference) if settings::passes_on().is_none() => {
            Some((Carried::HandedOut, reference))
        }
        Found::One(reference) | Found::Own(reference) => Some((Carried::PassedOn, reference)),
        Found::Several => {
            let likely = candidate(state, at_connect);
            inbound::is_of(state, likely, &carried).then_some((Carried::PassedOn, likely))
        }
    }
}

/// The context of an open server request, as a header: for a bridge that can say for whom a request is when it is made, but not
/// when it is written. `None`: there is nothing to say, or headers are not wanted.
pub(crate) fn hand_out(reference: Ref) -> Option<[u8; context::TRACEPARENT_LEN]> {
    let state = crate::sys::process::state()?;
    let settings = settings::get();
    let span = inbound::open_identity(state, reference)
        .filter(|_| settings.propagates_context())?
        .span;
    state
        .correlation
        .inbound
        .add(state, span.span_id, reference);
    let mut header = [0; context::TRACEPARENT_LEN];
    context::format_traceparent(&mut header, &span);
    Some(header)
}

/// The open server request that a request with this `traceparent` header is: that came with it, alone, or was given its own
/// (`conn::inward`). For a bridge that sees headers, but not where they were read.
pub(crate) fn carrier_of(traceparent: &[u8]) -> Ref {
    let found = || {
        let state = crate::sys::process::state()?;
        let carried = context::parse_traceparent(traceparent)?;
        match state.correlation.inbound.find(state, &carried) {
            Found::One(reference) | Found::Own(reference) => Some(reference),
            Found::None | Found::Several => None,
        }
    };
    found().unwrap_or(Ref::NOBODY)
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

/// What is to be spliced into `head`, for the exchange that it began. `None`: nothing. `front` fills its argument with what the
/// program is about to write from [`Head::insert_at`] on.
///
/// # Safety
/// The connection's lock is held and `record` is the exchange just begun on it.
pub(crate) unsafe fn edit(
    index: u32,
    record: &'static Record,
    head: &Head,
    settings: &Settings,
    front: impl FnOnce(&mut [u8]),
) -> Option<Edit> {
    if head.signed {
        return None;
    }
    // SAFETY: by the caller's promise.
    let (identity, buffer) = unsafe { (record.identity(), record.headers()) };
    let (at, skip, to) = match (identity.carried, head.traceparent, head.replace) {
        (Carried::Foreign, _, Some(replace)) if replace.restates => {
            front(buffer.get_mut(..replace.keep)?);
            // SAFETY: by the caller's promise.
            let own = settings.extract(unsafe { record.exchange() })?;
            let syntax = Syntax::HeaderBlock(replace);
            let len = settings.write_traceparent(buffer, &own, syntax);
            (head.insert_at, replace.skip, len)
        }
        (Carried::Foreign, ..) => return None,
        // The parent id is replaced in place: the length stays, and so do tracestate and baggage.
        (Carried::PassedOn, Some(offset), _) => {
            let mut value = [0; context::TRACEPARENT_LEN];
            context::format_traceparent(&mut value, &identity.span);
            buffer.get_mut(..value.len())?.copy_from_slice(&value);
            (offset, value.len(), value.len())
        }
        // As many bytes more as tracestate and baggage take: the value is replaced by one with further lines behind it.
        (Carried::HandedOut, Some(offset), _) => {
            const NAME: usize = "traceparent: ".len();
            const END: usize = "\r\n".len();
            // SAFETY: by the caller's promise.
            let (tracestate, baggage) = unsafe { (record.tracestate(), record.baggage()) };
            let len = settings.write_headers(buffer, &identity.span, tracestate, baggage, head);
            buffer.copy_within(NAME..len.checked_sub(END)?, 0);
            (offset, context::TRACEPARENT_LEN, len - END - NAME)
        }
        (Carried::PassedOn | Carried::HandedOut, None, Some(replace)) => {
            front(buffer.get_mut(..replace.keep)?);
            let passed_on = identity.carried == Carried::PassedOn;
            let head = Head {
                syntax: Syntax::HeaderBlock(replace),
                has_tracestate: passed_on || head.has_tracestate,
                has_baggage: passed_on || head.has_baggage,
                ..*head
            };
            // SAFETY: by the caller's promise.
            let (tracestate, baggage) = unsafe { (record.tracestate(), record.baggage()) };
            let len = settings.write_headers(buffer, &identity.span, tracestate, baggage, &head);
            (head.insert_at, replace.skip, len)
        }
        (Carried::No, None, _) if !head.has_traceparent => {
            let skip = match head.syntax {
                Syntax::HeaderBlock(edit) => {
                    front(buffer.get_mut(..edit.keep)?);
                    edit.skip
                }
                Syntax::FieldLines | Syntax::Params(_) => 0,
            };
            // SAFETY: by the caller's promise.
            let (tracestate, baggage) = unsafe { (record.tracestate(), record.baggage()) };
            let len = settings.write_headers(buffer, &identity.span, tracestate, baggage, head);
            (head.insert_at, skip, len)
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

/// As [`edit`], for a statement that is all of `message`: with the context as a comment in it.
///
/// # Safety
/// As for [`edit`].
pub(crate) unsafe fn comment(index: u32, record: &'static Record, message: &[u8]) -> Option<Edit> {
    // SAFETY: by the caller's promise.
    let (identity, buffer, exchange) =
        unsafe { (record.identity(), record.headers(), record.exchange()) };
    if !identity.span.is_valid() {
        return None;
    }
    let mut value = [0; context::TRACEPARENT_LEN];
    context::format_traceparent(&mut value, &identity.span);
    let Commented { skip, len } = protocol::comment(exchange, message, &value, buffer)?;
    Some(Edit {
        record: index + 1,
        at: 0,
        skip,
        from: 0,
        to: len,
    })
}
