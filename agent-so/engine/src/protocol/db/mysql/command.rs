//! Commands: what each is answered with, and where the text of a query begins.

use super::login::Name;
use super::packets::Number;

/// What a command is answered with, and what is told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// One message; nothing is told.
    #[default]
    Silent = 0,
    /// Results: an end, an error or rows, and more of them.
    Query,
    /// As [`Kind::Query`], for a statement that was prepared.
    Execute,
    /// Rows of a statement that was executed.
    Fetch,
    /// A statement's number and what it takes and gives. Only an error is told.
    Prepare,
    /// One message; the connection has another database then.
    InitDb,
    /// As a login. Only an error is told.
    ChangeUser,
    /// Descriptions of columns up to an end; nothing is told.
    Fields,
    /// As [`Kind::Silent`]; the statements that were prepared are no more.
    Reset,
    /// Nothing; and nothing follows.
    Quit,
    /// Nothing: bytes of a parameter.
    LongData,
    /// Nothing: the statement is no more.
    Close,
    /// Something that is not followed.
    Other,
}

impl Kind {
    pub(super) fn of(command: u8) -> Self {
        match command {
            0x01 => Self::Quit,
            0x02 => Self::InitDb,
            0x03 => Self::Query,
            0x04 => Self::Fields,
            // Create, drop, refresh, shutdown, statistics, kill, debug, ping, replica, reset of a statement, set option.
            0x05..=0x09 | 0x0c..=0x0e | 0x15 | 0x1a | 0x1b => Self::Silent,
            0x11 => Self::ChangeUser,
            0x16 => Self::Prepare,
            // The second one is MariaDB's, with many sets of parameters.
            0x17 | 0xfa => Self::Execute,
            0x18 => Self::LongData,
            0x19 => Self::Close,
            0x1c => Self::Fetch,
            0x1f => Self::Reset,
            _ => Self::Other,
        }
    }

    /// Whether what is sent is an exchange: some are only for the sake of their errors.
    pub(super) fn is_told(self) -> bool {
        self.is_query() || matches!(self, Self::Prepare | Self::InitDb | Self::ChangeUser)
    }

    /// Whether it is told however it is answered.
    pub(super) fn is_query(self) -> bool {
        matches!(
            self,
            Self::Query | Self::Execute | Self::Fetch | Self::InitDb
        )
    }

    /// Whether it is about a statement whose number follows the first byte.
    pub(super) fn has_statement(self) -> bool {
        matches!(self, Self::Execute | Self::Fetch | Self::Close)
    }
}

/// Most attributes of a query that are passed over.
const ATTRIBUTES: usize = 8;

/// A reader of what stands between the first byte of a query and its text: attributes, where the client says that it can
/// send some. Servers that cannot read them get none; no text has a 1 as its second byte, as they have behind their count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes {
    stage: Stage,
    number: Number,
    count: u8,
    /// Attributes of which the type, or the value, was read.
    read: u8,
    /// Bytes to pass over.
    skip: u32,
    /// Which have no value, a bit each.
    nulls: u8,
    types: [u8; ATTRIBUTES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Count = 0,
    Sets,
    Nulls,
    /// Whether types follow.
    Bound,
    Type,
    Flags,
    NameLength,
    Name,
    ValueLength,
    Value,
    Text,
}

/// What was found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    More,
    /// The text begins behind so many bytes of those just given.
    Text(usize),
    /// There are no attributes: the text begins with this byte, which was given before, and goes on behind so many of those
    /// just given.
    TextFrom(u8, usize),
    /// The text cannot be found.
    Lost,
}

impl Attributes {
    /// For queries that have none.
    pub(super) fn none() -> Self {
        Self {
            stage: Stage::Text,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Found {
        for (i, &byte) in bytes.iter().enumerate() {
            match self.stage {
                Stage::Text => return Found::Text(i),
                Stage::Count => {
                    self.count = byte;
                    self.stage = Stage::Sets;
                }
                Stage::Sets if byte != 1 => {
                    self.stage = Stage::Text;
                    return Found::TextFrom(self.count, i);
                }
                Stage::Sets if usize::from(self.count) > ATTRIBUTES => return Found::Lost,
                Stage::Sets if self.count == 0 => self.stage = Stage::Text,
                Stage::Sets => self.stage = Stage::Nulls,
                Stage::Nulls => {
                    self.nulls = byte;
                    self.stage = Stage::Bound;
                }
                Stage::Bound if byte != 1 => return Found::Lost,
                Stage::Bound => self.stage = Stage::Type,
                Stage::Type => {
                    self.types[usize::from(self.read)] = byte;
                    self.stage = Stage::Flags;
                }
                Stage::Flags => self.stage = Stage::NameLength,
                Stage::NameLength | Stage::ValueLength => match self.number.push(byte) {
                    None => {}
                    Some(None) => return Found::Lost,
                    Some(Some(len)) => {
                        let Ok(len) = u32::try_from(len) else {
                            return Found::Lost;
                        };
                        self.skip = len;
                        self.stage = if self.stage == Stage::NameLength {
                            Stage::Name
                        } else {
                            Stage::Value
                        };
                        self.passed();
                    }
                },
                Stage::Name | Stage::Value => {
                    self.skip -= 1;
                    self.passed();
                }
            }
        }
        match self.stage {
            Stage::Text => Found::Text(bytes.len()),
            _ => Found::More,
        }
    }

    /// Bytes of a name or of a value were passed.
    fn passed(&mut self) {
        if self.skip > 0 {
            return;
        }
        self.read += 1;
        if self.stage == Stage::Name {
            if self.read < self.count {
                self.stage = Stage::Type;
                return;
            }
            self.read = 0;
        }
        while self.read < self.count {
            let at = usize::from(self.read);
            match size(self.types[at]) {
                _ if self.nulls >> at & 1 == 1 => self.read += 1,
                Some(0) => self.read += 1,
                Some(n) => {
                    self.skip = n;
                    self.stage = Stage::Value;
                    return;
                }
                None => {
                    self.stage = Stage::ValueLength;
                    return;
                }
            }
        }
        self.stage = Stage::Text;
    }
}

/// Bytes of a value of this type; `None`: it stands behind its length.
fn size(kind: u8) -> Option<u32> {
    match kind {
        1 => Some(1),
        2 | 13 => Some(2),
        3 | 4 | 9 => Some(4),
        5 | 8 => Some(8),
        6 => Some(0),
        _ => None,
    }
}

/// The database that a query chooses, if that is all it does; empty if it may, but cannot be told.
pub(super) fn chosen(query: &[u8]) -> Option<Name> {
    let query = query.trim_ascii();
    let (word, rest) = query.split_at_checked(3)?;
    if !word.eq_ignore_ascii_case(b"use")
        || !rest
            .first()
            .is_some_and(|b| b.is_ascii_whitespace() || *b == b'`')
    {
        return None;
    }
    let name = rest.trim_ascii();
    let name = name.strip_suffix(b";").unwrap_or(name).trim_ascii_end();
    let quoted = name.strip_prefix(b"`").and_then(|n| n.strip_suffix(b"`"));
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..);
    Some(match quoted {
        Some(inside) if !inside.contains(&b'`') => Name::of(inside),
        None if name.iter().all(plain) => Name::of(name),
        _ => Name::default(),
    })
}
