//! What the server says: the front of each message, and where the answer to a command ends.

use super::command::Kind;
use super::login::{Name, can};
use super::packets::{number, text};

/// Bytes kept of a message: enough for all that is wanted of an end, the name of a database that it tells of included.
const FRONT: usize = 80;

/// Status flags.
mod status {
    pub(super) const MORE_RESULTS: u16 = 0x0008;
    pub(super) const CURSOR: u16 = 0x0040;
    pub(super) const PLAIN_BACKSLASH: u16 = 0x0200;
    pub(super) const STATE_CHANGED: u16 = 0x4000;
}

/// The front of the message that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    bytes: [u8; FRONT],
    kept: u8,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            bytes: [0; FRONT],
            kept: 0,
        }
    }
}

impl Front {
    pub(super) fn clear(&mut self) {
        self.kept = 0;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.kept);
        let take = bytes.len().min(FRONT - at);
        self.bytes[at..at + take].copy_from_slice(&bytes[..take]);
        self.kept += take as u8;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.kept)]
    }
}

/// One message of the server's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    front: &'a [u8],
    /// Payload bytes of its last packet.
    len: u32,
    /// It was continued in another packet.
    long: bool,
    /// What both ends can.
    common: u32,
}

/// What it is, where that can be told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Ok,
    Error,
    /// How far it has come.
    Progress,
    /// The end of descriptions or rows.
    End,
    Other,
}

impl<'a> Message<'a> {
    pub(super) fn new(front: &'a [u8], len: u32, total: u64, common: u32) -> Self {
        Self {
            front,
            len,
            long: total > u64::from(len),
            common,
        }
    }

    pub(super) fn is(&self) -> Is {
        match self.front.first() {
            _ if self.long => Is::Other,
            Some(0) => Is::Ok,
            Some(0xff) if self.code() == Some(u16::MAX) => Is::Progress,
            Some(0xff) => Is::Error,
            // A row may begin like that too, with a value of 16 MiB and more.
            Some(0xfe) if self.len < 9 || self.common & can::DEPRECATE_EOF != 0 => Is::End,
            _ => Is::Other,
        }
    }

    pub(super) fn first(&self) -> Option<u8> {
        self.front.first().copied()
    }

    /// The code of an error.
    pub(super) fn code(&self) -> Option<u16> {
        let code = self.front.get(1..3)?;
        Some(u16::from_le_bytes([code[0], code[1]]))
    }

    /// The old form of an end, which says nothing but the status.
    pub(super) fn is_short_end(&self) -> bool {
        self.len == 5 && self.is() == Is::End
    }

    /// Whether a word of it is the name of a MariaDB.
    pub(super) fn names_mariadb(&self) -> bool {
        self.front.windows(7).any(|word| word == b"MariaDB")
    }

    /// The status of an end or of an OK, and what follows it.
    fn status_and_rest(&self) -> Option<(u16, &'a [u8])> {
        let rest = if self.is_short_end() {
            self.front.get(3..)?
        } else {
            let (_, rest) = number(self.front.get(1..)?)?;
            number(rest)?.1
        };
        let (status, rest) = rest.split_first_chunk::<2>()?;
        Some((u16::from_le_bytes(*status), rest))
    }

    fn status(&self) -> u16 {
        self.status_and_rest().map_or(0, |(status, _)| status)
    }

    pub(super) fn has_more(&self) -> bool {
        self.status() & status::MORE_RESULTS != 0
    }

    /// Whether a backslash is a character as any other in the strings of what comes next; `None`: it does not say.
    pub(super) fn plain_backslash(&self) -> Option<bool> {
        let (status, _) = self.status_and_rest()?;
        Some(is_plain(status))
    }

    /// The database that is in use from here on, if the message tells.
    pub(super) fn database(&self) -> Option<Name> {
        const SCHEMA: u8 = 1;
        let (status, rest) = self.status_and_rest()?;
        if self.is_short_end()
            || status & status::STATE_CHANGED == 0
            || self.common & can::SESSION_TRACK == 0
        {
            return None;
        }
        let (_info, rest) = text(rest.get(2..)?)?;
        let (_all, mut rest) = number(rest)?;
        loop {
            let (kind, after) = rest.split_first()?;
            let (change, after) = text(after)?;
            if *kind == SCHEMA {
                return Some(Name::of(text(change)?.0));
            }
            rest = after;
        }
    }

    /// The number of a statement that was prepared, and how many descriptions follow.
    fn prepared(&self) -> Option<(u32, u32)> {
        let (id, rest) = self.front.get(1..)?.split_first_chunk::<4>()?;
        let (counts, rest) = rest.split_first_chunk::<4>()?;
        let columns = u16::from_le_bytes([counts[0], counts[1]]);
        let params = u16::from_le_bytes([counts[2], counts[3]]);
        // Behind a filler and warnings: whether they follow at all.
        let follow = rest.get(3) != Some(&0);
        let all = u32::from(columns) + u32::from(params);
        Some((u32::from_le_bytes(*id), if follow { all } else { 0 }))
    }

    /// How many descriptions of columns follow a message that says how many columns there are.
    fn columns(&self, is_mariadb: bool) -> Option<u32> {
        // Before the count, or behind it: whether they follow at all.
        let before = !is_mariadb && self.common & can::OPTIONAL_METADATA != 0;
        let (first, rest) = match before {
            true => self
                .front
                .split_first()
                .map(|(first, rest)| (Some(first), rest))?,
            false => (None, self.front),
        };
        let (count, rest) = number(rest)?;
        let follow = first.or(rest.first()).is_none_or(|flag| *flag != 0);
        let count = u16::try_from(count).ok()?;
        Some(if follow { count.into() } else { 0 })
    }

    /// An OK, and not a count of columns whose descriptions do not follow.
    fn is_ok(&self) -> bool {
        self.is() == Is::Ok && self.len >= 7
    }

    fn is_description(&self) -> bool {
        self.front.starts_with(b"\x03def")
    }
}

/// Whether this status says that a backslash is a character as any other.
pub(super) fn is_plain(status: u16) -> bool {
    status & status::PLAIN_BACKSLASH != 0
}

/// Where in the answer to a command the next message stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// A result begins.
    #[default]
    First,
    /// So many descriptions follow, of a statement that was prepared where that is said.
    Descriptions(u32, bool),
    /// Rows follow, or the end of the descriptions, or that of the rows.
    Described,
    Rows,
}

/// What a message means for the answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The answer goes on.
    More,
    /// A row.
    Row,
    /// All rows of a result are through; the answer goes on.
    RowsEnd,
    /// The answer is complete, with rows where that is said.
    Done(bool),
    /// As [`Meaning::Done`]: a statement was prepared.
    Prepared(u32),
    /// It is an error.
    Failed,
    /// The client is to send a file.
    File,
    /// It cannot stand there.
    Bad,
}

impl Place {
    /// What the next message of the answer to a `kind` is.
    pub(super) fn take(&mut self, kind: Kind, message: &Message, is_mariadb: bool) -> Meaning {
        match message.is() {
            Is::Error => return Meaning::Failed,
            Is::Progress => return Meaning::More,
            _ => {}
        }
        match (*self, kind) {
            (Self::Descriptions(left, prepared), _) => {
                match (message.is_short_end(), message.is_description()) {
                    // Between those of what is taken and those of what is given.
                    (true, _) if prepared => Meaning::More,
                    (false, true) => self.described(left - 1, prepared),
                    _ => Meaning::Bad,
                }
            }
            (Self::Described, _)
                if message.is_short_end() && message.status() & status::CURSOR == 0 =>
            {
                *self = Self::Rows;
                Meaning::More
            }
            (Self::Described, _) if message.is_short_end() => self.result_ends(message, false),
            (Self::Described | Self::Rows, _) | (Self::First, Kind::Fetch) => match message.is() {
                Is::End => {
                    let described = *self == Self::Described;
                    self.result_ends(
                        message,
                        !described || message.status() & status::CURSOR == 0,
                    )
                }
                _ => {
                    *self = Self::Rows;
                    Meaning::Row
                }
            },
            (Self::First, Kind::Query | Kind::Execute) => match message.first() {
                _ if message.is_ok() => self.result_ends(message, false),
                Some(0xfb) if kind == Kind::Query => Meaning::File,
                Some(0xfb | 0xfe) => Meaning::Bad,
                _ => match message.columns(is_mariadb) {
                    Some(0) => {
                        *self = Self::Described;
                        Meaning::More
                    }
                    Some(count) => self.described(count, false),
                    None => Meaning::Bad,
                },
            },
            (Self::First, Kind::Prepare) => match message.prepared() {
                Some((id, 0)) if message.is() == Is::Ok => Meaning::Prepared(id),
                Some((id, left)) if message.is() == Is::Ok => {
                    *self = Self::Descriptions(left, true);
                    Meaning::Prepared(id)
                }
                _ => Meaning::Bad,
            },
            (Self::First, Kind::ChangeUser) => match message.is() {
                Is::Ok => Meaning::Done(false),
                _ => Meaning::More,
            },
            (Self::First, Kind::Fields) => match message.is() {
                Is::End => Meaning::Done(false),
                _ => Meaning::More,
            },
            (Self::First, _) => Meaning::Done(false),
        }
    }

    fn described(&mut self, left: u32, prepared: bool) -> Meaning {
        *self = match (left, prepared) {
            (0, true) => Self::First,
            (0, false) => Self::Described,
            _ => Self::Descriptions(left, prepared),
        };
        match *self {
            Self::First => Meaning::Done(false),
            _ => Meaning::More,
        }
    }

    fn result_ends(&mut self, message: &Message, rows: bool) -> Meaning {
        *self = Self::First;
        match (message.has_more(), rows) {
            (true, true) => Meaning::RowsEnd,
            (true, false) => Meaning::More,
            (false, rows) => Meaning::Done(rows),
        }
    }
}
