//! New trace and span ids, from any thread at once, without lock and in a signal handler.

use super::{SpanId, TraceFlags, TraceId};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes ids from a secret key and a counter. Each of the three words an id is made of is a bijection of the counter:
/// within one key no span id comes twice. Not for cryptography.
///
/// The unseeded generator is all zero bytes, so it may live in memory that a forked child finds wiped: seed it
/// whenever [`IdGenerator::is_seeded`] says no, or parent and child make the same ids.
#[derive(Debug, Default)]
pub struct IdGenerator {
    key: [AtomicU64; 4],
    count: AtomicU64,
}

impl IdGenerator {
    /// An unseeded generator.
    pub const fn new() -> Self {
        Self {
            key: [const { AtomicU64::new(0) }; 4],
            count: AtomicU64::new(0),
        }
    }

    /// Whether it has a key.
    pub fn is_seeded(&self) -> bool {
        self.key[3].load(Ordering::Acquire) != 0
    }

    /// Sets the key: 32 random bytes. The counter starts at a random place too.
    pub fn seed(&self, random: [u64; 4]) {
        self.count
            .store(random[0] ^ random[3].rotate_left(17), Ordering::Relaxed);
        for (word, value) in self.key.iter().zip(random).take(3) {
            word.store(value, Ordering::Relaxed);
        }
        // The last word is never zero and is stored last: it tells that the others are there.
        self.key[3].store(random[3] | 1, Ordering::Release);
    }

    /// A trace id, with the flags that it starts with: the random bit, not sampled.
    pub fn trace_id(&self) -> (TraceId, TraceFlags) {
        loop {
            let count = self.next();
            let mut id = [0; 16];
            id[..8].copy_from_slice(&self.word(0, count).to_be_bytes());
            id[8..].copy_from_slice(&self.word(1, count).to_be_bytes());
            if id != [0; 16] {
                return (TraceId(id), TraceFlags::RANDOM);
            }
        }
    }

    /// A span id.
    pub fn span_id(&self) -> SpanId {
        loop {
            let id = self.word(2, self.next());
            if id != 0 {
                return SpanId(id.to_be_bytes());
            }
        }
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// A permutation of `count` by key: the finaliser of splitmix64, twice.
    fn word(&self, lane: usize, count: u64) -> u64 {
        let first = self.key[lane].load(Ordering::Relaxed);
        let second = self.key[3].load(Ordering::Relaxed);
        mix(mix(count.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ first).wrapping_add(second))
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn seeded(seed: u64) -> IdGenerator {
        let ids = IdGenerator::new();
        assert!(!ids.is_seeded());
        ids.seed([seed, 2, 3, 0]);
        assert!(ids.is_seeded());
        ids
    }

    #[test]
    fn ids_are_distinct_not_zero_and_differ_by_key() {
        let (a, b) = (seeded(1), seeded(4));
        let mut seen = HashSet::new();
        for _ in 0..20_000 {
            for ids in [&a, &b] {
                let (trace, flags) = ids.trace_id();
                assert_eq!(flags.bits(), 2);
                assert!(seen.insert(trace.0.to_vec()) && trace.0 != [0; 16]);
                assert!(seen.insert(ids.span_id().0.to_vec()));
            }
        }
    }

    #[test]
    fn every_bit_is_set_half_of_the_time() {
        let ids = seeded(7);
        let mut counts = [0u32; 128];
        for _ in 0..10_000 {
            let bits = u128::from_be_bytes(ids.trace_id().0.0);
            for (bit, count) in counts.iter_mut().enumerate() {
                *count += (bits >> bit & 1) as u32;
            }
        }
        assert!(
            counts.iter().all(|c| (4700..5300).contains(c)),
            "{counts:?}"
        );
    }
}
