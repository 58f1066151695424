//! What waits for answers on one connection, oldest first.
//!
//! A server tells of the end of each statement, and says that it is ready for each synchronisation: a simple query brings
//! one with it, after the messages of the extended protocol it is a message of its own. So an entry is a statement, and
//! whether the server will be ready after it.

use super::super::ring::Ring;
use crate::protocol::ExchangeId;

/// How many entries there is room for.
const MAX: usize = 32;

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Only the server's being ready.
    #[default]
    Sync = 0,
    /// A simple query, or a call of a function.
    Simple,
    /// A statement of the extended protocol, or several of one text.
    Execute,
    /// A statement that is only prepared.
    Prepare,
    /// What went wrong and was told of; what follows it is passed over until the server is ready.
    Failed,
    /// Statements for which there was no room: only the server's being ready is awaited.
    Counted,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Zero when it is not recorded.
    pub(super) id: ExchangeId,
    /// Ends to come, of [`Kind::Execute`]; times that the server will be ready, of [`Kind::Counted`].
    pub(super) left: u16,
    pub(super) kind: Kind,
    /// The server will be ready after it.
    pub(super) synced: bool,
}

/// All of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queue {
    ring: Ring<Entry, MAX>,
}

impl Queue {
    pub(super) fn oldest(&mut self) -> Option<&mut Entry> {
        self.ring.oldest()
    }

    pub(super) fn newest(&mut self) -> Option<&mut Entry> {
        self.ring.newest()
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.ring.pop()
    }

    /// Adds the newest; false when it is only counted.
    pub(super) fn push(&mut self, entry: Entry) -> bool {
        let len = self.ring.len();
        if let Some(newest) = self.ring.newest()
            && newest.kind == Kind::Counted
        {
            newest.left = newest.left.saturating_add(u16::from(entry.synced));
            newest.synced = entry.synced;
            return false;
        }
        if len < MAX - 1 {
            self.ring.push(entry);
            return true;
        }
        self.ring.push(Entry {
            kind: Kind::Counted,
            left: u16::from(entry.synced),
            synced: entry.synced,
            ..Entry::default()
        });
        false
    }

    /// The client asks the server to say when it is ready.
    pub(super) fn sync(&mut self) {
        match self.ring.newest() {
            Some(newest) if !newest.synced => {
                newest.synced = true;
                if newest.kind == Kind::Counted {
                    newest.left = newest.left.saturating_add(1);
                }
            }
            _ => {
                self.push(Entry {
                    synced: true,
                    ..Entry::default()
                });
            }
        }
    }

    /// The oldest statements that are not recorded have brought the server to be ready once more; false: not the last time.
    pub(super) fn counted(&mut self) -> bool {
        match self.ring.oldest() {
            Some(entry) if entry.kind == Kind::Counted => {
                entry.left = entry.left.saturating_sub(1);
                entry.left == 0 && entry.synced
            }
            _ => false,
        }
    }

    /// The oldest recorded exchange.
    pub(super) fn first(&self) -> Option<ExchangeId> {
        let mut ids = self.ring.iter().map(|entry| entry.id);
        ids.find(|id| *id != ExchangeId(0))
    }
}
