//! Memory of the connections whose protocol needs more than a [`super::Stream`] has room for.

use super::db::cassandra::compressed::Compressed as Frames;
use super::db::cassandra::flight::Flight;
use super::db::mysql::compressed::Compressed as Packets;
use super::db::texts::Texts;
use super::http2;
use crate::inflate::Inflate;

/// Names one [`Wide`] in the [`super::Host`]'s pool. Zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WideId(pub u32);

/// What one connection keeps beyond its [`super::Stream`]: fixed size, no pointers, and all-zero bytes are a new one. The order
/// of the fields keeps what a connection with few and short requests touches on few pages.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Wide {
    pub(super) http2: http2::State,
    /// Requests to Cassandra.
    pub(super) flight: Flight,
    /// Statements of databases. A connection uses what its protocol needs, and only those pages are ever touched.
    pub(super) texts: Texts,
    /// Where the compressed packets of MySQL stand, and frames of Cassandra, and what is in those: of the server's, and of the
    /// client's. Whoever uses them makes them new.
    pub(super) packets: [Packets; 2],
    pub(super) frames: [Frames; 2],
    pub(super) inflate: [Inflate; 2],
}

impl Wide {
    /// Makes a used one new again, touching little of its memory.
    pub fn reset(&mut self) {
        self.http2.reset();
        self.flight.reset();
        self.texts.reset();
    }

    /// The unfinished exchange of one stream.
    pub(super) fn exchange_on(&self, stream: u32) -> Option<super::ExchangeId> {
        self.http2.exchange_on(stream)
    }

    /// The unfinished exchanges, oldest first.
    pub(super) fn open_exchanges(&self) -> impl Iterator<Item = super::ExchangeId> {
        self.http2.open_exchanges()
    }
}
