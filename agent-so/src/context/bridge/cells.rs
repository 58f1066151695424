//! What is served on accepted sockets, for runtimes whose unit of execution is the connection.
//!
//! Such a unit begins before there is a request, so it can only know its socket; which request that means is looked up here,
//! when it matters. An entry that had to make room for others is an honest "nobody".

use crate::export::record::Ref;
use crate::sys::seqlock::Seq;
use std::sync::atomic::{AtomicU32, Ordering};

/// Sets of entries, told apart by the socket's number.
const SETS: usize = 1024;
/// Entries of a set: the newest replaces the oldest.
const WAYS: usize = 4;

/// The table. All-zero bytes are an empty one.
#[repr(C)]
pub(crate) struct Cells {
    sets: [Set; SETS],
}

#[repr(C)]
struct Set {
    next: AtomicU32,
    entries: [Seq<Cell>; WAYS],
}

/// What a socket brought last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Which socket (`SO_COOKIE`).
    pub(crate) socket: u64,
    /// Its request.
    pub(crate) request: Ref,
    /// It is the connection's first.
    pub(crate) first: bool,
    /// Identity of the thread that read it; 0: only who names the socket may have it.
    pub(crate) reader: usize,
}

impl Cells {
    /// The socket has brought a request.
    pub(crate) fn put(&self, cell: Cell) {
        let set = self.set(cell.socket);
        let old = set
            .entries
            .iter()
            .position(|entry| entry.read().is_some_and(|old| old.socket == cell.socket));
        let at = old.unwrap_or_else(|| set.next.fetch_add(1, Ordering::Relaxed) as usize % WAYS);
        set.entries[at].write(cell);
    }

    /// What the socket brought last.
    pub(crate) fn find(&self, socket: u64) -> Option<Cell> {
        let mut cells = self.set(socket).entries.iter().filter_map(Seq::read);
        cells.find(|cell| cell.socket == socket)
    }

    fn set(&self, socket: u64) -> &Set {
        // The kernel counts sockets, in steps that depend on the processor.
        let hash = socket.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.sets[(hash >> 48) as usize % SETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::region;

    #[test]
    fn a_socket_has_its_last_request() {
        let at = region::map(size_of::<Cells>()).unwrap();
        // SAFETY: zeroed memory is an empty table, never unmapped.
        let cells: &'static Cells = unsafe { &*at.cast() };
        let cell = |socket, request| Cell {
            socket,
            request: Ref(request),
            first: false,
            reader: 1,
        };
        assert_eq!(cells.find(7), None);
        for socket in 1..500 {
            cells.put(cell(socket, 1));
            cells.put(cell(socket, socket));
        }
        let found = (1..500).filter(|&socket| cells.find(socket) == Some(cell(socket, socket)));
        assert!(found.count() > 490, "sets of four hold them");
    }
}
