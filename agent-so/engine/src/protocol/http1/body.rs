//! The end of a body (RFC 9112 sections 6 and 7): counted, chunked, or until the connection closes.

use memchr::memchr;

use super::Progress;

/// Follows one body without keeping any of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Body {
    at: At,
    /// Whether any byte of it (chunk framing included) has passed.
    started: bool,
    /// Bytes left of a counted body or of the chunk's data; the chunk size while that is being read.
    left: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum At {
    #[default]
    Counted = 0,
    UntilClose,
    /// Before the first digit of a chunk's size.
    Size,
    SizeMore,
    /// From the end of the size to the end of its line: blanks and chunk extensions.
    Extension,
    Data,
    DataEnd,
    DataEndCr,
    Trailer,
    TrailerLine,
    TrailerCr,
}

impl Body {
    /// A body of `len` bytes, `len` above zero.
    pub(super) fn counted(len: u64) -> Self {
        Self {
            at: At::Counted,
            started: false,
            left: len,
        }
    }

    pub(super) fn chunked() -> Self {
        Self {
            at: At::Size,
            started: false,
            left: 0,
        }
    }

    pub(super) fn until_close() -> Self {
        Self {
            at: At::UntilClose,
            started: false,
            left: 0,
        }
    }

    pub(super) fn is_until_close(&self) -> bool {
        self.at == At::UntilClose
    }

    /// Bytes left of a counted body.
    pub(super) fn counted_left(&self) -> Option<u64> {
        (self.at == At::Counted).then_some(self.left)
    }

    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// Reads on; gives the bytes used, how many of these are payload, and whether the body is complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, u64, Progress) {
        self.started |= !bytes.is_empty();
        let mut used = 0;
        let mut payload = 0;
        while let Some(&byte) = bytes.get(used) {
            let rest = &bytes[used..];
            match self.at {
                At::Counted | At::Data => {
                    let n = self.left.min(rest.len() as u64);
                    used += n as usize;
                    payload += n;
                    self.left -= n;
                    if self.left == 0 {
                        if self.at == At::Counted {
                            return (used, payload, Progress::Done);
                        }
                        self.at = At::DataEnd;
                    }
                    continue;
                }
                At::UntilClose => return (bytes.len(), rest.len() as u64, Progress::More),
                At::Extension | At::TrailerLine => {
                    match memchr(b'\n', rest) {
                        Some(end) if self.at == At::Extension => {
                            used += end + 1;
                            self.size_done();
                        }
                        Some(end) => {
                            used += end + 1;
                            self.at = At::Trailer;
                        }
                        None => used = bytes.len(),
                    }
                    continue;
                }
                At::Size | At::SizeMore => match (byte, char::from(byte).to_digit(16)) {
                    (_, Some(digit)) if self.left >> 59 == 0 => {
                        self.left = self.left << 4 | u64::from(digit);
                        self.at = At::SizeMore;
                    }
                    (b'\n', _) if self.at == At::SizeMore => self.size_done(),
                    (b';' | b' ' | b'\t' | b'\r', _) if self.at == At::SizeMore => {
                        self.at = At::Extension;
                    }
                    _ => return (used, payload, Progress::Bad),
                },
                At::DataEnd if byte == b'\r' => self.at = At::DataEndCr,
                At::DataEnd | At::DataEndCr if byte == b'\n' => self.at = At::Size,
                At::Trailer if byte == b'\r' => self.at = At::TrailerCr,
                At::Trailer | At::TrailerCr if byte == b'\n' => {
                    return (used + 1, payload, Progress::Done);
                }
                At::Trailer => self.at = At::TrailerLine,
                At::DataEnd | At::DataEndCr | At::TrailerCr => {
                    return (used, payload, Progress::Bad);
                }
            }
            used += 1;
        }
        (used, payload, Progress::More)
    }

    /// Passes over `n` unseen bytes. `None` when they need not all be payload of this body.
    pub(super) fn skip(&mut self, n: u64) -> Option<Progress> {
        match self.at {
            At::UntilClose => {}
            At::Counted | At::Data if n <= self.left => {
                self.left -= n;
                if self.left == 0 {
                    if self.at == At::Counted {
                        return Some(Progress::Done);
                    }
                    self.at = At::DataEnd;
                }
            }
            _ => return None,
        }
        self.started = true;
        Some(Progress::More)
    }

    fn size_done(&mut self) {
        self.at = if self.left == 0 {
            At::Trailer
        } else {
            At::Data
        };
    }
}
