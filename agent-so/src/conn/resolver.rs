//! Which name an address came from: the last answers of getaddrinfo.
//!
//! A ring of fixed entries, each guarded by a sequence number: a reader that meets a writer looks elsewhere.

use crate::sys::seqlock::Seq;
use agent_engine::exchange::Endpoint;
use agent_engine::hash::{START, fnv1a};
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers remembered.
const ENTRIES: usize = 64;
/// Longest name kept.
const NAME: usize = 255;

/// The ring. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Names {
    next: AtomicU32,
    /// A hash of each entry's address: most need not be read.
    hashes: [AtomicU32; ENTRIES],
    answers: [Seq<Answer>; ENTRIES],
}

/// A name that resolved to the address asked for.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    address: [u8; 16],
    len: u8,
    name: [u8; NAME],
    /// Whether the answer had further, other addresses after this one.
    pub(crate) more: bool,
}

impl Answer {
    /// The name.
    pub(crate) fn text(&self) -> &[u8] {
        self.name.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl Names {
    /// Remembers that `name` resolved to `endpoint`.
    pub(crate) fn remember(&self, endpoint: &Endpoint, name: &[u8], more: bool) {
        let (Some(address), Some(_)) = (key(endpoint), name.first()) else {
            return;
        };
        if name.len() > NAME {
            return;
        }
        let at = self.next.fetch_add(1, Ordering::Relaxed) as usize % ENTRIES;
        let mut answer = Answer {
            address,
            len: name.len() as u8,
            name: [0; NAME],
            more,
        };
        answer.name[..name.len()].copy_from_slice(name);
        self.answers[at].write(answer);
        self.hashes[at].store(hash(&address), Ordering::Release);
    }

    /// The latest name for the address of `endpoint`.
    pub(crate) fn find(&self, endpoint: &Endpoint) -> Option<Answer> {
        let wanted = key(endpoint)?;
        let hashed = hash(&wanted);
        let newest = self.next.load(Ordering::Relaxed) as usize;
        (1..=ENTRIES)
            .map(|back| newest.wrapping_sub(back) % ENTRIES)
            .filter(|at| self.hashes[*at].load(Ordering::Acquire) == hashed)
            .filter_map(|at| self.answers[at].read())
            .find(|answer| answer.address == wanted)
    }
}

/// Never 0.
fn hash(address: &[u8; 16]) -> u32 {
    (fnv1a(START, address) as u32).max(1)
}

fn key(endpoint: &Endpoint) -> Option<[u8; 16]> {
    match *endpoint {
        Endpoint::V4 {
            ip: [a, b, c, d], ..
        } => Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]),
        Endpoint::V6 { ip, .. } => Some(ip),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::region;

    #[test]
    fn the_latest_name_of_an_address_is_found() {
        let at = region::map(size_of::<Names>()).unwrap();
        // SAFETY: zeroed memory is an empty ring, never unmapped.
        let names: &'static Names = unsafe { &*at.cast() };
        let v4 = |d| Endpoint::V4 {
            ip: [127, 0, 0, d],
            port: 80,
        };
        let v6 = Endpoint::V6 {
            ip: [1; 16],
            port: 1,
        };
        assert!(names.find(&v4(1)).is_none());
        names.remember(&v4(1), b"localhost", true);
        names.remember(&v6, b"six", false);
        names.remember(&v4(1), b"db.internal", false);
        let found = names.find(&v4(1)).unwrap();
        assert_eq!((found.text(), found.more), (&b"db.internal"[..], false));
        assert_eq!(names.find(&v6).unwrap().text(), b"six");
        names.remember(&v4(2), &[b'x'; 300], false);
        assert!(names.find(&v4(2)).is_none());
        assert!(names.find(&Endpoint::Unix).is_none());
        for i in 0..200 {
            names.remember(&v4((i % 100) as u8 + 10), b"n", false);
        }
        assert!(names.find(&v4(1)).is_none(), "bounded");
    }
}
