//! Which protocol is it? Decided from the first bytes of both directions, never from one alone.

use super::{Direction, Probe, http1};

/// First bytes kept of each direction: as many as the neediest protocol wants to see.
const PREFIX_MAX: usize = http1::PREFIX_MAX;
/// Bytes of both directions together after which an undecided connection is given up. One direction may be known not to
/// carry requests long before the other says its first word.
const BUDGET: u32 = 4096;

/// The first bytes of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detector {
    sides: [Side; 2],
    /// Bytes seen in both directions, saturating.
    seen: u32,
    /// Whether the outgoing direction was the first one with bytes.
    out_first: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    /// When the first byte passed.
    first_ns: u64,
    prefix: [u8; PREFIX_MAX],
    len: u8,
    /// More passed than was kept.
    overflow: bool,
}

impl Side {
    fn prefix(&self) -> &[u8] {
        &self.prefix[..usize::from(self.len)]
    }
}

impl Detector {
    /// Whether no byte was seen.
    pub(super) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// Keeps what fits of `bytes`; gives how many bytes that were.
    pub(super) fn keep(&mut self, dir: Direction, bytes: &[u8], now_ns: u64) -> usize {
        if self.is_fresh() {
            self.out_first = dir == Direction::Out;
        }
        self.seen = self
            .seen
            .saturating_add(bytes.len().min(u32::MAX as usize) as u32);
        let side = &mut self.sides[dir as usize];
        if side.len == 0 {
            side.first_ns = now_ns;
        }
        let room = &mut side.prefix[usize::from(side.len)..];
        let kept = room.len().min(bytes.len());
        room[..kept].copy_from_slice(&bytes[..kept]);
        side.len += kept as u8;
        side.overflow |= kept < bytes.len();
        kept
    }

    /// Asks the protocols. A new one is one more line here: `No` needs all of them, the first `Yes` wins.
    pub(super) fn probe(&self) -> Probe {
        let [incoming, outgoing] = &self.sides;
        match http1::probe(incoming.prefix(), outgoing.prefix()) {
            Probe::More if self.seen > BUDGET => Probe::No,
            probe => probe,
        }
    }

    /// The kept bytes of the direction that the request came in, and when the first of them passed.
    pub(super) fn request(&self, dir: Direction) -> (&[u8], u64) {
        let side = &self.sides[dir as usize];
        (side.prefix(), side.first_ns)
    }

    /// The same of the direction opposite to the request's, if they can be an answer. What was said before the
    /// request began belongs to something that was not seen from its start, as on a connection that was handed
    /// over; so does a direction of which bytes were lost.
    pub(super) fn response(&self, dir: Direction) -> Option<(&[u8], u64)> {
        let side = &self.sides[dir as usize];
        let spoke_first = self.out_first == (dir == Direction::Out);
        (side.len > 0 && !side.overflow && !spoke_first).then(|| (side.prefix(), side.first_ns))
    }
}
