//! Fixed-size slots in wipe-on-fork memory, handed out without locks.
//!
//! Slots come in chunks that are mapped when needed and never unmapped, so that an index stays readable for ever.
//! Free slots form a stack (the most recently freed, still cached, is reused first); a tag in its head keeps
//! a slow thread from succeeding with a stale head.

use super::region;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Most chunks of one slab.
const CHUNKS: usize = 1024;

/// A slot type: valid when all its bytes are zero, with room for the free list's link.
///
/// # Safety
/// All-zero bytes must be a valid value, and the type must not need dropping.
pub(crate) unsafe trait Slot: Sync {
    /// Slots per chunk.
    const PER_CHUNK: u32;
    /// Most slots ever; beyond it [`Slab::take`] gives `None`.
    const MAX: u32;
    /// Where the free list keeps its link while the slot is free.
    fn link(&self) -> &AtomicU32;
}

/// A slab. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Slab<T: Slot> {
    /// tag << 32 | index + 1 of the first free slot (0: none).
    free: AtomicU64,
    /// Slots ever handed out fresh.
    fresh: AtomicU32,
    chunks: [AtomicPtr<T>; CHUNKS],
    _slots: PhantomData<T>,
}

impl<T: Slot> Slab<T> {
    /// The slot of an index that [`Slab::take`] gave (it may be free again). `None` for an index never given.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let chunk = self
            .chunks
            .get((index / T::PER_CHUNK) as usize)?
            .load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: a non-null chunk is a mapping of PER_CHUNK slots that is never unmapped; zeroed slots are valid.
        Some(unsafe { &*chunk.add((index % T::PER_CHUNK) as usize) })
    }

    /// Takes a slot: its contents are those of its last use, or zero.
    pub(crate) fn take(&self) -> Option<u32> {
        let mut head = self.free.load(Ordering::Acquire);
        while let Some(index) = (head as u32).checked_sub(1) {
            let next = self.get(index)?.link().load(Ordering::Relaxed);
            let tagged = ((head >> 32).wrapping_add(1) << 32) | u64::from(next);
            match self
                .free
                .compare_exchange_weak(head, tagged, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
        self.take_fresh()
    }

    /// Gives a slot back. It must have been taken and not given back since.
    pub(crate) fn give(&self, index: u32) {
        let Some(slot) = self.get(index) else { return };
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            slot.link().store(head as u32, Ordering::Relaxed);
            let tagged = ((head >> 32).wrapping_add(1) << 32) | u64::from(index + 1);
            match self
                .free
                .compare_exchange_weak(head, tagged, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// How many different slots were ever in use: indices below this may be passed to [`Slab::get`].
    pub(crate) fn high_water(&self) -> u32 {
        self.fresh.load(Ordering::Acquire).min(T::MAX)
    }

    fn take_fresh(&self) -> Option<u32> {
        let index = self
            .fresh
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < T::MAX).then_some(n + 1)
            })
            .ok()?;
        let chunk = self.chunks.get((index / T::PER_CHUNK) as usize)?;
        if chunk.load(Ordering::Acquire).is_null() {
            let size = size_of::<T>() * T::PER_CHUNK as usize;
            let mapped = region::map(size)?.cast::<T>();
            let lost = chunk
                .compare_exchange(
                    std::ptr::null_mut(),
                    mapped,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_err();
            if lost {
                // SAFETY: nobody but this call knows the mapping that lost the race.
                let _ = unsafe {
                    super::raw::call(libc::SYS_munmap, [mapped as usize, size, 0, 0, 0, 0])
                };
            }
        }
        Some(index)
    }

    /// Zeroes every chunk and forgets none of them, for kernels that cannot wipe on fork.
    ///
    /// # Safety
    /// Only for the single thread of a forked child.
    pub(crate) unsafe fn wipe_chunks(&self) {
        for chunk in &self.chunks {
            let at = chunk.load(Ordering::Acquire);
            if !at.is_null() {
                // SAFETY: forwarded to the caller; the chunk is a mapping of this size.
                unsafe { region::wipe(at.cast(), size_of::<T>() * T::PER_CHUNK as usize) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    #[repr(C)]
    struct Probe {
        link: AtomicU32,
        owner: AtomicU32,
    }
    // SAFETY: atomics are valid when zero.
    unsafe impl Slot for Probe {
        const PER_CHUNK: u32 = 16;
        const MAX: u32 = 40;
        fn link(&self) -> &AtomicU32 {
            &self.link
        }
    }

    fn slab() -> &'static Slab<Probe> {
        let at = region::map(size_of::<Slab<Probe>>()).unwrap();
        // SAFETY: zeroed memory of the right size is an empty slab, and is never unmapped.
        unsafe { &*at.cast() }
    }

    #[test]
    fn gives_distinct_slots_up_to_its_limit_and_reuses_them() {
        let slab = slab();
        let all: HashSet<u32> = (0..40).map(|_| slab.take().unwrap()).collect();
        assert_eq!(all.len(), 40);
        assert_eq!(slab.take(), None);
        slab.give(7);
        assert_eq!(slab.take(), Some(7));
        assert_eq!(slab.take(), None);
        assert!(slab.get(16 * 1024).is_none());
    }

    #[test]
    fn no_slot_has_two_owners_under_contention() {
        let slab = slab();
        let bad = Mutex::new(0);
        std::thread::scope(|scope| {
            for id in 1..=4 {
                let bad = &bad;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        let Some(index) = slab.take() else { continue };
                        let slot = slab.get(index).unwrap();
                        if slot.owner.swap(id, Ordering::SeqCst) != 0 {
                            *bad.lock().unwrap() += 1;
                        }
                        slot.owner.store(0, Ordering::SeqCst);
                        slab.give(index);
                    }
                });
            }
        });
        assert_eq!(*bad.lock().unwrap(), 0);
    }
}
