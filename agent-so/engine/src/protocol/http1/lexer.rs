//! Field lines (RFC 9112 section 5) cut into names and values, whatever the pieces they arrive in.

use memchr::memchr;

/// Longest field name told, bytes; a longer one is followed as an unnamed field.
pub(super) const NAME_MAX: usize = 48;

/// Reads the lines from the end of the first line to the empty line. Names are kept, in lower case; values are
/// handed through as they come, and only for the fields asked for: the others cost one search for their LF.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Lexer {
    at: At,
    /// Above [`NAME_MAX`] for a name that was too long.
    name_len: u8,
    name: [u8; NAME_MAX],
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            at: At::LineStart,
            name_len: 0,
            name: [0; NAME_MAX],
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum At {
    #[default]
    LineStart = 0,
    /// After the CR of what must be the empty line.
    BlankCr,
    Name,
    /// In a value that nobody asked for.
    Skip,
    /// In the white space before a value.
    Lead,
    Value,
    /// After a CR that belongs to the value unless LF follows.
    ValueCr,
    /// At the start of the line after a wanted value that is still empty, respectively not empty: white space here
    /// continues it (obs-fold, RFC 9112 section 5.2).
    NextAfterLead,
    NextAfterValue,
    /// In the white space at the start of a continuation line.
    Fold,
}

/// What a call of [`Lexer::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Piece<'a> {
    /// All bytes are used up.
    More,
    /// A name is complete, see [`Lexer::name`]. Unless [`Lexer::want`] is called now, its value is skipped.
    Name,
    /// The next bytes of a wanted value; white space at its end is still to be trimmed.
    Value(&'a [u8]),
    /// The wanted value is complete.
    ValueEnd,
    /// The empty line: the head is complete.
    End,
    /// No field line: control characters in a name, or CR without LF at its start.
    Bad,
}

impl Lexer {
    /// The name in lower case without trailing blanks; `None` when longer than [`NAME_MAX`].
    pub(in crate::protocol) fn name(&self) -> Option<&[u8]> {
        self.name
            .get(..usize::from(self.name_len))
            .map(<[u8]>::trim_ascii_end)
    }

    /// Asks for the value of the name just found.
    pub(in crate::protocol) fn want(&mut self) {
        self.at = At::Lead;
    }

    /// Reads on; gives how many bytes were used and what they were.
    pub(in crate::protocol) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Piece<'a>) {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            let rest = &bytes[used..];
            match self.at {
                At::LineStart => match byte {
                    b'\n' => return (used + 1, Piece::End),
                    b'\r' => {
                        self.at = At::BlankCr;
                        used += 1;
                    }
                    b' ' | b'\t' => self.at = At::Skip,
                    _ => {
                        self.name_len = 0;
                        self.at = At::Name;
                    }
                },
                At::BlankCr if byte == b'\n' => return (used + 1, Piece::End),
                At::BlankCr => return (used, Piece::Bad),
                At::Name => {
                    let n = self.push_name(rest);
                    used += n;
                    match rest.get(n) {
                        None => {}
                        Some(b':') => {
                            self.at = At::Skip;
                            return (used + 1, Piece::Name);
                        }
                        // A line without a colon is nothing; servers differ in whether they mind.
                        Some(b'\n') => {
                            used += 1;
                            self.at = At::LineStart;
                        }
                        Some(_) => return (used, Piece::Bad),
                    }
                }
                At::Skip => match memchr(b'\n', rest) {
                    Some(end) => {
                        used += end + 1;
                        self.at = At::LineStart;
                    }
                    None => used = bytes.len(),
                },
                At::Lead | At::Fold => match byte {
                    b' ' | b'\t' | b'\r' => used += 1,
                    b'\n' => {
                        used += 1;
                        self.at = match self.at {
                            At::Lead => At::NextAfterLead,
                            _ => At::NextAfterValue,
                        };
                    }
                    _ => self.at = At::Value,
                },
                At::Value => {
                    let (n, value) = self.value(rest);
                    used += n;
                    if !value.is_empty() {
                        return (used, Piece::Value(value));
                    }
                }
                At::ValueCr if byte == b'\n' => {
                    used += 1;
                    self.at = At::NextAfterValue;
                }
                At::ValueCr => {
                    self.at = At::Value;
                    return (used, Piece::Value(b"\r"));
                }
                At::NextAfterLead | At::NextAfterValue if !matches!(byte, b' ' | b'\t') => {
                    self.at = At::LineStart;
                    return (used, Piece::ValueEnd);
                }
                At::NextAfterLead => self.at = At::Lead,
                At::NextAfterValue => {
                    self.at = At::Fold;
                    return (used, Piece::Value(b" "));
                }
            }
        }
        (used, Piece::More)
    }

    fn value<'a>(&mut self, rest: &'a [u8]) -> (usize, &'a [u8]) {
        let end = memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        let value = line.strip_suffix(b"\r").unwrap_or(line);
        if end.is_some() {
            self.at = At::NextAfterValue;
        } else if value.len() < line.len() {
            self.at = At::ValueCr;
        }
        (line.len() + usize::from(end.is_some()), value)
    }

    /// Takes bytes up to the first one that no name has; gives their number. All others are let through: servers are
    /// lenient in different ways, and a name that is not a token is simply none of those looked for.
    fn push_name(&mut self, bytes: &[u8]) -> usize {
        let mut len = usize::from(self.name_len);
        let mut taken = 0;
        for &byte in bytes {
            let folded = FOLDED[usize::from(byte)];
            if folded == 0 {
                break;
            }
            match self.name.get_mut(len) {
                Some(slot) => {
                    *slot = folded;
                    len += 1;
                }
                None => len = NAME_MAX + 1,
            }
            taken += 1;
        }
        self.name_len = len as u8;
        taken
    }
}

/// Lower case of every byte, zero for those that no name has: the colon and control characters.
static FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b >= b' ' && b != b':' && b != 0x7f || b == b'\t' || b == b'\r' {
            table[byte] = b.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};
