//! The exchanges of one connection that wait for their replies, oldest first.

use crate::protocol::ExchangeId;

/// How many may wait. Beyond that they are counted, not recorded.
const MAX: usize = 36;

/// What a command does to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    /// Nothing.
    #[default]
    Query = 0,
    /// Belongs to the making of the connection while that is under way.
    SetUp,
    /// Chooses the database.
    Select,
    /// Changes what comes by itself.
    Subscribe,
    /// Makes the connection something else.
    Nothing,
}

impl Purpose {
    /// Whether it belongs to the making of the connection, while that is under way.
    pub(super) fn sets_up(self) -> bool {
        matches!(self, Self::SetUp | Self::Select)
    }
}

/// One exchange that waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Zero when it is not recorded.
    pub(super) id: ExchangeId,
    /// Replies to come.
    pub(super) replies: u32,
    pub(super) purpose: Purpose,
    /// It is part of the making of the connection.
    pub(super) sets_up: bool,
    /// The database that is in use once it is answered, for [`Purpose::Select`].
    pub(super) database: u16,
}

/// A ring of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    entries: [Entry; MAX],
    first: u8,
    len: u8,
    /// How many of them are part of the making of the connection.
    setting_up: u8,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            entries: [Entry::default(); MAX],
            first: 0,
            len: 0,
            setting_up: 0,
        }
    }
}

/// What became of a new exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Waits,
    /// There is no room: it is counted.
    Counted,
    /// There is no room, and what it does to the connection would be lost.
    Lost,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many commands of the making of the connection wait for their reply.
    pub(super) fn setting_up(&self) -> u8 {
        self.setting_up
    }

    /// Adds the newest.
    pub(super) fn push(&mut self, entry: Entry) -> Pushed {
        if usize::from(self.len) < MAX - 1 {
            self.append(entry);
            return Pushed::Waits;
        }
        if entry.purpose != Purpose::Query || entry.sets_up {
            return Pushed::Lost;
        }
        // The last place is for all that found none.
        if usize::from(self.len) < MAX {
            self.append(Entry {
                id: ExchangeId(0),
                ..entry
            });
        } else {
            self.join();
        }
        Pushed::Counted
    }

    fn append(&mut self, entry: Entry) {
        let at = self.place(self.len);
        self.entries[at] = entry;
        self.len += 1;
        self.setting_up += u8::from(entry.sets_up);
    }

    /// The newest waits for one reply more.
    pub(super) fn join(&mut self) {
        if let Some(i) = self.len.checked_sub(1) {
            let entry = &mut self.entries[self.place(i)];
            entry.replies = entry.replies.saturating_add(1);
        }
    }

    /// The oldest has got one of its replies.
    pub(super) fn answered(&mut self) {
        if self.len > 0 {
            self.entries[self.place(0)].replies -= 1;
        }
    }

    pub(super) fn oldest(&self) -> Option<Entry> {
        (self.len > 0).then(|| self.entries[self.place(0)])
    }

    pub(super) fn newest(&self) -> Option<Entry> {
        self.len.checked_sub(1).map(|i| self.entries[self.place(i)])
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.oldest()?;
        self.first = self.place(1) as u8;
        self.len -= 1;
        self.setting_up -= u8::from(entry.sets_up);
        Some(entry)
    }

    /// The recorded exchanges, oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = ExchangeId> {
        (0..self.len)
            .map(|i| self.entries[self.place(i)].id)
            .filter(|id| *id != ExchangeId(0))
    }

    fn place(&self, i: u8) -> usize {
        (usize::from(self.first) + usize::from(i)) % MAX
    }
}
