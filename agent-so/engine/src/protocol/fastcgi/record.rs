//! The records of one direction (FastCGI 1.0, section 3.3): an 8-byte header, content, padding.

/// Bytes of a header.
pub(super) const HEADER: usize = 8;
/// Bytes of content that are kept of each record: all of the two fixed ones.
const FIXED: usize = 8;

/// Types of records.
pub(super) const BEGIN_REQUEST: u8 = 1;
pub(super) const ABORT_REQUEST: u8 = 2;
pub(super) const END_REQUEST: u8 = 3;
pub(super) const PARAMS: u8 = 4;
pub(super) const STDIN: u8 = 5;
pub(super) const STDOUT: u8 = 6;
pub(super) const STDERR: u8 = 7;
pub(super) const DATA: u8 = 8;

/// Cuts a direction into records, whatever the pieces it arrives in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Records {
    /// Bytes of the header seen; 0 between records.
    have: u8,
    /// Whether the end of the content was told.
    ended: bool,
    padding: u8,
    kept: u8,
    /// Bytes of content to come.
    left: u16,
    header: [u8; HEADER],
    fixed: [u8; FIXED],
}

/// What a call of [`Records::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// All bytes are used up.
    More,
    /// The header is complete.
    Start,
    /// The next bytes of the content.
    Content(&'a [u8]),
    /// The content is complete, which may be empty; padding may follow.
    End,
    /// So is its padding, where there is any: the next byte begins a record.
    Padded,
    /// Not version 1 of the protocol.
    Bad,
}

impl Records {
    /// Whether the next byte is the first of a record.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0
    }

    /// The type of the record under way; valid from [`Piece::Start`] on, as are the next two.
    pub(super) fn kind(&self) -> u8 {
        self.header[1]
    }

    pub(super) fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Length of the whole content.
    pub(super) fn len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The content's first bytes as far as they were seen, zeros after them.
    pub(super) fn fixed(&self) -> [u8; FIXED] {
        self.fixed
    }

    /// Reads on; gives how many bytes were used and what they were. To be called until it says `More`: an end needs no byte.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Piece<'a>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            if usize::from(self.have) < HEADER {
                let Some(&byte) = rest.first() else {
                    return (used, Piece::More);
                };
                if self.have == 0 && byte != 1 {
                    return (used, Piece::Bad);
                }
                self.header[usize::from(self.have)] = byte;
                self.have += 1;
                used += 1;
                if usize::from(self.have) == HEADER {
                    self.left = self.len();
                    self.padding = self.header[6];
                    self.ended = false;
                    self.kept = 0;
                    self.fixed = [0; FIXED];
                    return (used, Piece::Start);
                }
            } else if self.left > 0 {
                if rest.is_empty() {
                    return (used, Piece::More);
                }
                let n = rest.len().min(usize::from(self.left));
                self.left -= n as u16;
                for (slot, byte) in self.fixed.iter_mut().skip(self.kept.into()).zip(&rest[..n]) {
                    *slot = *byte;
                    self.kept += 1;
                }
                return (used + n, Piece::Content(&rest[..n]));
            } else if !self.ended {
                self.ended = true;
                if self.padding == 0 {
                    self.have = 0;
                }
                return (used, Piece::End);
            } else {
                let n = rest.len().min(usize::from(self.padding));
                self.padding -= n as u8;
                used += n;
                if self.padding > 0 {
                    return (used, Piece::More);
                }
                self.have = 0;
                return (used, Piece::Padded);
            }
        }
    }

    /// Passes over `n` unseen bytes of content; false when they need not all be that.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        if usize::from(self.have) < HEADER || n > u64::from(self.left) {
            return false;
        }
        self.left -= n as u16;
        true
    }
}
