//! Name-value pairs (FastCGI 1.0, section 3.4), whatever the pieces they arrive in.

/// Longest name told, bytes; a longer one is followed as an unnamed one.
pub(super) const NAME_MAX: usize = 53;

/// Reads a stream of pairs. Names are kept, values are handed through as they come, and only those asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs {
    at: At,
    /// Bytes of a four-byte length to come.
    more: u8,
    /// Above [`NAME_MAX`] for a name that was too long.
    name_len: u8,
    /// Bytes of the name and of the value to come.
    name_left: u32,
    value_left: u32,
    name: [u8; NAME_MAX],
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            at: At::NameLength,
            more: 0,
            name_len: 0,
            name_left: 0,
            value_left: 0,
            name: [0; NAME_MAX],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum At {
    NameLength = 0,
    ValueLength,
    Name,
    /// In a value that nobody asked for.
    Skip,
    Value,
}

/// What a call of [`Pairs::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// All bytes are used up.
    More,
    /// A name is complete, see [`Pairs::name`]. Unless [`Pairs::want`] is called now, its value is skipped.
    Name,
    /// The next bytes of a wanted value.
    Value(&'a [u8]),
    /// The wanted value is complete.
    ValueEnd,
}

impl Pairs {
    /// Whether the next byte begins a pair.
    pub(super) fn is_between(&self) -> bool {
        self.at == At::NameLength && self.more == 0
    }

    /// The name; `None` when longer than [`NAME_MAX`].
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.name.get(..usize::from(self.name_len))
    }

    /// Asks for the value of the name just found.
    pub(super) fn want(&mut self) {
        self.at = At::Value;
    }

    /// Bytes of the value to come.
    pub(super) fn value_left(&self) -> u32 {
        self.value_left
    }

    /// Reads on; gives how many bytes were used and what they were. To be called until it says `More`: an end needs no byte.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Piece<'a>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.at {
                At::Name if self.name_left == 0 => {
                    self.at = At::Skip;
                    return (used, Piece::Name);
                }
                At::Skip if self.value_left == 0 => self.at = At::NameLength,
                At::Value if self.value_left == 0 => {
                    self.at = At::NameLength;
                    return (used, Piece::ValueEnd);
                }
                _ if rest.is_empty() => return (used, Piece::More),
                At::NameLength | At::ValueLength => {
                    used += 1;
                    self.length(rest[0]);
                }
                At::Name => {
                    let n = taken(&mut self.name_left, rest);
                    used += n;
                    self.push_name(&rest[..n]);
                }
                At::Skip => used += taken(&mut self.value_left, rest),
                At::Value => {
                    let n = taken(&mut self.value_left, rest);
                    return (used + n, Piece::Value(&rest[..n]));
                }
            }
        }
    }

    /// Lengths up to 127 take one byte, others four of which the first has its high bit set.
    fn length(&mut self, byte: u8) {
        let length = match self.at {
            At::NameLength => &mut self.name_left,
            _ => &mut self.value_left,
        };
        if self.more > 0 {
            *length = *length << 8 | u32::from(byte);
            self.more -= 1;
        } else {
            *length = u32::from(byte & 0x7f);
            self.more = if byte < 0x80 { 0 } else { 3 };
        }
        if self.more == 0 {
            self.name_len = 0;
            self.at = match self.at {
                At::NameLength => At::ValueLength,
                _ => At::Name,
            };
        }
    }

    fn push_name(&mut self, bytes: &[u8]) {
        let at = usize::from(self.name_len);
        match self.name.get_mut(at..at + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.name_len += bytes.len() as u8;
            }
            None => self.name_len = NAME_MAX as u8 + 1,
        }
    }
}

/// Takes what there is of `left` bytes.
fn taken(left: &mut u32, rest: &[u8]) -> usize {
    let n = rest.len().min(*left as usize);
    *left -= n as u32;
    n
}
