//! The packets of one side, read over any split.

use super::column::{Layout, layout};
use super::packets::{Item, Kind, Mark, Packet, QUERY_SETTINGS, SERIALIZATION, SETTINGS};

/// Most bytes of a name or type that are kept.
pub(super) const KEPT: usize = 64;
/// What compressed data begins with: a checksum, the method, its length with this much, its length before.
const FRAME: u8 = 25;
const FRAME_LENGTH: u32 = 9;
/// Data is compressed when there is this much of it, bytes: what is less is the last of its block.
const FULL: u32 = 1024 * 1024;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    More,
    /// A packet begins.
    Begins(Packet),
    /// Something that matters; the value is [`Reader::number`] or [`Reader::name`].
    Mark(Mark),
    /// A piece of the statement.
    Statement(&'a [u8]),
    Done(Packet),
    /// It is not known how long this is.
    Blind,
}

/// What is read now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Now {
    /// The number of a packet.
    #[default]
    Type = 0,
    /// The item that is next in the packet.
    Item,
    /// The length of a text, and the text.
    Length,
    Body,
    /// What a context of OpenTelemetry consists of.
    Context,
    ContextState,
    ContextStateBody,
    ContextFlags,
    /// A setting's flags and value.
    SettingFlags,
    SettingLength,
    SettingBody,
    /// The strings of a rule.
    RuleLength,
    RuleBody,
    InfoValue,
    /// A compressed part of a block.
    Frame,
    FrameBody,
    /// A column.
    ColumnLength,
    ColumnName,
    TypeLength,
    TypeName,
    Serialization,
    Nulls,
    Values,
    StringLength,
    StringBody,
}

/// How the bytes of what is read now are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Take {
    #[default]
    Number = 0,
    Keep,
    Pass,
    Hand,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    is_server: bool,
    pub(super) revision: u64,
    /// Blocks of data are compressed.
    pub(super) compressed: bool,
    packet: Packet,
    now: Now,
    take: Take,
    /// Which item of the packet is read.
    at: u8,
    shift: u8,
    number: u64,
    /// Bytes to come.
    left: u64,
    have: u8,
    cut: bool,
    kept: [u8; KEPT],
    /// Rules, or columns, to come.
    count: u64,
    rows: u64,
    /// Values to come.
    values: u64,
    size: u32,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            is_server: false,
            revision: u64::MAX,
            compressed: false,
            packet: Packet::Hello,
            now: Now::Type,
            take: Take::Number,
            at: 0,
            shift: 0,
            number: 0,
            left: 0,
            have: 0,
            cut: false,
            kept: [0; KEPT],
            count: 0,
            rows: 0,
            values: 0,
            size: 0,
        }
    }
}

impl Reader {
    pub(super) fn new(is_server: bool) -> Self {
        Self {
            is_server,
            ..Self::default()
        }
    }

    /// Whether the next byte begins a packet.
    pub(super) fn is_between(&self) -> bool {
        self.now == Now::Type && self.shift == 0
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Empty for one that is longer than what is kept.
    pub(super) fn name(&self) -> &[u8] {
        if self.cut {
            return &[];
        }
        &self.kept[..usize::from(self.have)]
    }

    /// What follows has no number in front: it is this.
    pub(super) fn begin(&mut self, packet: Packet) {
        self.packet = packet;
        self.at = 0;
        self.item();
    }

    fn number_next(&mut self, now: Now) {
        self.now = now;
        self.take = Take::Number;
        self.number = 0;
        self.shift = 0;
    }

    fn bytes_next(&mut self, now: Now, take: Take, n: u64) {
        self.now = now;
        self.take = take;
        self.left = n;
        self.have = 0;
        self.cut = false;
    }

    /// The next packet may begin.
    pub(super) fn rest(&mut self) {
        self.number_next(Now::Type);
    }

    fn this(&self) -> Option<Item> {
        self.packet.items().get(usize::from(self.at)).copied()
    }

    /// Makes ready for the item at [`Reader::at`], or the next one that there is in this revision.
    fn item(&mut self) {
        while self.this().is_some_and(|item| item.since > self.revision) {
            self.at += 1;
        }
        match self.this().map(|item| item.kind) {
            None => self.bytes_next(Now::Item, Take::Pass, 0),
            Some(Kind::Number) => self.number_next(Now::Item),
            Some(Kind::Bytes(n)) => self.bytes_next(Now::Item, Take::Keep, n.into()),
            Some(Kind::Text | Kind::Name | Kind::Statement) => self.number_next(Now::Length),
        }
    }

    fn next_item(&mut self) {
        self.at += 1;
        self.item();
    }

    /// Reads up to the next thing to tell. Returns how many bytes that took.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Next<'a>) {
        let mut used = 0;
        loop {
            if self.take == Take::Number {
                let Some(byte) = bytes.get(used) else {
                    return (used, Next::More);
                };
                used += 1;
                if self.shift > 63 {
                    return (used, Next::Blind);
                }
                self.number |= u64::from(byte & 0x7f) << self.shift;
                self.shift += 7;
                if byte & 0x80 != 0 {
                    continue;
                }
            } else if self.left > 0 {
                let rest = &bytes[used..];
                let taken = rest
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let piece = &rest[..taken];
                used += taken;
                self.left -= taken as u64;
                if self.take == Take::Keep {
                    let at = usize::from(self.have);
                    let kept = taken.min(KEPT - at);
                    self.kept[at..at + kept].copy_from_slice(&piece[..kept]);
                    self.have += kept as u8;
                    self.cut |= kept < taken;
                }
                if self.take == Take::Hand && taken > 0 {
                    return (used, Next::Statement(piece));
                }
                if self.left > 0 {
                    return (used, Next::More);
                }
            }
            if let Some(next) = self.whole() {
                return (used, next);
            }
        }
    }

    /// What is read now is there.
    fn whole(&mut self) -> Option<Next<'static>> {
        let number = self.number;
        match self.now {
            Now::Type => {
                let of = if self.is_server {
                    Packet::of_server
                } else {
                    Packet::of_client
                };
                let Some(packet) = of(number) else {
                    return Some(Next::Blind);
                };
                self.begin(packet);
                return Some(Next::Begins(packet));
            }
            Now::Length => {
                let take = match self.this().map(|item| item.kind) {
                    Some(Kind::Name) => Take::Keep,
                    Some(Kind::Statement) => Take::Hand,
                    _ => Take::Pass,
                };
                self.bytes_next(Now::Body, take, number);
            }
            Now::Item | Now::Body => return self.item_read(),
            Now::Context => self.number_next(Now::ContextState),
            Now::ContextState => self.bytes_next(Now::ContextStateBody, Take::Pass, number),
            Now::ContextStateBody => self.bytes_next(Now::ContextFlags, Take::Pass, 1),
            Now::ContextFlags => self.next_item(),
            Now::SettingFlags => self.number_next(Now::SettingLength),
            Now::SettingLength => self.bytes_next(Now::SettingBody, Take::Pass, number),
            // The name of the next one.
            Now::SettingBody => self.item(),
            Now::RuleLength => self.bytes_next(Now::RuleBody, Take::Pass, number),
            Now::RuleBody => self.rules(self.count - 1),
            Now::InfoValue => self.item(),
            Now::Frame => return self.frame(),
            Now::FrameBody if self.size == FULL => {
                self.bytes_next(Now::Frame, Take::Keep, FRAME.into());
            }
            Now::FrameBody => return self.over(),
            Now::ColumnLength => self.bytes_next(Now::ColumnName, Take::Pass, number),
            Now::ColumnName => self.number_next(Now::TypeLength),
            Now::TypeLength => self.bytes_next(Now::TypeName, Take::Keep, number),
            Now::TypeName if self.revision >= SERIALIZATION => {
                // The type stays where it is kept.
                self.number_next(Now::Serialization);
            }
            Now::TypeName => return self.column(),
            Now::Serialization if number == 0 => return self.column(),
            Now::Serialization => return Some(Next::Blind),
            Now::Nulls => return self.values(),
            Now::Values => return self.columns(self.count - 1),
            Now::StringLength => self.bytes_next(Now::StringBody, Take::Pass, number),
            Now::StringBody => return self.strings(self.values - 1),
        }
        None
    }

    fn over(&mut self) -> Option<Next<'static>> {
        self.rest();
        Some(Next::Done(self.packet))
    }

    /// An item is read: what it changes, and what comes next.
    fn item_read(&mut self) -> Option<Next<'static>> {
        let Some(item) = self.this() else {
            return self.over();
        };
        if let Kind::Bytes(_) = item.kind {
            // The lowest comes first.
            let bytes = &self.kept[..usize::from(self.have)];
            self.number = bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        }
        let number = self.number;
        match item.mark {
            Mark::Initial if number == 0 => {
                self.at = QUERY_SETTINGS;
                self.item();
                return None;
            }
            Mark::Interface if number != 1 => return Some(Next::Blind),
            Mark::Context if number == 1 => {
                self.bytes_next(Now::Context, Take::Pass, 24);
                return None;
            }
            Mark::Setting if self.have > 0 => {
                if self.revision < SETTINGS {
                    // How a value is written is known to who knows the setting.
                    return Some(Next::Blind);
                }
                self.number_next(Now::SettingFlags);
                return None;
            }
            Mark::Rules => {
                self.at += 1;
                self.rules(number.saturating_mul(2));
                return None;
            }
            Mark::Nested if number != 0 => {
                self.begin(Packet::Exception);
                return None;
            }
            Mark::Block if self.compressed => {
                self.bytes_next(Now::Frame, Take::Keep, FRAME.into());
                return None;
            }
            Mark::Info => match number {
                0 => {}
                1 => {
                    self.bytes_next(Now::InfoValue, Take::Pass, 1);
                    return None;
                }
                2 => {
                    self.bytes_next(Now::InfoValue, Take::Pass, 4);
                    return None;
                }
                _ => return Some(Next::Blind),
            },
            Mark::BlockColumns => self.count = number,
            Mark::BlockRows => {
                self.rows = number;
                return self.columns(self.count);
            }
            _ => {}
        }
        let mark = item.mark;
        self.next_item_keeping(mark)
    }

    /// Goes on; what matters is told first, with its value as it is.
    fn next_item_keeping(&mut self, mark: Mark) -> Option<Next<'static>> {
        if mark == Mark::None {
            self.next_item();
            return None;
        }
        Some(Next::Mark(mark))
    }

    /// After [`Next::Mark`].
    pub(super) fn go_on(&mut self) {
        self.next_item();
    }

    fn rules(&mut self, strings: u64) {
        self.count = strings;
        match strings {
            0 => self.next_item(),
            _ => self.number_next(Now::RuleLength),
        }
    }

    /// The head of compressed data is there.
    fn frame(&mut self) -> Option<Next<'static>> {
        let at = |i: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| self.kept[i + n]));
        let (method, length, before) = (self.kept[16], at(17), at(21));
        // None, LZ4, ZSTD.
        let known = matches!(method, 0x02 | 0x82 | 0x90);
        if !known || length < FRAME_LENGTH || before == 0 {
            return Some(Next::Blind);
        }
        self.size = before;
        self.bytes_next(Now::FrameBody, Take::Pass, (length - FRAME_LENGTH).into());
        None
    }

    /// So many columns come.
    fn columns(&mut self, count: u64) -> Option<Next<'static>> {
        self.count = count;
        if count == 0 {
            return self.over();
        }
        self.number_next(Now::ColumnLength);
        None
    }

    /// A column's name and type are there.
    fn column(&mut self) -> Option<Next<'static>> {
        if self.rows == 0 {
            return self.columns(self.count - 1);
        }
        let front = &self.kept[..usize::from(self.have)];
        let Some(Layout { nullable, size }) = layout(front) else {
            return Some(Next::Blind);
        };
        self.size = size;
        if nullable {
            self.bytes_next(Now::Nulls, Take::Pass, self.rows);
            return None;
        }
        self.values()
    }

    fn values(&mut self) -> Option<Next<'static>> {
        if self.size == 0 {
            return self.strings(self.rows);
        }
        let bytes = self.rows.saturating_mul(self.size.into());
        self.bytes_next(Now::Values, Take::Pass, bytes);
        None
    }

    fn strings(&mut self, values: u64) -> Option<Next<'static>> {
        self.values = values;
        if values == 0 {
            return self.columns(self.count - 1);
        }
        self.number_next(Now::StringLength);
        None
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of something that is of no interest.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.take == Take::Pass && n < self.left;
        if inside {
            self.left -= n;
        }
        inside
    }
}
