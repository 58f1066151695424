//! From a finished exchange to the collector.
//!
//! A hook hands the index of a finished record over by a bounded channel and goes on: it never waits, and what does not
//! fit is dropped and counted. The agent's thread, started with the first record, makes spans of the records, batches
//! them as the `OTEL_BSP_*` variables say, and sends them.

pub(crate) mod console;
pub(crate) mod encode;
pub(crate) mod flush;
pub(crate) mod otlp;
pub(crate) mod record;
mod start;
mod worker;

use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::{clock, heap, raw, thread};
use crossbeam_channel::{Receiver, Sender};
use record::Record;
pub(crate) use start::blocked_signals;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// Way to the exporter. All-zero bytes: nothing was ever handed over in this process.
#[repr(C)]
pub(crate) struct Queue {
    channel: AtomicPtr<Channel>,
    /// Identity of the thread that sets the channel up.
    maker: AtomicUsize,
    /// 1 when that thread is done, with a channel or without one.
    made: AtomicU32,
    /// See [`start`].
    pub(super) thread: AtomicU32,
    /// [`ASLEEP`], [`NAPPING`], [`WAITING`], or 0 while the exporter is at work.
    pub(super) sleeping: AtomicU32,
    /// Flushes asked for, and the last one that was carried out.
    pub(super) flush_wanted: AtomicU32,
    pub(super) flush_done: AtomicU32,
}

/// Both ends; made once and never dropped.
pub(super) struct Channel {
    sender: Sender<u32>,
    pub(super) receiver: Receiver<u32>,
}

/// How long a record may wait for another thread to set the channel up, nanoseconds: that takes a millisecond, but that thread may
/// have to wait for a processor meanwhile.
const MAKING_NS: u64 = 1_000_000_000;
/// The exporter sleeps until something is handed over.
const ASLEEP: u32 = 1;
/// The exporter naps: it has a batch at hand and wakes by itself.
const NAPPING: u32 = 2;
/// The exporter waits to try an export again: only a flush wakes it.
const WAITING: u32 = 3;

/// Hands a finished record to the exporter, or gives it back when no span is to be exported.
pub(crate) fn submit(state: &'static State, index: u32, record: &'static Record) {
    // SAFETY: called by the record's owner, at the end of the exchange.
    if !unsafe { record.identity() }.exported {
        return release(state, index, record);
    }
    state.counters.finished.fetch_add(1, Ordering::Relaxed);
    let Some(channel) = channel(state) else {
        state.counters.queue_full.fetch_add(1, Ordering::Relaxed);
        return release(state, index, record);
    };
    if channel.sender.try_send(index).is_err() {
        state.counters.queue_full.fetch_add(1, Ordering::Relaxed);
        release(state, index, record);
    }
    nudge(state, channel);
}

/// Wakes the exporter if it has nothing to do, or has to hurry; starts it if it does not run.
fn nudge(state: &'static State, channel: &Channel) {
    let queue = &state.queue;
    match queue.sleeping.load(Ordering::SeqCst) {
        ASLEEP => wake(queue),
        NAPPING if channel.sender.len() * 2 >= channel.sender.capacity().unwrap_or(usize::MAX) => {
            wake(queue);
        }
        _ => {}
    }
    start::if_safe(state);
}

pub(super) fn wake(queue: &Queue) {
    if queue.sleeping.swap(0, Ordering::SeqCst) != 0 {
        raw::futex_wake(&queue.sleeping);
    }
}

/// Called where a connection begins, which no signal handler does: starts the exporter if a record that was finished in
/// what might be a handler has to wait for it.
pub(crate) fn poke(state: &'static State) {
    if !state.queue.channel.load(Ordering::Relaxed).is_null() {
        start::now(state);
    }
}

/// The agent's thread cannot go on: switches the agent off, lets nobody wait for it, and never returns.
pub(crate) fn stop() -> ! {
    let state = process::peek();
    process::disable();
    if let Some(state) = state {
        let queue = &state.queue;
        queue.thread.store(start::FAILED, Ordering::SeqCst);
        queue
            .flush_done
            .store(queue.flush_wanted.load(Ordering::SeqCst), Ordering::SeqCst);
        raw::futex_wake(&queue.flush_done);
    }
    let never = AtomicU32::new(0);
    loop {
        raw::futex_wait(&never, 0, None);
    }
}

/// Gives a record back unexported.
pub(crate) fn release(state: &'static State, index: u32, record: &'static Record) {
    if record.close() {
        state.records.give(index);
    }
}

/// Ends a pin.
pub(crate) fn unpin(state: &'static State, index: u32, record: &Record) {
    if record.unpin() {
        state.records.give(index);
    }
}

/// The channel; made at first use, on the agent's own heap.
fn channel(state: &'static State) -> Option<&'static Channel> {
    let queue = &state.queue;
    if queue.channel.load(Ordering::Acquire).is_null() {
        make(queue);
    }
    existing(state)
}

/// Makes the channel, or waits for the thread that does. If that thread is this one (a signal handler interrupted it),
/// nothing can be handed over now.
#[cold]
fn make(queue: &Queue) {
    let me = thread::identity();
    match queue
        .maker
        .compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire)
    {
        Ok(_) => {
            let size = settings::get().config.batch.max_queue_size;
            // A slot is an index and a stamp; the ends and the list of waiters take little.
            if heap::has_room(size * 32 + 16 * 1024) {
                put(queue, size);
            } else {
                process::disable();
            }
            queue.made.store(1, Ordering::Release);
            raw::futex_wake(&queue.made);
        }
        Err(maker) if maker == me => {}
        Err(_) => {
            let until = clock::monotonic_ns() + MAKING_NS;
            while queue.made.load(Ordering::Acquire) == 0 {
                let left = until.saturating_sub(clock::monotonic_ns());
                if left == 0 {
                    break;
                }
                raw::futex_wait(&queue.made, 0, Some(left));
            }
        }
    }
}

/// Puts a channel of `size` records there.
fn put(queue: &Queue, size: usize) {
    let (sender, receiver) = crossbeam_channel::bounded(size);
    let made = Box::into_raw(Box::new(Channel { sender, receiver }));
    queue.channel.store(made, Ordering::Release);
}

/// The channel if anything was ever handed over.
pub(super) fn existing(state: &'static State) -> Option<&'static Channel> {
    let at = state.queue.channel.load(Ordering::Acquire);
    // SAFETY: null, or made by `make` in this process (the pointer is wiped on fork) and never dropped.
    unsafe { at.as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::region;

    /// A process in which nothing was handed over yet.
    fn state() -> &'static State {
        let at = region::map(size_of::<State>()).unwrap();
        // SAFETY: zeroed memory of the right size is the state of a fresh process, and is never unmapped.
        unsafe { &*at.cast() }
    }

    #[test]
    fn a_thread_that_is_slow_to_make_the_channel_is_waited_for() {
        let state = state();
        state.queue.maker.store(1, Ordering::SeqCst);
        let waiter = std::thread::spawn(move || channel(state).is_some());
        for _ in 0..100_000 {
            std::thread::yield_now();
        }
        put(&state.queue, 8);
        state.queue.made.store(1, Ordering::SeqCst);
        raw::futex_wake(&state.queue.made);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_channel_that_could_not_be_made_is_not_waited_for() {
        let state = state();
        state.queue.maker.store(1, Ordering::SeqCst);
        state.queue.made.store(1, Ordering::SeqCst);
        assert!(channel(state).is_none());
    }
}
