//! Whom a command is for, where a library writes what many have asked for on a thread or in a turn of its own.
//!
//! The bridge knows it when the library puts the command into line, the stream when its first byte is sent. What both know is
//! the connection (by the socket's cookie) and the command's place on it: how many bytes were sent before it, or, where the
//! protocol numbers its requests, that number. An entry is taken when the request begins; a place is never told of twice while it
//! counts bytes, and a number only after the request that had it was answered.
//!
//! What had to make room for others, or could not be written down, is nobody's: nothing here may outlive what it was told of.

use crate::export::record::Ref;
use crate::sys::spin::{self, Guard, SpinLock};
use crate::sys::{errno, process, raw};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets of entries, told apart by connection and place.
const SETS: usize = 512;
/// Entries of a set: the newest replaces the oldest.
const WAYS: usize = 8;

/// The table. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Told {
    /// Anything was ever told.
    any: AtomicBool,
    sets: [Set; SETS],
}

#[repr(C)]
struct Set {
    lock: SpinLock,
    /// Something could not be written down: what is here may be older than it.
    spoilt: AtomicBool,
    entries: UnsafeCell<Entries>,
}

/// Oldest first, with the empty ones behind.
type Entries = [Entry; WAYS];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
struct Entry {
    /// Cookie of the socket; 0: the entry is empty.
    socket: u64,
    request: Ref,
    place: u32,
}

// SAFETY: the entries are only reached with the lock held.
unsafe impl Sync for Set {}

impl Set {
    /// The entries, for one who holds the lock.
    #[allow(clippy::mut_from_ref)]
    fn entries(&self, _held: &Guard<'_>) -> &mut Entries {
        // SAFETY: the guard is of this set's lock (both callers), and lives as long as what is given.
        let entries = unsafe { &mut *self.entries.get() };
        if self.spoilt.swap(false, Ordering::Relaxed) {
            *entries = Entries::default();
        }
        entries
    }
}

/// Takes the entry about this place out.
fn take(entries: &mut Entries, socket: u64, place: u32) -> Option<Ref> {
    let is_it = |entry: &Entry| entry.socket == socket && entry.place == place;
    let at = entries.iter().position(is_it)?;
    let request = entries[at].request;
    entries.copy_within(at + 1.., at);
    entries[WAYS - 1] = Entry::default();
    Some(request)
}

/// What begins at this place of the connection is for `request`, or for [`Ref::NOBODY`]. `fd`: the socket, whatever TLS is on it.
pub(super) fn tell(fd: i32, place: u32, request: Ref) {
    let Some(state) = process::state() else {
        return;
    };
    let errno = errno::get();
    let socket = raw::socket_cookie(fd);
    errno::set(errno);
    state.told.put(socket, place, request);
}

impl Told {
    /// What begins at this place of the connection is for `request`, or for [`Ref::NOBODY`].
    pub(crate) fn put(&self, socket: u64, place: u32, request: Ref) {
        if socket == 0 {
            return;
        }
        self.any.store(true, Ordering::Relaxed);
        let set = self.set(socket, place);
        let Some(held) = set.lock.acquire(spin::YIELDS) else {
            set.spoilt.store(true, Ordering::Relaxed);
            return;
        };
        let entries = set.entries(&held);
        take(entries, socket, place);
        let free = entries.iter().position(|entry| entry.socket == 0);
        let at = free.unwrap_or_else(|| {
            entries.copy_within(1.., 0);
            WAYS - 1
        });
        entries[at] = Entry {
            socket,
            request,
            place,
        };
    }

    /// Whether it was told whom this place is for.
    pub(crate) fn knows(&self, socket: u64, place: u32) -> bool {
        let is_it = |entry: &Entry| entry.socket == socket && entry.place == place;
        self.look(socket, place, |entries| {
            entries.iter().find(|e| is_it(e)).copied()
        })
        .is_some()
    }

    /// Whom it is for, once.
    pub(crate) fn take(&self, socket: u64, place: u32) -> Option<Ref> {
        self.look(socket, place, |entries| take(entries, socket, place))
    }

    fn look<R>(
        &self,
        socket: u64,
        place: u32,
        find: impl FnOnce(&mut Entries) -> Option<R>,
    ) -> Option<R> {
        if socket == 0 || !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let set = self.set(socket, place);
        let held = set.lock.acquire(spin::YIELDS)?;
        find(set.entries(&held))
    }

    fn set(&self, socket: u64, place: u32) -> &Set {
        let mixed = socket.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(place);
        let hash = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        &self.sets[(hash >> 48) as usize % SETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::region;

    fn table() -> &'static Told {
        let at = region::map(size_of::<Told>()).unwrap();
        // SAFETY: zeroed memory is an empty table, never unmapped.
        unsafe { &*at.cast() }
    }

    #[test]
    fn what_was_told_is_taken_once() {
        let told = table();
        assert_eq!(told.take(7, 0), None);
        told.put(7, 0, Ref(5));
        told.put(7, 31, Ref::NOBODY);
        told.put(8, 0, Ref(6));
        told.put(0, 0, Ref(9));
        assert!(told.knows(7, 0) && told.knows(7, 31) && !told.knows(7, 30) && !told.knows(0, 0));
        assert_eq!(told.take(7, 0), Some(Ref(5)));
        assert_eq!((told.take(7, 0), told.knows(7, 0)), (None, false));
        assert_eq!(told.take(7, 31), Some(Ref::NOBODY));
        told.put(8, 0, Ref(10));
        assert_eq!((told.take(8, 0), told.take(8, 0)), (Some(Ref(10)), None));
    }

    #[test]
    fn the_oldest_make_room_and_none_becomes_anothers() {
        let told = table();
        let at = |n: u64| (n % 3 + 1, n as u32 * 29);
        for n in 0..20_000 {
            told.put(at(n).0, at(n).1, Ref(n + 1));
        }
        let found: Vec<_> = (0..20_000)
            .map(|n| (n, told.take(at(n).0, at(n).1)))
            .filter(|(_, found)| found.is_some())
            .collect();
        assert!(found.iter().all(|(n, found)| *found == Some(Ref(n + 1))));
        let recent = found.iter().filter(|(n, _)| *n >= 20_000 - 1000).count();
        assert!(recent > 990, "{recent}");
        assert!(found.len() <= SETS * WAYS);
    }

    #[test]
    fn what_cannot_be_written_down_leaves_nothing_older() {
        let told = table();
        told.put(7, 3, Ref(5));
        let set = told.set(7, 3);
        let held = set.lock.acquire(0);
        told.put(7, 3, Ref(6));
        drop(held);
        assert_eq!(told.take(7, 3), None);
    }
}
