//! What a client asks for: a batch of statements, calls of procedures, something about a transaction.

use super::packets::kind;
use super::text::Utf16;
use super::value::{Said, Taker, Took, Value};
use crate::protocol::db::name::Name;

/// Longest name of a procedure kept, bytes.
const NAME: usize = 72;
/// What stands for the number of characters where a number of a procedure follows.
const NUMBERED: u64 = 0xffff;
/// A parameter that is encrypted has more behind its value.
const ENCRYPTED: u64 = 8;

/// Procedures that are known by number, from 1 on.
const PROCEDURES: [&str; 15] = [
    "sp_cursor",
    "sp_cursoropen",
    "sp_cursorprepare",
    "sp_cursorexecute",
    "sp_cursorprepexec",
    "sp_cursorunprepare",
    "sp_cursorfetch",
    "sp_cursoroption",
    "sp_cursorclose",
    "sp_executesql",
    "sp_prepare",
    "sp_execute",
    "sp_prepexec",
    "sp_prepexecrpc",
    "sp_unprepare",
];

/// What a call does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// Which of the known procedures; 0: another one.
    pub(super) number: u8,
    /// The parameter that is the text of a statement, from 1 on; 0: there is none.
    statement: u8,
    /// Its statement gets a number.
    pub(super) prepares: bool,
    /// Its first parameter is the number of a statement that is carried out, or not needed any more.
    pub(super) recalls: bool,
    pub(super) forgets: bool,
    /// It only makes ready, or tidies up.
    pub(super) is_quiet: bool,
}

impl Call {
    fn of(number: u8) -> Self {
        let statement = match number {
            10 => 1,
            2 => 2,
            3 | 11 | 13 => 3,
            5 => 4,
            _ => 0,
        };
        Self {
            number,
            statement,
            prepares: matches!(number, 3 | 5 | 11 | 13),
            recalls: matches!(number, 4 | 12),
            forgets: matches!(number, 6 | 15),
            is_quiet: matches!(number, 3 | 6 | 8 | 9 | 11 | 15),
        }
    }

    /// The name of a known procedure.
    pub(super) fn name(self) -> &'static str {
        let at = usize::from(self.number).wrapping_sub(1);
        PROCEDURES.get(at).copied().unwrap_or_default()
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks<'a> {
    More,
    /// A piece of a batch or of a call's statement, in UTF-16.
    Text(&'a [u8]),
    /// A call begins: [`Request::call`], [`Request::name`].
    Call,
    /// The call's statement comes next.
    Statement,
    /// The first parameter of a call, a number.
    Number(u32),
    /// Something about a transaction.
    Transaction(u16),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Now {
    #[default]
    HeadersLength = 0,
    Headers,
    Text,
    Transaction,
    NameLength,
    Name,
    Number,
    Options,
    ParameterLength,
    ParameterName,
    ParameterStatus,
    Type,
    Value,
    Blind,
}

/// A reader of one message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request {
    kind: u8,
    now: Now,
    taker: Taker,
    value: Value,
    pub(super) name: Name<NAME>,
    text: Utf16,
    pub(super) call: Call,
    /// Which parameter is read, from 1 on.
    parameter: u8,
    is_encrypted: bool,
    number: u32,
    number_len: u8,
}

impl Request {
    /// A message of that type begins; with headers as of version 7.2.
    pub(super) fn begin(&mut self, kind: u8, has_headers: bool) {
        *self = Self {
            kind,
            ..Self::default()
        };
        if matches!(kind, kind::BULK) {
            self.now = Now::Blind;
        } else if has_headers {
            self.read(Now::HeadersLength, Taker::number(4));
        } else {
            self.content();
        }
    }

    fn read(&mut self, now: Now, taker: Taker) {
        self.now = now;
        self.taker = taker;
    }

    fn content(&mut self) {
        match self.kind {
            kind::BATCH => self.now = Now::Text,
            kind::TRANSACTION => self.read(Now::Transaction, Taker::number(2)),
            _ => self.call_next(),
        }
    }

    fn call_next(&mut self) {
        self.call = Call::default();
        self.name = Name::default();
        self.text = Utf16::default();
        self.parameter = 0;
        self.read(Now::NameLength, Taker::number(2));
    }

    /// Passes over `n` bytes that were not seen, where they are of no interest.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        match self.now {
            Now::Blind => true,
            Now::Value => self.parameter != self.call.statement && self.value.skip(n),
            _ => false,
        }
    }

    /// Reads up to the next thing to tell. Returns how many bytes that took.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Asks<'a>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.now {
                Now::Blind => return (bytes.len(), Asks::More),
                Now::Text if rest.is_empty() => return (used, Asks::More),
                Now::Text => return (bytes.len(), Asks::Text(rest)),
                Now::Type | Now::Value => {
                    let (n, said) = self.value.next(rest);
                    used += n;
                    match said {
                        Said::More => return (used, Asks::More),
                        Said::Lost => self.now = Now::Blind,
                        Said::Piece(piece) if self.parameter == self.call.statement => {
                            return (used, Asks::Text(piece));
                        }
                        Said::Piece(piece) => self.numbered(piece),
                        Said::Typed => {
                            self.now = Now::Value;
                            self.number = 0;
                            self.number_len = 0;
                            self.value.begin(self.value.shape);
                            if self.parameter == self.call.statement {
                                if !self.value.is_text {
                                    self.now = Now::Blind;
                                } else {
                                    return (used, Asks::Statement);
                                }
                            }
                        }
                        Said::Over if self.is_encrypted => self.now = Now::Blind,
                        Said::Over => {
                            self.read(Now::ParameterLength, Taker::number(1));
                            if self.parameter == 1 && self.number_len == 4 {
                                return (used, Asks::Number(self.number));
                            }
                        }
                    }
                }
                _ => {
                    let (n, took) = self.taker.take(rest);
                    used += n;
                    match took {
                        Took::More => return (used, Asks::More),
                        Took::Piece(piece) if self.now == Now::Name => {
                            let name = &mut self.name;
                            self.text.push(piece, &mut |text| name.push(text));
                        }
                        Took::Piece(_) => {}
                        Took::Done => {
                            if let Some(asks) = self.whole() {
                                return (used, asks);
                            }
                        }
                    }
                }
            }
        }
    }

    fn numbered(&mut self, piece: &[u8]) {
        if self.parameter != 1 {
            return;
        }
        for byte in piece {
            if self.number_len < 4 {
                self.number |= u32::from(*byte) << (8 * self.number_len);
            }
            self.number_len = self.number_len.saturating_add(1);
        }
    }

    /// What was awaited is there.
    fn whole(&mut self) -> Option<Asks<'static>> {
        let number = self.taker.value();
        match self.now {
            Now::HeadersLength => match number.checked_sub(4) {
                Some(left) => self.read(Now::Headers, Taker::pass(left)),
                None => self.now = Now::Blind,
            },
            Now::Headers => self.content(),
            Now::Transaction => {
                self.now = Now::Blind;
                return Some(Asks::Transaction(number as u16));
            }
            Now::NameLength if number == NUMBERED => self.read(Now::Number, Taker::number(2)),
            Now::NameLength => self.read(Now::Name, Taker::pass(number * 2)),
            Now::Name => {
                let name = self.name.text();
                let known = |p: &&str| p.as_bytes().eq_ignore_ascii_case(name);
                if let Some(at) = PROCEDURES.iter().position(known) {
                    self.call = Call::of(at as u8 + 1);
                }
                return self.called();
            }
            Now::Number => {
                self.call = Call::of(u8::try_from(number).unwrap_or(0));
                return self.called();
            }
            Now::Options => self.read(Now::ParameterLength, Taker::number(1)),
            // Another call follows.
            Now::ParameterLength if matches!(number, 0x80 | 0xfe | 0xff) => self.call_next(),
            Now::ParameterLength => self.read(Now::ParameterName, Taker::pass(number * 2)),
            Now::ParameterName => self.read(Now::ParameterStatus, Taker::number(1)),
            Now::ParameterStatus => {
                self.is_encrypted = number & ENCRYPTED != 0;
                self.parameter = self.parameter.saturating_add(1);
                self.value.begin_type(false);
                self.now = Now::Type;
            }
            _ => self.now = Now::Blind,
        }
        None
    }

    fn called(&mut self) -> Option<Asks<'static>> {
        self.text = Utf16::default();
        self.read(Now::Options, Taker::number(2));
        Some(Asks::Call)
    }

    /// Whether this ends where a message may.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.now, Now::Text | Now::Blind | Now::ParameterLength)
    }

    /// The decoder of the text that is told.
    pub(super) fn decode(&mut self, piece: &[u8], out: &mut impl FnMut(&[u8])) {
        self.text.push(piece, out);
    }
}
