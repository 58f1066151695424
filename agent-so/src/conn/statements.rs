//! Statements that a library in this process carries out: no connection's bytes pass, so the record of an execution is kept by the
//! address of the statement.
//!
//! Whoever takes an address out of the table owns the record. A forked child finds the table empty: what its parent had under way is
//! its parent's.

use crate::context;
use crate::export;
use crate::export::record::Record;
use crate::hooks::contain;
use crate::settings;
use crate::sys::process::{self, State};
use crate::sys::{clock, errno, thread};
use agent_engine::exchange::{Db, Exchange, Field, Kind, System};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

const SETS: usize = 1024;
/// Statements of a set: their addresses are one line of the cache.
const WAYS: usize = 8;
/// In place of an address: somebody is filling the place, or emptying it.
const TAKEN: usize = 1;

#[repr(C, align(64))]
struct Set([AtomicUsize; WAYS]);

/// What is known of a statement under way.
#[repr(C)]
struct Running {
    rows: AtomicU64,
    /// The connection's address.
    connection: AtomicUsize,
    /// Index of the record.
    record: AtomicU32,
    /// The copy of the library.
    copy: AtomicU32,
    /// The error of the last step, if the execution may go on after it; and when that was.
    error: AtomicI32,
    error_ns: AtomicU64,
}

/// Executions under way. All-zero bytes: there are none.
#[repr(C)]
pub(crate) struct Statements {
    used: AtomicBool,
    keys: [Set; SETS],
    running: [Running; SETS * WAYS],
}

/// Where a statement stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// What an execution is taken out with.
struct Taken {
    record: u32,
    rows: u64,
    error: i32,
    error_ns: u64,
}

/// An execution that begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) system: System,
    /// The statement's address, or another that nothing else has meanwhile.
    pub(crate) key: usize,
    /// The connection's.
    pub(crate) connection: usize,
    pub(crate) copy: usize,
    /// The runtime has said for whom the thread works.
    pub(crate) asked: bool,
    /// Whether it is the kind of statement that gives rows, however many.
    pub(crate) has_rows: bool,
}

impl Statements {
    fn set_of(key: usize) -> usize {
        // The multiplier of Fibonacci hashing: addresses differ in few of their bits.
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) % SETS
    }

    /// Where a statement stands that is under way.
    #[inline]
    pub(crate) fn find(&self, key: usize) -> Option<Place> {
        if key <= TAKEN {
            return None; // The null statement may be finalized.
        }
        let set = Self::set_of(key);
        let way = self.keys[set]
            .0
            .iter()
            .position(|known| known.load(Ordering::Acquire) == key)?;
        Some(Place(set * WAYS + way))
    }

    fn key(&self, place: Place) -> &AtomicUsize {
        &self.keys[place.0 / WAYS].0[place.0 % WAYS]
    }

    /// The connection of a statement under way.
    #[inline]
    pub(crate) fn connection(&self, place: Place) -> usize {
        self.running[place.0].connection.load(Ordering::Relaxed)
    }

    /// The statement has given a row. Only one thread at a time may step it.
    #[inline]
    pub(crate) fn row(&self, place: Place, key: usize) {
        if self.key(place).load(Ordering::Relaxed) == key {
            let running = &self.running[place.0];
            let rows = running.rows.load(Ordering::Relaxed);
            running.rows.store(rows + 1, Ordering::Relaxed);
            running.error.store(0, Ordering::Relaxed);
        }
    }

    /// A step has failed with this code, and may be tried again.
    pub(crate) fn waits(&self, place: Place, key: usize, code: i32) {
        if self.key(place).load(Ordering::Relaxed) == key {
            let running = &self.running[place.0];
            running
                .error_ns
                .store(clock::monotonic_ns(), Ordering::Relaxed);
            running.error.store(code, Ordering::Relaxed);
        }
    }

    /// Remembers whose record this is. `None`: there is no room.
    fn put(&self, begun: &Begun, record: u32) -> Option<Place> {
        self.used.store(true, Ordering::Relaxed);
        let set = Self::set_of(begun.key);
        let way = self.keys[set].0.iter().position(|key| {
            key.compare_exchange(0, TAKEN, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })?;
        let place = Place(set * WAYS + way);
        let running = &self.running[place.0];
        running.rows.store(0, Ordering::Relaxed);
        running.error.store(0, Ordering::Relaxed);
        running
            .connection
            .store(begun.connection, Ordering::Relaxed);
        running.copy.store(begun.copy as u32, Ordering::Relaxed);
        running.record.store(record, Ordering::Relaxed);
        self.key(place).store(begun.key, Ordering::Release);
        Some(place)
    }

    /// Takes a statement out. `None`: somebody else has.
    fn take(&self, place: Place, key: usize) -> Option<Taken> {
        let at = self.key(place);
        at.compare_exchange(key, TAKEN, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let running = &self.running[place.0];
        let taken = Taken {
            record: running.record.load(Ordering::Relaxed),
            rows: running.rows.load(Ordering::Relaxed),
            error: running.error.load(Ordering::Relaxed),
            error_ns: running.error_ns.load(Ordering::Relaxed),
        };
        at.store(0, Ordering::Release);
        Some(taken)
    }

    /// Ends what is under way where `which` says so.
    fn end_all(&self, state: &'static State, which: impl Fn(&Running) -> bool) {
        if !self.used.load(Ordering::Relaxed) {
            return;
        }
        for place in (0..SETS * WAYS).map(Place) {
            let key = self.key(place).load(Ordering::Acquire);
            if key > TAKEN
                && which(&self.running[place.0])
                && let Some(taken) = self.take(place, key)
            {
                give_up(state, &taken);
            }
        }
    }

    /// The process ends.
    pub(crate) fn finish_all(&self, state: &'static State) {
        contain(|| self.end_all(state, |_| true));
    }
}

/// A copy of the library is gone.
pub(crate) fn forget_copy(copy: usize) {
    if let Some(state) = process::state() {
        let is_its = |running: &Running| running.copy.load(Ordering::Relaxed) == copy as u32;
        state.statements.end_all(state, is_its);
    }
}

/// An execution begins; `about` says what it is. Keeps errno.
pub(crate) fn begin(
    state: &'static State,
    begun: &Begun,
    about: impl FnOnce(&mut Exchange),
) -> Option<Place> {
    kept(|| {
        // One that was left without a word (a longjmp, a statement freed by other means) and whose address came back.
        if let Some(stale) = state.statements.find(begun.key)
            && let Some(taken) = state.statements.take(stale, begun.key)
        {
            give_up(state, &taken);
        }
        let (index, record) = open(state, begun, about)?;
        let place = state.statements.put(begun, index);
        if place.is_none() {
            state.counters.no_record.fetch_add(1, Ordering::Relaxed);
            export::release(state, index, record);
        }
        place
    })
}

/// What began at `start_ns` failed before there was a statement. Keeps errno.
pub(crate) fn failed(
    state: &'static State,
    begun: &Begun,
    start_ns: u64,
    code: i32,
    about: impl FnOnce(&mut Exchange),
) {
    kept(|| {
        let (index, record) = open(state, begun, about)?;
        // SAFETY: the record was just taken, and nobody else knows of it.
        unsafe { record.exchange() }.start_ns = start_ns;
        finish(state, index, 0, code, clock::monotonic_ns(), |_| {});
        Some(())
    });
}

/// The execution is over: done (code 0), or for good failed. Keeps errno.
pub(crate) fn done(
    state: &'static State,
    place: Place,
    key: usize,
    code: i32,
    about: impl FnOnce(&mut Exchange),
) {
    kept(|| {
        let taken = state.statements.take(place, key)?;
        let now = clock::monotonic_ns();
        finish(state, taken.record, taken.rows, code, now, about);
        Some(())
    });
}

/// The program wants no more of a statement: what is under way of it ends here. Keeps errno.
pub(crate) fn given_up(state: &'static State, key: usize) {
    if let Some(place) = state.statements.find(key) {
        kept(|| {
            give_up(state, &state.statements.take(place, key)?);
            Some(())
        });
    }
}

fn give_up(state: &'static State, taken: &Taken) {
    let end = match taken.error {
        0 => clock::monotonic_ns(),
        _ => taken.error_ns,
    };
    finish(state, taken.record, taken.rows, taken.error, end, |_| {});
}

/// Runs `f` inside the agent, keeping errno.
fn kept<R>(f: impl FnOnce() -> Option<R>) -> Option<R> {
    let errno = errno::get();
    let result = contain(|| {
        let _inside = thread::current().enter()?;
        f()
    });
    errno::set(errno);
    result.flatten()
}

/// A record for an execution that begins now.
fn open(
    state: &'static State,
    begun: &Begun,
    about: impl FnOnce(&mut Exchange),
) -> Option<(u32, &'static Record)> {
    if state.sdk_active.load(Ordering::Relaxed) {
        return None;
    }
    settings::say_warnings();
    let Some(index) = state.records.take() else {
        state.counters.no_record.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    let record = state.records.get(index)?;
    record.begin(0);
    // SAFETY: just taken, known to nobody else.
    let exchange = unsafe { record.exchange() };
    exchange.kind = Kind::Client;
    exchange.db = Db {
        system: begun.system,
        has_rows: begun.has_rows,
        ..Db::default()
    };
    exchange.start_ns = clock::monotonic_ns();
    about(exchange);
    context::client::begin_inside(state, record, begun.asked);
    Some((index, record))
}

fn finish(
    state: &'static State,
    index: u32,
    rows: u64,
    code: i32,
    end_ns: u64,
    about: impl FnOnce(&mut Exchange),
) {
    let Some(record) = state.records.get(index) else {
        return;
    };
    // SAFETY: the caller took the record out of the table, or never put it there.
    let exchange = unsafe { record.exchange() };
    exchange.db.rows = rows;
    exchange.db.has_rows |= rows > 0;
    exchange.end_ns = end_ns.max(exchange.start_ns);
    if code != 0 {
        exchange.set_number(Field::Code, code.into());
    }
    about(exchange);
    export::submit(state, index, record);
}

/// The thread is in a call into the library. While it is, what the library asks of itself on the same connection is no
/// statement of the program's, and nobody may be waited for: the library holds locks.
pub(crate) struct Within {
    before: [usize; 2],
}

impl Within {
    /// In place of a connection: the library has called the program.
    pub(crate) const PROGRAM: usize = 1;

    #[inline(always)]
    pub(crate) fn enter(connection: usize) -> Self {
        let library = &thread::current().library;
        Within {
            before: library.replace([thread::stack_pointer(), connection]),
        }
    }

    /// The connection of the call that the thread is in. A call whose frame is gone was left by a longjmp.
    #[inline(always)]
    pub(crate) fn connection() -> Option<usize> {
        let [frame, connection] = thread::current().library.get();
        (frame != 0 && thread::stack_pointer() < frame).then_some(connection)
    }

    /// The connection is being closed: whatever call the thread was in on its behalf is over.
    pub(crate) fn forget(connection: usize) {
        let library = &thread::current().library;
        if library.get()[1] == connection {
            library.set([0, 0]);
        }
    }
}

impl Drop for Within {
    #[inline(always)]
    fn drop(&mut self) {
        thread::current().library.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::region;

    fn table() -> &'static Statements {
        let at = region::map(size_of::<Statements>()).unwrap();
        // SAFETY: zeroed memory of the right size is an empty table, and is never unmapped.
        unsafe { &*at.cast() }
    }

    fn begun(key: usize) -> Begun {
        Begun {
            system: System::Sqlite,
            key,
            connection: key + 8,
            copy: key % 7,
            asked: true,
            has_rows: false,
        }
    }

    #[test]
    fn a_statement_is_found_until_it_is_taken() {
        let table = table();
        let key = 0x7f00_1234_5670;
        assert_eq!(table.find(key), None);
        assert_eq!(table.find(0), None, "which is no statement");
        let place = table.put(&begun(key), 5).unwrap();
        assert_eq!(table.find(key), Some(place));
        assert_eq!(table.connection(place), key + 8);
        table.waits(place, key, 5);
        table.row(place, key);
        table.row(place, key);
        table.row(place, key + 16);
        let taken = table.take(place, key).unwrap();
        assert_eq!((taken.record, taken.rows, taken.error), (5, 2, 0));
        assert!(table.take(place, key).is_none());
        assert_eq!(table.find(key), None);
    }

    #[test]
    fn many_are_remembered_and_no_more_than_there_is_room_for() {
        let table = table();
        let keys = || (1..=2000).map(|n| 0x5555_5555_0000 + n * 0x110);
        assert_eq!(keys().filter_map(|k| table.put(&begun(k), 1)).count(), 2000);
        assert!(keys().all(|key| table.find(key).is_some()));
        let more = (1..=20_000).map(|n| 0x7777_0000_0000 + n * 0x40);
        let room = SETS * WAYS - 2000;
        assert!(more.filter_map(|k| table.put(&begun(k), 1)).count() <= room);
        assert!(keys().all(|key| {
            let place = table.find(key).unwrap();
            table.take(place, key).is_some()
        }));
    }

    #[inline(never)]
    fn deeper<R>(f: impl FnOnce() -> R) -> R {
        std::hint::black_box(f)()
    }

    #[test]
    fn a_call_is_known_below_its_frame_only() {
        assert_eq!(Within::connection(), None);
        {
            let _outer = Within::enter(0x1000);
            assert_eq!(deeper(Within::connection), Some(0x1000));
            {
                let _inner = Within::enter(Within::PROGRAM);
                assert_eq!(deeper(Within::connection), Some(Within::PROGRAM));
            }
            assert_eq!(deeper(Within::connection), Some(0x1000));
            deeper(|| Within::forget(0x1000));
            assert_eq!(deeper(Within::connection), None);
        }
        thread::current().library.set([16, 0x1000]);
        assert_eq!(Within::connection(), None, "the frame at 16 is gone");
        thread::current().library.set([0, 0]);
    }
}
