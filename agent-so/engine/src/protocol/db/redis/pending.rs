//! The exchanges of one connection that wait for their replies, oldest first.

use super::super::ring::Ring;
use crate::protocol::ExchangeId;

/// How many may wait. Beyond that they are counted, not recorded.
const MAX: usize = 32;

/// What a command does to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Purpose {
    /// Nothing.
    #[default]
    Query = 0,
    /// Belongs to the making of the connection while that is under way, and may fail.
    SetUp,
    /// The same; without it there is no connection.
    Auth,
    /// The same, with a password perhaps. A server that does not know it is spoken to in the older protocol.
    Hello,
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
        matches!(self, Self::SetUp | Self::Auth | Self::Hello | Self::Select)
    }

    /// Whether the connection is of no use if this is answered with the error `code`.
    pub(super) fn must_succeed(self, code: &[u8]) -> bool {
        match self {
            Self::Auth | Self::Select => true,
            Self::Hello => matches!(code, b"WRONGPASS" | b"NOAUTH"),
            _ => false,
        }
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

/// All of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    ring: Ring<Entry, MAX>,
    /// How many of them are part of the making of the connection.
    setting_up: u8,
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
        self.ring.is_empty()
    }

    /// How many commands of the making of the connection wait for their reply.
    pub(super) fn setting_up(&self) -> u8 {
        self.setting_up
    }

    /// Adds the newest.
    pub(super) fn push(&mut self, entry: Entry) -> Pushed {
        if self.ring.len() < MAX - 1 {
            self.ring.push(entry);
            self.setting_up += u8::from(entry.sets_up);
            return Pushed::Waits;
        }
        if entry.purpose != Purpose::Query || entry.sets_up {
            return Pushed::Lost;
        }
        // The last place is for all that found none.
        let counted = Entry {
            id: ExchangeId(0),
            ..entry
        };
        if !self.ring.push(counted) {
            self.join();
        }
        Pushed::Counted
    }

    /// The newest waits for one reply more.
    pub(super) fn join(&mut self) {
        if let Some(entry) = self.ring.newest() {
            entry.replies = entry.replies.saturating_add(1);
        }
    }

    /// The oldest has got one of its replies.
    pub(super) fn answered(&mut self) {
        if let Some(entry) = self.ring.oldest() {
            entry.replies -= 1;
        }
    }

    pub(super) fn oldest(&mut self) -> Option<Entry> {
        self.ring.oldest().copied()
    }

    pub(super) fn newest(&mut self) -> Option<Entry> {
        self.ring.newest().copied()
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.ring.pop()?;
        self.setting_up -= u8::from(entry.sets_up);
        Some(entry)
    }

    /// The recorded exchanges, oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = ExchangeId> {
        self.ring
            .iter()
            .map(|entry| entry.id)
            .filter(|id| *id != ExchangeId(0))
    }
}
