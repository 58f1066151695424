//! How a function's beginning is overwritten and its original kept callable, behind one trait: `detour`, or with the
//! feature of that name `frida-gum` (docs/frida.md).

use super::check::Refusal;
use crate::sys::memory::PAGE;
use crate::sys::raw;
use std::ffi::c_void;

#[cfg(not(feature = "frida-gum"))]
mod detour;
#[cfg(feature = "frida-gum")]
mod frida;

#[cfg(not(feature = "frida-gum"))]
pub(super) type Chosen = detour::Detour;
#[cfg(feature = "frida-gum")]
pub(super) type Chosen = frida::Frida;

/// A way to replace functions. Everything happens between [`Backend::begin`] and [`Backend::end`], on one thread at a time.
pub(super) trait Backend {
    /// Most bytes that are overwritten at the beginning of a function.
    const PATCH: usize;

    /// A function that can be replaced, and is not yet.
    type Prepared;

    /// Gets ready. An error says that this process does not let code be changed: nothing was touched, and it is not asked again.
    fn begin() -> Result<(), Refusal>;

    /// Makes the way to the original and whatever leads to the replacement.
    ///
    /// # Safety
    /// `target` must be a function that passed [`super::check::check`], `replacement` one of the same type that is never unmapped.
    unsafe fn prepare(target: usize, replacement: *const c_void)
    -> Result<Self::Prepared, Refusal>;

    /// What to call instead of the function for what it did before. Never unmapped once enabled.
    fn trampoline(prepared: &Self::Prepared) -> *mut c_void;

    /// Replaces all of the functions, or none.
    ///
    /// # Safety
    /// No other thread may run the bytes that are overwritten.
    unsafe fn enable(all: Vec<Self::Prepared>) -> Result<(), Refusal>;

    /// Leaves no page writable that was not so before.
    fn end();
}

/// What code is while it is changed: executable all the time. (The way from writable back to executable may be refused.)
const OPEN: i32 = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;

/// Asks with a page of our own whether memory may be writable and executable.
fn may_write_code() -> Result<(), Refusal> {
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let arguments = [0, PAGE, OPEN as usize, private, usize::MAX, 0];
    // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
    let page = unsafe { raw::call(libc::SYS_mmap, arguments) }
        .map_err(|_| "memory that is writable and executable is refused")?;
    // SAFETY: the page just made, which nobody knows.
    let _ = unsafe { raw::call(libc::SYS_munmap, [page, PAGE, 0, 0, 0, 0]) };
    Ok(())
}
