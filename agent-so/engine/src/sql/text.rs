//! The sanitized text, written token by token into the caller's buffer.
//!
//! A list of values in `IN (...)` becomes `IN (?)`, as the conventions allow: its length would make as many texts of
//! one statement.

use super::keyword::Key;
use super::lexer::Token;

/// How far a list of values is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    None,
    /// After `IN`.
    In,
    /// After `IN (`.
    Open,
    /// After a value; what is written up to the first value is this long.
    Value(usize),
    /// After a comma.
    Comma(usize),
}

pub(super) struct Text<'a, 'o> {
    source: &'a [u8],
    out: &'o mut [u8],
    len: usize,
    /// A token did not fit. What comes after is not written: unless the token is in a list, which may still shrink.
    full: bool,
    /// A comment was left out: what was apart must stay apart.
    gap: bool,
    list: List,
}

impl<'a, 'o> Text<'a, 'o> {
    pub(super) fn new(source: &'a [u8], out: &'o mut [u8]) -> Self {
        Self {
            source,
            full: out.is_empty(),
            out,
            len: 0,
            gap: false,
            list: List::None,
        }
    }

    /// Nothing more will be written.
    pub(super) fn is_full(&self) -> bool {
        self.full && !matches!(self.list, List::Value(_) | List::Comma(_))
    }

    /// The text ends here.
    pub(super) fn stop(&mut self) {
        self.full = true;
        self.list = List::None;
    }

    /// White space, as it is.
    pub(super) fn keep(&mut self, token: Token) {
        if self.len > 0 {
            self.write(token);
        }
    }

    /// Where a comment was.
    pub(super) fn gap(&mut self) {
        self.gap = self.len > 0;
    }

    /// A value.
    pub(super) fn literal(&mut self) {
        self.separate(b'?');
        self.push(b"?");
        self.value();
    }

    /// A `?` of the statement's own.
    pub(super) fn placeholder(&mut self, token: Token) {
        self.write(token);
        self.value();
    }

    pub(super) fn word(&mut self, token: Token, key: Key) {
        self.write(token);
        self.list = match key {
            Key::In => List::In,
            _ => List::None,
        };
    }

    pub(super) fn mark(&mut self, token: Token, mark: u8) {
        let list = match (self.list, mark) {
            (List::In, b'(') => List::Open,
            (List::Value(len), b',') => List::Comma(len),
            (List::Value(len), b')') => {
                self.len = len;
                self.full = false;
                self.gap = false;
                List::None
            }
            _ => List::None,
        };
        self.write(token);
        self.list = list;
    }

    /// Any other token.
    pub(super) fn other(&mut self, token: Token) {
        self.write(token);
        self.list = List::None;
    }

    /// The length of the text, and whether something is missing at its end.
    pub(super) fn finish(self) -> (usize, bool) {
        let trimmed = self.out[..self.len].trim_ascii_end().len();
        (trimmed, self.full)
    }

    fn value(&mut self) {
        self.list = match self.list {
            List::Open if !self.full => List::Value(self.len),
            List::Comma(len) => List::Value(len),
            _ => List::None,
        };
    }

    /// Writes the token, whole or not at all. Bytes that are not UTF-8 become U+FFFD.
    fn write(&mut self, token: Token) {
        let Some(bytes) = self.source.get(token.start..token.end) else {
            return;
        };
        self.separate(bytes[0]);
        if let Ok(valid) = std::str::from_utf8(bytes) {
            return self.push(valid.as_bytes());
        }
        let before = self.len;
        for chunk in bytes.utf8_chunks() {
            self.push(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                self.push("\u{fffd}".as_bytes());
            }
        }
        if self.full {
            self.len = before;
        }
    }

    /// Puts a blank where a comment was, if there is none.
    fn separate(&mut self, next: u8) {
        if std::mem::take(&mut self.gap)
            && !next.is_ascii_whitespace()
            && !self.out[..self.len].ends_with(b" ")
            && !self.out[..self.len]
                .last()
                .is_some_and(u8::is_ascii_whitespace)
        {
            self.push(b" ");
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.len..self.len + bytes.len()) {
            Some(room) if !self.full => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.full = true,
        }
    }
}
