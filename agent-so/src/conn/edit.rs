//! Splicing context headers into what the program writes, without it noticing.
//!
//! An [`Edit`] says: after `at` more bytes of the program's, leave out `skip` of them and put the bytes
//! `from..to` of the record's header buffer in their place. `skip` is 0 for header lines that are inserted
//! after the request line, equal to the inserted length where a `traceparent` that the program only passes on is
//! replaced, and shorter where a frame of HTTP/2 is replaced by a longer one. What the real call reports in wire bytes is mapped back to the program's own bytes, so the program
//! sees exactly the short writes and errors that it would have seen.

use crate::export;
use crate::export::record::Record;
use crate::hooks::contain;
use crate::sys::memory;
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

/// A stretch of what the program passed to one call.
#[derive(Clone, Copy)]
pub(crate) struct Stretch<'a> {
    /// All that it passed.
    pub(crate) pieces: &'a [iovec],
    /// First byte of the stretch, counted over all pieces.
    pub(crate) from: usize,
    /// End of the stretch.
    pub(crate) to: usize,
}

impl<'a> Stretch<'a> {
    /// All of it. The lengths add up to no more than `isize::MAX`, or the kernel refuses the call.
    pub(crate) fn whole(pieces: &'a [iovec]) -> Self {
        let to = pieces
            .iter()
            .fold(0usize, |sum, piece| sum.saturating_add(piece.iov_len));
        Self {
            pieces,
            from: 0,
            to,
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether it is all that the program passed.
    fn is_whole(&self) -> bool {
        self.from == 0 && self.to == Self::whole(self.pieces).to
    }

    /// The part of it that stands in the first `most` pieces from where it begins.
    fn first_pieces(self, most: usize) -> Self {
        let (mut position, mut count) = (0usize, 0);
        for piece in self.pieces {
            position = position.saturating_add(piece.iov_len);
            if position > self.from {
                count += 1;
            }
            if count == most || position >= self.to {
                break;
            }
        }
        Self {
            to: self.to.min(position),
            ..self
        }
    }

    /// The part of it that one buffer of `room` bytes takes with the edit done; where not even the insert fits any more, the
    /// part before it. Without an edit in it the program's own buffer serves, and all of it goes.
    fn first_buffer(self, edit: &Edit, insert: &[u8], room: usize) -> Self {
        if insert.is_empty() || edit.at > self.len() {
            return self;
        }
        let most = match room.checked_sub(edit.at + insert.len()) {
            Some(left) => edit.at + edit.skip + left,
            None => edit.at,
        };
        Self {
            to: self.to.min(self.from + most),
            ..self
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all of it can be read: asks the kernel once a page, so for short stretches only.
    fn is_readable(&self) -> bool {
        let mut readable = true;
        let see = |bytes: &[u8]| {
            let (first, last) = (
                bytes.as_ptr() as usize,
                bytes.as_ptr() as usize + bytes.len() - 1,
            );
            let mut page = first;
            while readable && page <= last {
                readable = memory::readable(page);
                page = (page | (memory::PAGE - 1)) + 1;
            }
        };
        // SAFETY: the slices are not looked into.
        unsafe { self.each(see) };
        readable
    }

    /// Calls `see` with each part that stands in one piece.
    ///
    /// # Safety
    /// The memory is readable.
    pub(crate) unsafe fn each(&self, mut see: impl FnMut(&'a [u8])) {
        let mut position = 0usize;
        for piece in self.pieces {
            let end = position.saturating_add(piece.iov_len);
            let (start, stop) = (self.from.clamp(position, end), self.to.clamp(position, end));
            if start < stop {
                // SAFETY: readable by the caller's promise; not null, because its length is not 0.
                see(unsafe {
                    std::slice::from_raw_parts(
                        piece.iov_base.cast::<u8>().add(start - position),
                        stop - start,
                    )
                });
            }
            position = end;
            if position >= self.to {
                break;
            }
        }
    }
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
        Form::Flat => program.first_buffer(edit, insert, scratch.len()),
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
mod tests {
    use super::*;
    use crate::export::record::{HEADERS, SCRATCH};
    use crate::sys::region;

    fn record(headers: &[u8]) -> &'static Record {
        let at = region::map(size_of::<Record>()).unwrap();
        // SAFETY: a zeroed record is valid and this test owns it.
        let record: &'static Record = unsafe { &*at.cast() };
        // SAFETY: as above.
        unsafe { record.headers()[..headers.len()].copy_from_slice(headers) };
        record
    }

    fn iovecs(parts: &[&[u8]]) -> Vec<iovec> {
        parts
            .iter()
            .map(|p| iovec {
                iov_base: p.as_ptr().cast_mut().cast(),
                iov_len: p.len(),
            })
            .collect()
    }

    fn wire_bytes(wire: &Wire<'_>) -> Vec<u8> {
        match wire {
            Wire::Flat(bytes) => bytes.to_vec(),
            Wire::Pieces(pieces) => pieces
                .iter()
                .flat_map(|p| {
                    // SAFETY: the pieces point into live buffers of the test.
                    unsafe { std::slice::from_raw_parts(p.iov_base.cast::<u8>(), p.iov_len) }
                })
                .copied()
                .collect(),
        }
    }

    /// A program that writes `bytes` (cut into `cuts` pieces) until all are out, through a socket or (in one piece) a TLS
    /// session that takes `room` bytes a call and refuses every second one.
    fn run(bytes: &[u8], cuts: usize, room: usize, edit: Edit, insert: &[u8]) -> Vec<u8> {
        let any = run_in(Form::Any, bytes, cuts, room, edit, insert);
        if cuts == 1 {
            assert_eq!(run_in(Form::Flat, bytes, cuts, room, edit, insert), any);
        }
        any
    }

    fn run_in(
        form: Form,
        bytes: &[u8],
        cuts: usize,
        room: usize,
        edit: Edit,
        insert: &[u8],
    ) -> Vec<u8> {
        let record = record(insert);
        let (mut out, mut sent, mut edit, mut calls) = (Vec::new(), 0, edit, 0);
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            let piece = rest.len().div_ceil(cuts);
            let parts: Vec<&[u8]> = rest.chunks(piece.max(1)).collect();
            let program = iovecs(&parts);
            if !edit.pending() {
                let take = rest.len().min(room);
                out.extend(&rest[..take]);
                sent += take;
                continue;
            }
            let mut next = edit;
            // SAFETY: the buffers live; single-threaded.
            let result = unsafe {
                write(
                    record,
                    edit,
                    Stretch::whole(&program),
                    form,
                    |wire| {
                        if let (Form::Flat, Wire::Pieces(pieces)) = (form, &wire) {
                            assert_eq!(pieces.len(), 1, "a TLS library takes one buffer");
                        }
                        calls += 1;
                        if calls % 2 == 0 {
                            return -1;
                        }
                        let bytes = wire_bytes(&wire);
                        let take = bytes.len().min(room);
                        out.extend(&bytes[..take]);
                        take as isize
                    },
                    |now, _| next = now,
                )
            };
            edit = next;
            if result >= 0 {
                assert!(result > 0);
                sent += result as usize;
            }
        }
        assert_eq!(
            sent,
            bytes.len(),
            "the program never sees bytes that are not its own"
        );
        out
    }

    #[test]
    fn every_short_write_delivers_the_program_s_bytes_and_the_insert() {
        let program = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nbody";
        let insert = b"traceparent: x\r\n";
        let edit = Edit {
            record: 1,
            at: 16,
            skip: 0,
            from: 0,
            to: insert.len(),
        };
        let expected = b"GET / HTTP/1.1\r\ntraceparent: x\r\nHost: h\r\n\r\nbody";
        for room in 1..60 {
            for cuts in 1..6 {
                assert_eq!(
                    run(program, cuts, room, edit, insert),
                    expected,
                    "{room} {cuts}"
                );
            }
        }
    }

    #[test]
    fn an_insert_may_come_before_all_of_the_program_s_bytes() {
        let (program, insert) = (b"the end", b"before ");
        let edit = Edit {
            record: 1,
            at: 0,
            skip: 0,
            from: 0,
            to: insert.len(),
        };
        for room in 1..20 {
            for cuts in 1..4 {
                let out = run(program, cuts, room, edit, insert);
                assert_eq!(out, b"before the end", "{room} {cuts}");
            }
        }
    }

    #[test]
    fn every_short_write_delivers_a_replaced_value() {
        let program = b"GET / HTTP/1.1\r\ntraceparent: 0123456789\r\n\r\n";
        let insert = b"abcdefghij";
        let edit = Edit {
            record: 1,
            at: 29,
            skip: 10,
            from: 0,
            to: 10,
        };
        for room in 1..60 {
            for cuts in 1..6 {
                let out = run(program, cuts, room, edit, insert);
                assert_eq!(out, b"GET / HTTP/1.1\r\ntraceparent: abcdefghij\r\n\r\n");
            }
        }
    }

    #[test]
    fn a_longer_frame_at_the_very_end_goes_out_whole_before_the_program_has_written_all() {
        let (program, insert) = (b"before.frame", b"LONGER FRAME, MUCH LONGER");
        let edit = Edit {
            record: 1,
            at: 7,
            skip: 5,
            from: 0,
            to: insert.len(),
        };
        for room in 1..60 {
            for cuts in 1..6 {
                let out = run(program, cuts, room, edit, insert);
                assert_eq!(out, b"before.LONGER FRAME, MUCH LONGER", "{room} {cuts}");
            }
        }
    }

    #[test]
    fn large_writes_go_out_in_pieces_without_a_copy() {
        let mut program = b"POST / HTTP/1.1\r\n\r\n".to_vec();
        program.extend(vec![b'x'; SCRATCH * 2]);
        let insert = b"traceparent: x\r\n";
        let edit = Edit {
            record: 1,
            at: 17,
            skip: 0,
            from: 0,
            to: insert.len(),
        };
        let mut expected = program.clone();
        expected.splice(17..17, insert.iter().copied());
        for late in [17, SCRATCH - 10, SCRATCH, SCRATCH + 1] {
            let edit = Edit { at: late, ..edit };
            let mut expected = program.clone();
            expected.splice(late..late, insert.iter().copied());
            for room in [usize::MAX, 4000] {
                assert_eq!(run(&program, 1, room, edit, insert), expected, "{late}");
            }
        }
        for cuts in [1, 3, 500] {
            assert_eq!(run(&program, cuts, usize::MAX, edit, insert), expected);
            assert_eq!(run(&program, cuts, 4000, edit, insert), expected);
        }
        assert!(HEADERS > 9000 && !fits(&vec![iovecs(&[b"x"])[0]; 1024], SCRATCH));
    }
}
