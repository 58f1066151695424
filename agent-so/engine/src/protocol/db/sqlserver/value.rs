//! Values of the types of SQL Server, passed over by their lengths.

/// So many bytes are awaited: a number, lowest byte first, or what is passed over or handed on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taker {
    /// So many bytes to come.
    Pass(u64),
    Number {
        number: u64,
        have: u8,
        left: u8,
    },
}

impl Default for Taker {
    fn default() -> Self {
        Self::Pass(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Took<'a> {
    More,
    Piece(&'a [u8]),
    Done,
}

impl Taker {
    /// Up to eight bytes.
    pub(super) fn number(n: u8) -> Self {
        Self::Number {
            number: 0,
            have: 0,
            left: n,
        }
    }

    pub(super) fn pass(n: u64) -> Self {
        Self::Pass(n)
    }

    /// The number that was read.
    pub(super) fn value(&self) -> u64 {
        match self {
            Self::Number { number, .. } => *number,
            Self::Pass(_) => 0,
        }
    }

    /// Whether `n` bytes more are of no interest where pieces are of none.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        match self {
            Self::Pass(left) if n < *left => {
                *left -= n;
                true
            }
            _ => false,
        }
    }

    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Took<'a>) {
        match self {
            Self::Number { number, have, left } => {
                let take = bytes.len().min(usize::from(*left));
                for byte in &bytes[..take] {
                    *number |= u64::from(*byte) << (8 * *have);
                    *have += 1;
                }
                *left -= take as u8;
                (take, if *left == 0 { Took::Done } else { Took::More })
            }
            Self::Pass(0) => (0, Took::Done),
            Self::Pass(_) if bytes.is_empty() => (0, Took::More),
            Self::Pass(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let n = bytes.len().min(most);
                *left -= n as u64;
                (n, Took::Piece(&bytes[..n]))
            }
        }
    }
}

/// How a value of a type is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Shape {
    #[default]
    Nothing = 0,
    One,
    Two,
    Four,
    Eight,
    /// Behind its length: one byte, two, four.
    Short,
    Long,
    Longer,
    /// In chunks.
    Chunks,
    /// Behind a pointer and a time, where it is of a row.
    Pointed,
}

impl Shape {
    const ALL: [Self; 10] = [
        Self::Nothing,
        Self::One,
        Self::Two,
        Self::Four,
        Self::Eight,
        Self::Short,
        Self::Long,
        Self::Longer,
        Self::Chunks,
        Self::Pointed,
    ];

    /// The one with this number.
    pub(super) fn of(number: u8) -> Self {
        let found = Self::ALL.get(usize::from(number));
        found.copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    More,
    /// The type is known: [`Value::shape`].
    Typed,
    /// A piece of the value.
    Piece(&'a [u8]),
    /// The value is complete.
    Over,
    /// This type is not known.
    Lost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Now {
    #[default]
    Type = 0,
    /// What is to be known of the type besides.
    Info,
    /// The longest value, and what it means for how they are written.
    Most,
    HasSchema,
    StringLength,
    String,
    Length,
    Body,
    Total,
    ChunkLength,
    Chunk,
    PointerLength,
    Pointer,
}

/// A reader of one type, or one value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Value {
    now: Now,
    taker: Taker,
    pub(super) shape: Shape,
    /// It is a text in UTF-16.
    pub(super) is_text: bool,
    /// It is one of a row.
    is_column: bool,
    has_collation: bool,
    /// Strings to come; the last one has a long length.
    strings: u8,
}

/// A length that is none.
const NULL: u64 = u64::MAX;

impl Value {
    /// A type comes: of a column, or of a parameter of a procedure, whose values are written otherwise.
    pub(super) fn begin_type(&mut self, is_column: bool) {
        *self = Self {
            taker: Taker::number(1),
            is_column,
            ..Self::default()
        };
    }

    /// A value of that shape comes.
    pub(super) fn begin(&mut self, shape: Shape) {
        self.shape = shape;
        let (now, taker) = match shape {
            Shape::Nothing => (Now::Body, Taker::pass(0)),
            Shape::One => (Now::Body, Taker::pass(1)),
            Shape::Two => (Now::Body, Taker::pass(2)),
            Shape::Four => (Now::Body, Taker::pass(4)),
            Shape::Eight => (Now::Body, Taker::pass(8)),
            Shape::Short => (Now::Length, Taker::number(1)),
            Shape::Long => (Now::Length, Taker::number(2)),
            Shape::Longer => (Now::Length, Taker::number(4)),
            Shape::Chunks => (Now::Total, Taker::number(8)),
            Shape::Pointed => (Now::PointerLength, Taker::number(1)),
        };
        self.read(now, taker);
    }

    fn read(&mut self, now: Now, taker: Taker) {
        self.now = now;
        self.taker = taker;
    }

    /// Passes over `n` bytes that were not seen, where they are inside of a value.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        matches!(self.now, Now::Body | Now::Chunk) && self.taker.skip(n)
    }

    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Said<'a>) {
        let mut used = 0;
        loop {
            let (n, took) = self.taker.take(&bytes[used..]);
            used += n;
            match took {
                Took::More => return (used, Said::More),
                Took::Piece(piece) if matches!(self.now, Now::Body | Now::Chunk) => {
                    return (used, Said::Piece(piece));
                }
                Took::Piece(_) => {}
                Took::Done => {
                    if let Some(said) = self.whole() {
                        return (used, said);
                    }
                }
            }
        }
    }

    /// What was awaited is there.
    fn whole(&mut self) -> Option<Said<'static>> {
        let number = self.taker.value();
        match self.now {
            Now::Type => return self.typed(number as u8),
            Now::Info => return Some(Said::Typed),
            Now::Most => {
                if number == 0xffff {
                    self.shape = Shape::Chunks;
                }
                if self.strings > 0 {
                    self.string();
                } else {
                    let collation = if self.has_collation { 5 } else { 0 };
                    self.read(Now::Info, Taker::pass(collation));
                }
            }
            Now::HasSchema if number == 0 => return Some(Said::Typed),
            Now::HasSchema => {
                self.strings = 3;
                self.string();
            }
            Now::StringLength => self.read(Now::String, Taker::pass(number * 2)),
            Now::String => {
                self.strings -= 1;
                if self.strings == 0 {
                    return Some(Said::Typed);
                }
                self.string();
            }
            Now::Length => {
                let none = match self.shape {
                    Shape::Long => 0xffff,
                    Shape::Longer => 0xffff_ffff,
                    _ => NULL,
                };
                let length = if number == none { 0 } else { number };
                self.read(Now::Body, Taker::pass(length));
            }
            Now::Body => return Some(Said::Over),
            Now::Total if number == NULL => return Some(Said::Over),
            Now::Total | Now::Chunk => self.read(Now::ChunkLength, Taker::number(4)),
            Now::ChunkLength if number == 0 => return Some(Said::Over),
            Now::ChunkLength => self.read(Now::Chunk, Taker::pass(number)),
            Now::PointerLength if number == 0 => return Some(Said::Over),
            // A time stands behind it.
            Now::PointerLength => self.read(Now::Pointer, Taker::pass(number + 8)),
            Now::Pointer => self.read(Now::Length, Taker::number(4)),
        }
        None
    }

    fn string(&mut self) {
        let width = if self.strings == 1 { 2 } else { 1 };
        self.read(Now::StringLength, Taker::number(width));
    }

    fn typed(&mut self, code: u8) -> Option<Said<'static>> {
        self.is_text = matches!(code, 0x63 | 0xe7 | 0xef);
        self.has_collation = matches!(code, 0xa7 | 0xaf | 0xe7 | 0xef);
        let (shape, info) = match code {
            0x1f => (Shape::Nothing, 0),
            0x30 | 0x32 => (Shape::One, 0),
            0x34 => (Shape::Two, 0),
            0x38 | 0x3a | 0x3b | 0x7a => (Shape::Four, 0),
            0x3c | 0x3d | 0x3e | 0x7f => (Shape::Eight, 0),
            // Dates have nothing, times a scale, numbers a length besides, decimals a precision and a scale as well.
            0x28 => (Shape::Short, 0),
            0x24 | 0x26 | 0x29 | 0x2a | 0x2b | 0x68 | 0x6d | 0x6e | 0x6f => (Shape::Short, 1),
            0x37 | 0x3f | 0x6a | 0x6c => (Shape::Short, 3),
            // Old binaries, and texts with a collation.
            0x25 | 0x2d => (Shape::Short, 1),
            0x27 | 0x2f => (Shape::Short, 6),
            0xa5 | 0xad | 0xa7 | 0xaf | 0xe7 | 0xef => {
                self.shape = Shape::Long;
                self.read(Now::Most, Taker::number(2));
                return None;
            }
            0x22 => (self.pointed(), 4),
            0x23 | 0x63 => (self.pointed(), 9),
            0x62 => (Shape::Longer, 4),
            0xf1 => {
                self.shape = Shape::Chunks;
                self.read(Now::HasSchema, Taker::number(1));
                return None;
            }
            0xf0 if self.is_column => {
                self.shape = Shape::Chunks;
                self.strings = 4;
                self.read(Now::Most, Taker::number(2));
                return None;
            }
            _ => return Some(Said::Lost),
        };
        self.shape = shape;
        self.read(Now::Info, Taker::pass(info));
        None
    }

    fn pointed(&self) -> Shape {
        if self.is_column {
            Shape::Pointed
        } else {
            Shape::Longer
        }
    }
}
