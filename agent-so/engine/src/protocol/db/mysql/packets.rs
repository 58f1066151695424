//! Packets: three bytes of length, one that counts them, the payload. What is as long as can be goes on in the next one.

/// Length of a packet that another one continues.
const FULL: u32 = 0xff_ffff;
const HEAD: usize = 4;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// More are needed.
    None,
    /// A message begins: the head of its first packet is complete.
    Begins,
    /// The message goes on with these.
    Bytes(&'a [u8]),
    /// It is complete.
    Ends,
}

/// A reader of the packets of one direction, over any split.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packets {
    head: [u8; HEAD],
    head_len: u8,
    stage: Stage,
    /// Number of the first packet of the message.
    first: u8,
    /// Payload bytes of the packet to come.
    left: u32,
    /// Payload bytes of the message that were read.
    read: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Between = 0,
    /// In the head of a packet that continues the one before it.
    Continued,
    Payload,
}

impl Packets {
    /// Whether the next byte begins a message.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::Between && self.head_len == 0
    }

    /// Number of the first packet of the message.
    pub(super) fn first(&self) -> u8 {
        self.first
    }

    /// Number of the packet read last.
    pub(super) fn last(&self) -> u8 {
        self.head[3]
    }

    /// Payload bytes of the packet read last: of the whole message where it was not continued.
    pub(super) fn len(&self) -> u32 {
        u32::from_le_bytes([self.head[0], self.head[1], self.head[2], 0])
    }

    /// Payload bytes of the message that were read before the part told last.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Takes bytes of the next part. Returns how many.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Part<'a>) {
        let mut used = 0;
        loop {
            if self.stage == Stage::Payload {
                if self.left > 0 {
                    let take = (bytes.len() - used).min(self.left as usize);
                    let part = &bytes[used..used + take];
                    self.left -= take as u32;
                    return match take {
                        0 => (used, Part::None),
                        _ => (used + take, Part::Bytes(part)),
                    };
                }
                self.head_len = 0;
                if self.len() == FULL {
                    self.stage = Stage::Continued;
                } else {
                    self.stage = Stage::Between;
                    return (used, Part::Ends);
                }
            }
            let Some(byte) = bytes.get(used) else {
                return (used, Part::None);
            };
            used += 1;
            self.head[usize::from(self.head_len)] = *byte;
            self.head_len += 1;
            if usize::from(self.head_len) == HEAD {
                self.left = self.len();
                let begins = self.stage == Stage::Between;
                self.stage = Stage::Payload;
                if begins {
                    self.first = self.head[3];
                    self.read = 0;
                    return (used, Part::Begins);
                }
            }
        }
    }

    /// The bytes told last were dealt with.
    pub(super) fn advance(&mut self, n: usize) {
        self.read += n as u64;
    }

    /// Passes over `n` bytes that were not seen; false when they are not all inside one packet.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.stage == Stage::Payload && n < u64::from(self.left);
        if inside {
            self.left -= n as u32;
            self.read += n;
        }
        inside
    }
}

/// A number of variable length, byte by byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number {
    value: u64,
    read: u8,
    bytes: u8,
}

impl Number {
    /// Takes the next byte; the number when it is complete. `None` inside: no number begins like that.
    pub(super) fn push(&mut self, byte: u8) -> Option<Option<u64>> {
        if self.bytes == 0 {
            self.bytes = match byte {
                0xfc => 2,
                0xfd => 3,
                0xfe => 8,
                0xfb | 0xff => return Some(None),
                _ => return Some(Some(byte.into())),
            };
            return None;
        }
        self.value |= u64::from(byte) << (8 * self.read);
        self.read += 1;
        (self.read == self.bytes).then(|| Some(std::mem::take(self).value))
    }
}

/// The number at the front of `bytes`, and what follows it.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = Number::default();
    for (i, byte) in bytes.iter().enumerate() {
        if let Some(value) = number.push(*byte) {
            return Some((value?, &bytes[i + 1..]));
        }
    }
    None
}

/// The text at the front of `bytes`, which stands behind its length, and what follows it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}
