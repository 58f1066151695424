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
fn what_replaces_the_very_end_goes_out_whole_before_the_program_has_written_all() {
    let (program, insert) = (b"before.value", b"LONGER VALUE, MUCH LONGER");
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
            assert_eq!(out, b"before.LONGER VALUE, MUCH LONGER", "{room} {cuts}");
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
