//! How a connection begins: the server's greeting, and the client's login with its capabilities.

use super::packets::Number;
use crate::exchange::{Kind, System};
use crate::protocol::Probe;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 36;

/// Capabilities, as both ends tell of them.
pub(super) mod can {
    /// Unset by a MariaDB that knows who it talks to, and by its clients in return.
    pub(in super::super) const MYSQL: u32 = 1;
    pub(in super::super) const CONNECT_WITH_DB: u32 = 1 << 3;
    pub(in super::super) const COMPRESS: u32 = 1 << 5;
    pub(in super::super) const PROTOCOL_41: u32 = 1 << 9;
    pub(in super::super) const SSL: u32 = 1 << 11;
    pub(in super::super) const SECURE_CONNECTION: u32 = 1 << 15;
    pub(in super::super) const LENENC_AUTH: u32 = 1 << 21;
    pub(in super::super) const SESSION_TRACK: u32 = 1 << 23;
    pub(in super::super) const DEPRECATE_EOF: u32 = 1 << 24;
    pub(in super::super) const OPTIONAL_METADATA: u32 = 1 << 25;
    pub(in super::super) const ZSTD: u32 = 1 << 26;
    pub(in super::super) const QUERY_ATTRIBUTES: u32 = 1 << 27;
}

/// Bytes in front of the user's name in a login; so long is a request for TLS.
pub(super) const FIXED: u32 = 32;
/// Longest name of a database kept, bytes.
pub(super) const NAME: usize = 64;
/// What servers say instead of a greeting: too many connections, shutting down, host blocked or not allowed, limits of a user.
const REFUSALS: [u16; 6] = [1040, 1053, 1129, 1130, 1203, 1226];

/// Judges the first bytes of both directions. The server begins, with its greeting; inside of TLS, for which the client
/// has asked before, the client does, with its login.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    match (in_prefix, out_prefix) {
        ([], []) => Probe::More,
        (prefix, []) => first(prefix, Kind::Client, Kind::Server),
        ([], prefix) => first(prefix, Kind::Server, Kind::Client),
        _ => Probe::No,
    }
}

/// `greeted`: the program's role if this is a greeting; `logged_in`: if it is a login.
fn first(prefix: &[u8], greeted: Kind, logged_in: Kind) -> Probe {
    match (greets(prefix), logs_in(prefix)) {
        (Some(true), _) => Probe::Yes(greeted),
        (_, Some(true)) => Probe::Yes(logged_in),
        (None, None) => Probe::No,
        _ => Probe::More,
    }
}

/// Whether the first packet is a greeting, or an error in its place; `None`: it is not even its beginning.
fn greets(prefix: &[u8]) -> Option<bool> {
    // Length, number, version of the protocol.
    let fixed = [
        |_: u8| true,
        |b: u8| b <= 1,
        |b: u8| b == 0,
        |b: u8| b == 0,
        |b: u8| matches!(b, 10 | 0xff),
    ];
    if !prefix.iter().zip(fixed).all(|(byte, fits)| fits(*byte)) {
        return None;
    }
    let (Some(kind), Some(rest)) = (prefix.get(4), prefix.get(5..)) else {
        return Some(false);
    };
    if *kind == 10 {
        version(rest)
    } else {
        refusal(rest)
    }
}

/// Two numbers with a dot behind each.
fn version(mut rest: &[u8]) -> Option<bool> {
    for _ in 0..2 {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 3 || (digits == 0 && !rest.is_empty()) {
            return None;
        }
        match rest.get(digits) {
            None => return Some(false),
            Some(b'.') => rest = &rest[digits + 1..],
            Some(_) => return None,
        }
    }
    Some(true)
}

/// A code and some words.
fn refusal(rest: &[u8]) -> Option<bool> {
    const WORDS: usize = 12;
    let Some((code, words)) = rest.split_first_chunk::<2>() else {
        return Some(false);
    };
    let words = &words[..words.len().min(WORDS)];
    let known = REFUSALS.contains(&u16::from_le_bytes(*code));
    let printable = words.iter().all(|b| matches!(b, b' '..=b'~'));
    (known && printable).then_some(words.len() == WORDS)
}

/// Whether the first packet is a login inside of TLS; `None`: it is not even its beginning.
fn logs_in(prefix: &[u8]) -> Option<bool> {
    let fits = |(i, byte): (usize, &u8)| match i {
        // Its length: some 64 KiB at most.
        2 => *byte == 0,
        // Number: the request for TLS was 1.
        3 => *byte == 2,
        // Capabilities: the protocol and TLS.
        5 => u32::from(*byte) << 8 & (can::PROTOCOL_41 | can::SSL) == can::PROTOCOL_41 | can::SSL,
        // Behind the character set, reserved.
        13..32 => *byte == 0,
        _ => true,
    };
    if !prefix.iter().enumerate().all(fits) {
        return None;
    }
    let len = |p: &[u8]| u32::from_le_bytes([p[0], p[1], p[2], 0]);
    if prefix.len() >= 3 && len(prefix) <= FIXED {
        return None;
    }
    Some(prefix.len() >= PREFIX_MAX)
}

/// What stands in a MariaDB's version, and in front of it so that old clients take it for a replica they know.
const MARIADB: &[u8] = b"MariaDB";
const FRONT: &[u8] = b"5.5.5-";

/// The name of a database.
pub(super) type Name = crate::protocol::db::name::Name<NAME>;

/// A reader of the greeting's payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Greeting {
    /// Bytes of the version that were read.
    version: u8,
    /// Bytes of [`FRONT`] found at its begin.
    front: u8,
    /// Bytes of [`MARIADB`] found at the end of what was read of it.
    named: u8,
    /// The version is complete.
    versioned: bool,
    /// Bytes read behind the version; saturating.
    read: u8,
    pub(super) capabilities: u32,
    pub(super) status: u16,
}

impl Greeting {
    /// Takes the next byte of the payload behind the protocol's version; false: it cannot stand there.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        if !self.versioned {
            if byte == 0 {
                self.versioned = true;
                return self.version > 0;
            }
            if self.front == self.version && FRONT.get(usize::from(self.front)) == Some(&byte) {
                self.front += 1;
            }
            if let Some(next) = MARIADB.get(usize::from(self.named)) {
                self.named = if *next == byte {
                    self.named + 1
                } else {
                    u8::from(byte == MARIADB[0])
                };
            }
            self.version = self.version.saturating_add(1);
            return matches!(byte, b' '..=b'~') && self.version < u8::MAX;
        }
        // Thread (4), salt (8), a zero, capabilities (2), character set, status (2), capabilities (2).
        let value = u32::from(byte);
        match self.read {
            12 if byte != 0 => return false,
            13 => self.capabilities = value,
            14 => self.capabilities |= value << 8,
            16 => self.status = byte.into(),
            17 => self.status |= u16::from(byte) << 8,
            18 => self.capabilities |= value << 16,
            19 => self.capabilities |= value << 24,
            _ => {}
        }
        self.read = self.read.saturating_add(1);
        true
    }

    /// All that is wanted was there, and it is of the protocol's current form.
    pub(super) fn is_whole(&self) -> bool {
        self.read >= 20 && self.capabilities & can::PROTOCOL_41 != 0
    }

    pub(super) fn system(&self) -> System {
        let named =
            usize::from(self.front) == FRONT.len() || usize::from(self.named) == MARIADB.len();
        if named {
            System::MariaDb
        } else {
            System::MySql
        }
    }
}

/// A reader of a login's payload, or of that of COM_CHANGE_USER behind its first byte. What proves who the user is is
/// passed over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Login {
    stage: Stage,
    /// Bytes of the fixed part that were read, or of the proof to come.
    count: u32,
    number: Number,
    /// What the client says it can.
    pub(super) capabilities: u32,
    /// What both can.
    common: u32,
    pub(super) is_mariadb: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Fixed = 0,
    User,
    /// The length of the proof.
    Length,
    Proof,
    Database,
    Rest,
}

impl Login {
    /// For COM_CHANGE_USER on a connection with these capabilities.
    pub(super) fn change(common: u32) -> Self {
        Self {
            stage: Stage::User,
            // There the length is always one byte, and there is a name of a database.
            common: (common & !can::LENENC_AUTH) | can::CONNECT_WITH_DB,
            ..Self::default()
        }
    }

    /// Takes the next bytes of the payload; `name` gets that of the database. `server`: what the server can. False: they
    /// cannot stand there.
    pub(super) fn push(&mut self, bytes: &[u8], server: u32, name: &mut Name) -> bool {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.stage {
                Stage::Fixed => {
                    if !self.fixed(byte, server) {
                        return false;
                    }
                }
                Stage::User if byte == 0 => self.stage = Stage::Length,
                Stage::User => {}
                Stage::Length => {
                    let length = if self.common & can::LENENC_AUTH != 0 {
                        self.number.push(byte)
                    } else if self.common & can::SECURE_CONNECTION != 0 {
                        Some(Some(byte.into()))
                    } else {
                        // It ends with a zero.
                        self.stage = if byte == 0 {
                            Stage::Database
                        } else {
                            Stage::Length
                        };
                        None
                    };
                    match length {
                        None => {}
                        Some(None) => return false,
                        Some(Some(0)) => self.stage = Stage::Database,
                        Some(Some(len)) => {
                            self.count = len.min(u32::MAX.into()) as u32;
                            self.stage = Stage::Proof;
                        }
                    }
                }
                Stage::Proof => {
                    let take = (self.count as usize).min(rest.len());
                    self.count -= take as u32;
                    if self.count == 0 {
                        self.stage = Stage::Database;
                    }
                    rest = &rest[take..];
                    continue;
                }
                Stage::Database if byte == 0 || self.common & can::CONNECT_WITH_DB == 0 => {
                    self.stage = Stage::Rest
                }
                Stage::Database => name.push(&[byte]),
                Stage::Rest => return true,
            }
            rest = after;
        }
        true
    }

    fn fixed(&mut self, byte: u8, server: u32) -> bool {
        let at = self.count;
        self.count += 1;
        match at {
            0..4 => self.capabilities |= u32::from(byte) << (8 * at),
            28..32 => self.is_mariadb |= byte != 0,
            _ => {}
        }
        if self.count < FIXED {
            return true;
        }
        self.is_mariadb |= self.capabilities & can::MYSQL == 0;
        self.common = self.capabilities & server;
        self.stage = Stage::User;
        self.capabilities & can::PROTOCOL_41 != 0
    }

    /// What both ends can; nothing while the front is not complete.
    pub(super) fn common(&self) -> u32 {
        self.common
    }
}
