//! What a client says first: it asks for encryption, asks for something to be cancelled, or introduces itself.

use crate::protocol::Probe;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 40;
/// Longest name of a database: servers cut longer ones.
const NAME_MAX: usize = 63;
/// Longest name of a parameter that is of interest, and more than any value that is.
const WORD_MAX: usize = 16;

/// What the number after the length says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Tls,
    Gss,
    Cancel,
    /// Who it is, and what it wants: version 3 of the protocol.
    Startup,
}

pub(super) fn request(code: u32) -> Option<Request> {
    match code {
        80_877_102 => Some(Request::Cancel),
        80_877_103 => Some(Request::Tls),
        80_877_104 => Some(Request::Gss),
        _ if code >> 16 == 3 => Some(Request::Startup),
        _ => None,
    }
}

/// Judges the first bytes of both directions: the client begins.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// Whether these are the first bytes of a client; `None`: they are not even the beginning of that.
///
/// Requests of Kafka begin alike: a length, then what they are about (3: metadata) and its version, then a number and the
/// length of a name, whose first byte is the thirteenth. So a first parameter of four letters has to be `user`.
fn begins(prefix: &[u8]) -> Option<bool> {
    let zeros = prefix.iter().take(2).all(|byte| *byte == 0);
    if !zeros {
        return None;
    }
    let Some((head, name)) = prefix.split_first_chunk::<8>() else {
        let code = prefix.get(4..).unwrap_or_default();
        let can_be = [&[0, 3][..], &[0x04, 0xd2, 0x16]]
            .iter()
            .any(|known| known.iter().zip(code).all(|(a, b)| a == b));
        return can_be.then_some(false);
    };
    let [a, b, c, d, code @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]);
    match request(u32::from_be_bytes(code))? {
        Request::Tls | Request::Gss => (length == 8).then_some(true),
        Request::Cancel => (16..=268).contains(&length).then_some(true),
        Request::Startup => {
            let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
            let letters = name.iter().take_while(|byte| is_letter(byte)).count();
            let (word, rest) = name.split_at(letters);
            if rest.is_empty() {
                return Some(prefix.len() >= PREFIX_MAX);
            }
            let fits = rest[0] == 0 && (word.len() > 4 || word == b"user");
            fits.then_some(true)
        }
    }
}

/// The parameters of a client that introduces itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    database: [u8; NAME_MAX],
    database_len: u8,
    /// What is in there is the database's name, not the user's.
    is_named: bool,
    /// The value of a parameter comes next, or goes on; else a name.
    in_value: bool,
    /// The parameter whose value comes.
    what: What,
    word: [u8; WORD_MAX],
    word_len: u8,
    /// The connection is to be one of replication.
    pub(super) replicates: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum What {
    #[default]
    Other = 0,
    User,
    Database,
    Replication,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            database: [0; NAME_MAX],
            database_len: 0,
            is_named: false,
            in_value: false,
            what: What::Other,
            word: [0; WORD_MAX],
            word_len: 0,
            replicates: false,
        }
    }
}

impl Parameters {
    /// The database: the user's name, where none was asked for.
    pub(super) fn database(&self) -> &[u8] {
        &self.database[..usize::from(self.database_len)]
    }

    /// Takes (part of) a name or value.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match (self.in_value, self.what) {
            (false, _) | (true, What::Replication) => {
                keep(&mut self.word, &mut self.word_len, bytes);
            }
            (true, What::Database) if !bytes.is_empty() => {
                if !std::mem::replace(&mut self.is_named, true) {
                    self.database_len = 0;
                }
                keep(&mut self.database, &mut self.database_len, bytes);
            }
            (true, What::User) if !self.is_named => {
                keep(&mut self.database, &mut self.database_len, bytes);
            }
            _ => {}
        }
    }

    /// The name or value is complete.
    pub(super) fn done(&mut self) {
        let word = &self.word[..usize::from(self.word_len)];
        if self.in_value {
            if self.what == What::Replication {
                let off = [&b"false"[..], b"off", b"no", b"0"];
                self.replicates = !off.iter().any(|no| word.eq_ignore_ascii_case(no));
            }
        } else {
            self.what = match word {
                b"user" => What::User,
                b"database" => What::Database,
                b"replication" => What::Replication,
                _ => What::Other,
            };
        }
        self.in_value = !self.in_value;
        self.word_len = 0;
    }
}

/// Appends what there is room for.
pub(super) fn keep(room: &mut [u8], len: &mut u8, bytes: &[u8]) {
    let at = usize::from(*len);
    let take = bytes.len().min(room.len() - at);
    room[at..at + take].copy_from_slice(&bytes[..take]);
    *len += take as u8;
}
