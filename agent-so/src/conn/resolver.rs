//! Which name an address came from: the last answers of getaddrinfo.
//!
//! A ring of fixed entries, each guarded by a sequence number: a reader that meets a writer looks elsewhere.

use agent_engine::exchange::Endpoint;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Answers remembered.
const ENTRIES: usize = 64;
/// Longest name kept.
const NAME: usize = 255;

/// The ring. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Names {
    next: AtomicU32,
    entries: [Entry; ENTRIES],
}

#[repr(C)]
struct Entry {
    /// Odd while it is written.
    sequence: AtomicU32,
    answer: UnsafeCell<Answer>,
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

// SAFETY: entries are copied out and the copy is only used when the sequence number shows that no writer was there.
unsafe impl Sync for Entry {}

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
        let entry = &self.entries[at];
        let sequence = entry.sequence.load(Ordering::Relaxed);
        let taken = sequence.is_multiple_of(2)
            && entry
                .sequence
                .compare_exchange(sequence, sequence + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !taken {
            return;
        }
        let mut answer = Answer {
            address,
            len: name.len() as u8,
            name: [0; NAME],
            more,
        };
        answer.name[..name.len()].copy_from_slice(name);
        // SAFETY: the odd sequence number makes this the only writer; volatile, because readers may look meanwhile.
        unsafe { entry.answer.get().write_volatile(answer) };
        entry
            .sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// The latest name for the address of `endpoint`.
    pub(crate) fn find(&self, endpoint: &Endpoint) -> Option<Answer> {
        let wanted = key(endpoint)?;
        let newest = self.next.load(Ordering::Relaxed) as usize;
        for back in 1..=ENTRIES {
            let entry = &self.entries[newest.wrapping_sub(back) % ENTRIES];
            let before = entry.sequence.load(Ordering::Acquire);
            if before == 0 || before % 2 == 1 {
                continue;
            }
            // SAFETY: readable memory of plain bytes (the bool is only ever 0 or 1 when the sequence is even and
            // unchanged, which is checked before the copy is used).
            let answer = unsafe {
                entry
                    .answer
                    .get()
                    .cast::<std::mem::MaybeUninit<Answer>>()
                    .read_volatile()
            };
            fence(Ordering::Acquire);
            if entry.sequence.load(Ordering::Relaxed) != before {
                continue;
            }
            // SAFETY: written whole by `remember`, as the unchanged even sequence number shows.
            let answer = unsafe { answer.assume_init() };
            if answer.address == wanted {
                return Some(answer);
            }
        }
        None
    }
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
