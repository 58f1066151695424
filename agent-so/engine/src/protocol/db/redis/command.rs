//! Commands on the wire: arrays of bulk strings, read over any split.

use super::line::{Line, Read, number};
use crate::db::redis::counted;

/// Bytes kept of a command's name and of its first argument; longer ones are none that matters here.
const NAME: usize = 16;
/// Most arguments that a server accepts (its own limit is 1024 * 1024).
const ARGUMENTS: i64 = 1024 * 1024;
/// Longest argument that a server accepts, bytes (`proto-max-bulk-len`).
const ARGUMENT: i64 = 512 * 1024 * 1024;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// They belong to a command that goes on.
    More,
    /// A command is complete.
    Done,
    /// They are no command of this form (inline commands among them).
    Bad,
}

/// A reader of commands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Commands {
    stage: Stage,
    line: Line,
    /// Arguments to come.
    left: u32,
    /// Bytes of the argument to come, its end of line included.
    bytes: u32,
    /// Which argument is read, from 0; saturating.
    index: u8,
    /// The name, the first argument, and the third.
    words: [Word; 3],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Between = 0,
    Count,
    Length,
    Argument,
}

/// The front of an argument, upper case.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    text: [u8; NAME],
    len: u8,
}

impl Word {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.text.get_mut(usize::from(self.len)) {
                *place = byte.to_ascii_uppercase();
            }
            self.len = self.len.saturating_add(1);
        }
    }

    /// Keeps the front of a whole argument.
    fn set(&mut self, bytes: &[u8]) {
        for (to, from) in self.text.iter_mut().zip(bytes) {
            *to = from.to_ascii_uppercase();
        }
        self.len = bytes.len().min(usize::from(u8::MAX)) as u8;
    }

    /// Empty for one that is longer than what is kept.
    fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Where the front of the argument `index` is kept.
fn place(index: usize) -> Option<usize> {
    match index {
        0 | 1 => Some(index),
        3 => Some(2),
        _ => None,
    }
}

impl Commands {
    /// Whether the next byte begins a command.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::Between
    }

    /// Name of the command read last, in upper case, and its first argument.
    pub(super) fn words(&self) -> (&[u8], &[u8]) {
        (self.words[0].text(), self.words[1].text())
    }

    /// The front of its third argument, in upper case.
    pub(super) fn third(&self) -> &[u8] {
        let word = &self.words[2];
        &word.text[..usize::from(word.len).min(NAME)]
    }

    /// Reads up to the end of the next command. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        let mut used = 0;
        if self.is_between()
            && let Some(used) = self.whole(bytes)
        {
            return (used, Next::Done);
        }
        while used < bytes.len() {
            let rest = &bytes[used..];
            match self.stage {
                Stage::Between => {
                    if rest[0] != b'*' {
                        return (used, Next::Bad);
                    }
                    *self = Self {
                        stage: Stage::Count,
                        ..Self::default()
                    };
                    used += 1;
                }
                Stage::Count | Stage::Length => {
                    let (taken, read) = self.line.push(rest);
                    used += taken;
                    if read == Read::Whole && !self.counted() {
                        return (used, Next::Bad);
                    }
                }
                Stage::Argument => {
                    let taken = rest.len().min(self.bytes as usize);
                    // The end of the line does not count.
                    let text = taken.min((self.bytes as usize).saturating_sub(2));
                    if let Some(place) = place(self.index.into()) {
                        self.words[place].push(&rest[..text]);
                    }
                    used += taken;
                    self.bytes -= taken as u32;
                    if self.bytes == 0 {
                        self.index = self.index.saturating_add(1);
                        self.left -= 1;
                        self.stage = Stage::Length;
                        if self.left == 0 {
                            self.stage = Stage::Between;
                            return (used, Next::Done);
                        }
                    }
                }
            }
        }
        (used, Next::More)
    }

    /// Reads a command that is all there and written as libraries write it: nearly each one is. Returns its length.
    fn whole(&mut self, bytes: &[u8]) -> Option<usize> {
        let (count, mut used) = counted(bytes, b'*')?;
        if !(1..=ARGUMENTS as usize).contains(&count) {
            return None;
        }
        for word in &mut self.words {
            word.len = 0;
        }
        for index in 0..count {
            let rest = &bytes[used..];
            let (len, line) = counted(rest, b'$')?;
            if len > ARGUMENT as usize {
                return None;
            }
            // The end of its line is passed over, whatever it is.
            let rest = rest.get(line..).filter(|rest| rest.len() >= len + 2)?;
            if let Some(place) = place(index) {
                self.words[place].set(&rest[..len]);
            }
            used += line + len + 2;
        }
        Some(used)
    }

    /// A line with a number is complete. False: it is none that may stand there.
    fn counted(&mut self) -> bool {
        let count = match (self.stage, self.line.text().split_first()) {
            (Stage::Count, Some(_)) => self.line.number(),
            (_, Some((b'$', digits))) => number(digits),
            _ => None,
        };
        self.line = Line::default();
        match (self.stage, count) {
            (Stage::Count, Some(count @ 1..=ARGUMENTS)) => {
                self.left = count as u32;
                self.stage = Stage::Length;
                true
            }
            (Stage::Length, Some(len @ 0..=ARGUMENT)) => {
                self.bytes = len as u32 + 2;
                self.stage = Stage::Argument;
                true
            }
            _ => false,
        }
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of one argument.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.stage == Stage::Argument && n < u64::from(self.bytes);
        if inside {
            self.bytes -= n as u32;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ended, where, and with which words.
    type Seen = (usize, Next, [Vec<u8>; 3]);

    /// Reads all of it in pieces of so many bytes.
    fn read(bytes: &[u8], piece: usize) -> Vec<Seen> {
        let (mut commands, mut at, mut seen) = (Commands::default(), 0, Vec::new());
        for part in bytes.chunks(piece) {
            let mut rest = part;
            while !rest.is_empty() {
                let (used, next) = commands.next(rest);
                (at, rest) = (at + used, &rest[used..]);
                if next == Next::More {
                    break;
                }
                let (name, argument) = commands.words();
                let words = [name, argument, commands.third()].map(<[u8]>::to_vec);
                seen.push((at, next, words));
                if next == Next::Bad {
                    return seen;
                }
            }
        }
        seen
    }

    #[test]
    fn a_command_at_hand_is_read_as_one_in_pieces() {
        let long = [&b"*2\r\n$3\r\nget\r\n$300\r\n"[..], &[b'k'; 300], b"\r\n"].concat();
        let rows: [(&[u8], usize); 11] = [
            (b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n", 2),
            (
                b"*4\r\n$6\r\nclient\r\n$7\r\nsetinfo\r\n$8\r\nLIB-NAME\r\n$4\r\nfred\r\n*1\r\n$4\r\nPING\r\n",
                2,
            ),
            (&long, 1),
            (b"*1\r\n$17\r\nSEVENTEEN.LETTERS\r\n", 1),
            (b"*2\r\n$0\r\n\r\n$0\r\n\r\n", 1),
            (b"*+1\r\n$04\r\nPING\r\n", 1),
            (b"*1\n$4\nPING\r\n", 1),
            (b"*0\r\n$4\r\nPING\r\n", 1),
            (b"*1048577\r\n$4\r\nPING\r\n", 1),
            (b"*1\r\n$600000000\r\nPING\r\n", 1),
            (b"PING\r\n", 1),
        ];
        for (bytes, ended) in rows {
            let whole = read(bytes, bytes.len());
            assert_eq!(whole.len(), ended, "{}", bytes.escape_ascii());
            for piece in 1..bytes.len() {
                assert_eq!(whole.len(), read(bytes, piece).len());
                for (one, other) in whole.iter().zip(read(bytes, piece)) {
                    let place = (one.1 == Next::Bad) || one.0 == other.0;
                    assert!(place, "{} by {piece}", bytes.escape_ascii());
                    assert_eq!((one.1, &one.2), (other.1, &other.2));
                }
            }
        }
    }
}
