//! Stretches of what a program passes to one call: the pieces of memory that the kernel would read.

use crate::sys::memory;
use libc::iovec;

/// A stretch of what the program passed to one call.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a> {
    /// All that it passed.
    pub(crate) pieces: &'a [iovec],
    /// First byte of the stretch, counted over all pieces.
    pub(crate) from: usize,
    /// End of the stretch.
    pub(crate) to: usize,
}

impl<'a> Stretch<'a> {
    /// All of it. The lengths add up to no more than `isize::MAX`, or the kernel refuses the call.
    pub(crate) fn whole(pieces: &'a [iovec]) -> Self {
        let to = pieces
            .iter()
            .fold(0usize, |sum, piece| sum.saturating_add(piece.iov_len));
        Self {
            pieces,
            from: 0,
            to,
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether it is all that the program passed.
    pub(super) fn is_whole(&self) -> bool {
        self.from == 0 && self.to == Self::whole(self.pieces).to
    }

    /// The part of it that stands in the first `most` pieces from where it begins.
    pub(super) fn first_pieces(self, most: usize) -> Self {
        let (mut position, mut count) = (0usize, 0);
        for piece in self.pieces {
            position = position.saturating_add(piece.iov_len);
            if position > self.from {
                count += 1;
            }
            if count == most || position >= self.to {
                break;
            }
        }
        Self {
            to: self.to.min(position),
            ..self
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all of it can be read: asks the kernel once a page, so for short stretches only.
    pub(super) fn is_readable(&self) -> bool {
        let mut readable = true;
        let see = |bytes: &[u8]| {
            let (first, last) = (
                bytes.as_ptr() as usize,
                bytes.as_ptr() as usize + bytes.len() - 1,
            );
            let mut page = first;
            while readable && page <= last {
                readable = memory::readable(page);
                page = (page | (memory::PAGE - 1)) + 1;
            }
        };
        // SAFETY: the slices are not looked into.
        unsafe { self.each(see) };
        readable
    }

    /// Calls `see` with each part that stands in one piece.
    ///
    /// # Safety
    /// The memory is readable.
    pub(crate) unsafe fn each(&self, mut see: impl FnMut(&'a [u8])) {
        let mut position = 0usize;
        for piece in self.pieces {
            let end = position.saturating_add(piece.iov_len);
            let (start, stop) = (self.from.clamp(position, end), self.to.clamp(position, end));
            if start < stop {
                // SAFETY: readable by the caller's promise; not null, because its length is not 0.
                see(unsafe {
                    std::slice::from_raw_parts(
                        piece.iov_base.cast::<u8>().add(start - position),
                        stop - start,
                    )
                });
            }
            position = end;
            if position >= self.to {
                break;
            }
        }
    }
}
