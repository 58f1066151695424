//! Which protocol is it? Decided from the first bytes of both directions, never from one alone.

use super::tls::{self, Hello};
use super::{Direction, Judge, Probe, Protocol, db, fastcgi, http1, http2};
use crate::exchange::Kind;

/// First bytes kept of each direction: as many as the neediest protocol wants to see.
const PREFIX_MAX: usize = tls::PREFIX_MAX;
/// Bytes of both directions together after which an undecided connection is given up. One direction may be known not to
/// carry requests long before the other says its first word.
const BUDGET: u32 = 4096;
/// As many for a hello whose answer was seen: all that servers say before the client speaks again.
const ANSWER_BUDGET: u32 = 64 * 1024;

/// The protocols: how many first bytes of a direction each wants to see, and its opinion of them. A new one is one more line, a
/// database one in [`db::PROBES`], which come after these.
const PROBES: [(Protocol, usize, Judge); 3] = [
    (Protocol::Http2, http2::PREFIX_MAX, http2::probe),
    (Protocol::Http1, http1::PREFIX_MAX, http1::probe),
    (Protocol::FastCgi, fastcgi::PREFIX_MAX, fastcgi::probe),
];

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This protocol, and the program has this role.
    Yes(Protocol, Kind),
    /// None that is followed.
    No,
    /// Undecided.
    More,
}

/// The first bytes of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detector {
    sides: [Side; 2],
    /// Bytes seen in both directions, saturating.
    seen: u32,
}

#[derive(Clone, Copy, Debug)]
struct Side {
    /// When the first byte passed; empty lines before a message do not count.
    first_ns: u64,
    prefix: [u8; PREFIX_MAX],
    len: u8,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            first_ns: 0,
            prefix: [0; PREFIX_MAX],
            len: 0,
        }
    }
}

impl Side {
    fn prefix(&self) -> &[u8] {
        &self.prefix[..usize::from(self.len)]
    }

    fn first(&self, most: usize) -> &[u8] {
        let prefix = self.prefix();
        &prefix[..prefix.len().min(most)]
    }
}

impl Detector {
    /// Whether no byte was seen.
    pub(super) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// Keeps what fits of `bytes`.
    pub(super) fn keep(&mut self, dir: Direction, bytes: &[u8], now_ns: u64) {
        self.seen = self
            .seen
            .saturating_add(bytes.len().min(u32::MAX as usize) as u32);
        let side = &mut self.sides[dir as usize];
        if side.prefix().iter().all(|b| matches!(b, b'\r' | b'\n')) {
            side.first_ns = now_ns;
        }
        let room = &mut side.prefix[usize::from(side.len)..];
        let kept = room.len().min(bytes.len());
        room[..kept].copy_from_slice(&bytes[..kept]);
        side.len += kept as u8;
    }

    /// How many bytes of `dir` are kept.
    pub(super) fn kept(&self, dir: Direction) -> usize {
        usize::from(self.sides[dir as usize].len)
    }

    /// Asks the protocols, see [`PROBES`]: `No` needs all of them, the first `Yes` wins.
    pub(super) fn probe(&self) -> Found {
        let [incoming, outgoing] = &self.sides;
        let mut all_say_no = true;
        let databases = db::PROBES.map(|(system, most, probe)| (Protocol::Db(system), most, probe));
        for (protocol, most, probe) in PROBES.into_iter().chain(databases) {
            match probe(incoming.first(most), outgoing.first(most)) {
                Probe::Yes(role) => return Found::Yes(protocol, role),
                Probe::No => {}
                Probe::More => all_say_no = false,
            }
        }
        if all_say_no || self.seen > BUDGET {
            Found::No
        } else {
            Found::More
        }
    }

    /// What is known of TLS on this connection, and the direction in which its hello went.
    pub(super) fn hello(&self) -> (Direction, Hello) {
        let [incoming, outgoing] = self.sides.each_ref().map(|side| tls::hello(side.prefix()));
        match (incoming, outgoing) {
            (Hello::Yes(_), _) => (Direction::In, incoming),
            (_, Hello::Yes(_)) => (Direction::Out, outgoing),
            (Hello::No | Hello::Answer, Hello::No | Hello::Answer) => (Direction::In, Hello::No),
            (Hello::Answer, Hello::Silence | Hello::More)
            | (Hello::Silence | Hello::More, Hello::Answer)
                if self.seen <= ANSWER_BUDGET =>
            {
                (Direction::In, Hello::More)
            }
            _ if self.seen > BUDGET => (Direction::In, Hello::No),
            (Hello::More, _) | (_, Hello::More) => (Direction::In, Hello::More),
            _ => (Direction::In, Hello::Silence),
        }
    }

    /// The kept bytes of `dir`, and when the first of them passed.
    pub(super) fn prefix(&self, dir: Direction) -> (&[u8], u64) {
        let side = &self.sides[dir as usize];
        (side.prefix(), side.first_ns)
    }
}
