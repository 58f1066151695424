//! Splicing context headers into what the program writes, without it noticing.
//!
//! An [`Edit`] says: after `at` more bytes of the program's, leave out `skip` of them and put the bytes
//! `from..to` of the record's header buffer in their place. `skip` is 0 for header lines that are inserted
//! after the request line, equal to the inserted length where a `traceparent` that the program only passes on is
//! replaced, and shorter where one that a bridge has put in makes way for ours with further lines behind it. What the
//! real call reports in wire bytes is mapped back to the program's own bytes, so the program sees exactly the short writes and errors that it would have seen.

use super::stretch::Stretch;
use crate::export;
use crate::export::record::Record;
use crate::hooks::contain;
use crate::sys::process::State;
use libc::iovec;
use std::ffi::c_void;

/// What is still to be spliced in. All-zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Record whose header buffer holds the bytes, plus one; 0: no edit.
    pub(crate) record: u32,
    /// Bytes of the program's that come before.
    pub(crate) at: usize,
    /// Bytes of the program's that are left out.
    pub(crate) skip: usize,
    /// What is put in, as a range of the record's header buffer.
    pub(crate) from: usize,
    /// End of that range.
    pub(crate) to: usize,
}

impl Edit {
    /// Whether anything is left to do.
    pub(crate) fn pending(&self) -> bool {
        self.record != 0
    }

    /// The record that holds the bytes.
    pub(crate) fn record(&self) -> Option<u32> {
        self.record.checked_sub(1)
    }

    /// Takes note that `wire` bytes went out. Returns how many bytes of the program's that were.
    pub(crate) fn advance(&mut self, wire: usize) -> usize {
        let insert = self.to - self.from;
        if wire <= self.at {
            self.at -= wire;
            return wire;
        }
        let done = wire - self.at;
        if done >= insert {
            let program = self.at + self.skip + (done - insert);
            if program == 0 {
                // All of the insert and nothing of the program's: not over, or a refused write would begin it anew.
                self.from = self.to;
            } else {
                *self = Self::default();
            }
            return program;
        }
        // The last byte that was left out counts when all is out: without it the program would have nothing more to write.
        let skipped = done.min(self.skip.saturating_sub(1));
        let program = self.at + skipped;
        self.at = 0;
        self.from += done;
        self.skip -= skipped;
        program
    }

    /// Forgets the edit because its connection ends; the record it keeps is given back.
    pub(crate) fn abandon(&mut self, state: &'static State) {
        if let Some(index) = self.record()
            && let Some(record) = state.records.get(index)
        {
            export::unpin(state, index, record);
        }
        *self = Self::default();
    }
}

/// What the real call is to be made with.
pub(crate) enum Wire<'a> {
    /// One buffer.
    Flat(&'a [u8]),
    /// Several.
    Pieces(&'a [iovec]),
}

/// What the real call can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Several buffers.
    Any,
    /// One buffer: more than fits the scratch buffer goes in several calls.
    Flat,
}

/// Writes `program` with `edit` applied by `send`, which makes the real call and returns its result in wire bytes.
/// `noted` is called after each successful call with the edit as it then is and the range of the stretch's bytes that went
/// out. Returns what the program is to see. The real call is repeated only while not one byte of the program's
/// went out (the rest of a header after a short write): a return of 0 would mean something else to it.
///
/// # Safety
/// `program` describes readable memory, as the real call demands. The caller pins `record`, which the edit names, and
/// no other thread writes to the same stream meanwhile.
pub(crate) unsafe fn write(
    record: &Record,
    mut edit: Edit,
    program: Stretch<'_>,
    form: Form,
    mut send: impl FnMut(Wire<'_>) -> isize,
    mut noted: impl FnMut(Edit, usize),
) -> isize {
    loop {
        // SAFETY: the caller pins the record and is the only writer.
        let (headers, scratch) = unsafe { (record.headers(), record.scratch()) };
        let insert = &headers[edit.from..edit.to];
        // SAFETY: forwarded to the caller.
        let spliced = contain(|| unsafe { splice(program, form, &edit, insert, scratch) });
        let sent = match spliced {
            Some(Spliced::Flat(len)) => send(Wire::Flat(&scratch[..len])),
            Some(Spliced::Pieces(count)) => {
                // SAFETY: `splice` wrote that many iovecs at the start of the scratch buffer, which is aligned for them.
                let pieces = unsafe { std::slice::from_raw_parts(scratch.as_ptr().cast(), count) };
                send(Wire::Pieces(pieces))
            }
            // Nothing is half out: the program's own bytes go, and its own errors come.
            None if edit.from == 0 && program.is_whole() => {
                edit = Edit::default();
                send(Wire::Pieces(program.pieces))
            }
            None => return fail(),
        };
        if sent < 0 {
            return sent;
        }
        let wire = sent as usize;
        let through = edit.advance(wire);
        noted(edit, through);
        if through > 0 || wire == 0 {
            return through as isize;
        }
    }
}

/// A panic with a header half out: the stream cannot go on without the rest of it.
fn fail() -> isize {
    crate::sys::errno::set(libc::EPIPE);
    -1
}

enum Spliced {
    Flat(usize),
    Pieces(usize),
}

/// Whether `program` can be written with an edit at all: it fits the scratch buffer as pieces.
pub(crate) fn fits(program: &[iovec], scratch: usize) -> bool {
    (program.len() + SPARE) * size_of::<iovec>() <= scratch
}

/// Pieces that an edit adds at most.
const SPARE: usize = 3;

/// The part of `program` that one buffer of `room` bytes takes with the edit done; where not even the insert fits any more, the
/// part before it. Without an edit in it the program's own buffer serves, and all of it goes.
fn first_buffer<'a>(program: Stretch<'a>, edit: &Edit, insert: &[u8], room: usize) -> Stretch<'a> {
    if insert.is_empty() || edit.at > program.len() {
        return program;
    }
    let most = match room.checked_sub(edit.at + insert.len()) {
        Some(left) => edit.at + edit.skip + left,
        None => edit.at,
    };
    Stretch {
        to: program.to.min(program.from + most),
        ..program
    }
}

/// Lays out the bytes to write: one copy when it fits, so that the call stays the one the program made, else pieces.
unsafe fn splice(
    program: Stretch<'_>,
    form: Form,
    edit: &Edit,
    insert: &[u8],
    scratch: &mut [u8],
) -> Spliced {
    let program = match form {
        Form::Any => program,
        Form::Flat => first_buffer(program, edit, insert, scratch.len()),
    };
    // An edit that begins beyond this write (a short first write) leaves it as it is.
    let beyond =
        edit.at > program.len() || form == Form::Flat && edit.at + insert.len() > scratch.len();
    let insert = if beyond { &[] } else { insert };
    let small = program
        .len()
        .saturating_sub(edit.skip)
        .checked_add(insert.len())
        .is_some_and(|len| len <= scratch.len());
    // Only what the kernel could read too is copied: a bad pointer is its to report.
    if !insert.is_empty() && small && program.is_readable() {
        // SAFETY: forwarded to the caller; it fits.
        return unsafe { copy(program, edit, insert, scratch) };
    }
    // Too many pieces to list make a short write, which the program has to expect.
    let most = scratch.len() / size_of::<iovec>() - SPARE;
    let program = program.first_pieces(most);
    // SAFETY: forwarded to the caller; they fit.
    unsafe { list(program, edit, insert, scratch) }
}

unsafe fn copy(program: Stretch<'_>, edit: &Edit, insert: &[u8], scratch: &mut [u8]) -> Spliced {
    let mut used = 0;
    let put = |bytes: &[u8]| {
        scratch[used..used + bytes.len()].copy_from_slice(bytes);
        used += bytes.len();
    };
    // SAFETY: forwarded to the caller.
    unsafe { spliced(program, edit.at, edit.skip, insert, put) };
    Spliced::Flat(used)
}

unsafe fn list(program: Stretch<'_>, edit: &Edit, insert: &[u8], scratch: &mut [u8]) -> Spliced {
    let out = scratch.as_mut_ptr().cast::<iovec>();
    let mut count = 0;
    let push = |bytes: &[u8]| {
        let base = bytes.as_ptr().cast_mut().cast::<c_void>();
        // SAFETY: at most two pieces more than the program has, which fit; the buffer is aligned for them.
        unsafe {
            out.add(count).write(iovec {
                iov_base: base,
                iov_len: bytes.len(),
            })
        };
        count += 1;
    };
    // SAFETY: forwarded to the caller.
    unsafe { spliced(program, edit.at, edit.skip, insert, push) };
    Spliced::Pieces(count)
}

/// Calls `emit` with the stretch's bytes before `at`, the insert, and the bytes after `at + skip`.
unsafe fn spliced(
    program: Stretch<'_>,
    at: usize,
    skip: usize,
    insert: &[u8],
    mut emit: impl FnMut(&[u8]),
) {
    let cut = program.from.saturating_add(at).min(program.to);
    let resume = cut.saturating_add(skip).min(program.to);
    // SAFETY: forwarded to the caller.
    unsafe { Stretch { to: cut, ..program }.each(&mut emit) };
    if !insert.is_empty() {
        emit(insert);
    }
    // SAFETY: forwarded to the caller.
    unsafe {
        Stretch {
            from: resume,
            ..program
        }
        .each(&mut emit)
    };
}

#[cfg(test)]
mod tests;
