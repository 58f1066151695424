//! Requests of one connection that are not answered yet, by stream.

use crate::protocol::ExchangeId;

/// How many are followed at once.
const MAX: usize = 512;

/// What a request is, as far as it matters when it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    #[default]
    Query = 0,
    /// Only told of if it fails.
    Prepare,
    /// Belongs to the making of the connection.
    SetUp,
    /// The library asks for itself.
    Inner,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Zero when it is not recorded.
    pub(super) id: ExchangeId,
    pub(super) stream: u16,
    pub(super) purpose: Purpose,
}

/// All of them, oldest first. All-zero bytes are none.
#[derive(Clone, Debug)]
pub(in crate::protocol) struct Flight {
    len: u16,
    entries: [Entry; MAX],
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            len: 0,
            entries: [Entry::default(); MAX],
        }
    }
}

impl Flight {
    pub(in crate::protocol) fn reset(&mut self) {
        self.len = 0;
    }

    fn all(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    pub(super) fn holds(&self, stream: u16) -> bool {
        self.all().iter().any(|entry| entry.stream == stream)
    }

    /// Adds the newest; false when there is no room.
    pub(super) fn push(&mut self, entry: Entry) -> bool {
        let Some(place) = self.entries.get_mut(usize::from(self.len)) else {
            return false;
        };
        *place = entry;
        self.len += 1;
        true
    }

    pub(super) fn remove(&mut self, stream: u16) -> Option<Entry> {
        let at = self.all().iter().position(|entry| entry.stream == stream)?;
        Some(self.take(at))
    }

    pub(super) fn pop_oldest(&mut self) -> Option<Entry> {
        (self.len > 0).then(|| self.take(0))
    }

    fn take(&mut self, at: usize) -> Entry {
        let entry = self.entries[at];
        self.entries.copy_within(at + 1..usize::from(self.len), at);
        self.len -= 1;
        entry
    }
}
