//! Packets of both sides: which numbers and strings follow one another in each, as of which revision of the protocol.
//!
//! Only lengths are of interest in most of them. Of a password nothing is ever kept.

/// Newest revision whose packets are known here; the older of both sides' is spoken.
pub(super) const NEWEST: u64 = 54468;
/// As of here the client says something without a packet once it was greeted.
pub(super) const ADDENDUM: u64 = 54458;
/// As of here each column says how it is written.
pub(super) const SERIALIZATION: u64 = 54454;
/// As of here settings are strings.
pub(super) const SETTINGS: u64 = 54429;
const BLOCK_INFO: u64 = 51903;

/// How an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of variable length.
    Number,
    /// So many bytes.
    Bytes(u8),
    /// Passed over.
    Text,
    /// Kept, if it is short.
    Name,
    /// Handed on as it comes.
    Statement,
}

/// What an item means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    #[default]
    None = 0,
    Revision,
    Database,
    Code,
    /// Whether another exception follows.
    Nested,
    Rows,
    Compression,
    Statement,
    /// Whether there is anything about the client.
    Initial,
    Interface,
    /// Whether a context of OpenTelemetry follows.
    Context,
    /// Settings come, up to an empty name.
    Setting,
    /// So many pairs of strings come.
    Rules,
    Rule,
    /// A part of what a block says of itself, up to 0.
    Info,
    /// A block of data begins, which may be compressed.
    Block,
    BlockColumns,
    BlockRows,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) since: u64,
    pub(super) mark: Mark,
}

const fn item(kind: Kind) -> Item {
    Item {
        kind,
        since: 0,
        mark: Mark::None,
    }
}

impl Item {
    const fn since(self, since: u64) -> Self {
        Self { since, ..self }
    }

    const fn is(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }
}

const N: Item = item(Kind::Number);
const T: Item = item(Kind::Text);
const B: Item = item(Kind::Bytes(1));
const LONG: Item = item(Kind::Bytes(8));
const SETTING: Item = item(Kind::Name).is(Mark::Setting);
const VALUE: Item = N.since(u64::MAX);

/// What a packet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Packet {
    #[default]
    Hello = 0,
    Query,
    Data,
    Cancel,
    Ping,
    Addendum,
    Greeting,
    /// Data, totals, extremes.
    Block,
    /// Logs and events: a block that is never compressed.
    Plain,
    Exception,
    Progress,
    Pong,
    End,
    Profile,
    Columns,
    TimeZone,
}

impl Packet {
    /// By the number that a client gives it.
    pub(super) fn of_client(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Hello,
            1 => Self::Query,
            2 => Self::Data,
            3 => Self::Cancel,
            4 => Self::Ping,
            _ => return None,
        })
    }

    /// By the number that a server gives it.
    pub(super) fn of_server(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Greeting,
            1 | 7 | 8 => Self::Block,
            2 => Self::Exception,
            3 => Self::Progress,
            4 => Self::Pong,
            5 => Self::End,
            6 => Self::Profile,
            10 | 14 => Self::Plain,
            11 => Self::Columns,
            17 => Self::TimeZone,
            _ => return None,
        })
    }

    pub(super) fn items(self) -> &'static [Item] {
        match self {
            Self::Hello => &HELLO,
            Self::Query => &QUERY,
            Self::Data | Self::Block => &BLOCK,
            Self::Plain => &PLAIN,
            Self::Cancel | Self::Ping | Self::Pong | Self::End => &[],
            Self::Addendum | Self::TimeZone => &[T],
            Self::Greeting => &GREETING,
            Self::Exception => &EXCEPTION,
            Self::Progress => &PROGRESS,
            Self::Profile => &PROFILE,
            Self::Columns => &[T, T],
        }
    }
}

/// Name, version, database, user, password.
const HELLO: [Item; 7] = [
    T,
    N,
    N,
    N.is(Mark::Revision),
    item(Kind::Name).is(Mark::Database),
    T,
    T,
];
const GREETING: [Item; 10] = [
    T,
    N,
    N,
    N.is(Mark::Revision),
    T.since(54058),
    T.since(54372),
    N.since(54401),
    N.since(54461).is(Mark::Rules),
    // Repeated for each rule.
    VALUE.is(Mark::Rule),
    LONG.since(54462),
];
/// Where in [`QUERY`] the settings begin.
pub(super) const QUERY_SETTINGS: u8 = 20;
const QUERY: [Item; 26] = [
    T,
    B.since(54032).is(Mark::Initial),
    T,
    T,
    T,
    LONG.since(54449),
    B.is(Mark::Interface),
    T,
    T,
    T,
    N,
    N,
    N,
    T.since(54060),
    N.since(54448),
    N.since(54401),
    B.since(54442).is(Mark::Context),
    N.since(54453),
    N.since(54453),
    N.since(54453),
    SETTING,
    T.since(54441),
    N,
    N.is(Mark::Compression),
    item(Kind::Statement).is(Mark::Statement),
    SETTING.since(54459),
];
const EXCEPTION: [Item; 5] = [
    item(Kind::Bytes(4)).is(Mark::Code),
    T,
    T,
    T,
    B.is(Mark::Nested),
];
const PROGRESS: [Item; 7] = [
    N,
    N,
    N.since(51554),
    N.since(54463),
    N.since(54420),
    N.since(54420),
    N.since(54460),
];
const PROFILE: [Item; 6] = [N.is(Mark::Rows), N, N, B, N, B];
const BLOCK: [Item; 4] = [
    T.is(Mark::Block),
    N.since(BLOCK_INFO).is(Mark::Info),
    N.is(Mark::BlockColumns),
    N.is(Mark::BlockRows),
];
const PLAIN: [Item; 4] = [
    T,
    N.since(BLOCK_INFO).is(Mark::Info),
    N.is(Mark::BlockColumns),
    N.is(Mark::BlockRows),
];
