//! What `detour` asks about memory, in place of the crate of this name (`[patch.crates-io]` in the workspace's manifest).
//!
//! That one reads `/proc/self/maps` five times for each function that is replaced, a third of a millisecond, through libc: where other
//! hooks see it, with a descriptor that an `exec` at that moment would pass on. Here it is read once for all functions of a
//! library, by system calls. The interface is the part of the original's that `detour` 0.10 uses on Linux.

mod maps;
mod sys;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// What went wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// Nothing is mapped there.
    UnmappedRegion,
    /// Never given here.
    InvalidParameter(&'static str),
    /// The list of mappings is not as expected.
    ProcfsInput(String),
    /// The kernel refused, with this error number.
    SystemCall(i32),
    /// Never given here.
    MachCall(i32),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What may be done with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection(i32);

impl Protection {
    /// Nothing.
    pub const NONE: Self = Self(libc::PROT_NONE);
    /// Read.
    pub const READ: Self = Self(libc::PROT_READ);
    /// Read and run.
    pub const READ_EXECUTE: Self = Self(libc::PROT_READ | libc::PROT_EXEC);
    /// Read and write.
    pub const READ_WRITE: Self = Self(libc::PROT_READ | libc::PROT_WRITE);
    /// All.
    pub const READ_WRITE_EXECUTE: Self = Self(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
}

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    start: usize,
    end: usize,
    protection: Protection,
}

impl Region {
    /// Its addresses.
    pub fn as_range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// What may be done with it.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Whether it can be read.
    pub fn is_readable(&self) -> bool {
        self.protection.0 & libc::PROT_READ != 0
    }

    /// Whether it can be run.
    pub fn is_executable(&self) -> bool {
        self.protection.0 & libc::PROT_EXEC != 0
    }
}

static HELD: Mutex<Option<Vec<Region>>> = Mutex::new(None);

/// Reads the list of mappings and answers from it until [`release`]. What is mapped meanwhile is not seen: `detour` asks the kernel
/// for memory by hints only, so that an address that is not free any more is no harm.
pub fn hold() -> Result<()> {
    let all = maps::read()?;
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
    Ok(())
}

/// Forgets the list.
pub fn release() {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// The mapping that an address is in.
pub fn query<T>(address: *const T) -> Result<Region> {
    query_range(address, 1)?
        .next()
        .ok_or(Error::UnmappedRegion)?
}

/// The mappings that a range touches, in order.
pub fn query_range<T>(
    address: *const T,
    size: usize,
) -> Result<impl Iterator<Item = Result<Region>>> {
    let range = address as usize..(address as usize).saturating_add(size);
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let among = |all: &[Region]| -> Vec<Region> {
        let touched = |one: &&Region| one.end > range.start && one.start < range.end;
        all.iter().filter(touched).copied().collect()
    };
    let found = match &*held {
        Some(all) => among(all),
        None => among(&maps::read()?),
    };
    Ok(found.into_iter().map(Ok))
}

/// Changes what may be done with the pages of a range.
///
/// # Safety
/// Whoever uses these pages must get along with it.
pub unsafe fn protect<T>(address: *const T, size: usize, protection: Protection) -> Result<()> {
    let start = page::floor(address) as usize;
    let end = (address as usize + size).next_multiple_of(page::size());
    // SAFETY: forwarded to the caller.
    unsafe { sys::mprotect(start, end - start, protection.0) }.map_err(Error::SystemCall)
}

/// Pages.
pub mod page {
    /// Bytes of one.
    pub fn size() -> usize {
        4096
    }

    /// The beginning of the page that an address is in.
    pub fn floor<T>(address: *const T) -> *const T {
        (address as usize & !(size() - 1)) as *const T
    }

    /// The same for what is no beginning: the next page's.
    pub fn ceil<T>(address: *const T) -> *const T {
        (address as usize).next_multiple_of(size()) as *const T
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_code_data_and_nothing() {
        let code = query(query::<u8> as fn(*const u8) -> Result<Region> as *const u8).unwrap();
        assert!(code.is_executable() && code.is_readable());
        assert_eq!(code.protection(), Protection::READ_EXECUTE);
        let local = 0u8;
        let stack = query(&raw const local).unwrap();
        assert!(!stack.is_executable());
        assert!(stack.as_range().contains(&(&raw const local as usize)));
        assert_eq!(query(std::ptr::null::<u8>()), Err(Error::UnmappedRegion));
    }

    #[test]
    fn ranges_are_answered_in_order_and_pages_change() {
        hold().unwrap();
        let all: Vec<Region> = query_range(std::ptr::null::<u8>(), usize::MAX)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        release();
        assert!(all.len() > 5);
        assert!(all.windows(2).all(|two| two[0].end <= two[1].start));

        let layout = std::alloc::Layout::from_size_align(8192, 4096).unwrap();
        // SAFETY: a valid layout; the page belongs to this test, and is what it was when it is given back.
        unsafe {
            let page = std::alloc::alloc(layout);
            protect(page.add(5), 1, Protection::READ).unwrap();
            assert_eq!(query(page).unwrap().protection(), Protection::READ);
            assert_eq!(
                query(page.add(4096)).unwrap().protection(),
                Protection::READ_WRITE
            );
            protect(page, 1, Protection::READ_WRITE).unwrap();
            assert_eq!(query(page).unwrap().protection(), Protection::READ_WRITE);
            std::alloc::dealloc(page, layout);
        }
        // SAFETY: nothing is mapped at the very beginning, so nothing changes.
        let refused = unsafe { protect(std::ptr::null::<u8>(), 1, Protection::READ) };
        assert_eq!(refused, Err(Error::SystemCall(libc::ENOMEM)));
    }

    #[test]
    fn pages_begin_where_they_do() {
        let at = |address: usize| address as *const u8;
        assert_eq!(page::floor(at(8191)), at(4096));
        assert_eq!(page::ceil(at(4097)), at(8192));
        assert_eq!(page::ceil(at(8192)), at(8192));
    }
}
