//! A statement as tokens. Every byte belongs to exactly one token.

use super::quoted::{self, End};
use super::rules::{Hash, Quoted, Rules};
use super::{Backslash, Query, constant};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    Comment,
    /// A bare name or keyword.
    Word,
    /// A quoted name.
    Name,
    /// A quoted name or a string: see [`Quoted::Either`].
    Either,
    /// A value. An unterminated string is one, up to the end.
    Literal,
    /// `?`, `$1`, `:name`, `@p1`.
    Parameter,
    /// One byte of anything else.
    Mark,
    /// From here on the text can be read in two ways.
    Doubt,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) struct Lexer<'a> {
    text: &'a [u8],
    rules: Rules,
    cut: bool,
    at: usize,
    /// The text is UTF-8. In other charsets the second byte of a character can look like a mark.
    utf8: bool,
    /// A sign that follows directly is an operator: the last token was a name, a parameter or `)`.
    operand: bool,
    /// The last token stands behind a dot, or is one.
    behind_dot: bool,
    dot: bool,
    /// Where the version comment around `at` ends.
    version_end: Option<usize>,
    /// Inside `[...]`, which is a name elsewhere (generic rules only).
    bracket: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(query: &Query<'a>) -> Self {
        // Half a character at a cut end is our own doing.
        let utf8 = match std::str::from_utf8(query.text) {
            Ok(_) => true,
            Err(error) => query.cut && error.error_len().is_none(),
        };
        Self {
            text: query.text,
            rules: Rules::of(query.dialect),
            cut: query.cut,
            at: 0,
            utf8,
            operand: false,
            behind_dot: false,
            dot: false,
            version_end: None,
            bracket: false,
        }
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Token> {
        let start = self.at;
        let first = *self.text.get(start)?;
        let (kind, end) = self.token(start, first);
        // A token that runs out of a version comment is one thing for servers that execute the comment and
        // another for those that skip it.
        let crosses = match self.version_end {
            Some(edge) if start < edge => end > edge,
            _ => false,
        };
        let kind = if crosses { Kind::Doubt } else { kind };
        self.at = end;
        self.operand = match kind {
            Kind::Word | Kind::Name | Kind::Either | Kind::Parameter => true,
            Kind::Mark => matches!(first, b')' | b']' | b'}'),
            _ => false,
        };
        self.behind_dot = self.dot;
        self.dot = kind == Kind::Mark && first == b'.';
        Some(Token { kind, start, end })
    }

    /// Whether the last token is joined by a dot to another name. A string never is.
    pub(super) fn is_qualified(&self, token: Token) -> bool {
        if !self.rules.qualified_names {
            return false;
        }
        let after = match self.text.get(token.end..).unwrap_or_default() {
            // `N'...'` behind the dot is a string.
            [b'.', _, b'\'', ..] => false,
            [b'.', next, ..] => {
                next.is_ascii_alphabetic() || matches!(next, b'"' | b'`' | b'[' | b'_' | b'*')
            }
            // At a cut end the dot is not shown, and the name would stand alone.
            [b'.'] => !self.cut,
            _ => false,
        };
        self.behind_dot || after
    }

    fn peek(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn token(&mut self, at: usize, first: u8) -> (Kind, usize) {
        let next = self.peek(at + 1);
        if self.is_half(at) {
            return (Kind::Doubt, self.text.len());
        }
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => (Kind::Space, self.spaces(at)),
            b'\'' => self.string(at, self.rules.backslash),
            b'"' => self.quoted(at, self.rules.double),
            b'`' => self.quoted(at, self.rules.backtick),
            b'[' => self.bracket(at),
            b']' => {
                self.bracket = false;
                (Kind::Mark, at + 1)
            }
            b'0'..=b'9' => (Kind::Literal, self.number(at)),
            b'.' if next.is_ascii_digit() => (Kind::Literal, self.number(at)),
            b'-' if next == b'-' && self.dashes_begin_comment(at) => self.line_comment(at),
            // A comment behind these, or the end of one, would make a comment of them once it is left out.
            b'-' if next == b'-' && matches!(self.peek(at + 2), b'-' | b'#' | b'/' | b'*') => {
                (Kind::Doubt, self.text.len())
            }
            b'+' | b'-' => self.sign(at, next),
            b'/' if next == b'*' => self.block_comment(at),
            b'/' if next == b'/' && self.rules.slashes => self.line_comment(at),
            b'*' if next == b'/' && self.version_end == Some(at) => (Kind::Comment, at + 2),
            b'#' => self.hash(at, next),
            b'$' => self.dollar(at, next),
            b'?' => (Kind::Parameter, self.question(at)),
            b'@' if self.rules.at_names => self.named(at, at + 1 + usize::from(next == b'@')),
            b':' if at == 0 || self.text[at - 1] != b':' => self.named(at, at + 1),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(at),
            0x80.. => self.high(at),
            0 => (Kind::Doubt, self.text.len()),
            _ => (Kind::Mark, at + 1),
        }
    }

    fn spaces(&self, at: usize) -> usize {
        let more = |b: &u8| !matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
        self.text[at..]
            .iter()
            .position(more)
            .map_or(self.text.len(), |n| at + n)
    }

    /// The end of the word at `at`.
    fn word_end(&self, mut at: usize) -> usize {
        loop {
            match self.peek(at) {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => at += 1,
                b'$' if self.rules.dollar_in_word => at += 1,
                b'#' | b'@' if self.rules.hash == Hash::Word => at += 1,
                0x80.. => match self.letter(at) {
                    0 => return at,
                    n => at += n,
                },
                _ => return at,
            }
        }
    }

    /// Length of the character above 0x7f at `at` if it can be part of a word, else 0.
    fn letter(&self, at: usize) -> usize {
        if self.rules.high_bytes {
            // In Latin-1 this is a space, which a number may follow.
            return usize::from(self.utf8 || self.text[at] != 0xa0);
        }
        match constant::char_at(self.text, at) {
            Some(c) if c.is_alphanumeric() => c.len_utf8(),
            _ => 0,
        }
    }

    fn high(&mut self, at: usize) -> (Kind, usize) {
        if self.letter(at) != 0 {
            return self.word(at);
        }
        match constant::char_at(self.text, at) {
            // Newer versions of ClickHouse take these for quotes.
            Some('\u{2018}'..='\u{201f}') => (Kind::Doubt, self.text.len()),
            Some(c) => (Kind::Mark, at + c.len_utf8()),
            None => (Kind::Mark, at + 1),
        }
    }

    /// Whether the byte at `at` may be the second half of a character: the text is not UTF-8, a byte above 0x7f
    /// stands before it, and it is one of the marks that GBK, Big5 and Shift JIS use so.
    fn is_half(&self, at: usize) -> bool {
        !self.utf8
            && matches!(self.peek(at), b'@' | b'['..=b'^' | b'`' | b'{'..=b'~')
            && at > 0
            && self.text[at - 1] >= 0x80
    }

    fn word(&mut self, at: usize) -> (Kind, usize) {
        if self.rules.bare_constants
            && let Some(end) = constant::bare(self.text, at)
        {
            return (Kind::Literal, end);
        }
        let end = self.word_end(at);
        match self.peek(end) {
            b'\'' => self.prefixed(at, end),
            b'&' if self.rules.escape_prefix && matches!(&self.text[at..end], b"U" | b"u") => {
                match self.peek(end + 1) {
                    b'\'' => self.string(end + 1, Backslash::Plain),
                    b'"' => self.finish(
                        quoted::end(self.text, end + 1, Backslash::Plain),
                        Kind::Name,
                    ),
                    _ => (Kind::Word, end),
                }
            }
            _ => (Kind::Word, end),
        }
    }

    /// A word with a string directly after it.
    fn prefixed(&mut self, at: usize, end: usize) -> (Kind, usize) {
        let word = &self.text[at..end];
        let letter = match *word {
            [letter] => letter.to_ascii_uppercase(),
            // Oracle: the next character says how the string ends.
            [b'n' | b'N', b'q' | b'Q'] => b'Q',
            _ => return (Kind::Word, end),
        };
        if letter == b'Q' && self.rules.unsure {
            return (Kind::Doubt, self.text.len());
        }
        if !self.rules.prefixes.contains(&letter) {
            return (Kind::Word, end);
        }
        let backslash = if self.rules.raw_prefixes.contains(&letter) {
            Backslash::Plain
        } else if letter == b'E' && self.rules.escape_prefix {
            Backslash::Escape
        } else {
            self.rules.backslash
        };
        self.string(end, backslash)
    }

    /// A string whose quote is at `quote`.
    fn string(&mut self, mut quote: usize, backslash: Backslash) -> (Kind, usize) {
        if self.bracket {
            return (Kind::Doubt, self.text.len());
        }
        loop {
            let end = match self.quoted_end(quote, backslash) {
                End::At(end) => end,
                End::Missing => return (Kind::Literal, self.text.len()),
                End::Unsure => return (Kind::Doubt, self.text.len()),
            };
            match quoted::continued(self.text, end) {
                Some(next) if self.rules.continued => quote = next,
                _ => return (Kind::Literal, end),
            }
        }
    }

    /// The end of what is quoted from `quote` on, with care for other charsets.
    fn quoted_end(&self, quote: usize, backslash: Backslash) -> End {
        let end = quoted::end(self.text, quote, backslash);
        if self.utf8 {
            return end;
        }
        let stop = match end {
            End::At(end) => end,
            _ => self.text.len(),
        };
        let significant = |i: usize| {
            let byte = self.text[i];
            (byte == b'\\' && backslash != Backslash::Plain || byte == self.text[quote])
                && self.is_half(i)
        };
        if (quote + 1..stop).any(significant) {
            return End::Unsure;
        }
        end
    }

    fn quoted(&mut self, at: usize, what: Quoted) -> (Kind, usize) {
        let quote = self.text[at];
        let (kind, backslash) = match what {
            Quoted::None => return (Kind::Mark, at + 1),
            // Under ANSI_QUOTES it is a name, where a backslash is just a character.
            Quoted::String if self.rules.backslash == Backslash::Plain => {
                (Kind::Literal, Backslash::Plain)
            }
            Quoted::String => (Kind::Literal, Backslash::Unknown),
            Quoted::Name => (Kind::Name, self.rules.name_backslash),
            Quoted::Either => (Kind::Either, self.rules.name_backslash),
        };
        let end = self.quoted_end(at, backslash);
        if self.bracket {
            return (Kind::Doubt, self.text.len());
        }
        if let (End::At(end), b'`', Quoted::Either) = (end, quote, what) {
            // Where a backtick quotes nothing, these do.
            let inner = &self.text[at + 1..end];
            if memchr::memchr2(b'\'', b'"', inner).is_some() {
                return (Kind::Doubt, self.text.len());
            }
        }
        self.finish(end, kind)
    }

    /// A quoted token. A string may lack its end; a name that does is a misreading.
    fn finish(&self, end: End, kind: Kind) -> (Kind, usize) {
        match end {
            End::At(end) => (kind, end),
            End::Missing if kind == Kind::Literal => (kind, self.text.len()),
            End::Missing | End::Unsure => (Kind::Doubt, self.text.len()),
        }
    }

    fn bracket(&mut self, at: usize) -> (Kind, usize) {
        if self.rules.bracket == Quoted::None {
            self.bracket = self.rules.unsure;
            return (Kind::Mark, at + 1);
        }
        let end = quoted::bracket_end(self.text, at, self.rules.bracket_doubled);
        self.finish(end, Kind::Name)
    }

    fn number(&self, at: usize) -> usize {
        if self.rules.bare_constants
            && let Some(end) = constant::bare(self.text, at)
        {
            return end;
        }
        constant::number_end(self.text, at, |i| self.word_end(i), self.rules.money)
    }

    /// A sign belongs to the number after it, unless it stands directly behind what it can be applied to.
    fn sign(&self, at: usize, next: u8) -> (Kind, usize) {
        let number = next.is_ascii_digit() || next == b'.' && self.peek(at + 2).is_ascii_digit();
        if number && !self.operand {
            (Kind::Literal, self.number(at + 1))
        } else {
            (Kind::Mark, at + 1)
        }
    }

    fn dashes_begin_comment(&self, at: usize) -> bool {
        let space = |b: &u8| *b == b' ' || b.is_ascii_control();
        !self.rules.dashes_need_space || self.text.get(at + 2).is_some_and(space)
    }

    fn line_comment(&self, at: usize) -> (Kind, usize) {
        match quoted::line_end(self.text, at, self.rules.return_ends) {
            End::At(end) if !self.bracket => (Kind::Comment, end),
            End::Missing if !self.bracket => (Kind::Comment, self.text.len()),
            _ => (Kind::Doubt, self.text.len()),
        }
    }

    fn block_comment(&mut self, at: usize) -> (Kind, usize) {
        if self.rules.versioned
            && self.version_end.is_none_or(|edge| edge <= at)
            && let Some(code) = constant::version_code(self.text, at)
        {
            let Some(length) = memchr::memmem::find(&self.text[code..], b"*/") else {
                return (Kind::Doubt, self.text.len());
            };
            self.version_end = Some(code + length);
            return (Kind::Comment, code);
        }
        match quoted::comment_end(self.text, at, self.rules.nesting) {
            End::At(end) if !self.bracket => (Kind::Comment, end),
            End::Missing if !self.bracket => (Kind::Comment, self.text.len()),
            _ => (Kind::Doubt, self.text.len()),
        }
    }

    fn hash(&mut self, at: usize, next: u8) -> (Kind, usize) {
        match self.rules.hash {
            Hash::Comment => self.line_comment(at),
            Hash::CommentWithBlank if matches!(next, b' ' | b'!') => self.line_comment(at),
            Hash::Word => self.word(at),
            // For ClickHouse it is an error; left alone it could end up before a blank.
            Hash::Unsure | Hash::CommentWithBlank => (Kind::Doubt, self.text.len()),
            Hash::Mark => (Kind::Mark, at + 1),
        }
    }

    fn dollar(&mut self, at: usize, next: u8) -> (Kind, usize) {
        let digit = next.is_ascii_digit();
        if digit && self.rules.dollar_parameter {
            let digits = |b: &u8| !b.is_ascii_digit();
            let rest = &self.text[at + 1..];
            let length = rest.iter().position(digits).unwrap_or(rest.len());
            return (Kind::Parameter, at + 1 + length);
        }
        let amount = digit || next == b'.' && self.peek(at + 2).is_ascii_digit();
        if amount && self.rules.money {
            return (Kind::Literal, self.number(at + 1));
        }
        if self.rules.numbered {
            return self.named(at, at + 1);
        }
        match quoted::dollar_end(self.text, at, self.rules.dollar) {
            None => (Kind::Mark, at + 1),
            Some(End::Missing) => (Kind::Literal, self.text.len()),
            Some(End::At(end)) => (Kind::Literal, end),
            Some(End::Unsure) => (Kind::Doubt, self.text.len()),
        }
    }

    fn question(&self, at: usize) -> usize {
        let digits = |b: &u8| !b.is_ascii_digit();
        let rest = &self.text[at + 1..];
        match self.rules.numbered {
            true => at + 1 + rest.iter().position(digits).unwrap_or(rest.len()),
            false => at + 1,
        }
    }

    /// A parameter whose name, if it has one, begins at `name`.
    fn named(&self, at: usize, name: usize) -> (Kind, usize) {
        match self.peek(name) {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Parameter, self.word_end(name)),
            _ => (Kind::Mark, at + 1),
        }
    }
}
