//! Commands of the text protocol, classic and meta, read over any split.

use super::class::{self, Classes};

/// Bytes kept of a word: enough for every name and number. Keys are longer and do not matter here.
const WORD: usize = 24;
/// Largest value that a server can be told to take (`-I`).
const VALUE: u64 = 1024 * 1024 * 1024;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Part of a command line.
    Line,
    /// Part of a value.
    Value,
    /// The end of a command; it belongs to its line if that is true.
    Done(bool),
    /// They are no command.
    Bad,
}

/// A command that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// What can come back.
    pub(super) answers: Classes,
    /// What comes back may be left out; this is what is not.
    pub(super) shows: Option<Classes>,
    /// Nobody waits for what it may show.
    pub(super) is_store: bool,
    /// Nothing comes back.
    pub(super) silent: bool,
    /// It only shows that what was asked before is answered.
    pub(super) is_barrier: bool,
    /// It ends the connection, or makes it something else.
    pub(super) ends: bool,
    /// No other protocol says this.
    pub(super) is_proof: bool,
}

/// What a name asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    answers: Classes,
    /// Words behind the name, at least.
    least: u8,
    /// Which word says how long the value is; 0: none follows.
    value: u8,
    /// Words that must be numbers, as bits.
    numbers: u8,
    meta: bool,
}

/// The commands.
fn shape(name: &[u8]) -> Option<Shape> {
    use class::*;
    let shape = |answers, least| Shape {
        answers: answers | ERROR,
        least,
        ..Shape::default()
    };
    Some(match name {
        b"get" | b"gets" => shape(VALUE | END, 1),
        b"gat" | b"gats" => Shape {
            numbers: 1 << 1,
            ..shape(VALUE | END, 2)
        },
        b"set" | b"add" | b"replace" | b"append" | b"prepend" => Shape {
            value: 4,
            numbers: 1 << 2 | 1 << 3 | 1 << 4,
            ..shape(STORED | NOT_FOUND, 4)
        },
        b"cas" => Shape {
            value: 4,
            numbers: 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5,
            ..shape(STORED | NOT_FOUND, 5)
        },
        b"delete" => shape(DELETED | NOT_FOUND, 1),
        b"incr" | b"decr" => shape(NUMBER | NOT_FOUND, 2),
        b"touch" => shape(TOUCHED | NOT_FOUND, 2),
        b"mg" => meta(VA | HD | EN, 1),
        b"ms" => Shape {
            value: 2,
            numbers: 1 << 2,
            ..meta(HD | NS | EX | NF, 2)
        },
        b"md" => meta(HD | NF | EX, 1),
        b"ma" => meta(VA | HD | NF | NS | EX, 1),
        b"me" => meta(ME | EN, 1),
        b"mn" => Shape {
            answers: MN,
            ..meta(MN, 0)
        },
        b"version" => shape(VERSION, 0),
        b"stats" => shape(STAT | END | OTHER, 0),
        b"flush_all" | b"verbosity" | b"cache_memlimit" | b"slabs" | b"lru" | b"lru_crawler" => {
            shape(OTHER | STAT | END | EN, 0)
        }
        b"quit" | b"shutdown" | b"watch" => shape(OTHER, 0),
        _ => return None,
    })
}

fn meta(answers: Classes, least: u8) -> Shape {
    Shape {
        answers: answers | class::ERROR,
        least,
        meta: true,
        ..Shape::default()
    }
}

/// A reader of commands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Commands {
    stage: Stage,
    shape: Shape,
    command: Command,
    /// The word under way; its length saturates.
    word: [u8; WORD],
    len: u8,
    /// Which word it is, from 0; saturating.
    index: u8,
    /// Bytes of the value to come, its end of line included.
    value: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Between = 0,
    Line,
    Value,
}

impl Commands {
    /// Whether the next byte begins a command.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::Between
    }

    /// The command read last.
    pub(super) fn command(&self) -> Command {
        self.command
    }

    /// Reads on, at most up to the end of a line or of a command. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        if self.stage == Stage::Value {
            return self.value(bytes);
        }
        if self.stage == Stage::Between {
            *self = Self {
                stage: Stage::Line,
                ..Self::default()
            };
        }
        for (i, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => {
                    return match self.line_done() {
                        Some(true) => (i + 1, Next::Done(true)),
                        Some(false) => (i + 1, Next::Line),
                        None => (i, Next::Bad),
                    };
                }
                b' ' => {
                    if self.len > 0 && self.word_done().is_none() {
                        return (i, Next::Bad);
                    }
                }
                b'\0' => return (i, Next::Bad),
                _ => self.push(byte),
            }
        }
        (bytes.len(), Next::Line)
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.word.get_mut(usize::from(self.len)) {
            *place = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    /// The word under way as far as it was kept; empty when it is longer.
    fn word(&self) -> &[u8] {
        self.word.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// A word is complete. `None`: it cannot stand there.
    fn word_done(&mut self) -> Option<()> {
        let index = self.index;
        if index == 0 {
            self.shape = shape(self.word())?;
            self.command.answers = self.shape.answers;
            self.command.is_barrier = self.word() == b"mn";
            self.command.ends = matches!(self.word(), b"quit" | b"shutdown" | b"watch");
        }
        if index < 8 && self.shape.numbers & (1 << index) != 0 {
            let number = number(self.word())?;
            if index == self.shape.value {
                self.value = u64::try_from(number).ok().filter(|n| *n <= VALUE)? + 2;
            }
        }
        self.command.silent = self.word() == b"noreply" && !self.shape.meta && index > 0;
        if self.shape.meta && self.word() == b"q" && index > 1 {
            self.hush();
        }
        self.len = 0;
        self.index = index.saturating_add(1);
        Some(())
    }

    /// The command has asked for silence unless there is something to say.
    fn hush(&mut self) {
        use class::*;
        // Of the commands that store only `mg` can have no NF.
        let is_get = self.shape.answers & NF == 0;
        let hidden = if is_get { EN } else { HD };
        self.command.shows = Some(self.shape.answers & !hidden);
        self.command.is_store = !is_get;
    }

    /// The line is complete. `Some(true)`: and with it the command; `None`: it is none.
    fn line_done(&mut self) -> Option<bool> {
        if self.len > 0 && self.word.get(usize::from(self.len) - 1) == Some(&b'\r') {
            self.len -= 1;
        }
        if self.len > 0 {
            self.word_done()?;
        }
        if self.index == 0 || self.index <= self.shape.least {
            return None;
        }
        self.command.is_proof = self.command.silent;
        self.len = 0;
        let complete = self.value == 0;
        self.stage = if complete {
            Stage::Between
        } else {
            Stage::Value
        };
        Some(complete)
    }

    /// A value passes, and the end of the line behind it.
    fn value(&mut self, bytes: &[u8]) -> (usize, Next) {
        let taken = (bytes.len() as u64).min(self.value) as usize;
        for &byte in &bytes[..taken][taken - taken.min(2)..] {
            (self.word[0], self.word[1]) = (self.word[1], byte);
        }
        self.value -= taken as u64;
        if self.value > 0 {
            return (taken, Next::Value);
        }
        if self.word[..2] != *b"\r\n" {
            return (taken, Next::Bad);
        }
        self.command.is_proof = true;
        self.stage = Stage::Between;
        (taken, Next::Done(false))
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of one value.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.stage == Stage::Value && n + 2 <= self.value;
        if inside {
            self.value -= n;
        }
        inside
    }
}

/// Whether these can be the first bytes of a connection: a command that stores or asks for values; `None`: they are not even
/// the beginning of one.
pub(in crate::protocol) fn begins(prefix: &[u8], is_full: bool) -> Option<bool> {
    const STARTERS: [&[u8]; 20] = [
        b"get", b"gets", b"gat", b"gats", b"set", b"add", b"replace", b"append", b"prepend",
        b"cas", b"delete", b"incr", b"decr", b"touch", b"mg", b"ms", b"md", b"ma", b"mn",
        b"version",
    ];
    let end = prefix
        .iter()
        .position(|b| !b.is_ascii_lowercase())
        .unwrap_or(prefix.len());
    let name = &prefix[..end];
    if end == prefix.len() {
        return STARTERS
            .iter()
            .any(|s| s.starts_with(name))
            .then_some(false);
    }
    if !STARTERS.contains(&name) {
        return None;
    }
    let line_end = memchr::memchr(b'\n', prefix);
    let line = &prefix[..line_end.unwrap_or(prefix.len())];
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    if !text[end..]
        .iter()
        .all(|b| matches!(b, b' '..=b'~' | 0x80..))
    {
        return None;
    }
    let mut commands = Commands::default();
    if commands
        .next(&prefix[..line_end.map_or(prefix.len(), |end| end + 1)])
        .1
        == Next::Bad
    {
        return None;
    }
    if line_end.is_none() {
        return Some(is_full);
    }
    let last = text.rsplit(|b| *b == b' ').next().unwrap_or_default();
    // Jobs of beanstalkd are deleted by number.
    let is_job = name == b"delete" && last.iter().all(u8::is_ascii_digit);
    (line.len() > text.len() && !is_job && !last.starts_with(b"HTTP/")).then_some(true)
}

fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !(1..=20).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(if digits.len() < text.len() {
        -value
    } else {
        value
    })
}
