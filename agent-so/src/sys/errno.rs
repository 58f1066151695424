//! The program's errno, which no hook may change.

/// Reads errno.
#[inline]
pub(crate) fn get() -> i32 {
    // SAFETY: libc returns a valid pointer to the calling thread's errno.
    unsafe { *libc::__errno_location() }
}

/// Sets errno.
#[inline]
pub(crate) fn set(value: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value }
}
