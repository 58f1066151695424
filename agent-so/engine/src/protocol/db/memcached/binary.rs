//! Packets of the binary protocol, read over any split: a header of 24 bytes, extras, key, value.

/// Length of a header.
pub(super) const HEADER: usize = 24;
const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;
/// Longest key.
const KEY_MAX: u16 = 250;
/// Largest packet that is believed.
const BODY_MAX: u32 = 1024 * 1024 * 1024;

pub(super) const NOOP: u8 = 0x0a;
pub(super) const STAT: u8 = 0x10;
/// Which mechanisms there are, the first step of one, and the next: authentication.
const SASL: std::ops::RangeInclusive<u8> = 0x20..=0x22;

/// What an operation is called, in the words of the text protocol; those that answer only if there is something to say have
/// the name of those that always do. The second: how many bytes of extras it has, at least.
fn operation(opcode: u8) -> Option<(&'static str, u8)> {
    Some(match opcode {
        0x00 | 0x09 | 0x0c | 0x0d => ("get", 0),
        0x01 | 0x11 => ("set", 8),
        0x02 | 0x12 => ("add", 8),
        0x03 | 0x13 => ("replace", 8),
        0x04 | 0x14 => ("delete", 0),
        0x05 | 0x15 => ("incr", 20),
        0x06 | 0x16 => ("decr", 20),
        0x07 | 0x17 => ("quit", 0),
        0x08 | 0x18 => ("flush_all", 0),
        NOOP => ("noop", 0),
        0x0b => ("version", 0),
        0x0e | 0x19 => ("append", 0),
        0x0f | 0x1a => ("prepend", 0),
        STAT => ("stats", 0),
        0x1b => ("verbosity", 4),
        0x1c => ("touch", 4),
        0x1d | 0x1e | 0x23 | 0x24 => ("gat", 4),
        0x20..=0x22 => ("auth", 0),
        _ => return None,
    })
}

/// One header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) opcode: u8,
    /// The answer's status.
    pub(super) status: u16,
    pub(super) key: u16,
    extras: u8,
    body: u32,
}

impl Header {
    pub(super) fn name(&self) -> &'static str {
        operation(self.opcode).map_or("", |(name, _)| name)
    }

    /// Nothing comes back unless there is something to say.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.opcode, 0x09 | 0x0d | 0x11..=0x1a | 0x1e | 0x24)
    }

    /// It asks for a value, and a command that is answered will follow.
    pub(super) fn is_get(&self) -> bool {
        matches!(self.opcode, 0x09 | 0x0d | 0x1e | 0x24)
    }

    pub(super) fn is_quit(&self) -> bool {
        matches!(self.opcode, 0x07 | 0x17)
    }

    pub(super) fn sets_up(&self) -> bool {
        SASL.contains(&self.opcode)
    }

    /// Whether the answer says that something went wrong: not that there is no such key, that there is one, that nothing was
    /// stored, or that authentication goes on.
    pub(super) fn is_error(&self) -> bool {
        !matches!(self.status, 0 | 1 | 2 | 5 | 0x21)
    }

    fn parse(bytes: &[u8; HEADER], magic: u8) -> Option<Self> {
        let header = Self {
            opcode: bytes[1],
            status: u16::from_be_bytes([bytes[6], bytes[7]]),
            key: u16::from_be_bytes([bytes[2], bytes[3]]),
            extras: bytes[4],
            body: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
        };
        let inside = u32::from(header.key) + u32::from(header.extras);
        let fits = bytes[0] == magic
            && bytes[5] == 0
            && header.key <= KEY_MAX
            && inside <= header.body
            && header.body <= BODY_MAX;
        let (_, extras) = operation(header.opcode)?;
        (fits && (magic == RESPONSE || header.extras >= extras)).then_some(header)
    }
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    More,
    /// The last of them completed a header.
    Header,
    /// Part of the key.
    Key,
    Bad,
}

/// A reader of the packets of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packets {
    header: [u8; HEADER],
    len: u8,
    answers: bool,
    parsed: Header,
    /// Bytes of extras, key and value to come.
    extras: u8,
    key: u16,
    value: u32,
}

impl Packets {
    /// Of a server, or of a client.
    pub(super) fn new(answers: bool) -> Self {
        Self {
            answers,
            ..Self::default()
        }
    }

    /// Whether the next byte begins a packet.
    pub(super) fn is_between(&self) -> bool {
        self.len == 0
    }

    /// The header read last.
    pub(super) fn header(&self) -> Header {
        self.parsed
    }

    /// Reads on, up to the end of a part. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        let len = usize::from(self.len);
        if len < HEADER {
            let taken = bytes.len().min(HEADER - len);
            self.header[len..len + taken].copy_from_slice(&bytes[..taken]);
            self.len += taken as u8;
            if len + taken < HEADER {
                return (taken, Next::More);
            }
            let magic = if self.answers { RESPONSE } else { REQUEST };
            let Some(header) = Header::parse(&self.header, magic) else {
                return (taken, Next::Bad);
            };
            self.parsed = header;
            self.extras = header.extras;
            self.key = header.key;
            self.value = header.body - u32::from(header.extras) - u32::from(header.key);
            return (taken, Next::Header);
        }
        if self.extras > 0 {
            let taken = bytes.len().min(usize::from(self.extras));
            self.extras -= taken as u8;
            return (taken, Next::More);
        }
        if self.key > 0 {
            let taken = bytes.len().min(usize::from(self.key));
            self.key -= taken as u16;
            return (taken, Next::Key);
        }
        let taken = bytes.len().min(self.value as usize);
        self.value -= taken as u32;
        (taken, Next::More)
    }

    /// Whether the packet under way is complete; then the next byte begins another one.
    pub(super) fn complete(&mut self) -> bool {
        let complete =
            usize::from(self.len) == HEADER && self.extras == 0 && self.key == 0 && self.value == 0;
        if complete {
            self.len = 0;
        }
        complete
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of one value, or nothing of it would be left.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let in_value = usize::from(self.len) == HEADER && self.extras == 0 && self.key == 0;
        let inside = in_value && n < u64::from(self.value);
        if inside {
            self.value -= n as u32;
        }
        inside
    }
}

/// Whether these can be the first bytes of a connection; `None`: they cannot be.
pub(super) fn begins(prefix: &[u8]) -> Option<bool> {
    if prefix.first().is_some_and(|first| *first != REQUEST) {
        return None;
    }
    let Some(header) = prefix.first_chunk::<HEADER>() else {
        return Some(false);
    };
    Header::parse(header, REQUEST).map(|_| true)
}
