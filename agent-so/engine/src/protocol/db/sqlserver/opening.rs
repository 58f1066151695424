//! How a connection begins: what both ends say of encryption, and the login, of which only names of the server and the database
//! are looked at.

use super::packets::kind;
use super::text::Utf16;
use crate::protocol::Probe;
use crate::protocol::db::name::Name;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 16;
/// Longest names kept, bytes.
pub(super) const DATABASE: usize = 64;
pub(super) const INSTANCE: usize = 24;
/// The fixed part of a login.
const HEAD: usize = 94;
const LOGIN_MAX: u32 = 128 * 1024;

/// Judges the first bytes of both directions: the client begins, with what it wants of encryption, or with its login where that
/// was settled outside.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// Whether a connection begins like that; `None`: it does not, whatever follows.
pub(in crate::protocol) fn begins(prefix: &[u8]) -> Option<bool> {
    let Some((first, rest)) = prefix.split_first() else {
        return Some(false);
    };
    let at = |i: usize| prefix.get(i).copied();
    let fits = |i: usize, check: &dyn Fn(u8) -> bool| at(i).is_none_or(check);
    let pair = |i: usize| Some(u16::from_be_bytes([at(i)?, at(i + 1)?]));
    // No process yet, one of the first packets, no window.
    let head = fits(4, &|b| b == 0)
        && fits(5, &|b| b == 0)
        && fits(6, &|b| b <= 1)
        && fits(7, &|b| b == 0);
    let length = pair(2);
    let possible = match *first {
        // The version comes first, behind the list of what there is.
        kind::PRELOGIN => {
            head && fits(1, &|b| b == 1)
                && length.is_none_or(|n| (20..=4096).contains(&n))
                && fits(8, &|b| b == 0)
                && pair(9).is_none_or(|n| n >= 6 && length.is_some_and(|most| n + 14 <= most))
                && fits(11, &|b| b == 0)
                && fits(12, &|b| b == 6)
        }
        kind::LOGIN => {
            let number = |i: usize| {
                let bytes = [at(i)?, at(i + 1)?, at(i + 2)?, at(i + 3)?];
                Some(u32::from_le_bytes(bytes))
            };
            let version = |n: u32| match n >> 24 {
                0x71..=0x7f => n & 0x00f0_0000 == 0,
                8 => n & 0x00ff_0000 == 0,
                _ => false,
            };
            let inside = |n: u32| {
                let whole = length.map_or(0, u32::from).saturating_sub(8);
                match at(1) {
                    Some(1) => n == whole,
                    _ => n > whole && n <= LOGIN_MAX,
                }
            };
            head && fits(1, &|b| b <= 1)
                && length.is_none_or(|n| n >= 8 + 86)
                && number(8).is_none_or(inside)
                && number(12).is_none_or(version)
        }
        _ => false,
    };
    let enough = match *first {
        kind::PRELOGIN => 12,
        _ => 15,
    };
    possible.then_some(rest.len() >= enough)
}

/// What one end says of encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wish {
    #[default]
    Unknown = 0,
    /// Of the login alone.
    Login,
    All,
    Impossible,
}

/// A reader of the first message of either end: a list of what there is and where, then that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prelogin {
    entry: [u8; 5],
    have: u8,
    list_is_over: bool,
    at: u16,
    encryption: u16,
    instance: (u16, u16),
    pub(super) wish: Wish,
}

impl Prelogin {
    /// Takes bytes; those of the instance's name are kept in `name`.
    pub(super) fn push(&mut self, bytes: &[u8], name: &mut Name<INSTANCE>) {
        const ENCRYPTION: u8 = 1;
        const INSTANCE_NAME: u8 = 2;
        const END: u8 = 0xff;
        for byte in bytes {
            if !self.list_is_over {
                self.entry[usize::from(self.have)] = *byte;
                self.have += 1;
                let [what, at @ .., long, short] = self.entry;
                let (at, len) = (u16::from_be_bytes(at), u16::from_be_bytes([long, short]));
                if self.have == 1 && what == END {
                    self.list_is_over = true;
                } else if self.have == 5 {
                    self.have = 0;
                    match what {
                        ENCRYPTION if len > 0 => self.encryption = at,
                        INSTANCE_NAME => self.instance = (at, at.saturating_add(len)),
                        _ => {}
                    }
                }
            } else if self.at == self.encryption {
                // The highest bit is about certificates.
                self.wish = match byte & 0x7f {
                    0 => Wish::Login,
                    1 | 3 => Wish::All,
                    _ => Wish::Impossible,
                };
            } else if (self.instance.0..self.instance.1).contains(&self.at) {
                if *byte == 0 {
                    self.instance.1 = self.at;
                } else {
                    name.push(&[*byte]);
                }
            }
            self.at = self.at.saturating_add(1);
        }
    }
}

/// A reader of the login.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    head: [u8; HEAD],
    at: u32,
    server: (u32, u32),
    database: (u32, u32),
    text: Utf16,
    /// What is read of the server's name is that of the instance.
    in_instance: bool,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            head: [0; HEAD],
            at: 0,
            server: (0, 0),
            database: (0, 0),
            text: Utf16::default(),
            in_instance: false,
        }
    }
}

impl Login {
    /// The first byte of the number of the version that the client wants.
    pub(super) fn version(&self) -> u8 {
        self.head[7]
    }

    /// Takes bytes: names are kept, nothing else is looked at.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        database: &mut Name<DATABASE>,
        instance: &mut Name<INSTANCE>,
    ) {
        for byte in bytes {
            let at = self.at;
            self.at = at.saturating_add(1);
            if let Some(place) = self.head.get_mut(at as usize) {
                // What is there are places and lengths.
                *place = *byte;
            }
            if at as usize + 1 == self.shorter() {
                self.places();
            }
            if (self.database.0..self.database.1).contains(&at) {
                if at == self.database.0 {
                    self.text = Utf16::default();
                    *database = Name::default();
                }
                self.text.push(&[*byte], &mut |text| database.push(text));
            } else if (self.server.0..self.server.1).contains(&at) {
                if at == self.server.0 {
                    self.text = Utf16::default();
                }
                let inside = &mut self.in_instance;
                self.text.push(&[*byte], &mut |text| match text {
                    b"\\" => {
                        *inside = true;
                        *instance = Name::default();
                    }
                    b"," => *inside = false,
                    _ if *inside => instance.push(text),
                    _ => {}
                });
            }
        }
    }

    /// How long the fixed part is: the password can be changed as of 7.2.
    fn shorter(&self) -> usize {
        match self.version() {
            0x70 | 0x71 => 86,
            _ => HEAD,
        }
    }

    /// The list of places is complete. A name is none of the texts that are secret, nor in the list.
    fn places(&mut self) {
        let fixed = self.shorter();
        let pair = |at: usize| u32::from(u16::from_le_bytes([self.head[at], self.head[at + 1]]));
        let text = |at: usize| (pair(at), pair(at) + 2 * pair(at + 2));
        let password = text(44);
        let changed = if fixed == HEAD { text(86) } else { (0, 0) };
        let proof = (pair(78), pair(78) + pair(80));
        let apart = |(from, to): (u32, u32)| {
            let is_apart = |other: (u32, u32)| to <= other.0 || other.1 <= from;
            let is_name = from as usize >= fixed && to > from && to - from <= 2 * 1024;
            is_name && [password, changed, proof].into_iter().all(is_apart)
        };
        let (server, database) = (text(52), text(68));
        self.server = if apart(server) { server } else { (0, 0) };
        self.database = if apart(database) { database } else { (0, 0) };
    }
}
