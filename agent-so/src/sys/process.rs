//! The state of this process: one wipe-on-fork region, so that every forked child begins with none.

use super::slab::Slab;
use super::thread::{self, VFORK};
use super::{heap, raw, region};
use crate::conn::Conn;
use crate::conn::hello::Hellos;
use crate::conn::resolver::Names;
use crate::conn::session::Sessions;
use crate::conn::statements::Statements;
use crate::conn::table::Table;
use crate::context::Correlation;
use crate::context::bridge::cells::Cells;
use crate::context::bridge::told::Told;
use crate::export::Queue;
use crate::export::record::Record;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Everything the hook path knows. All-zero bytes are a process in which nothing was seen yet.
#[repr(C)]
pub(crate) struct State {
    /// Descriptor table; first, because every hook starts with a look at it.
    pub(crate) table: Table,
    /// 0 in a process that has not begun (a new fork), 1 while it begins, 2 when the fields below are set.
    begun: AtomicU32,
    /// Process id, to tell a child that shares our memory (vfork, clone) from ourselves.
    pid: AtomicU32,
    /// 1 where libc knows how the process came to be: an exec or a fork of its own.
    libc_knows: AtomicU32,
    /// Seed and counter of the id generator.
    pub(crate) ids: IdSource,
    /// Connection slots.
    pub(crate) conns: Slab<Conn>,
    /// Exchanges under way or waiting to be exported.
    pub(crate) records: Slab<Record>,
    /// What connections of HTTP/2 and to databases need beyond their slots.
    pub(crate) wides: Slab<crate::conn::wide::Block>,
    /// Which server requests are open, and what is known of how the program runs them.
    pub(crate) correlation: Correlation,
    /// Host names of addresses.
    pub(crate) names: Names,
    /// Which addresses are databases.
    pub(crate) stores: crate::conn::stores::Stores,
    /// TLS connections that sockets saw begin.
    pub(crate) hellos: Hellos,
    /// Sessions of TLS libraries.
    pub(crate) sessions: Sessions,
    /// Statements of databases within the process.
    pub(crate) statements: Statements,
    /// What is served on accepted sockets.
    pub(crate) cells: Cells,
    /// Whom commands are for that others will write.
    pub(crate) told: Told,
    /// Way to the exporter.
    pub(crate) queue: Queue,
    /// What was dropped and why.
    pub(crate) counters: Counters,
    /// An SDK of the program's own exports: our spans step aside.
    pub(crate) sdk_active: AtomicBool,
}

/// Counts of what the agent did and could not do; reported in its log.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Counters {
    /// Spans finished and sampled.
    pub(crate) finished: AtomicU64,
    /// Spans acknowledged by the exporter's destination.
    pub(crate) exported: AtomicU64,
    /// Spans dropped because the queue was full.
    pub(crate) queue_full: AtomicU64,
    /// Spans dropped because the export failed for good.
    pub(crate) export_failed: AtomicU64,
    /// Exchanges not recorded because all records were taken.
    pub(crate) no_record: AtomicU64,
    /// Streams not followed because all connection slots were taken.
    pub(crate) no_conn: AtomicU64,
    /// Streams given up because two threads would not take turns on one (or a handler interrupted it).
    pub(crate) contended: AtomicU64,
    /// Panics contained; the first one disables the agent.
    pub(crate) panics: AtomicU64,
}

/// Random ids without a lock: a splitmix sequence per process.
#[repr(C)]
pub(crate) struct IdSource {
    seed: [AtomicU64; 2],
    counter: AtomicU64,
}

static STATE: AtomicPtr<State> = AtomicPtr::new(std::ptr::null_mut());
/// Hooks only pass through: not begun yet, switched off, denied, or disabled by a panic.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// The state, when the agent is on. The hook path's first look.
#[inline(always)]
pub(crate) fn peek() -> Option<&'static State> {
    let at = STATE.load(Ordering::Acquire);
    // SAFETY: either null or the region mapped by `start`, never unmapped, valid when zero.
    unsafe { at.as_ref() }
}

/// Maps the state and switches the hooks on. Called once, in the constructor.
pub(crate) fn start() -> bool {
    let Some(at) = region::map(size_of::<State>()) else {
        return false;
    };
    STATE.store(at.cast(), Ordering::Release);
    forked();
    // SAFETY: a function that lives as long as the object, which is never unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
    ACTIVE.store(true, Ordering::Release);
    true
}

unsafe extern "C" fn child() {
    forked();
}

/// Switches the agent off for good (a contained panic, a sandbox): hooks pass through from here on. The state stays mapped
/// for those who are looking at it.
pub(crate) fn disable() {
    ACTIVE.store(false, Ordering::Release);
    STATE.store(std::ptr::null_mut(), Ordering::Release);
}

/// The state for use: begun in this process, agent on, and not a child in its parent's memory.
#[inline]
pub(crate) fn state() -> Option<&'static State> {
    if !ACTIVE.load(Ordering::Relaxed) {
        return None;
    }
    let state = peek()?;
    let thread = thread::current();
    if thread.has(VFORK) {
        if state.pid.load(Ordering::Relaxed) != raw::getpid() {
            return None;
        }
        thread.clear(VFORK);
    }
    if state.begun.load(Ordering::Acquire) != 2 {
        state.begin()?;
    }
    Some(state)
}

/// In a child that libc forked: notes that, and does by hand what the kernel may not have done. Called by the fork hook
/// and, for the forks inside libc (`daemon`, `forkpty`), by its atfork handler.
pub(crate) fn forked() {
    let Some(state) = peek() else { return };
    if region::wipe_by_hand() && state.begun.load(Ordering::Relaxed) != 0 && !state.is_ours() {
        // SAFETY: a forked child has one thread, this one, and it is in fork.
        unsafe {
            state.conns.wipe_chunks();
            state.records.wipe_chunks();
            state.wides.wipe_chunks();
            state.table.wipe_chunks();
            region::wipe(STATE.load(Ordering::Relaxed).cast(), size_of::<State>());
        }
        heap::forget();
    }
    state.libc_knows.store(1, Ordering::Relaxed);
    thread::current().forget();
}

impl State {
    #[cold]
    fn begin(&self) -> Option<()> {
        if self
            .begun
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // Another thread (or the code we interrupted) is at it; what this call would have seen is lost.
            return (self.begun.load(Ordering::Acquire) == 2).then_some(());
        }
        self.pid.store(raw::getpid(), Ordering::Relaxed);
        thread::current().forget();
        self.ids.seed();
        super::log::remark(self);
        self.begun.store(2, Ordering::Release);
        Some(())
    }

    /// Whether libc can be trusted with a new thread: not in a child that was forked by a bare system call.
    pub(crate) fn libc_knows(&self) -> bool {
        self.libc_knows.load(Ordering::Relaxed) == 1
    }

    /// Whether the caller runs in this process and not in a child that shares its memory (`clone` with CLONE_VM).
    /// A system call: for the rare paths that change state which outlives the call.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid.load(Ordering::Relaxed) == raw::getpid()
    }
}

impl IdSource {
    fn seed(&self) {
        let mut bytes = [0u8; 16];
        if !raw::random(&mut bytes) {
            let time = super::clock::wall_ns().to_ne_bytes();
            bytes[..8].copy_from_slice(&time);
            bytes[8..].copy_from_slice(&u64::from(raw::gettid()).to_ne_bytes());
        }
        for (seed, half) in self.seed.iter().zip(bytes.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(half);
            seed.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    /// A number that no other process has, forked children included.
    pub(crate) fn salt(&self) -> u64 {
        self.seed[0].load(Ordering::Relaxed)
    }

    /// The next 128 random bits, of which each half is not zero.
    pub(crate) fn next(&self) -> [u64; 2] {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let [a, b] = &self.seed;
        [
            mix(a.load(Ordering::Relaxed), n),
            mix(b.load(Ordering::Relaxed), n),
        ]
    }
}

/// splitmix64 (Steele, Lea, Flood 2014) at position `n` of the sequence that starts at `seed`; never 0.
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let ids = IdSource {
            seed: Default::default(),
            counter: AtomicU64::new(0),
        };
        ids.seed();
        let all: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|[a, b]| *a != 0 && *b != 0 && a != b));
    }
}
