//! The columns of a result and its rows, which are passed over by the lengths of their values.

use super::value::{Said, Shape, Taker, Took, Value};

/// Columns of which the shapes are known.
const COLUMNS: usize = 96;
/// In place of the number of columns: there are none, or they were told before.
const NONE: u64 = 0xffff;

/// How far it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    More,
    /// The description, or the row, is complete.
    Over,
    /// What follows cannot be passed over.
    Lost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Now {
    #[default]
    Over = 0,
    Lost,
    ColumnInfo,
    ColumnType,
    TableParts,
    TableLength,
    Table,
    NameLength,
    Name,
    /// Which of the values are not there.
    Absent,
    Value,
}

/// A reader of descriptions and rows, which shares its caller's of numbers and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    now: Now,
    is_wide: bool,
    parts: u8,
    /// The columns, and which of them is read.
    columns: u8,
    at: u8,
    /// Two in a byte.
    shapes: [u8; COLUMNS / 2],
    absent: [u8; COLUMNS / 8],
    /// Rows that came, and whether any could.
    pub(super) count: u64,
    pub(super) are_told: bool,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            now: Now::Over,
            is_wide: false,
            parts: 0,
            columns: 0,
            at: 0,
            shapes: [0; COLUMNS / 2],
            absent: [0; COLUMNS / 8],
            count: 0,
            are_told: false,
        }
    }
}

impl Rows {
    /// Another message begins.
    pub(super) fn clear(&mut self) {
        self.columns = 0;
        self.count = 0;
        self.are_told = false;
    }

    pub(super) fn has_columns(&self) -> bool {
        self.columns > 0
    }

    /// The description of so many columns comes.
    pub(super) fn columns_begin(&mut self, count: u64, is_wide: bool, taker: &mut Taker) {
        self.is_wide = is_wide;
        self.columns = 0;
        self.at = 0;
        self.now = match count {
            NONE => Now::Over,
            _ if count > COLUMNS as u64 => Now::Lost,
            _ => {
                self.are_told = true;
                self.columns = count as u8;
                return self.column(taker);
            }
        };
    }

    pub(super) fn row_begins(&mut self, value: &mut Value) {
        self.new_row();
        self.value(value);
    }

    /// A row in which values are left out: which ones is told first.
    pub(super) fn sparse_row_begins(&mut self, taker: &mut Taker) {
        self.new_row();
        self.now = Now::Absent;
        *taker = Taker::pass(self.columns.div_ceil(8).into());
    }

    fn new_row(&mut self) {
        self.count += 1;
        self.at = 0;
        self.absent = [0; COLUMNS / 8];
    }

    /// Passes over `n` bytes that were not seen, where they are inside of a value.
    pub(super) fn skip(&self, n: u64, value: &mut Value) -> bool {
        self.now == Now::Value && value.skip(n)
    }

    /// Reads on. Returns how many bytes that took.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        taker: &mut Taker,
        value: &mut Value,
    ) -> (usize, Read) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.now {
                Now::Over => return (used, Read::Over),
                Now::Lost => return (used, Read::Lost),
                Now::ColumnType | Now::Value => {
                    let (n, said) = value.next(rest);
                    used += n;
                    match said {
                        Said::More => return (used, Read::More),
                        Said::Lost => self.now = Now::Lost,
                        Said::Piece(_) => {}
                        Said::Typed => self.typed(value.shape, taker),
                        Said::Over => {
                            self.at += 1;
                            self.value(value);
                        }
                    }
                }
                _ => {
                    let (n, took) = taker.take(rest);
                    used += n;
                    match took {
                        Took::More => return (used, Read::More),
                        Took::Piece(piece) if self.now == Now::Absent => self.are_absent(piece),
                        Took::Piece(_) => {}
                        Took::Done => self.whole(taker, value),
                    }
                }
            }
        }
    }

    /// What was awaited is there.
    fn whole(&mut self, taker: &mut Taker, value: &mut Value) {
        let number = taker.value();
        match self.now {
            Now::ColumnInfo => {
                value.begin_type(true);
                self.now = Now::ColumnType;
            }
            Now::TableParts => {
                self.parts = number as u8;
                self.table(taker);
            }
            Now::TableLength => self.take(Now::Table, Taker::pass(number * 2), taker),
            Now::Table => {
                self.parts -= 1;
                self.table(taker);
            }
            Now::NameLength => self.take(Now::Name, Taker::pass(number * 2), taker),
            Now::Name => {
                self.at += 1;
                self.column(taker);
            }
            Now::Absent => {
                self.at = 0;
                self.value(value);
            }
            Now::Over | Now::Lost | Now::ColumnType | Now::Value => {}
        }
    }

    fn take(&mut self, now: Now, what: Taker, taker: &mut Taker) {
        self.now = now;
        *taker = what;
    }

    fn column(&mut self, taker: &mut Taker) {
        if self.at == self.columns {
            self.now = Now::Over;
            return;
        }
        let info = if self.is_wide { 6 } else { 4 };
        self.take(Now::ColumnInfo, Taker::pass(info), taker);
    }

    fn typed(&mut self, shape: Shape, taker: &mut Taker) {
        let at = usize::from(self.at);
        let shift = 4 * (at % 2);
        let byte = &mut self.shapes[at / 2];
        *byte = *byte & !(15 << shift) | (shape as u8) << shift;
        // Old types name their table: as of 7.2 in several parts.
        self.parts = u8::from(shape == Shape::Pointed);
        if shape == Shape::Pointed && self.is_wide {
            self.take(Now::TableParts, Taker::number(1), taker);
        } else {
            self.table(taker);
        }
    }

    /// The name of the table in so many parts, then that of the column.
    fn table(&mut self, taker: &mut Taker) {
        match self.parts {
            0 => self.take(Now::NameLength, Taker::number(1), taker),
            _ => self.take(Now::TableLength, Taker::number(2), taker),
        }
    }

    /// The next one of a row that is there.
    fn value(&mut self, value: &mut Value) {
        while self.at < self.columns {
            let at = usize::from(self.at);
            if self.absent[at / 8] >> (at % 8) & 1 == 0 {
                value.begin(Shape::of(self.shapes[at / 2] >> (4 * (at % 2)) & 15));
                self.now = Now::Value;
                return;
            }
            self.at += 1;
        }
        self.now = Now::Over;
    }

    fn are_absent(&mut self, piece: &[u8]) {
        for byte in piece {
            self.absent[usize::from(self.at)] = *byte;
            self.at += 1;
        }
    }
}
