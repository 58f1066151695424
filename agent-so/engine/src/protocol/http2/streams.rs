//! The open requests of one connection, by stream.

use crate::protocol::ExchangeId;

/// How many requests of one connection are followed at once.
pub(super) const STREAMS_MAX: usize = 512;

/// One open request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    pub(super) stream: u32,
    pub(super) exchange: ExchangeId,
    /// Some of the final response was seen.
    pub(super) answering: bool,
    /// CONNECT: the response's head makes it a tunnel.
    pub(super) connect: bool,
    /// When a call's time is up, monotonic nanoseconds; 0: never.
    pub(super) deadline_ns: u64,
}

/// The open requests in the order of their streams, which is the order in which they began.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    len: u16,
    open: [Open; STREAMS_MAX],
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            len: 0,
            open: [Open::default(); STREAMS_MAX],
        }
    }
}

impl Streams {
    pub(super) fn reset(&mut self) {
        self.len = 0;
    }

    pub(super) fn all(&self) -> &[Open] {
        &self.open[..usize::from(self.len)]
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.len) == STREAMS_MAX
    }

    /// Adds one, whose stream is newer than all others; there must be room.
    pub(super) fn push(&mut self, open: Open) {
        self.open[usize::from(self.len)] = open;
        self.len += 1;
    }

    pub(super) fn get(&mut self, stream: u32) -> Option<&mut Open> {
        let at = self.position(stream)?;
        self.open.get_mut(at)
    }

    pub(super) fn find(&self, stream: u32) -> Option<&Open> {
        self.open.get(self.position(stream)?)
    }

    pub(super) fn remove(&mut self, stream: u32) -> Option<Open> {
        let at = self.position(stream)?;
        let open = self.open[at];
        self.open.copy_within(at + 1..usize::from(self.len), at);
        self.len -= 1;
        Some(open)
    }

    /// The newest stream, if it is above `stream`.
    pub(super) fn newest_above(&self, stream: u32) -> Option<u32> {
        let newest = self.all().last()?.stream;
        (newest > stream).then_some(newest)
    }

    /// Takes the oldest out.
    pub(super) fn pop_oldest(&mut self) -> Option<Open> {
        let oldest = self.all().first()?.stream;
        self.remove(oldest)
    }

    fn position(&self, stream: u32) -> Option<usize> {
        self.all()
            .binary_search_by_key(&stream, |open| open.stream)
            .ok()
    }
}
