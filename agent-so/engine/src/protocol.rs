//! Byte streams in both directions of one connection, and the protocol machines that read them.
//!
//! A [`Stream`] is what the agent keeps per connection. It detects the protocol from the first bytes of each
//! direction, hands all bytes to that protocol's machine, and tells when nothing more is to be learned.
//! A new protocol is one file in `protocol/` and one line in the detector.

pub mod http1;

use crate::exchange::{Exchange, Fault, Kind};

/// Direction of bytes, seen from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The program received them.
    In,
    /// The program sent them.
    Out,
}

/// How one direction of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed (a read returned 0), or the program shut its sending side down.
    Eof,
    /// The call failed for good (never EAGAIN, EINTR and the like).
    Failed(Fault),
}

/// Names one exchange in the [`Host`]'s store. Zero is no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExchangeId(pub u32);

/// What a protocol machine needs from its surroundings. The agent implements it over preallocated memory, tests
/// over a `Vec`. Calls happen while the connection is locked: they must not block.
pub trait Host {
    /// A request began: gives room for it, or `None` when all room is taken (the exchange is then not
    /// recorded, but the stream is still followed). `start_ns` is stored by the machine.
    fn open(&mut self, kind: Kind) -> Option<ExchangeId>;
    /// The record behind an id that [`Host::open`] gave and that was not closed or discarded.
    fn exchange(&mut self, id: ExchangeId) -> &mut Exchange;
    /// The request head is complete: parent, sampling and context are decided here.
    fn request_head(&mut self, id: ExchangeId);
    /// The exchange is over, `end_ns` and all the rest is set: the span may be made.
    fn finished(&mut self, id: ExchangeId);
    /// It was not that protocol after all: no span.
    fn discard(&mut self, id: ExchangeId);
    /// Index of a header to capture, by its lower-case name, or `None`.
    fn captured_header(&self, kind: Kind, response: bool, name: &[u8]) -> Option<u8>;
}

/// What is known of a stream after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough seen: keep feeding.
    Undecided,
    /// A known protocol: keep feeding.
    Tracked,
    /// Nothing (more) to be learned here: stop feeding. All open exchanges were finished or discarded.
    Opaque,
}
