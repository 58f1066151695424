//! Texts of SQL and CQL statements: what may be shown of them, and what they are called.
//!
//! [`analyze`] reads a statement once. It writes the text with each literal replaced by `?` and comments left out,
//! and finds the summary that names the span ([`Summary`]).
//!
//! **No literal survives.** Each dialect has its own rules of what a string is (`rules`). Where the rules depend on
//! a setting that cannot be known from here (whether `\'` ends a string, whether `/*` nests), and the text looks
//! different under either, the text ends at that point ([`Analysis::doubtful`]): what would follow may be the inside of
//! a string. What is cut is cut between tokens.
//!
//! White space and case stay as they are, as the published cases of the conventions want. Nothing here
//! allocates or recurses, and the time is linear in the length of the text.

pub(crate) mod comment;
mod constant;
mod keyword;
mod lexer;
mod quoted;
mod rules;
mod statement;
mod summary;
#[cfg(test)]
mod tests;
mod text;

pub use summary::{SUMMARY_MAX, Summary};

use keyword::Key;
use lexer::{Kind, Lexer};
use statement::Statement;
use text::Text;

/// Whether a backslash in a plain `'...'` string escapes the character after it: a setting of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Backslash {
    /// Not known: where it makes a difference, the text ends.
    #[default]
    Unknown = 0,
    /// It is a character as any other: `standard_conforming_strings=on`, `NO_BACKSLASH_ESCAPES`.
    Plain,
    /// It escapes.
    Escape,
}

/// Whose rules a text follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL and what speaks its protocol. The server tells `standard_conforming_strings`.
    PostgreSql(Backslash),
    /// MySQL and MariaDB. The server tells `NO_BACKSLASH_ESCAPES` in its status flags.
    MySql(Backslash),
    /// SQLite.
    Sqlite,
    /// Microsoft SQL Server.
    SqlServer,
    /// ClickHouse.
    ClickHouse,
    /// The query language of Cassandra.
    Cql,
    /// Any other: only what holds in all of them.
    Generic,
}

/// A text to look at.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The text as sent.
    pub text: &'a [u8],
    /// Whose rules it follows.
    pub dialect: Dialect,
    /// The text was longer than what was kept. Its last token may be half of one and is left out.
    pub cut: bool,
}

/// What [`analyze`] says beside what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Length of the text written.
    pub len: usize,
    /// The text written ends before the statement does.
    pub truncated: bool,
    /// It ends because the rest can be read in two ways.
    pub doubtful: bool,
    /// Statements in the text, separated by `;`.
    pub statements: u32,
}

/// Writes the sanitized text into `out` (valid UTF-8, as much as there is room for) and the summary into `summary`. With
/// no room for text, only the summary is made.
pub fn analyze(query: &Query<'_>, out: &mut [u8], summary: &mut Summary) -> Analysis {
    let source = query.text;
    let mut lexer = Lexer::new(query);
    let mut text = Text::new(source, out);
    let mut statement = Statement::new(query.dialect, source, summary);
    let mut doubtful = false;
    let mut ended = false;
    while let Some(token) = lexer.next() {
        if query.cut && token.end == source.len() && token.kind != Kind::Literal {
            statement.unfinished(token);
            text.stop();
            break;
        }
        let key = match token.kind {
            Kind::Doubt => {
                doubtful = true;
                text.stop();
                break;
            }
            Kind::Space => {
                text.keep(token);
                continue;
            }
            Kind::Comment => {
                text.gap();
                continue;
            }
            Kind::Word => keyword::find(&source[token.start..token.end]),
            _ => Key::None,
        };
        let named = statement.takes_name();
        match token.kind {
            Kind::Either if !named && !lexer.is_qualified(token) => text.literal(),
            Kind::Literal => text.literal(),
            Kind::Word if is_constant(query.dialect, source, token, key) => text.literal(),
            Kind::Word | Kind::Name if statement.is_password() => text.literal(),
            Kind::Parameter if source[token.start..token.end] == *b"?" => text.placeholder(token),
            Kind::Mark => text.mark(token, source[token.start]),
            Kind::Word => text.word(token, key),
            _ => text.other(token),
        }
        statement.token(token, key);
        if statement.data_follows() {
            ended = lexer.next().is_some();
            break;
        }
        if text.is_full() && statement.is_over() {
            break;
        }
    }
    let unsure = doubtful || query.cut;
    let statements = statement.finish(unsure);
    let (len, full) = text.finish();
    Analysis {
        len,
        truncated: full || unsure || ended,
        doubtful,
        statements,
    }
}

/// Whether a bare word is a value: a boolean, and what other values a dialect writes without quotes.
fn is_constant(dialect: Dialect, source: &[u8], token: lexer::Token, key: Key) -> bool {
    let value = match key {
        Key::Boolean => true,
        Key::Float => matches!(dialect, Dialect::ClickHouse | Dialect::Cql),
        _ => false,
    };
    // `t.true` is a column.
    let qualified =
        token.start > 0 && source[token.start - 1] == b'.' || source.get(token.end) == Some(&b'.');
    value && !qualified
}
