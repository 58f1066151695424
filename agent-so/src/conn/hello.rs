//! TLS connections as their sockets saw them begin, until their sessions are known to a TLS library too.
//!
//! The client's random, which passes in the clear, is the key: the library tells the same 32 bytes of its session.
//! So a session finds its peer whoever carries its records, an event loop with memory buffers included.

use crate::export::record::Ref;
use crate::sys::seqlock::Seq;
use agent_engine::exchange::Endpoint;
use agent_engine::protocol::Direction;
use std::sync::atomic::{AtomicU32, Ordering};

/// Sets of entries, told apart by the last bytes of the random.
const SETS: usize = 1024;
/// Entries of a set: the newest replaces the oldest. With 4, and 512 sets, chance puts a fifth one of 200
/// handshakes at once into a set once in 40 times (the test with that many failed about as often, and more).
const WAYS: usize = 8;

/// The table: 8192 handshakes under way. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Hellos {
    sets: [Set; SETS],
}

#[repr(C)]
struct Set {
    next: AtomicU32,
    entries: [Seq<Hello>; WAYS],
}

/// What the socket knew.
#[derive(Clone, Copy)]
pub(crate) struct Hello {
    random: [u8; 32],
    /// A process may be both ends of a connection.
    dir: Direction,
    /// The other end.
    pub(crate) peer: Endpoint,
    /// The server request that was being served when the connection was made.
    pub(crate) connect_parent: Ref,
    /// When it was made.
    pub(crate) connect_start_ns: u64,
    /// Which socket it is (`SO_COOKIE`).
    pub(crate) cookie: u64,
}

impl Hello {
    /// A connection whose ClientHello went `dir` with this random; the rest is to be filled in.
    pub(crate) fn new(random: [u8; 32], dir: Direction) -> Self {
        Self {
            random,
            dir,
            peer: Endpoint::Unknown,
            connect_parent: Ref::default(),
            connect_start_ns: 0,
            cookie: 0,
        }
    }
}

impl Hellos {
    /// Remembers a connection.
    pub(crate) fn remember(&self, hello: Hello) {
        let set = self.set(&hello.random);
        let at = set.next.fetch_add(1, Ordering::Relaxed) as usize % WAYS;
        set.entries[at].write(hello);
    }

    /// The connection whose ClientHello went `dir` with this random.
    pub(crate) fn find(&self, random: &[u8; 32], dir: Direction) -> Option<Hello> {
        self.set(random)
            .entries
            .iter()
            .filter_map(Seq::read)
            .find(|hello| hello.random == *random && hello.dir == dir)
    }

    fn set(&self, random: &[u8; 32]) -> &Set {
        // The last bytes: some clients put the time into the first four.
        &self.sets[usize::from(u16::from_le_bytes([random[30], random[31]])) % SETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::region;

    #[test]
    fn a_thousand_handshakes_at_once_are_all_known() {
        let at = region::map(size_of::<Hellos>()).unwrap();
        // SAFETY: zeroed memory is an empty table, never unmapped.
        let hellos: &'static Hellos = unsafe { &*at.cast() };
        let mut seed = 1u64;
        let randoms: Vec<[u8; 32]> = (0..1000)
            .map(|_| {
                let mut random = [0; 32];
                for chunk in random.chunks_exact_mut(8) {
                    // splitmix64
                    seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
                }
                random
            })
            .collect();
        for random in &randoms {
            hellos.remember(Hello::new(*random, Direction::In));
        }
        assert!(
            randoms
                .iter()
                .all(|random| hellos.find(random, Direction::In).is_some())
        );
    }

    #[test]
    fn both_ends_of_a_connection_are_told_apart_and_the_newest_stay() {
        let at = region::map(size_of::<Hellos>()).unwrap();
        // SAFETY: zeroed memory is an empty table, never unmapped.
        let hellos: &'static Hellos = unsafe { &*at.cast() };
        let v4 = |port| Endpoint::V4 {
            ip: [127, 0, 0, 1],
            port,
        };
        let random = |first| {
            let mut random = [9; 32];
            random[0] = first;
            random
        };
        assert!(hellos.find(&random(1), Direction::In).is_none());
        for (dir, port) in [(Direction::In, 1), (Direction::Out, 2)] {
            hellos.remember(Hello {
                peer: v4(port),
                ..Hello::new(random(1), dir)
            });
        }
        for (dir, port) in [(Direction::In, 1), (Direction::Out, 2)] {
            assert_eq!(hellos.find(&random(1), dir).unwrap().peer, v4(port));
        }
        // All of these fall into one set.
        for first in 2..2 + WAYS as u8 {
            hellos.remember(Hello::new(random(first), Direction::In));
        }
        assert!(hellos.find(&random(1), Direction::In).is_none());
        assert!(hellos.find(&random(2), Direction::In).is_some());
        assert!(hellos.find(&random(2), Direction::Out).is_none());
    }
}
