//! Records: exchanges under way or waiting for the exporter, with the context that their children inherit.
//!
//! A record belongs to its connection's lock holder while the exchange is open, to the exporter once it is queued, and
//! is then reused. Other threads may *pin* one: a request that is sent while a server request is open reads that
//! request's context. The context is written once, before the record is published as open, and not again until the
//! record is reused, which no pin survives.

use crate::sys::slab::Slot;
use agent_engine::context::{SpanContext, SpanId};
use agent_engine::exchange::Exchange;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Longest `tracestate` that is passed on, bytes.
pub(crate) const TRACESTATE: usize = 1024;
/// Longest `baggage` that is passed on, bytes.
pub(crate) const BAGGAGE: usize = agent_engine::exchange::BAGGAGE_MAX;
/// Context header lines of one request, bytes.
pub(crate) const HEADERS: usize = 70 + TRACESTATE + BAGGAGE + 64;
/// Longest route of a framework's, bytes.
pub(crate) const ROUTE: usize = 256;
/// Room for a copy of an outgoing head with its new header (the size of a TLS record), or for a rewritten iovec array.
pub(crate) const SCRATCH: usize = 16 * 1024;

/// Names a record in one of its uses: generation << 32 | index + 1. 0 names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Ref(pub(crate) u64);

impl Ref {
    /// Says that there certainly is none.
    pub(crate) const NOBODY: Self = Self(1 << 32);

    fn new(generation: u32, index: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(index + 1))
    }

    /// Index in the slab; `None` for the null reference.
    pub(crate) fn index(self) -> Option<u32> {
        (self.0 as u32).checked_sub(1)
    }
}

/// The identity of a span and of its parent, decided when the request head was complete.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity {
    /// The span's own context.
    pub(crate) span: SpanContext,
    /// The parent's span id; zero for a root.
    pub(crate) parent: SpanId,
    /// Whether the parent is in another process.
    pub(crate) parent_remote: bool,
    /// Whether a span is to be exported (sampled, not excluded, no SDK at work).
    pub(crate) exported: bool,
    /// What the outgoing request carried already.
    pub(crate) carried: Carried,
}

/// The context that an outgoing request carries before ours is put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Carried {
    /// None.
    #[default]
    No = 0,
    /// The one that a server request here came with: passed on by a proxy, or by code that forwards headers.
    PassedOn = 1,
    /// Another one: somebody else traces this request.
    Foreign = 2,
    /// That of a server request here, which a bridge put in to say for whom it is.
    HandedOut = 3,
}

/// A record. All-zero bytes are a free one that was never used. The order of the fields keeps what a usual exchange
/// touches on the first page.
#[repr(C)]
pub(crate) struct Record {
    /// generation << 32 | OPEN | CLOSED | pins
    state: AtomicU64,
    link: AtomicU32,
    /// Tells connections apart: the address of the connection's state.
    connection: AtomicUsize,
    /// Length of the route; 0: there is none (yet), [`WRITING`]: somebody is writing it.
    route_len: AtomicU16,
    identity: UnsafeCell<Identity>,
    tracestate_len: UnsafeCell<u16>,
    baggage_len: UnsafeCell<u16>,
    exchange: UnsafeCell<Exchange>,
    route: UnsafeCell<[u8; ROUTE]>,
    tracestate: UnsafeCell<[u8; TRACESTATE]>,
    headers: UnsafeCell<[u8; HEADERS]>,
    scratch: UnsafeCell<Aligned>,
    baggage: UnsafeCell<[u8; BAGGAGE]>,
}

/// Scratch bytes, aligned for iovecs.
#[repr(C, align(16))]
struct Aligned([u8; SCRATCH]);

// SAFETY: the cells are guarded by the protocol in the module's head: the connection's lock or the exporter's ownership
// for the exchange and the wire buffers, write-once before publication for the context.
unsafe impl Sync for Record {}

// SAFETY: integers, byte arrays and the engine's plain structs (documented as valid when zero); nothing to drop.
unsafe impl Slot for Record {
    const PER_CHUNK: u32 = 128;
    const MAX: u32 = 128 * 1024;
    fn link(&self) -> &AtomicU32 {
        &self.link
    }
}

const OPEN: u64 = 1 << 31;
const CLOSED: u64 = 1 << 30;
const PINS: u64 = CLOSED - 1;
const WRITING: u16 = u16::MAX;

impl Record {
    /// Begins a use of a record just taken from the slab, for a connection (0: none).
    pub(crate) fn begin(&self, connection: usize) {
        self.connection.store(connection, Ordering::Relaxed);
        let generation = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) as u32;
        self.state
            .store(u64::from(generation) << 32, Ordering::Release);
        self.route_len.store(0, Ordering::Relaxed);
        // SAFETY: the record was just taken: nobody else refers to it (a stale pin fails on the generation).
        unsafe {
            (*self.exchange.get()).reset();
            *self.identity.get() = Identity::default();
            *self.tracestate_len.get() = 0;
            *self.baggage_len.get() = 0;
        }
    }

    /// The reference that names this use of the record at `index`.
    pub(crate) fn reference(&self, index: u32) -> Ref {
        Ref::new((self.state.load(Ordering::Relaxed) >> 32) as u32, index)
    }

    /// The connection that the exchange passes on.
    pub(crate) fn connection(&self) -> usize {
        self.connection.load(Ordering::Relaxed)
    }

    /// Makes the record a possible parent.
    pub(crate) fn open(&self) {
        self.state.fetch_or(OPEN, Ordering::AcqRel);
    }

    /// Ends its time as a parent; true if it was open.
    pub(crate) fn shut(&self) -> bool {
        self.state.fetch_and(!OPEN, Ordering::AcqRel) & OPEN != 0
    }

    /// Whether `reference` names this use and its request is still open.
    pub(crate) fn is_open(&self, reference: Ref) -> bool {
        let state = self.state.load(Ordering::Acquire);
        state >> 32 == reference.0 >> 32 && state & OPEN != 0
    }

    /// Keeps the record from being reused, if `reference` still names it and it is open.
    pub(crate) fn pin_open(&self, reference: Ref) -> bool {
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                let same = state >> 32 == reference.0 >> 32 && state & OPEN != 0;
                (same && state & PINS < PINS).then_some(state + 1)
            })
            .is_ok()
    }

    /// Keeps a record that the caller owns from being reused while it uses the wire buffers. False: it was given up.
    #[must_use]
    pub(crate) fn pin(&self) -> bool {
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                (state & CLOSED == 0 && state & PINS < PINS).then_some(state + 1)
            })
            .is_ok()
    }

    /// Ends a pin. True: the record was given up meanwhile and the caller must return it to the slab.
    #[must_use]
    pub(crate) fn unpin(&self) -> bool {
        let before = self.state.fetch_sub(1, Ordering::AcqRel);
        before & PINS == 1 && before & CLOSED != 0
    }

    /// Gives the record up. True: nobody pins it and the caller must return it to the slab.
    #[must_use]
    pub(crate) fn close(&self) -> bool {
        let before = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                Some((state & !OPEN) | CLOSED)
            })
            .unwrap_or_default();
        before & PINS == 0 && before & CLOSED == 0
    }

    /// The exchange.
    ///
    /// # Safety
    /// The caller is the record's owner (see the module's head), and keeps no other reference to the exchange.
    #[expect(
        clippy::mut_from_ref,
        reason = "ownership is by protocol, stated in the module's head"
    )]
    pub(crate) unsafe fn exchange(&self) -> &mut Exchange {
        // SAFETY: exclusive by the caller's promise.
        unsafe { &mut *self.exchange.get() }
    }

    /// Writes the context.
    ///
    /// # Safety
    /// The caller is the owner and the record is not open yet.
    pub(crate) unsafe fn set_context(&self, identity: Identity, tracestate: &[u8], baggage: &[u8]) {
        let tracestate = if tracestate.len() <= TRACESTATE {
            tracestate
        } else {
            &[]
        };
        let baggage = if baggage.len() <= BAGGAGE {
            baggage
        } else {
            &[]
        };
        // SAFETY: not published, so nobody reads; the lengths are checked.
        unsafe {
            *self.identity.get() = identity;
            (&mut (*self.tracestate.get()))[..tracestate.len()].copy_from_slice(tracestate);
            *self.tracestate_len.get() = tracestate.len() as u16;
            (&mut (*self.baggage.get()))[..baggage.len()].copy_from_slice(baggage);
            *self.baggage_len.get() = baggage.len() as u16;
        }
    }

    /// The span's identity.
    ///
    /// # Safety
    /// The caller owns the record or pins it, and the context was set.
    pub(crate) unsafe fn identity(&self) -> Identity {
        // SAFETY: written once before publication; the caller's pin or ownership keeps it from being reused.
        unsafe { *self.identity.get() }
    }

    /// The `tracestate` that the span's children inherit.
    ///
    /// # Safety
    /// As for [`Record::identity`].
    pub(crate) unsafe fn tracestate(&self) -> &[u8] {
        // SAFETY: as for identity.
        unsafe { &(&(*self.tracestate.get()))[..usize::from(*self.tracestate_len.get())] }
    }

    /// The `baggage` that the span's children inherit.
    ///
    /// # Safety
    /// As for [`Record::identity`].
    pub(crate) unsafe fn baggage(&self) -> &[u8] {
        // SAFETY: as for identity.
        unsafe { &(&(*self.baggage.get()))[..usize::from(*self.baggage_len.get())] }
    }

    /// Sets the route that the framework matched: once, and not when it is longer than [`ROUTE`].
    ///
    /// # Safety
    /// The caller pins the record.
    pub(crate) unsafe fn set_route(&self, route: &[u8]) {
        let fits = (1..=ROUTE).contains(&route.len());
        if fits
            && self
                .route_len
                .compare_exchange(0, WRITING, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            // SAFETY: only the one who has put WRITING there writes, and nobody reads until it is a length.
            unsafe { (&mut (*self.route.get()))[..route.len()].copy_from_slice(route) };
            self.route_len.store(route.len() as u16, Ordering::Release);
        }
    }

    /// The route that the framework matched, if it was told in time and is UTF-8.
    pub(crate) fn route(&self) -> Option<&str> {
        let len = usize::from(self.route_len.load(Ordering::Acquire));
        if len == 0 || len > ROUTE {
            return None;
        }
        // SAFETY: with a length there the bytes are written and stay as they are until the record is reused.
        let bytes = unsafe { &(&(*self.route.get()))[..len] };
        std::str::from_utf8(bytes).ok()
    }

    /// Room for the context header lines of this request.
    ///
    /// # Safety
    /// The caller holds the connection's lock and no other reference to the buffer.
    #[expect(
        clippy::mut_from_ref,
        reason = "ownership is by protocol, stated in the module's head"
    )]
    pub(crate) unsafe fn headers(&self) -> &mut [u8; HEADERS] {
        // SAFETY: exclusive by the caller's promise.
        unsafe { &mut *self.headers.get() }
    }

    /// Room for what is passed to the real call instead of the program's buffer.
    ///
    /// # Safety
    /// The caller pins the record and is the only writer on its connection.
    #[expect(
        clippy::mut_from_ref,
        reason = "ownership is by protocol, stated in the module's head"
    )]
    pub(crate) unsafe fn scratch(&self) -> &mut [u8; SCRATCH] {
        // SAFETY: exclusive by the caller's promise.
        unsafe { &mut (*self.scratch.get()).0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{region, slab::Slab};

    fn slab() -> &'static Slab<Record> {
        let at = region::map(size_of::<Slab<Record>>()).unwrap();
        // SAFETY: zeroed memory of the right size is an empty slab, and is never unmapped.
        unsafe { &*at.cast() }
    }

    #[test]
    fn a_zeroed_record_holds_an_empty_exchange() {
        let slab = slab();
        let record = slab.get(slab.take().unwrap()).unwrap();
        // SAFETY: this test owns the record.
        let exchange = unsafe { record.exchange() };
        assert_eq!(
            format!("{exchange:?}"),
            format!("{:?}", Exchange::default())
        );
    }

    #[test]
    fn the_first_route_counts_until_the_record_is_reused() {
        let slab = slab();
        let record = slab.get(slab.take().unwrap()).unwrap();
        record.begin(0);
        assert_eq!(record.route(), None);
        // SAFETY: this test owns the record.
        unsafe {
            record.set_route(b"");
            record.set_route(&[b'/'; ROUTE + 1]);
            record.set_route(b"/user/<int:id>");
            record.set_route(b"/other");
        }
        assert_eq!(record.route(), Some("/user/<int:id>"));
        record.begin(0);
        assert_eq!(record.route(), None);
    }

    #[test]
    fn pins_keep_a_record_and_fail_on_a_later_use() {
        let slab = slab();
        let index = slab.take().unwrap();
        let record = slab.get(index).unwrap();
        record.begin(0);
        let reference = record.reference(index);
        assert!(!record.pin_open(reference), "not open yet");
        record.open();
        assert!(record.pin_open(reference));
        assert!(record.shut() && !record.shut());
        assert!(!record.close(), "pinned");
        assert!(record.unpin(), "the last pin returns it");
        slab.give(index);
        assert_eq!(slab.take(), Some(index));
        record.begin(0);
        record.open();
        assert!(!record.pin_open(reference), "another use");
        assert!(!record.is_open(reference));
        assert!(record.close());
    }
}
