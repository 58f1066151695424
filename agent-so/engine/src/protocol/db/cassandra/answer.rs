//! What a server's frames say: an error's code, how many rows came, the keyspace that is in use, the id of a prepared statement.

use super::cursor::{Cursor, Got};
use super::frame::{self, Header};
use super::request::prepared;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    More,
    /// The frame is over.
    Done,
    /// It is not what it should be.
    Bad,
}

/// What an answer is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing that matters here, or nothing that can be read.
    #[default]
    Nothing,
    /// An error: its code.
    Error(u32),
    /// So many rows.
    Rows(u32),
    /// The keyspace in [`Answer::keyspace`] is in use.
    Keyspace,
    /// A statement is prepared: the key of its text.
    Prepared(u64),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    #[default]
    Rest = 0,
    Trace,
    WarningCount,
    WarningLen,
    Warning,
    PayloadCount,
    PayloadKeyLen,
    PayloadKey,
    PayloadValueLen,
    PayloadValue,
    Code,
    Kind,
    NameLen,
    Name,
    IdLen,
    Id,
    RowsFlags,
    ColumnCount,
    PagingLen,
    Paging,
    MetadataLen,
    Metadata,
    StringLen,
    String,
    Type,
    PartCount,
    /// Nothing is wanted of it itself.
    PartsOver,
    RowCount,
}

/// What a list of rows says of its columns.
const GLOBAL: u32 = 0x01;
const PAGING: u32 = 0x02;
const NO_COLUMNS: u32 = 0x04;
const CHANGED: u32 = 0x08;

/// Deepest nesting of types that is read: rows of deeper ones are not counted.
const DEPTH: usize = 6;

/// Columns, or parts of a type, that are to come.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    left: u16,
    /// Names before each of them.
    strings: u8,
}

/// A reader of the frames of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    cursor: Cursor,
    step: Step,
    pub(super) opcode: u8,
    pub(super) said: Said,
    /// Things to come before what matters.
    count: u16,
    flags: u32,
    /// Flags of the frame that are not dealt with yet.
    front: u8,
    strings: u8,
    /// What comes after them.
    then: Step,
    /// Names before each part of the type that is read.
    part_names: u8,
    depth: u8,
    levels: [Level; DEPTH],
}

impl Answer {
    /// A frame begins.
    pub(super) fn begin(&mut self, header: Header) {
        *self = Self {
            cursor: Cursor::new(header.length),
            opcode: header.opcode,
            front: header.flags,
            ..Self::default()
        };
        let matters = matches!(header.opcode, frame::ERROR | frame::RESULT);
        if header.flags & frame::COMPRESSED != 0 || !matters {
            self.go(Step::Rest);
        } else {
            self.front();
        }
    }

    /// What comes before the answer itself.
    fn front(&mut self) {
        let steps = [
            (frame::TRACING, Step::Trace),
            (frame::WARNING, Step::WarningCount),
            (frame::PAYLOAD, Step::PayloadCount),
        ];
        for (flag, step) in steps {
            if self.front & flag != 0 {
                self.front &= !flag;
                return self.go(step);
            }
        }
        self.go(match self.opcode {
            frame::ERROR => Step::Code,
            _ => Step::Kind,
        });
    }

    fn go(&mut self, step: Step) {
        self.step = step;
        match step {
            Step::Rest => self.cursor.pass_rest(),
            Step::Trace => self.cursor.pass(16),
            Step::Code
            | Step::Kind
            | Step::RowsFlags
            | Step::ColumnCount
            | Step::RowCount
            | Step::PayloadValueLen
            | Step::PagingLen => self.cursor.keep(4),
            _ => self.cursor.keep(2),
        }
    }

    fn pass(&mut self, step: Step, n: u32) {
        self.step = step;
        self.cursor.pass(n);
    }

    fn keep(&mut self, step: Step) {
        self.step = step;
        self.cursor.keep(self.cursor.number());
    }

    /// Reads up to the end of the frame. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        let mut used = 0;
        loop {
            if self.cursor.is_broken {
                return (used, Next::Bad);
            }
            let (taken, got) = self.cursor.next(&bytes[used..]);
            used += taken;
            if got != Got::Whole {
                return (used, Next::More);
            }
            if self.step == Step::Rest {
                return (used, Next::Done);
            }
            self.whole();
        }
    }

    /// What was wanted is there.
    fn whole(&mut self) {
        let number = self.cursor.number();
        match self.step {
            Step::Rest => {}
            Step::Trace => self.front(),
            Step::WarningCount => self.more_warnings(number as u16),
            Step::WarningLen => self.pass(Step::Warning, number),
            Step::Warning => self.more_warnings(self.count - 1),
            Step::PayloadCount => self.more_payload(number as u16),
            Step::PayloadKeyLen => self.pass(Step::PayloadKey, number),
            Step::PayloadKey => self.go(Step::PayloadValueLen),
            Step::PayloadValueLen => self.pass(Step::PayloadValue, self.cursor.length()),
            Step::PayloadValue => self.more_payload(self.count - 1),
            Step::Code => {
                self.said = Said::Error(number);
                self.go(Step::Rest);
            }
            Step::Kind => self.go(match number {
                2 => Step::RowsFlags,
                3 => Step::NameLen,
                4 => Step::IdLen,
                _ => Step::Rest,
            }),
            Step::NameLen => self.keep(Step::Name),
            Step::Name => {
                self.said = Said::Keyspace;
                // It stays where it is kept: nothing comes behind it.
                self.step = Step::Rest;
                self.cursor.is_broken = self.cursor.beyond() > 0;
            }
            Step::IdLen => self.keep(Step::Id),
            Step::Id => {
                self.said = Said::Prepared(prepared(self.cursor.kept()));
                self.go(Step::Rest);
            }
            Step::RowsFlags => {
                self.flags = number;
                self.go(Step::ColumnCount);
            }
            Step::ColumnCount => {
                let strings = if self.flags & GLOBAL != 0 { 1 } else { 3 };
                match u16::try_from(number) {
                    Ok(left) => self.levels[0] = Level { left, strings },
                    Err(_) => return self.go(Step::Rest),
                }
                self.before_columns();
            }
            Step::PagingLen => self.pass(Step::Paging, self.cursor.length()),
            Step::MetadataLen => self.pass(Step::Metadata, number),
            Step::Paging | Step::Metadata => self.before_columns(),
            Step::StringLen => self.pass(Step::String, number),
            Step::String => self.strings(self.strings - 1, self.then),
            Step::Type => self.a_type(number),
            Step::PartCount => self.nest(number as u16, self.part_names),
            Step::PartsOver => self.next_part(),
            Step::RowCount => {
                self.said = Said::Rows(self.cursor.length());
                self.go(Step::Rest);
            }
        }
    }

    fn more_warnings(&mut self, warnings: u16) {
        self.count = warnings;
        match warnings {
            0 => self.front(),
            _ => self.go(Step::WarningLen),
        }
    }

    fn more_payload(&mut self, pairs: u16) {
        self.count = pairs;
        match pairs {
            0 => self.front(),
            _ => self.go(Step::PayloadKeyLen),
        }
    }

    /// The next one of what comes before the columns.
    fn before_columns(&mut self) {
        for (flag, step) in [(PAGING, Step::PagingLen), (CHANGED, Step::MetadataLen)] {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                return self.go(step);
            }
        }
        match self.flags {
            0 => self.next_part(),
            GLOBAL => self.strings(2, Step::PartsOver),
            flags if flags & !GLOBAL == NO_COLUMNS => self.go(Step::RowCount),
            // Something newer.
            _ => self.go(Step::Rest),
        }
    }

    /// So many strings are to be passed over before that.
    fn strings(&mut self, strings: u8, then: Step) {
        self.strings = strings;
        self.then = then;
        match (strings, then) {
            (0, Step::PartsOver) => self.next_part(),
            (0, then) => self.go(then),
            _ => self.go(Step::StringLen),
        }
    }

    /// The type of a column, or of a part of one.
    fn a_type(&mut self, number: u32) {
        match number {
            // By the name of its class.
            0x00 => self.strings(1, Step::PartsOver),
            0x01..=0x1f => self.next_part(),
            // List and set, map.
            0x20 | 0x22 => self.nest(1, 0),
            0x21 => self.nest(2, 0),
            // User-defined, tuple.
            0x30 => {
                self.part_names = 1;
                self.strings(2, Step::PartCount);
            }
            0x31 => {
                self.part_names = 0;
                self.go(Step::PartCount);
            }
            _ => self.go(Step::Rest),
        }
    }

    /// A type has so many parts, each with so many names.
    fn nest(&mut self, left: u16, strings: u8) {
        self.depth += 1;
        match self.levels.get_mut(usize::from(self.depth)) {
            Some(level) => {
                *level = Level { left, strings };
                self.next_part();
            }
            None => self.go(Step::Rest),
        }
    }

    /// A type is over, or none has begun.
    fn next_part(&mut self) {
        loop {
            let level = &mut self.levels[usize::from(self.depth)];
            if level.left > 0 {
                level.left -= 1;
                let strings = level.strings;
                return self.strings(strings, Step::Type);
            }
            if self.depth == 0 {
                return self.go(Step::RowCount);
            }
            self.depth -= 1;
        }
    }

    /// The keyspace, where [`Said::Keyspace`].
    pub(super) fn keyspace(&self) -> &[u8] {
        self.cursor.kept()
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of something that is of no interest.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        self.cursor.skip(n)
    }
}
