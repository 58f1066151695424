//! The agent's own heap, so that it need not use the program's malloc. (The standard library still does for the handle of the
//! agent's thread, once, on that thread.)
//!
//! The program's allocator may be one that logs, checks or profiles, may be locked by the very thread that a signal
//! handler interrupted, or may be half-way through a fork. Allocation happens on the agent's thread, in the
//! constructor, and when the exporter is set up; never on the hook path.
//!
//! A forked child starts with an empty heap (the control block is in wipe-on-fork memory): what the parent had
//! allocated stays readable (the configuration) and is forgotten, never freed.

use super::{raw, region, thread};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

#[repr(C)]
struct Control {
    /// 0: not begun, 1: usable.
    begun: AtomicU32,
    /// 0 free, 1 taken, 2 taken with waiters.
    lock: AtomicU32,
    heap: std::cell::UnsafeCell<std::mem::MaybeUninit<dlmalloc::Dlmalloc>>,
}

static CONTROL: AtomicPtr<Control> = AtomicPtr::new(std::ptr::null_mut());

struct AgentHeap;

#[cfg_attr(not(test), global_allocator)]
static HEAP: AgentHeap = AgentHeap;

fn control() -> Option<&'static Control> {
    let mut at = CONTROL.load(Ordering::Acquire);
    if at.is_null() {
        let fresh = region::map(size_of::<Control>())?.cast::<Control>();
        at = match CONTROL.compare_exchange(
            std::ptr::null_mut(),
            fresh,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => fresh,
            Err(other) => other,
        };
    }
    // SAFETY: the mapping is never unmapped and all-zero bytes are a valid Control (the heap inside is MaybeUninit).
    Some(unsafe { &*at })
}

fn with_heap<R>(f: impl FnOnce(&mut dlmalloc::Dlmalloc) -> R) -> Option<R> {
    let control = control()?;
    while control
        .lock
        .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        if control.lock.swap(2, Ordering::Acquire) == 0 {
            break;
        }
        raw::futex_wait(&control.lock, 2, None);
    }
    // SAFETY: the lock is held, so this is the only reference.
    let heap = unsafe { &mut *control.heap.get() };
    if control.begun.load(Ordering::Relaxed) == 0 {
        heap.write(dlmalloc::Dlmalloc::new());
        control.begun.store(1, Ordering::Relaxed);
    }
    // SAFETY: written just now, or by an earlier call in this process.
    let result = f(unsafe { heap.assume_init_mut() });
    if control.lock.swap(0, Ordering::Release) == 2 {
        raw::futex_wake(&control.lock);
    }
    Some(result)
}

/// What an allocation gave. Without memory the standard library would end the process: instead the agent is switched off and
/// its thread sleeps for ever. (Program threads ask by [`has_room`] first.)
fn given(block: Option<*mut u8>) -> *mut u8 {
    let block = block.unwrap_or(std::ptr::null_mut());
    if block.is_null() && thread::current().has(thread::AGENT) {
        crate::export::stop();
    }
    block
}

/// Whether `size` bytes can be had.
pub(crate) fn has_room(size: usize) -> bool {
    let Ok(layout) = Layout::from_size_align(size, 16) else {
        return false;
    };
    // SAFETY: a valid layout of more than no bytes; the block is given back at once.
    unsafe {
        let block = HEAP.alloc(layout);
        if block.is_null() {
            return false;
        }
        HEAP.dealloc(block, layout);
    }
    true
}

/// Forgets the heap in a forked child whose kernel cannot wipe on fork.
pub(crate) fn forget() {
    if let Some(control) = control() {
        control.begun.store(0, Ordering::Relaxed);
        control.lock.store(0, Ordering::Relaxed);
    }
}

// SAFETY: dlmalloc returns blocks that satisfy the layout or null, under a lock; blocks do not move by themselves.
unsafe impl GlobalAlloc for AgentHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: size and alignment are those of a valid layout.
        given(with_heap(|heap| unsafe {
            heap.malloc(layout.size(), layout.align())
        }))
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of this heap with its layout.
        with_heap(|heap| unsafe { heap.free(ptr, layout.size(), layout.align()) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for alloc.
        given(with_heap(|heap| unsafe {
            heap.calloc(layout.size(), layout.align())
        }))
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller passes a block of this heap with its layout.
        given(with_heap(|heap| unsafe {
            heap.realloc(ptr, layout.size(), layout.align(), new_size)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_distinct_and_keep_their_bytes() {
        let heap = AgentHeap;
        let layout = Layout::from_size_align(100, 64).unwrap();
        // SAFETY: valid layouts; each block is used within its size and freed once.
        unsafe {
            let a = heap.alloc(layout);
            let b = heap.alloc_zeroed(layout);
            assert!(!a.is_null() && !b.is_null() && a != b && (a as usize).is_multiple_of(64));
            a.write_bytes(7, 100);
            assert_eq!(*b.add(99), 0);
            let a = heap.realloc(a, layout, 100_000);
            assert_eq!(*a.add(99), 7);
            heap.dealloc(a, Layout::from_size_align(100_000, 64).unwrap());
            heap.dealloc(b, layout);
        }
    }
}
