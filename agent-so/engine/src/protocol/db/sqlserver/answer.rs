//! The tokens of an answer. Rows are passed over by the lengths of their values; where that is not possible the rest of the
//! message is not read, except that every answer ends with a token that says how it went.

use super::value::{Said, Shape, Taker, Took, Value};

/// Columns of which the shapes are known.
const COLUMNS: usize = 96;
/// Length of the token at the end, and of the older one.
const DONE: usize = 13;
const DONE_OLD: usize = 9;

mod token {
    pub(super) const RETURN_STATUS: u8 = 0x79;
    pub(super) const COLUMNS: u8 = 0x81;
    pub(super) const ORDER: u8 = 0xa9;
    pub(super) const TABLES: u8 = 0xa4;
    pub(super) const COLUMN_INFO: u8 = 0xa5;
    pub(super) const ERROR: u8 = 0xaa;
    pub(super) const INFO: u8 = 0xab;
    pub(super) const RETURN_VALUE: u8 = 0xac;
    pub(super) const LOGIN: u8 = 0xad;
    pub(super) const FEATURES: u8 = 0xae;
    pub(super) const ROW: u8 = 0xd1;
    pub(super) const SPARSE_ROW: u8 = 0xd2;
    pub(super) const CHANGE: u8 = 0xe3;
    pub(super) const STATE: u8 = 0xe4;
    pub(super) const SSPI: u8 = 0xed;
    pub(super) const FEDERATED: u8 = 0xee;
    pub(super) const DONE: u8 = 0xfd;
    pub(super) const DONE_PROCEDURE: u8 = 0xfe;
    pub(super) const DONE_IN_PROCEDURE: u8 = 0xff;
}

/// Bits of the status at the end.
const MORE: u16 = 1;
const ERROR: u16 = 2;
const COUNT: u16 = 0x10;
const ATTENTION: u16 = 0x20;
const SERVER_ERROR: u16 = 0x100;
const KNOWN: u16 = MORE | ERROR | 4 | COUNT | ATTENTION | 0x80 | SERVER_ERROR;
/// The number of a SELECT.
const SELECT: u16 = 0xc1;
/// The change of the database; the feature with which the descriptions of columns are others.
const DATABASE: u64 = 1;
const ENCRYPTED_COLUMNS: u64 = 4;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    More,
    /// An error with this number.
    Error(u32),
    /// The login is accepted, with this version of the protocol.
    Login(u8),
    /// The name of the database in use begins, goes on.
    DatabaseBegins,
    Database(&'a [u8]),
    /// A procedure gave its parameter with this number this value.
    Returned(u16, u32),
}

/// What an answer said at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) failed: bool,
    /// It is (or ends with) the answer to a request to stop.
    pub(super) is_attention: bool,
    pub(super) rows: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Now {
    #[default]
    Token = 0,
    Length,
    /// What is left of a token with a length.
    Rest,
    ErrorNumber,
    LoginVersion,
    ChangeType,
    NameLength,
    Name,
    Feature,
    FeatureLength,
    FeatureBody,
    /// A token of a fixed length.
    Pass,
    Done,
    Ordinal,
    ReturnName,
    ReturnInfo,
    ReturnType,
    ReturnValue,
    ColumnCount,
    ColumnInfo,
    ColumnType,
    TableParts,
    TableLength,
    Table,
    ColumnNameLength,
    ColumnName,
    Sparse,
    Cell,
    /// What follows is not read.
    Blind,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    now: Now,
    taker: Taker,
    value: Value,
    token: u8,
    /// The version is 7.2 or later: counts are longer.
    pub(super) is_wide: bool,
    has_encrypted_columns: bool,
    /// Bytes of the token to come.
    left: u32,
    parts: u8,
    /// The columns, and which of them is read.
    count: u8,
    at: u8,
    /// Two in a byte.
    shapes: [u8; COLUMNS / 2],
    /// Values that are not there.
    absent: [u8; COLUMNS / 8],
    ordinal: u16,
    returned: u32,
    returned_len: u8,
    rows: u64,
    has_rows: bool,
    status: u16,
    failed: bool,
    /// The last bytes of what is not read.
    tail: [u8; DONE],
    tail_len: u8,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            now: Now::Token,
            taker: Taker::default(),
            value: Value::default(),
            token: 0,
            is_wide: false,
            has_encrypted_columns: false,
            left: 0,
            parts: 0,
            count: 0,
            at: 0,
            shapes: [0; COLUMNS / 2],
            absent: [0; COLUMNS / 8],
            ordinal: 0,
            returned: 0,
            returned_len: 0,
            rows: 0,
            has_rows: false,
            status: 0,
            failed: false,
            tail: [0; DONE],
            tail_len: 0,
        }
    }
}

impl Answer {
    /// A message begins.
    pub(super) fn begin(&mut self) {
        self.count = 0;
        self.rows = 0;
        self.has_rows = false;
        self.status = 0;
        self.failed = false;
        self.tail_len = 0;
        self.next_token();
    }

    fn read(&mut self, now: Now, taker: Taker) {
        self.now = now;
        self.taker = taker;
    }

    fn next_token(&mut self) {
        self.read(Now::Token, Taker::number(1));
    }

    /// What follows in this token is not needed.
    fn rest(&mut self) {
        self.read(Now::Rest, Taker::pass(self.left.into()));
    }

    fn blind(&mut self) {
        self.now = Now::Blind;
    }

    /// The message is complete: what it came to. `None`: nothing is known.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        if self.now != Now::Blind {
            return (self.now == Now::Token).then_some(Outcome {
                failed: self.failed,
                is_attention: self.status & ATTENTION != 0,
                rows: self.has_rows.then_some(self.rows),
            });
        }
        let len = if self.is_wide { DONE } else { DONE_OLD };
        let last = &self.tail[DONE - len..];
        let fits = matches!(last[0], token::DONE | token::DONE_PROCEDURE);
        let word = |at: usize| u16::from_le_bytes([last[at], last[at + 1]]);
        let status = word(1);
        if usize::from(self.tail_len) < len || !fits || status & (MORE | !KNOWN) != 0 {
            return None;
        }
        let count = last[5..]
            .iter()
            .rev()
            .fold(0, |n, b| n << 8 | u64::from(*b));
        let is_counted = status & COUNT != 0 && word(3) == SELECT;
        Some(Outcome {
            failed: self.failed || status & (ERROR | SERVER_ERROR) != 0,
            is_attention: status & ATTENTION != 0,
            rows: is_counted.then_some(count),
        })
    }

    /// Passes over `n` bytes that were not seen, where they are inside of a value.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        match self.now {
            Now::Blind => {
                self.tail_len = 0;
                true
            }
            Now::Cell => self.value.skip(n),
            _ => false,
        }
    }

    /// Reads up to the next thing to tell. Returns how many bytes that took.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Told<'a>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.now {
                Now::Blind => {
                    self.keep(rest);
                    return (bytes.len(), Told::More);
                }
                Now::Cell | Now::ColumnType | Now::ReturnType | Now::ReturnValue => {
                    let (n, said) = self.value.next(rest);
                    used += n;
                    match said {
                        Said::More => return (used, Told::More),
                        Said::Lost => self.blind(),
                        Said::Typed | Said::Over => {
                            if let Some(told) = self.value_read() {
                                return (used, told);
                            }
                        }
                        Said::Piece(piece) if self.now == Now::ReturnValue => self.returns(piece),
                        Said::Piece(_) => {}
                    }
                }
                _ => {
                    let (n, took) = self.taker.take(rest);
                    used += n;
                    match took {
                        Took::More => return (used, Told::More),
                        Took::Piece(piece) => match self.now {
                            Now::Name => return (used, Told::Database(piece)),
                            Now::Sparse => self.sparse(piece),
                            _ => {}
                        },
                        Took::Done => {
                            if let Some(told) = self.whole() {
                                return (used, told);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Keeps the last ones.
    fn keep(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(DONE)..];
        self.tail.copy_within(new.len().., 0);
        self.tail[DONE - new.len()..].copy_from_slice(new);
        self.tail_len = (usize::from(self.tail_len) + new.len()).min(DONE) as u8;
    }

    /// What was awaited is there.
    fn whole(&mut self) -> Option<Told<'static>> {
        let number = self.taker.value();
        match self.now {
            Now::Token => self.token(number as u8),
            Now::Length => {
                self.left = number as u32;
                self.inside();
            }
            Now::Rest | Now::Pass => self.next_token(),
            Now::ErrorNumber => {
                self.failed = true;
                self.rest();
                return Some(Told::Error(number as u32));
            }
            Now::LoginVersion => {
                let version = (number >> 8) as u8;
                self.is_wide = is_wide(version);
                self.rest();
                return Some(Told::Login(version));
            }
            Now::ChangeType if number == DATABASE && self.left > 0 => {
                self.left -= 1;
                self.read(Now::NameLength, Taker::number(1));
            }
            Now::ChangeType => self.rest(),
            Now::NameLength => match self.left.checked_sub(number as u32 * 2) {
                Some(left) => {
                    self.left = left;
                    self.read(Now::Name, Taker::pass(number * 2));
                    return Some(Told::DatabaseBegins);
                }
                None => self.blind(),
            },
            Now::Name => self.rest(),
            Now::Feature if number == 0xff => self.next_token(),
            Now::Feature => {
                self.has_encrypted_columns |= number == ENCRYPTED_COLUMNS;
                self.read(Now::FeatureLength, Taker::number(4));
            }
            Now::FeatureLength => self.read(Now::FeatureBody, Taker::pass(number)),
            Now::FeatureBody => self.read(Now::Feature, Taker::number(1)),
            Now::Done => {
                // The count behind it is passed over: the rows were counted.
                self.status = number as u16;
                self.failed |= self.status & (ERROR | SERVER_ERROR) != 0;
                let count = if self.is_wide { 8 } else { 4 };
                self.read(Now::Pass, Taker::pass(count));
            }
            Now::Ordinal => {
                self.ordinal = number as u16;
                let name = number >> 16;
                self.read(Now::ReturnName, Taker::pass(name * 2));
            }
            Now::ReturnName => {
                let info = if self.is_wide { 7 } else { 5 };
                self.read(Now::ReturnInfo, Taker::pass(info));
            }
            Now::ReturnInfo => {
                self.value.begin_type(false);
                self.now = Now::ReturnType;
            }
            Now::ColumnCount => self.columns(number),
            Now::ColumnInfo => {
                self.value.begin_type(true);
                self.now = Now::ColumnType;
            }
            Now::TableParts => {
                self.parts = number as u8;
                self.table();
            }
            Now::TableLength => self.read(Now::Table, Taker::pass(number * 2)),
            Now::Table => {
                self.parts -= 1;
                self.table();
            }
            Now::ColumnNameLength => self.read(Now::ColumnName, Taker::pass(number * 2)),
            Now::ColumnName => {
                self.at += 1;
                self.column();
            }
            Now::Sparse => {
                self.at = 0;
                self.cell();
            }
            _ => self.blind(),
        }
        None
    }

    fn token(&mut self, token: u8) {
        self.token = token;
        match token {
            token::ORDER
            | token::TABLES
            | token::COLUMN_INFO
            | token::ERROR
            | token::INFO
            | token::LOGIN
            | token::CHANGE
            | token::SSPI => self.read(Now::Length, Taker::number(2)),
            token::STATE | token::FEDERATED => self.read(Now::Length, Taker::number(4)),
            token::FEATURES => self.read(Now::Feature, Taker::number(1)),
            token::RETURN_STATUS => self.read(Now::Pass, Taker::pass(4)),
            // The number of the parameter, and the length of its name.
            token::RETURN_VALUE if !self.has_encrypted_columns => {
                self.returned = 0;
                self.returned_len = 0;
                self.read(Now::Ordinal, Taker::number(3));
            }
            token::DONE | token::DONE_PROCEDURE | token::DONE_IN_PROCEDURE => {
                self.read(Now::Done, Taker::number(4));
            }
            token::COLUMNS if !self.has_encrypted_columns => {
                self.read(Now::ColumnCount, Taker::number(2));
            }
            token::ROW if self.count > 0 => {
                self.rows += 1;
                self.at = 0;
                self.absent = [0; COLUMNS / 8];
                self.cell();
            }
            token::SPARSE_ROW if self.count > 0 => {
                self.rows += 1;
                self.at = 0;
                self.absent = [0; COLUMNS / 8];
                let bits = self.count.div_ceil(8);
                self.read(Now::Sparse, Taker::pass(bits.into()));
            }
            _ => {
                // What is not read begins with this one.
                self.blind();
                self.keep(&[token]);
            }
        }
    }

    /// The length of the token is known.
    fn inside(&mut self) {
        let (now, n) = match self.token {
            token::ERROR => (Now::ErrorNumber, 4),
            token::LOGIN => (Now::LoginVersion, 5),
            token::CHANGE => (Now::ChangeType, 1),
            _ => return self.rest(),
        };
        match self.left.checked_sub(n.into()) {
            Some(left) => {
                self.left = left;
                self.read(now, Taker::number(n));
            }
            None => self.blind(),
        }
    }

    fn columns(&mut self, count: u64) {
        self.count = 0;
        match count {
            // There is none, or it was told before.
            0xffff => self.next_token(),
            _ if count > COLUMNS as u64 => self.blind(),
            _ => {
                self.has_rows = true;
                self.count = count as u8;
                self.at = 0;
                self.column();
            }
        }
    }

    fn column(&mut self) {
        if self.at == self.count {
            return self.next_token();
        }
        let info = if self.is_wide { 6 } else { 4 };
        self.read(Now::ColumnInfo, Taker::pass(info));
    }

    /// The name of the table in so many parts.
    fn table(&mut self) {
        match self.parts {
            0 => self.read(Now::ColumnNameLength, Taker::number(1)),
            _ => self.read(Now::TableLength, Taker::number(2)),
        }
    }

    fn cell(&mut self) {
        loop {
            let at = usize::from(self.at);
            if self.at >= self.count {
                return self.next_token();
            }
            if self.absent[at / 8] >> (at % 8) & 1 == 0 {
                let shape = self.shapes[at / 2] >> (4 * (at % 2)) & 15;
                self.value.begin(Shape::of(shape));
                self.now = Now::Cell;
                return;
            }
            self.at += 1;
        }
    }

    fn sparse(&mut self, piece: &[u8]) {
        for byte in piece {
            self.absent[usize::from(self.at)] = *byte;
            self.at += 1;
        }
    }

    /// A type or value is complete.
    fn value_read(&mut self) -> Option<Told<'static>> {
        match self.now {
            Now::ColumnType => {
                let at = usize::from(self.at);
                let shift = 4 * (at % 2);
                let byte = &mut self.shapes[at / 2];
                *byte = *byte & !(15 << shift) | (self.value.shape as u8) << shift;
                self.parts = 0;
                match self.value.shape {
                    Shape::Pointed if self.is_wide => {
                        self.read(Now::TableParts, Taker::number(1));
                    }
                    Shape::Pointed => {
                        self.parts = 1;
                        self.table();
                    }
                    _ => self.table(),
                }
            }
            Now::ReturnType => {
                self.value.begin(self.value.shape);
                self.now = Now::ReturnValue;
            }
            Now::ReturnValue => {
                self.next_token();
                if self.returned_len == 4 {
                    return Some(Told::Returned(self.ordinal, self.returned));
                }
            }
            _ => {
                self.at += 1;
                self.cell();
            }
        }
        None
    }

    fn returns(&mut self, piece: &[u8]) {
        for byte in piece {
            if self.returned_len < 4 {
                self.returned |= u32::from(*byte) << (8 * self.returned_len);
            }
            self.returned_len = self.returned_len.saturating_add(1);
        }
    }
}

/// Whether this is version 7.2 or later, by the first byte of its number.
pub(super) fn is_wide(version: u8) -> bool {
    matches!(version, 0x72..=0x7f | 0x08)
}
