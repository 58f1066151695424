//! One line of the protocol: what stands before `\r\n`.

/// Bytes kept of a line: enough for every number, and for the code at the front of an error.
const KEPT: usize = 24;

/// Whether a line is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    More,
    Whole,
}

/// A line as far as it was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    text: [u8; KEPT],
    /// Saturating.
    len: u8,
}

impl Line {
    /// Takes bytes up to the end of the line. Returns how many.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (usize, Read) {
        let end = memchr::memchr(b'\n', bytes);
        for byte in &bytes[..end.unwrap_or(bytes.len())] {
            if let Some(place) = self.text.get_mut(usize::from(self.len)) {
                *place = *byte;
            }
            self.len = self.len.saturating_add(1);
        }
        match end {
            Some(end) => (end + 1, Read::Whole),
            None => (bytes.len(), Read::More),
        }
    }

    /// Whether nothing of it was read.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The front of the line.
    pub(super) fn text(&self) -> &[u8] {
        let kept = &self.text[..usize::from(self.len).min(KEPT)];
        kept.strip_suffix(b"\r").unwrap_or(kept)
    }

    /// The line as a number.
    pub(super) fn number(&self) -> Option<i64> {
        (usize::from(self.len) <= KEPT)
            .then(|| number(self.text()))
            .flatten()
    }
}

/// A decimal number with an optional sign.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if !(1..=18).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(if negative { -value } else { value })
}
