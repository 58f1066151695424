//! What the machines need from whoever runs them.

use super::Direction;
use super::wide::{Wide, WideId};
use crate::exchange::{Exchange, Kind, System};

/// Names one exchange in the [`Host`]'s store. Zero is no exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExchangeId(pub u32);

/// What a protocol machine needs from its surroundings. The agent implements it over preallocated memory, tests
/// over a `Vec`. Calls happen while the connection is locked: they must not block.
pub trait Host {
    /// A request began: gives an empty exchange for it, or `None` when all room is taken (the exchange is then not
    /// recorded, but the stream is still followed). `start_ns` is stored by the machine. `system`: the database that is
    /// spoken to, or none.
    fn open(&mut self, kind: Kind, system: System) -> Option<ExchangeId>;
    /// Whether spans are wanted of what passes to (or at) this database; if not, its bytes are not read at all.
    fn follows(&self, kind: Kind, system: System) -> bool;
    /// As [`Host::open`], for a request that may turn out to be a call of gRPC.
    fn open_stream(&mut self, kind: Kind) -> Option<ExchangeId> {
        self.open(kind, System::None)
    }
    /// Whether a span is wanted of this kind of request, now that it is known; if not, it is discarded instead of told.
    fn wants(&mut self, _id: ExchangeId) -> bool {
        true
    }
    /// The record behind an id that [`Host::open`] gave and that was not closed or discarded.
    fn exchange(&mut self, id: ExchangeId) -> &mut Exchange;
    /// The request head is complete: parent, sampling and context are decided here.
    fn request_head(&mut self, id: ExchangeId);
    /// The exchange is over, `end_ns` and all the rest is set: the span may be made.
    fn finished(&mut self, id: ExchangeId);
    /// It was not that protocol after all, or a statement that is not told of after all: no span.
    fn discard(&mut self, id: ExchangeId);
    /// Index of a header to capture, by its lower-case name, or `None`.
    fn captured_header(&self, kind: Kind, response: bool, name: &[u8]) -> Option<u8>;
    /// A request is not recorded because its connection has too many others open; it is to be counted.
    fn passed_over(&mut self);
    /// A new [`Wide`] for a connection, or `None` when all are taken (the stream then becomes opaque).
    fn wide(&mut self) -> Option<WideId>;
    /// The one behind an id that [`Host::wide`] gave and that was not released.
    fn wide_mut(&mut self, id: WideId) -> &mut Wide;
    /// The connection needs it no more; [`Wide::reset`] makes it new for the next one.
    fn release_wide(&mut self, id: WideId);
    /// TLS begins on this stream, whose bytes say nothing from here on: `random` is the client's (RFC 8446 section
    /// 4.1.2), and this program is the client where it went [`Direction::Out`].
    fn tls_begins(&mut self, dir: Direction, random: &[u8; 32]);
    /// This database has greeted the program, which goes on inside of TLS.
    fn greeted(&mut self, _system: System) {}
    /// The database that has greeted programs at this stream's peer, if any is known.
    fn greeted_as(&mut self) -> System {
        System::None
    }
    /// Whether the calling thread, which waits for what it asks, sent the request before this one, too.
    fn same_sender(&self) -> bool;
    /// Whether it was told for whom the command is that begins so many bytes (modulo 2^32) after the connection's first.
    fn is_told(&self, _place: u32) -> bool {
        false
    }
    /// When this program began to make the connection, and when it stood (monotonic nanoseconds); `None` where that was
    /// not seen.
    fn connected(&mut self) -> Option<(u64, u64)>;
}
