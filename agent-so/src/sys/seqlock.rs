//! A value that one may write and many may read without waiting: a reader that meets a writer finds nothing.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The value with its sequence number. All-zero bytes are one that was never written.
#[repr(C)]
pub(crate) struct Seq<T> {
    /// Odd while it is written, 0 before the first time.
    sequence: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is copied out, and the copy is only used when the sequence number shows that no writer was there.
unsafe impl<T: Copy + Send> Sync for Seq<T> {}

impl<T: Copy> Seq<T> {
    /// Writes the value, unless another thread is at it: then nothing happens.
    pub(crate) fn write(&self, value: T) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        let taken = sequence.is_multiple_of(2)
            && self
                .sequence
                .compare_exchange(sequence, sequence + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !taken {
            return;
        }
        fence(Ordering::Release);
        // SAFETY: the odd sequence number makes this the only writer; volatile, because readers may look meanwhile.
        unsafe {
            self.value.get().cast::<T>().write_volatile(value);
        };
        // Never back to 0, which means never written.
        let next = match sequence.wrapping_add(2) {
            0 => 2,
            next => next,
        };
        self.sequence.store(next, Ordering::Release);
    }

    /// The value as it was last written; `None` if it never was or just is.
    pub(crate) fn read(&self) -> Option<T> {
        let before = self.sequence.load(Ordering::Acquire);
        if before == 0 || before % 2 == 1 {
            return None;
        }
        // SAFETY: readable memory; whatever it holds is a valid MaybeUninit.
        let value = unsafe { self.value.get().read_volatile() };
        fence(Ordering::Acquire);
        if self.sequence.load(Ordering::Relaxed) != before {
            return None;
        }
        // SAFETY: written whole, as the unchanged even sequence number shows.
        Some(unsafe { value.assume_init() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_never_sees_half_a_value() {
        // SAFETY: zeroed bytes are a value never written.
        let seq: Seq<[u64; 8]> = unsafe { std::mem::zeroed() };
        assert_eq!(seq.read(), None);
        seq.write([7; 8]);
        assert_eq!(seq.read(), Some([7; 8]));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..200_000).for_each(|n| seq.write([n; 8])));
            while !writer.is_finished() {
                if let Some(value) = seq.read() {
                    assert!(value.iter().all(|n| *n == value[0]), "{value:?}");
                }
            }
        });
        assert_eq!(seq.read(), Some([199_999; 8]));
    }
}
