//! What differs between the dialects, as far as it decides where a token ends.

use super::{Backslash, Dialect};

/// What a quoted run of characters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoted {
    /// Nothing special: the quote is a mark like any other.
    None,
    /// The name of something.
    Name,
    /// A string.
    String,
    /// One or the other, by a setting or by what the database finds.
    Either,
}

/// What `/*` inside a comment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nesting {
    Nested,
    Flat,
    /// By version or unknown.
    Unsure,
}

/// What `$...$` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dollar {
    /// `$tag$...$tag$` is a string.
    Tagged,
    /// `$$...$$` is a string.
    Plain,
    /// `$anything$...$anything$` is one if it ends; newer versions want a word between.
    Anything,
    /// What looks like one may be one.
    Unsure,
    None,
}

/// One dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// In `'...'`.
    pub(super) backslash: Backslash,
    /// In names between `"` or `` ` ``.
    pub(super) name_backslash: Backslash,
    pub(super) double: Quoted,
    pub(super) backtick: Quoted,
    pub(super) bracket: Quoted,
    pub(super) dollar: Dollar,
    pub(super) nesting: Nesting,
    /// Letters, upper case, that may stand before a string and are part of it.
    pub(super) prefixes: &'static [u8],
    /// `E'...'`: backslashes escape whatever the setting.
    pub(super) escape_prefix: bool,
    /// Of `prefixes`: the string has no backslashes.
    pub(super) raw_prefixes: &'static [u8],
    /// A string goes on in the next line: `'a'\n'b'`.
    pub(super) continued: bool,
    /// `--` begins a comment only with white space after it.
    pub(super) dashes_need_space: bool,
    /// `//` begins a comment.
    pub(super) slashes: bool,
    /// `#` begins a comment: always, or with a blank or `!` after it.
    pub(super) hash: Hash,
    /// Where a comment to the end of the line ends at a lone `\r`.
    pub(super) return_ends: Option<bool>,
    /// `/*! ... */` is code.
    pub(super) versioned: bool,
    /// `$1` is a parameter.
    pub(super) dollar_parameter: bool,
    /// `$1` is an amount of money.
    pub(super) money: bool,
    /// `@x` is one token.
    pub(super) at_names: bool,
    /// `?1` is a parameter.
    pub(super) numbered: bool,
    /// `$` goes on with a word.
    pub(super) dollar_in_word: bool,
    /// Any byte above 0x7f is part of a word; otherwise letters and digits are.
    pub(super) high_bytes: bool,
    /// `]]` in a name stands for `]`.
    pub(super) bracket_doubled: bool,
    /// What is between `"` is a name where a dot joins it to another: a string cannot stand there.
    pub(super) qualified_names: bool,
    /// Not known whose rules these are.
    pub(super) unsure: bool,
    /// Constants of CQL: UUIDs and durations without quotes.
    pub(super) bare_constants: bool,
}

/// What `#` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Comment,
    CommentWithBlank,
    Word,
    Mark,
    Unsure,
}

/// Standard SQL with nothing that is not known for certain; the others say in what they differ.
const GENERIC: Rules = Rules {
    backslash: Backslash::Unknown,
    name_backslash: Backslash::Unknown,
    double: Quoted::Either,
    backtick: Quoted::Either,
    bracket: Quoted::None,
    dollar: Dollar::Unsure,
    nesting: Nesting::Unsure,
    prefixes: b"NBXE",
    escape_prefix: false,
    raw_prefixes: b"",
    continued: false,
    dashes_need_space: false,
    slashes: false,
    hash: Hash::Unsure,
    return_ends: None,
    versioned: false,
    dollar_parameter: false,
    money: false,
    at_names: true,
    numbered: false,
    dollar_in_word: true,
    high_bytes: false,
    bracket_doubled: false,
    qualified_names: false,
    unsure: true,
    bare_constants: false,
};

const POSTGRESQL: Rules = Rules {
    name_backslash: Backslash::Plain,
    double: Quoted::Name,
    backtick: Quoted::None,
    dollar: Dollar::Tagged,
    nesting: Nesting::Nested,
    escape_prefix: true,
    raw_prefixes: b"BX",
    continued: true,
    hash: Hash::Mark,
    return_ends: Some(true),
    dollar_parameter: true,
    at_names: false,
    high_bytes: true,
    unsure: false,
    ..GENERIC
};

const MYSQL: Rules = Rules {
    name_backslash: Backslash::Plain,
    double: Quoted::String,
    backtick: Quoted::Name,
    nesting: Nesting::Flat,
    prefixes: b"NBX",
    dashes_need_space: true,
    hash: Hash::Comment,
    return_ends: Some(false),
    versioned: true,
    high_bytes: true,
    unsure: false,
    ..GENERIC
};

const SQLITE: Rules = Rules {
    backslash: Backslash::Plain,
    name_backslash: Backslash::Plain,
    backtick: Quoted::Name,
    bracket: Quoted::Name,
    dollar: Dollar::None,
    nesting: Nesting::Flat,
    prefixes: b"X",
    hash: Hash::Mark,
    return_ends: Some(false),
    dollar_parameter: true,
    numbered: true,
    high_bytes: true,
    unsure: false,
    qualified_names: true,
    ..GENERIC
};

const SQL_SERVER: Rules = Rules {
    backslash: Backslash::Plain,
    name_backslash: Backslash::Plain,
    backtick: Quoted::None,
    bracket: Quoted::Name,
    dollar: Dollar::None,
    nesting: Nesting::Nested,
    prefixes: b"N",
    hash: Hash::Word,
    money: true,
    unsure: false,
    qualified_names: true,
    bracket_doubled: true,
    ..GENERIC
};

const CLICKHOUSE: Rules = Rules {
    backslash: Backslash::Escape,
    name_backslash: Backslash::Escape,
    double: Quoted::Name,
    backtick: Quoted::Name,
    dollar: Dollar::Anything,
    prefixes: b"BX",
    raw_prefixes: b"BX",
    slashes: true,
    hash: Hash::CommentWithBlank,
    return_ends: Some(false),
    unsure: false,
    ..GENERIC
};

const CQL: Rules = Rules {
    backslash: Backslash::Plain,
    name_backslash: Backslash::Plain,
    double: Quoted::Name,
    backtick: Quoted::None,
    dollar: Dollar::Plain,
    nesting: Nesting::Flat,
    prefixes: b"",
    slashes: true,
    hash: Hash::Mark,
    return_ends: Some(true),
    at_names: false,
    dollar_in_word: false,
    bare_constants: true,
    unsure: false,
    ..GENERIC
};

impl Rules {
    pub(super) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::PostgreSql(backslash) => Rules {
                backslash,
                ..POSTGRESQL
            },
            Dialect::MySql(backslash) => Rules { backslash, ..MYSQL },
            Dialect::Sqlite => SQLITE,
            Dialect::SqlServer => SQL_SERVER,
            Dialect::ClickHouse => CLICKHOUSE,
            Dialect::Cql => CQL,
            Dialect::Generic => GENERIC,
        }
    }
}
