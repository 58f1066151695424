//! Anonymous memory that is zero in every forked child.
//!
//! All state of the hook path lives in such regions, so that a forked child, however it was forked, starts from
//! nothing: it neither shares the parent's connections and spans nor has to clean up after it.

use super::raw;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when the kernel refused `MADV_WIPEONFORK` (before 4.14): the fork hook must then wipe by hand.
static WIPE_BY_HAND: AtomicBool = AtomicBool::new(false);

/// Maps `size` bytes of zeroed memory, page-aligned, never given back. `None` when the kernel refuses.
pub(crate) fn map(size: usize) -> Option<*mut u8> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let at =
        unsafe { raw::call(libc::SYS_mmap, [0, size, protection, flags, usize::MAX, 0]) }.ok()?;
    // SAFETY: advice on the mapping just made.
    let wiped = unsafe {
        raw::call(
            libc::SYS_madvise,
            [at, size, libc::MADV_WIPEONFORK as usize, 0, 0, 0],
        )
    };
    if wiped.is_err() {
        WIPE_BY_HAND.store(true, Ordering::Relaxed);
    }
    Some(at as *mut u8)
}

/// Whether forked children have to call [`wipe`] themselves.
pub(crate) fn wipe_by_hand() -> bool {
    WIPE_BY_HAND.load(Ordering::Relaxed)
}

/// Zeroes a region that [`map`] gave.
///
/// # Safety
/// Nothing may use the region at the same time: only for the single thread of a forked child.
pub(crate) unsafe fn wipe(at: *mut u8, size: usize) {
    // SAFETY: MADV_DONTNEED on private anonymous memory reads as zero afterwards; the caller owns the region.
    let _ = unsafe {
        raw::call(
            libc::SYS_madvise,
            [at as usize, size, libc::MADV_DONTNEED as usize, 0, 0, 0],
        )
    };
}
