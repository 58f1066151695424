//! A lock for a few hundred nanoseconds: nobody blocks, allocates or calls out while holding it.
//!
//! It knows its owner, so that a signal handler that interrupted the owner gives up instead of waiting for ever, and it
//! is given up on after a while, because the owner may have been cancelled or killed in there.

use super::{raw, thread};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Tries before a turn is given away.
const SPINS: u32 = 200;
/// Turns given away before the lock is given up on, as a rule.
pub(crate) const YIELDS: u32 = 100;

/// The lock. All-zero bytes are an open one.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct SpinLock {
    taken: AtomicU32,
    owner: AtomicUsize,
}

/// The lock, held; opened on drop.
#[derive(Debug)]
pub(crate) struct Guard<'a>(&'a SpinLock);

impl SpinLock {
    /// Takes the lock, giving away at most `yields` turns. `None` when the holder is this very thread or does not let go.
    pub(crate) fn acquire(&self, yields: u32) -> Option<Guard<'_>> {
        let me = thread::identity();
        for _ in 0..=yields {
            for _ in 0..SPINS {
                if self
                    .taken
                    .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    self.owner.store(me, Ordering::Relaxed);
                    return Some(Guard(self));
                }
                if self.owner.load(Ordering::Relaxed) == me {
                    return None;
                }
                std::hint::spin_loop();
            }
            // SAFETY: sched_yield takes no arguments.
            unsafe { raw::syscall6(libc::SYS_sched_yield, [0; 6]) };
        }
        None
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.owner.store(0, Ordering::Relaxed);
        self.0.taken.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_thread_is_refused_and_others_wait() {
        let lock = SpinLock::default();
        let held = lock.acquire(0);
        assert!(held.is_some());
        assert!(lock.acquire(u32::MAX).is_none());
        std::thread::scope(|scope| {
            assert!(scope.spawn(|| lock.acquire(1).is_none()).join().unwrap());
            let waits = scope.spawn(|| lock.acquire(u32::MAX).is_some());
            drop(held);
            assert!(waits.join().unwrap());
        });
    }
}
