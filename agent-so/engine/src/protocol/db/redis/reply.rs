//! Replies on the wire, RESP2 and RESP3, read over any split. What is nested is only counted.

use super::line::{Line, Read, number};
use crate::db::redis::counted;

/// Bytes kept of a reply, or of its first element: enough for the code of an error and for the kind of a message.
const TEXT: usize = 16;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// They belong to a reply that goes on.
    More,
    /// A reply is complete.
    Done,
    /// They are no reply that can be followed.
    Bad,
}

/// A reader of replies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Replies {
    line: Line,
    /// Type of the reply; 0 while it is not known.
    kind: u8,
    /// The reply is complete: the next byte begins another one.
    complete: bool,
    /// Elements to come before it is, the one under way included; 0 between two replies.
    left: u64,
    /// Bytes of a bulk string to come, its end of line included.
    bytes: u64,
    /// Elements read, the reply itself included; saturating.
    read: u8,
    text: [u8; TEXT],
    text_len: u8,
    number: i64,
}

impl Replies {
    /// Whether the next byte begins a reply.
    pub(super) fn is_between(&self) -> bool {
        self.complete || (self.left == 0 && self.line.is_empty())
    }

    /// The code of the reply read last, if it is an error: its first word.
    pub(super) fn error(&self) -> Option<&[u8]> {
        matches!(self.kind, b'-' | b'!').then(|| {
            let text = self.text();
            let end = memchr::memchr(b' ', text).unwrap_or(text.len());
            &text[..end]
        })
    }

    /// The type of the reply read last.
    pub(super) fn kind(&self) -> u8 {
        self.kind
    }

    /// The front of the reply read last, or of its first element where it has some.
    pub(super) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.text_len)]
    }

    /// The last number in the reply read last.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// Reads up to the end of the next reply. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        if self.is_between()
            && let Some(used) = self.whole(bytes)
        {
            return (used, Next::Done);
        }
        if self.complete && !bytes.is_empty() {
            *self = Self::default();
        }
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let element = if self.bytes > 0 {
                let taken = (rest.len() as u64).min(self.bytes) as usize;
                let text = taken.min(self.bytes.saturating_sub(2) as usize);
                self.keep(&rest[..text]);
                self.bytes -= taken as u64;
                used += taken;
                self.bytes == 0
            } else {
                let (taken, read) = self.line.push(rest);
                used += taken;
                match read {
                    Read::More => false,
                    Read::Whole => match self.line_done() {
                        Some(element) => element,
                        None => return (used, Next::Bad),
                    },
                }
            };
            if element {
                self.read = self.read.saturating_add(1);
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.complete = true;
                    return (used, Next::Done);
                }
            }
        }
        (used, Next::More)
    }

    /// Reads a text or a bulk string that is all there, as most replies are. Returns its length.
    fn whole(&mut self, bytes: &[u8]) -> Option<usize> {
        let (text, used) = match bytes.first()? {
            b'$' => {
                let (len, line) = counted(bytes, b'$')?;
                let rest = bytes.get(line..).filter(|rest| rest.len() >= len + 2)?;
                (&rest[..len], line + len + 2)
            }
            b'+' => {
                // A longer one would not be kept whole.
                let front = &bytes[..bytes.len().min(TEXT)];
                let end = front.iter().position(|byte| *byte == b'\n')?;
                (front[1..end].strip_suffix(b"\r")?, end + 1)
            }
            _ => return None,
        };
        *self = Self {
            complete: true,
            kind: bytes[0],
            read: 1,
            ..Self::default()
        };
        let kept = text.len().min(TEXT);
        self.text[..kept].copy_from_slice(&text[..kept]);
        self.text_len = kept as u8;
        Some(used)
    }

    /// A line is complete. `Some(true)`: with it an element; `None`: it cannot stand there.
    fn line_done(&mut self) -> Option<bool> {
        let line = std::mem::take(&mut self.line);
        let (&kind, text) = line.text().split_first()?;
        self.left = self.left.max(1);
        if self.kind == 0 && kind != b'|' {
            self.kind = kind;
        }
        match kind {
            b'+' | b'-' | b'_' | b'#' | b',' | b'(' => self.keep(text),
            b':' => self.number = number(text)?,
            b'$' | b'=' | b'!' => match number(text)? {
                -1 => {}
                len @ 0.. => {
                    self.bytes = len as u64 + 2;
                    return Some(false);
                }
                _ => return None,
            },
            b'*' | b'~' | b'>' => self.nest(text, 1)?,
            b'%' => self.nest(text, 2)?,
            // Comes before what it belongs to.
            b'|' => {
                self.nest(text, 2)?;
                return Some(false);
            }
            _ => return None,
        }
        Some(true)
    }

    /// An aggregate of as many elements, times `by`.
    fn nest(&mut self, text: &[u8], by: u64) -> Option<()> {
        let count = number(text).filter(|count| (-1..=i64::from(u32::MAX)).contains(count))?;
        self.left = self.left.saturating_add(count.max(0) as u64 * by);
        Some(())
    }

    /// Keeps the text of the reply itself, or of the first element of an aggregate.
    fn keep(&mut self, text: &[u8]) {
        let wanted = u8::from(matches!(self.kind, b'*' | b'>'));
        if self.read == wanted {
            let at = usize::from(self.text_len);
            let len = text.len().min(TEXT - at);
            self.text[at..at + len].copy_from_slice(&text[..len]);
            self.text_len += len as u8;
        }
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of one bulk string.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = n < self.bytes;
        if inside {
            self.bytes -= n;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all of it in pieces of so many bytes: what ended, and what is known of it.
    fn read(bytes: &[u8], piece: usize) -> Vec<(Next, u8, Vec<u8>, i64)> {
        let (mut replies, mut seen) = (Replies::default(), Vec::new());
        for part in bytes.chunks(piece) {
            let mut rest = part;
            while !rest.is_empty() {
                let (used, next) = replies.next(rest);
                rest = &rest[used..];
                if next == Next::More {
                    break;
                }
                let text = replies.text().to_vec();
                seen.push((next, replies.kind(), text, replies.number()));
                if next == Next::Bad {
                    return seen;
                }
                assert!(replies.is_between());
            }
        }
        seen
    }

    #[test]
    fn a_reply_at_hand_is_read_as_one_in_pieces() {
        let rows: [(&[u8], usize); 9] = [
            (b"+OK\r\n$3\r\nabc\r\n:7\r\n$-1\r\n", 4),
            (b"$20\r\n12345678901234567890\r\n+OK\r\n", 2),
            (b"+\r\n$0\r\n\r\n", 2),
            (b"+a status of more than sixteen letters\r\n", 1),
            (b"+OK\n", 1),
            (b"-ERR no\r\n+OK\r\n", 2),
            (b"*2\r\n+OK\r\n$1\r\na\r\n", 1),
            (b"|1\r\n+a\r\n+b\r\n+OK\r\n", 1),
            (b"$x\r\n", 1),
        ];
        for (bytes, ended) in rows {
            let whole = read(bytes, bytes.len());
            assert_eq!(whole.len(), ended, "{}", bytes.escape_ascii());
            for piece in 1..bytes.len() {
                assert_eq!(
                    whole,
                    read(bytes, piece),
                    "{} by {piece}",
                    bytes.escape_ascii()
                );
            }
        }
    }
}
