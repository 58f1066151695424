//! Asking the kernel whether memory can be read, without touching it.

use super::raw::{self, Errno};

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// Whether the page of `address` can be read.
///
/// The cheapest system call that copies from user memory and changes nothing: `rt_sigprocmask` reads the new set before
/// it looks at `how`, which is invalid here, so a readable page gives EINVAL and any other EFAULT.
pub(crate) fn readable(address: usize) -> bool {
    const SET: usize = 8;
    // Stay inside the page: the set's eight bytes must not reach into the next one.
    let at = address.min((address | (PAGE - 1)) - (SET - 1));
    // SAFETY: an invalid `how` changes no mask; a bad address is what is asked about.
    let answer = unsafe { raw::call(libc::SYS_rt_sigprocmask, [usize::MAX, at, 0, SET, 0, 0]) };
    answer == Err(Errno(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_readable_pages_from_others() {
        let here = [0u8; 1];
        assert!(readable(here.as_ptr() as usize));
        assert!(!readable(0));
        assert!(!readable(8));
        assert!(!readable(usize::MAX));
        assert!(!readable(0xffff_8000_0000_0000));
    }
}
