//! What each descriptor is: one word a descriptor, for every descriptor a process can have.

use crate::sys::region;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// Not looked at yet.
pub(crate) const UNKNOWN: u32 = 0;
/// Not a stream socket, or one on which nothing is to be learned: hooks pass through.
pub(crate) const IGNORED: u32 = 1;
/// The agent's own.
pub(crate) const OWN: u32 = 2;
/// A stream socket on which nothing was seen yet.
pub(crate) const FRESH: u32 = 3;
/// From here on: connection slot + this.
pub(crate) const CONN: u32 = 16;

/// Descriptors per chunk. The first chunk is part of the table: one load for a usual descriptor.
const CHUNK: usize = 4096;
/// Enough chunks for every number an `int` can hold.
const CHUNKS: usize = (i32::MAX as usize + 1) / CHUNK;

/// The table. All-zero bytes are one in which every descriptor is [`UNKNOWN`].
#[repr(C)]
pub(crate) struct Table {
    first: [AtomicU32; CHUNK],
    highest: AtomicI32,
    chunks: [AtomicPtr<AtomicU32>; CHUNKS],
}

impl Table {
    /// The word of `fd`; [`IGNORED`] for a number that cannot be one.
    #[inline(always)]
    pub(crate) fn get(&self, fd: i32) -> u32 {
        match self.first.get(fd as usize) {
            Some(word) => word.load(Ordering::Acquire),
            None => self.get_high(fd),
        }
    }

    #[cold]
    fn get_high(&self, fd: i32) -> u32 {
        if fd < 0 {
            return IGNORED;
        }
        self.word(fd, false)
            .map_or(UNKNOWN, |word| word.load(Ordering::Acquire))
    }

    /// Sets the word of `fd` and returns the one before.
    pub(crate) fn set(&self, fd: i32, value: u32) -> u32 {
        let Some(word) = self.word(fd, value != UNKNOWN) else {
            return UNKNOWN;
        };
        if value != UNKNOWN {
            self.highest.fetch_max(fd, Ordering::Relaxed);
        }
        word.swap(value, Ordering::AcqRel)
    }

    /// Sets the word of `fd` if it is `expected`.
    pub(crate) fn replace(&self, fd: i32, expected: u32, value: u32) -> bool {
        let Some(word) = self.word(fd, value != UNKNOWN) else {
            return expected == UNKNOWN;
        };
        if value != UNKNOWN {
            self.highest.fetch_max(fd, Ordering::Relaxed);
        }
        word.compare_exchange(expected, value, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The highest descriptor that was ever anything but unknown.
    pub(crate) fn highest(&self) -> i32 {
        self.highest.load(Ordering::Relaxed)
    }

    fn word(&self, fd: i32, make: bool) -> Option<&AtomicU32> {
        let at = usize::try_from(fd).ok()?;
        if let Some(word) = self.first.get(at) {
            return Some(word);
        }
        let chunk = self.chunks.get(at / CHUNK)?;
        let mut base = chunk.load(Ordering::Acquire);
        if base.is_null() {
            if !make {
                return None;
            }
            let mapped = region::map(CHUNK * size_of::<AtomicU32>())?.cast::<AtomicU32>();
            // A chunk mapped twice by a race is 16 KiB of untouched address space: not worth an unmap.
            base = match chunk.compare_exchange(
                std::ptr::null_mut(),
                mapped,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => mapped,
                Err(other) => other,
            };
        }
        // SAFETY: a chunk is a mapping of CHUNK words that is never unmapped; zero is a valid word.
        Some(unsafe { &*base.add(at % CHUNK) })
    }

    /// Zeroes the chunks beyond the first, for kernels that cannot wipe on fork.
    ///
    /// # Safety
    /// Only for the single thread of a forked child.
    pub(crate) unsafe fn wipe_chunks(&self) {
        for chunk in &self.chunks {
            let at = chunk.load(Ordering::Relaxed);
            if !at.is_null() {
                // SAFETY: forwarded to the caller; the chunk is a mapping of this size.
                unsafe { region::wipe(at.cast(), CHUNK * size_of::<AtomicU32>()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_every_descriptor() {
        let at = region::map(size_of::<Table>()).unwrap();
        // SAFETY: zeroed memory of the right size is an empty table, and is never unmapped.
        let table: &'static Table = unsafe { &*at.cast() };
        for fd in [0, 1023, 1024, 4095, 4096, 65_535, 1_000_000, i32::MAX] {
            assert_eq!(table.get(fd), UNKNOWN);
            assert_eq!(table.set(fd, CONN + 5), UNKNOWN);
            assert!(!table.replace(fd, IGNORED, FRESH));
            assert!(table.replace(fd, CONN + 5, FRESH));
            assert_eq!(table.get(fd), FRESH);
        }
        for fd in [-1, i32::MIN] {
            assert_eq!(table.get(fd), IGNORED);
            assert_eq!(table.set(fd, FRESH), UNKNOWN);
            assert_eq!(table.get(fd), IGNORED);
        }
        assert_eq!(table.highest(), i32::MAX);
    }
}
