//! Memory of the connections whose protocol needs more than a slot has room for (HTTP/2, databases).
//!
//! A block belongs to the holder of its connection's lock from the moment it is taken until the connection is closed.

use crate::sys::slab::Slot;
use agent_engine::protocol::wide::Wide;
use std::cell::UnsafeCell;
use std::sync::atomic::AtomicU32;

/// A block. All-zero bytes are a fresh one.
#[repr(C)]
pub(crate) struct Block {
    link: AtomicU32,
    wide: UnsafeCell<Wide>,
}

// SAFETY: `wide` is only reached by the connection that has taken the block, whose lock is held.
unsafe impl Sync for Block {}

// SAFETY: an atomic and the engine's plain struct (documented as valid when zero); nothing to drop.
unsafe impl Slot for Block {
    const PER_CHUNK: u32 = 64;
    const MAX: u32 = 64 * 1024;
    fn link(&self) -> &AtomicU32 {
        &self.link
    }
}

impl Block {
    /// What is in it.
    ///
    /// # Safety
    /// The caller holds the lock of the connection that has taken the block, and keeps no other reference to it.
    #[expect(
        clippy::mut_from_ref,
        reason = "ownership is by protocol, stated in the module's head"
    )]
    pub(crate) unsafe fn wide(&self) -> &mut Wide {
        // SAFETY: exclusive by the caller's promise.
        unsafe { &mut *self.wide.get() }
    }
}
