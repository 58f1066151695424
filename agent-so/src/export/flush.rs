//! Handing out what is finished before the process ends or becomes another program.

use super::{existing, start, wake};
use crate::conn;
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::{clock, raw, thread};
use std::sync::atomic::Ordering;

/// The process ends in order (`exit`, the end of `main`): finishes what is open, then flushes.
pub(crate) fn at_exit() {
    let Some(state) = usable() else { return };
    conn::finish_all(state);
    state.statements.finish_all(state);
    start::now(state);
    flush(state);
}

/// The process ends at once (`_exit`), perhaps in a signal handler: as [`at_exit`], but a thread that does not run yet is
/// only started where that cannot be harmful.
pub(crate) fn at_quick_exit() {
    let Some(state) = usable() else { return };
    conn::finish_all(state);
    state.statements.finish_all(state);
    flush(state);
}

/// The process may be about to become another program. If that fails it goes on, so nothing is finished early.
pub(crate) fn before_exec() {
    let Some(state) = usable() else { return };
    flush(state);
}

fn usable() -> Option<&'static State> {
    if thread::current().has(thread::AGENT) || !settings::started() {
        return None;
    }
    // A child in its parent's memory ends alone: the parent's connections go on.
    process::state().filter(|state| state.is_ours())
}

/// Has everything finished so far exported; waits at most for the exit budget.
fn flush(state: &'static State) {
    let Some(channel) = existing(state) else {
        return;
    };
    if !state.libc_knows() {
        // No thread can be started here, so nobody would carry the flush out.
        return;
    }
    let queue = &state.queue;
    let budget = settings::get().config.exit_flush_timeout.as_nanos() as u64;
    let deadline = clock::monotonic_ns() + budget;
    if channel.receiver.is_empty() && queue.thread.load(Ordering::Acquire) != start::RUNS {
        return;
    }
    start::if_safe(state);
    if queue.thread.load(Ordering::Acquire) != start::RUNS {
        return;
    }
    let wanted = queue.flush_wanted.fetch_add(1, Ordering::SeqCst) + 1;
    wake(queue);
    loop {
        let done = queue.flush_done.load(Ordering::SeqCst);
        let now = clock::monotonic_ns();
        if done.wrapping_sub(wanted) < u32::MAX / 2 || now >= deadline {
            return;
        }
        raw::futex_wait(&queue.flush_done, done, Some(deadline - now));
    }
}
