//! What a client's frames say. Values are passed over by their lengths, and nothing of them is kept.

use super::super::texts::key_of;
use super::cursor::{Cursor, Got};
use super::frame::{self, Header};
use crate::inflate::Method;

/// Set in keys that name not the text of a statement, but its keyspace.
pub(super) const KEYSPACE_OF: u64 = 1 << 63;
/// The spaces of ids of prepared statements, and of streams on which one is prepared.
const PREPARED: u8 = 1;
const PREPARING: u8 = 2;

/// Names the text of a statement with this id.
pub(super) fn prepared(id: &[u8]) -> u64 {
    key_of(PREPARED, id) & !KEYSPACE_OF
}

/// Names the text of the statement that is prepared on this stream.
pub(super) fn preparing(stream: u16) -> u64 {
    key_of(PREPARING, &stream.to_be_bytes()) & !KEYSPACE_OF
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    More,
    /// The text of a statement begins.
    Statement,
    /// A piece of it.
    Text(&'a [u8]),
    /// A prepared statement, by the key of its text.
    Prepared(u64),
    /// The keyspace that this request is about is in [`Request::kept`].
    Keyspace,
    /// The frame is over.
    Done,
    /// It is not what it should be.
    Bad,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    #[default]
    Rest = 0,
    PayloadCount,
    PayloadKeyLen,
    PayloadKey,
    PayloadValueLen,
    PayloadValue,
    OptionCount,
    OptionKeyLen,
    OptionKey,
    OptionValueLen,
    OptionValue,
    TextLen,
    Text,
    IdLen,
    Id,
    MetadataLen,
    Metadata,
    BatchHead,
    BatchKind,
    PrepareFlags,
    Consistency,
    Flags,
    ValueCount,
    ValueNameLen,
    ValueName,
    ValueLen,
    Value,
    PageSize,
    PagingLen,
    Paging,
    Serial,
    Timestamp,
    KeyspaceLen,
    Keyspace,
}

/// What comes with a query, in this order.
const VALUES: u32 = 0x01;
const PAGE_SIZE: u32 = 0x04;
const PAGING: u32 = 0x08;
const SERIAL: u32 = 0x10;
const TIMESTAMP: u32 = 0x20;
const NAMES: u32 = 0x40;
const KEYSPACE: u32 = 0x80;
/// The same in a PREPARE.
const PREPARE_KEYSPACE: u32 = 0x01;

/// A reader of the frames of one client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request {
    cursor: Cursor,
    step: Step,
    pub(super) opcode: u8,
    version: u8,
    /// Pairs, or values, to come.
    pairs: u16,
    /// Statements of a batch, to come.
    statements: u16,
    /// What is to come behind the statement.
    flags: u32,
    has_names: bool,
    is_compression: bool,
    /// The client asks for compression; how, where that can be read.
    pub(super) compresses: bool,
    pub(super) method: Method,
    /// A STARTUP names the language.
    pub(super) is_cql: bool,
    /// Its number plus one; 0: none was read.
    pub(super) consistency: u8,
    pub(super) page_size: u32,
}

impl Request {
    /// A frame begins.
    pub(super) fn begin(&mut self, header: Header) {
        *self = Self {
            cursor: Cursor::new(header.length),
            opcode: header.opcode,
            version: header.version,
            compresses: self.compresses,
            method: self.method,
            ..Self::default()
        };
        if header.flags & frame::COMPRESSED != 0 {
            self.go(Step::Rest);
        } else if header.flags & frame::PAYLOAD != 0 {
            self.go(Step::PayloadCount);
        } else {
            self.body();
        }
    }

    fn body(&mut self) {
        self.go(match self.opcode {
            frame::STARTUP => Step::OptionCount,
            frame::QUERY | frame::PREPARE => Step::TextLen,
            frame::EXECUTE => Step::IdLen,
            frame::BATCH => Step::BatchHead,
            _ => Step::Rest,
        });
    }

    /// Flags and ids that came with version 5, and with the second of DataStax's.
    fn is_new(&self) -> bool {
        self.version >= frame::V5 && self.version != frame::DSE_V1
    }

    /// The next thing is wanted, which has a length of its own.
    fn go(&mut self, step: Step) {
        self.step = step;
        match step {
            Step::Rest => self.cursor.pass_rest(),
            Step::BatchKind => self.cursor.keep(1),
            Step::BatchHead => self.cursor.keep(3),
            Step::PayloadValueLen
            | Step::TextLen
            | Step::PrepareFlags
            | Step::ValueLen
            | Step::PageSize
            | Step::PagingLen => self.cursor.keep(4),
            Step::Flags if self.version >= frame::V5 => self.cursor.keep(4),
            Step::Flags => self.cursor.keep(1),
            Step::Serial => self.cursor.pass(2),
            Step::Timestamp => self.cursor.pass(8),
            _ => self.cursor.keep(2),
        }
    }

    fn keep(&mut self, step: Step) {
        self.step = step;
        self.cursor.keep(self.cursor.number());
    }

    fn pass(&mut self, step: Step, n: u32) {
        self.step = step;
        self.cursor.pass(n);
    }

    /// Reads up to the next thing to tell. Returns how many bytes that took.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Next<'a>) {
        let mut used = 0;
        loop {
            if self.cursor.is_broken {
                return (used, Next::Bad);
            }
            let (taken, got) = self.cursor.next(&bytes[used..]);
            used += taken;
            match got {
                Got::More => return (used, Next::More),
                Got::Text(piece) => return (used, Next::Text(piece)),
                Got::Whole => {}
            }
            if let Some(next) = self.whole() {
                return (used, next);
            }
        }
    }

    /// What was wanted is there: what of it is to be told, and what comes next.
    fn whole(&mut self) -> Option<Next<'static>> {
        let number = self.cursor.number();
        match self.step {
            Step::Rest => return Some(Next::Done),
            Step::PayloadCount => self.more_payload(number as u16),
            Step::PayloadKeyLen => self.pass(Step::PayloadKey, number),
            Step::PayloadKey => self.go(Step::PayloadValueLen),
            Step::PayloadValueLen => self.pass(Step::PayloadValue, self.cursor.length()),
            Step::PayloadValue => self.more_payload(self.pairs - 1),
            Step::OptionCount => self.more_options(number as u16),
            Step::OptionKeyLen => self.keep(Step::OptionKey),
            Step::OptionKey => {
                self.is_compression = self.cursor.kept() == b"COMPRESSION";
                self.is_cql |= self.cursor.kept() == b"CQL_VERSION";
                self.go(Step::OptionValueLen);
            }
            Step::OptionValueLen => self.keep(Step::OptionValue),
            Step::OptionValue => {
                if self.is_compression {
                    self.compresses = true;
                    self.method = match self.cursor.kept() {
                        name if name.eq_ignore_ascii_case(b"lz4") => Method::Lz4,
                        name if name.eq_ignore_ascii_case(b"snappy") => Method::Snappy,
                        _ => Method::Plain,
                    };
                }
                self.more_options(self.pairs - 1);
            }
            Step::TextLen => {
                self.step = Step::Text;
                self.cursor.text(number);
                return Some(Next::Statement);
            }
            Step::Text => match self.opcode {
                frame::BATCH => self.go(Step::ValueCount),
                frame::QUERY => self.go(Step::Consistency),
                _ if self.is_new() => self.go(Step::PrepareFlags),
                _ => self.go(Step::Rest),
            },
            Step::IdLen => self.keep(Step::Id),
            Step::Id => {
                let key = prepared(self.cursor.kept());
                self.go(match self.opcode {
                    frame::BATCH => Step::ValueCount,
                    _ if self.is_new() => Step::MetadataLen,
                    _ => Step::Consistency,
                });
                return Some(Next::Prepared(key));
            }
            Step::MetadataLen => self.pass(Step::Metadata, number),
            Step::Metadata => self.go(Step::Consistency),
            Step::BatchHead => self.more_statements(number as u16),
            Step::BatchKind => self.go(match number {
                0 => Step::TextLen,
                _ => Step::IdLen,
            }),
            Step::PrepareFlags => {
                let named = number & PREPARE_KEYSPACE != 0;
                self.go(if named { Step::KeyspaceLen } else { Step::Rest });
            }
            Step::Consistency => {
                self.consistency = number.min(254) as u8 + 1;
                self.go(Step::Flags);
            }
            Step::Flags => {
                self.flags = number;
                self.has_names = number & NAMES != 0;
                if self.opcode == frame::BATCH {
                    self.flags &= !(VALUES | PAGE_SIZE | PAGING);
                }
                self.parameters();
            }
            Step::ValueCount => self.more_values(number as u16),
            Step::ValueNameLen => self.pass(Step::ValueName, number),
            Step::ValueName => self.go(Step::ValueLen),
            Step::ValueLen => self.pass(Step::Value, self.cursor.length()),
            Step::Value => self.more_values(self.pairs - 1),
            Step::PageSize => {
                self.page_size = self.cursor.length();
                self.parameters();
            }
            Step::PagingLen => self.pass(Step::Paging, self.cursor.length()),
            Step::Paging | Step::Serial | Step::Timestamp => self.parameters(),
            Step::KeyspaceLen => self.keep(Step::Keyspace),
            Step::Keyspace => {
                // What comes behind it is of no interest.
                self.step = Step::Rest;
                return Some(Next::Keyspace);
            }
        }
        None
    }

    /// The keyspace, after [`Next::Keyspace`].
    pub(super) fn kept(&self) -> &[u8] {
        self.cursor.kept()
    }

    /// After [`Next::Keyspace`]: the rest of the frame.
    pub(super) fn go_on(&mut self) {
        self.go(Step::Rest);
    }

    fn more_payload(&mut self, pairs: u16) {
        self.pairs = pairs;
        match pairs {
            0 => self.body(),
            _ => self.go(Step::PayloadKeyLen),
        }
    }

    fn more_options(&mut self, pairs: u16) {
        self.pairs = pairs;
        self.go(match pairs {
            0 => Step::Rest,
            _ => Step::OptionKeyLen,
        });
    }

    fn more_statements(&mut self, statements: u16) {
        self.statements = statements;
        self.go(match statements {
            0 => Step::Consistency,
            _ => Step::BatchKind,
        });
    }

    fn more_values(&mut self, values: u16) {
        self.pairs = values;
        if values > 0 {
            let names = self.has_names;
            self.go(if names {
                Step::ValueNameLen
            } else {
                Step::ValueLen
            });
        } else if self.opcode == frame::BATCH {
            self.more_statements(self.statements - 1);
        } else {
            self.parameters();
        }
    }

    /// The next one of what the flags announce.
    fn parameters(&mut self) {
        let steps = [
            (VALUES, Step::ValueCount),
            (PAGE_SIZE, Step::PageSize),
            (PAGING, Step::PagingLen),
            (SERIAL, Step::Serial),
            (TIMESTAMP, Step::Timestamp),
            (KEYSPACE, Step::KeyspaceLen),
        ];
        for (flag, step) in steps {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                return self.go(step);
            }
        }
        self.go(Step::Rest);
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of something that is of no interest.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        self.cursor.skip(n)
    }
}
