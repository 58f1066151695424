//! The thread word: the only thread-local state of the hook path.
//!
//! It is initial-exec storage defined in assembly, because stable rustc emits general-dynamic TLS, whose slow path
//! may call malloc. It has no destructor, is zero in every new thread, and zero means "nothing known".

use std::arch::{asm, global_asm};
use std::cell::Cell;

/// This thread is the agent's own: hooks pass through.
pub(crate) const AGENT: u32 = 1;
/// This thread called vfork: whoever runs on it may be the child in its parent's memory.
pub(crate) const VFORK: u32 = 2;
/// This thread has a descriptor table of its own.
pub(crate) const SEPARATE: u32 = 8;
/// This thread has read a server request.
pub(crate) const SERVES: u32 = 4;
/// What a bridge says of this thread it has from whoever began it (`bridge::ruby`).
pub(crate) const INHERITED: u32 = 32;
/// An event loop runs here that reads outside of the context in which it then calls the program (`bridge::python`).
pub(crate) const READS_OUTSIDE: u32 = 16;

/// This thread has waited for several descriptors, requests to come among them.
pub(crate) const WAITED: u32 = 64;
/// The request that this thread read last came out of such a wait: it may be an event loop.
pub(crate) const DOUBT: u32 = 128;
/// This thread has waited in the middle of a request for an answer, and for nothing else: it is none.
pub(crate) const PROVEN: u32 = 256;
/// Virtual threads of a Java machine run on this thread.
pub(crate) const CARRIER: u32 = 512;
/// This thread selects among descriptors (`bridge::java`).
pub(crate) const SELECTS: u32 = 1024;

/// Per-thread state. Cells suffice: only the owning thread (and its signal handlers) touches them.
#[repr(C)]
pub(crate) struct Thread {
    /// Stack pointer at which the thread entered the agent; 0 when it is not inside.
    guard: Cell<usize>,
    /// The server exchange whose bytes this thread read last (`records::Ref`, 0 for none).
    pub(crate) last_read: Cell<u64>,
    /// [`AGENT`], [`VFORK`], [`SERVES`], [`SEPARATE`], [`READS_OUTSIDE`], [`INHERITED`], [`WAITED`], [`DOUBT`],
    /// [`PROVEN`], [`CARRIER`], [`SELECTS`].
    pub(crate) flags: Cell<u32>,
    /// Signals that the thread blocked when it began to serve.
    pub(crate) usual_mask: Cell<u64>,
    /// What a bridge says of the thread (`context::bridge`), 0 for nothing.
    pub(crate) current: Cell<u64>,
    /// What a bridge told the runtime on this thread last.
    pub(crate) told: Cell<u64>,
    /// What a bridge is to tell the runtime as soon as the program's code is called.
    pub(crate) pending: Cell<u64>,
    /// What a bridge has to undo when that code returns: where, and how.
    pub(crate) lent: Cell<[usize; 2]>,
    /// The epoll set that the thread made while it served `nested_in` (`records::Ref`).
    pub(crate) nested: Cell<i32>,
    /// The descriptor that the thread accepted since it waited last, + 1; 0 for none.
    pub(crate) accepted: Cell<i32>,
    /// See `nested`.
    pub(crate) nested_in: Cell<u64>,
    /// The call into a library that is a database in which the thread is: where its stack was, and for which connection
    /// (`conn::statements`).
    pub(crate) library: Cell<[usize; 2]>,
}

global_asm!(
    ".section .tbss.otel_run,\"awT\",@nobits",
    ".hidden otel_run_thread",
    ".globl otel_run_thread",
    ".type otel_run_thread,@object",
    ".size otel_run_thread,104",
    ".p2align 3",
    "otel_run_thread: .zero 104",
    ".previous",
);

#[inline(always)]
fn address() -> *const Thread {
    let p: *const Thread;
    // SAFETY: x86-64 TLS variant II: fs:[0] holds the thread pointer, the GOT slot the block's offset from it.
    unsafe {
        asm!("mov {p}, fs:[0]", "add {p}, [rip + otel_run_thread@GOTTPOFF]", p = out(reg) p,
            options(nostack, readonly, preserves_flags));
    }
    p
}

/// The calling thread's word.
#[inline(always)]
pub(crate) fn current() -> &'static Thread {
    // SAFETY: the block is part of the thread's static TLS, zero-initialised (all fields valid at zero), and lives as
    // long as the thread; the reference never leaves the thread because the hook path only uses it on the spot.
    unsafe { &*address() }
}

/// A number that tells threads apart while they live.
pub(crate) fn identity() -> usize {
    address() as usize
}

/// Where the calling thread's stack is.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Proof that this thread is inside the agent once; leaving happens on drop.
pub(crate) struct Inside(&'static Thread);

impl Thread {
    /// Enters the agent, unless this thread is inside already (a signal handler that interrupted it, or a call of
    /// the agent's own) or is the agent's thread.
    ///
    /// The guard is the stack pointer: a guard below the current frame was left by a longjmp or a cancellation and
    /// counts no more. (A handler on an alternate stack above may thereby enter twice: everything it can reach is
    /// lock-free or gives up on a taken lock.)
    #[inline]
    pub(crate) fn enter(&'static self) -> Option<Inside> {
        if self.flags.get() & AGENT != 0 {
            return None;
        }
        let sp = stack_pointer();
        let guard = self.guard.get();
        if guard != 0 && sp < guard {
            return None;
        }
        self.guard.set(sp);
        Some(Inside(self))
    }

    /// Forgets the requests that this thread served in the process that it was forked from.
    pub(crate) fn forget(&self) {
        self.last_read.set(0);
        self.current.set(0);
        self.told.set(0);
        self.pending.set(0);
        self.nested_in.set(0);
        self.accepted.set(0);
        self.clear(SERVES | WAITED | DOUBT | PROVEN);
    }

    /// Sets a flag.
    pub(crate) fn set(&self, flag: u32) {
        self.flags.set(self.flags.get() | flag);
    }

    /// Clears a flag.
    pub(crate) fn clear(&self, flag: u32) {
        self.flags.set(self.flags.get() & !flag);
    }

    /// Whether a flag is set.
    #[inline]
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.guard.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_zeroed_word() {
        current().last_read.set(7);
        let other = std::thread::spawn(|| (identity(), current().last_read.get()));
        let (other, value) = other.join().unwrap();
        assert_eq!(value, 0);
        assert_ne!(other, identity());
        assert_eq!(current().last_read.replace(0), 7);
    }

    #[inline(never)]
    fn deeper() -> bool {
        std::hint::black_box(current().enter().is_some())
    }

    #[test]
    fn entering_twice_is_refused_and_a_stale_guard_is_not() {
        let inside = current().enter();
        assert!(inside.is_some());
        assert!(!deeper());
        drop(inside);
        assert!(deeper());
        current().guard.set(16);
        assert!(deeper(), "the frame at 16 is gone");
    }
}
