//! Which addresses are databases: a connect that fails has no bytes to tell.

use agent_engine::exchange::{Endpoint, System};
use agent_engine::hash::{START, fnv1a};
use std::sync::atomic::{AtomicU64, Ordering};

/// Addresses remembered; two that fall on one place displace each other.
const PLACES: usize = 64;

/// All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Stores {
    /// A hash of the address, with the index in [`System::ALL`] in its low byte.
    places: [AtomicU64; PLACES],
}

impl Stores {
    /// A `system` was spoken to at `peer`.
    pub(crate) fn remember(&self, peer: &Endpoint, system: System) {
        let index = System::ALL.iter().position(|known| *known == system);
        if let (Some(hash), Some(index)) = (hash(peer), index) {
            let place = &self.places[(hash >> 8) as usize % PLACES];
            let word = hash & !0xff | index as u64;
            if place.load(Ordering::Relaxed) != word {
                place.store(word, Ordering::Relaxed);
            }
        }
    }

    /// What is to be expected at `peer`: what was spoken to there, else what has that port. [`System::None`]: nothing is known.
    pub(crate) fn find(&self, peer: &Endpoint) -> System {
        let known = hash(peer).and_then(|hash| {
            let word = self.places[(hash >> 8) as usize % PLACES].load(Ordering::Relaxed);
            (word != 0 && word & !0xff == hash & !0xff).then_some((word & 0xff) as usize)
        });
        if let Some(system) = known.and_then(|index| System::ALL.get(index)) {
            return *system;
        }
        let (Endpoint::V4 { port, .. } | Endpoint::V6 { port, .. }) = *peer else {
            return System::None;
        };
        // Others than ClickHouse live at its port, too.
        let certain = |system: &System| {
            system.default_port() == port && port != 0 && *system != System::ClickHouse
        };
        System::ALL.into_iter().find(certain).unwrap_or_default()
    }
}

/// Of address and port, never 0.
fn hash(peer: &Endpoint) -> Option<u64> {
    let mix = |ip: &[u8], port: u16| fnv1a(fnv1a(START, ip), &port.to_be_bytes()).max(1 << 8);
    match peer {
        Endpoint::V4 { ip, port } => Some(mix(ip, *port)),
        Endpoint::V6 { ip, port } => Some(mix(ip, *port)),
        Endpoint::Unknown | Endpoint::Unix => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Endpoint {
        Endpoint::V4 {
            ip: [127, 0, 0, 1],
            port,
        }
    }

    #[test]
    fn addresses_and_ports() {
        let stores = Stores {
            places: [const { AtomicU64::new(0) }; PLACES],
        };
        assert_eq!(stores.find(&at(7000)), System::None);
        assert_eq!(stores.find(&at(6379)), System::Redis);
        assert_eq!(stores.find(&at(9000)), System::None);
        assert_eq!(stores.find(&at(0)), System::None);
        assert_eq!(stores.find(&Endpoint::Unix), System::None);
        stores.remember(&at(7000), System::PostgreSql);
        stores.remember(&at(6379), System::Memcached);
        assert_eq!(stores.find(&at(7000)), System::PostgreSql);
        assert_eq!(stores.find(&at(6379)), System::Memcached);
        assert_eq!(stores.find(&at(7001)), System::None);
    }
}
