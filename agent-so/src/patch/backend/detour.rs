//! Inline patches by the crate `detour`: a five-byte jump to a relay within reach.
//!
//! What it really does, and what follows: it maps pools of one page, readable, writable and executable, for relays and trampolines.
//! The pools are closed here after each use and opened before the next. It makes the patched page writable without taking away that
//! it is executable; where that is refused (SELinux, MemoryDenyWriteExecute) nothing has happened yet. It asks for the
//! mappings again and again, which our own `region` answers from one read of `/proc/self/maps`; without `/proc` it does nothing.

use super::{Backend, OPEN, Refusal, may_write_code};
use crate::sys::memory::PAGE;
use crate::sys::{self, raw};
use detour::{RawDetour, Threads, Transaction};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

pub(crate) struct Detour;

/// Never dropped: threads may be inside at any time once it is enabled, and dropping the last trampoline of a pool would unmap
/// a page that is listed below.
type Kept = ManuallyDrop<RawDetour>;

/// Most pools, and with them most functions replaced in a process's life (some 32 in each): an unloaded library's
/// trampolines are never given back, because taking a patch out of it would touch memory that is gone.
const POOLS: usize = 32;
/// The pages that hold trampolines; those of the relays are among them, since a relay is made with its trampoline.
static PAGES: [AtomicUsize; POOLS] = [const { AtomicUsize::new(0) }; POOLS];
/// Wipe-on-fork memory that is 1 in the process on whose heap `detour` keeps its list of pools.
static OWNER: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// The process id, for kernels that cannot wipe.
static OWNER_ID: AtomicU32 = AtomicU32::new(0);

fn pages() -> impl Iterator<Item = usize> {
    PAGES
        .iter()
        .map(|page| page.load(Ordering::Relaxed))
        .take_while(|&page| page != 0)
}

fn protect(page: usize, protection: i32) -> Result<(), raw::Errno> {
    // SAFETY: a page of `detour`'s, which only we use; it stays executable, so that who runs in it is not disturbed.
    unsafe {
        raw::call(
            libc::SYS_mprotect,
            [page, PAGE, protection as usize, 0, 0, 0],
        )
    }
    .map(|_| ())
}

const CLOSED: i32 = libc::PROT_READ | libc::PROT_EXEC;

/// How many pools the list has room for before it moves: the growth of a vector.
fn room(pools: usize) -> usize {
    match pools {
        0 => 0,
        n => n.next_power_of_two().max(4),
    }
}

/// Whether the list of pools may grow. A forked child must not give back memory of its parent's heap.
fn may_grow() -> Result<(), Refusal> {
    /// Pools that one function can need.
    const EACH: usize = 2;
    let pools = pages().count();
    if pools + EACH > POOLS {
        return Err("too many functions were replaced already");
    }
    if pools > 0 && pools + EACH > room(pools) && !is_owner() {
        return Err("no room is left in a list made before a fork");
    }
    Ok(())
}

fn is_owner() -> bool {
    // SAFETY: null or a mapping that is never unmapped, valid when zero.
    let flag = unsafe { OWNER.load(Ordering::Relaxed).as_ref() };
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed) == 1)
        && OWNER_ID.load(Ordering::Relaxed) == raw::getpid()
}

fn become_owner() {
    if OWNER.load(Ordering::Relaxed).is_null()
        && let Some(page) = sys::region::map(PAGE)
    {
        OWNER.store(page.cast(), Ordering::Relaxed);
    }
    // SAFETY: as in `is_owner`.
    if let Some(flag) = unsafe { OWNER.load(Ordering::Relaxed).as_ref() } {
        flag.store(1, Ordering::Relaxed);
        OWNER_ID.store(raw::getpid(), Ordering::Relaxed);
    }
}

/// Remembers the pool of a new trampoline.
fn remember(trampoline: usize) {
    let page = trampoline & !(PAGE - 1);
    let pools = pages().count();
    if pages().any(|known| known == page) {
        return;
    }
    if room(pools + 1) != room(pools) {
        become_owner();
    }
    if let Some(free) = PAGES.get(pools) {
        free.store(page, Ordering::Relaxed);
    }
}

impl Backend for Detour {
    const PATCH: usize = 5;
    type Prepared = Kept;

    fn begin() -> Result<(), Refusal> {
        // Else `detour` would turn a whole pool from executable to writable and back while the program may run in it.
        may_write_code()?;
        region::hold().map_err(|_| "/proc/self/maps cannot be read")?;
        if pages().all(|page| protect(page, OPEN).is_ok()) {
            return Ok(());
        }
        Self::end();
        Err("memory that is writable and executable is refused now")
    }

    unsafe fn prepare(target: usize, replacement: *const c_void) -> Result<Kept, Refusal> {
        may_grow()?;
        // SAFETY: by the caller's promise both are functions, of one type.
        let prepared = unsafe { RawDetour::new(target as *const (), replacement.cast()) };
        let prepared = prepared.map_err(|error| why(&error))?;
        remember(prepared.trampoline() as usize);
        Ok(ManuallyDrop::new(prepared))
    }

    fn trampoline(prepared: &Kept) -> *mut c_void {
        prepared.trampoline().cast_mut().cast()
    }

    unsafe fn enable(all: Vec<Kept>) -> Result<(), Refusal> {
        let mut transaction = Transaction::new();
        for prepared in &all {
            transaction.enable(&**prepared);
        }
        // SAFETY: by the caller's promise nobody runs the patched bytes.
        let done = unsafe { transaction.commit(Threads::None) };
        done.map_err(|error| why(&error))
    }

    fn end() {
        region::release();
        for page in pages() {
            // Refused, the page stays as `detour` made it.
            let _ = protect(page, CLOSED);
        }
    }
}

fn why(error: &detour::Error) -> Refusal {
    use detour::Error;
    match error {
        Error::NotExecutable => "it is not in executable memory",
        Error::NotInitialized | Error::SameAddress => "it is its own replacement",
        Error::AlreadyInitialized => "it was replaced already",
        Error::InvalidInstruction | Error::UnsupportedInstruction => "it cannot be moved",
        Error::PatchAreaTooSmall => "it is too short",
        Error::NoNearbyMemory => "no memory is free within reach",
        Error::TargetModified => "somebody else changed it",
        _ => "memory could not be changed",
    }
}
