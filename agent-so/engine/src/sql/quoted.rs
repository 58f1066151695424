//! Where strings, quoted names and comments end.

use memchr::{memchr, memchr2, memmem};

use super::Backslash;
use super::rules::{Dollar, Nesting};

/// Where something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Here: the first byte after it.
    At(usize),
    /// Nowhere in the text.
    Missing,
    /// In different places by different readings.
    Unsure,
}

/// The end of what is quoted by the character at `at`, which stands for itself when doubled.
pub(super) fn end(text: &[u8], at: usize, backslash: Backslash) -> End {
    let quote = text[at];
    let mut at = at + 1;
    loop {
        let Some(found) = text.get(at..).and_then(|rest| memchr2(quote, b'\\', rest)) else {
            return End::Missing;
        };
        at += found;
        if text[at] == quote {
            if text.get(at + 1) != Some(&quote) {
                return End::At(at + 1);
            }
            at += 2;
            continue;
        }
        match backslash {
            Backslash::Plain => at += 1,
            Backslash::Escape => at += 2,
            // Both readings agree after a pair; they part at an escaped quote.
            Backslash::Unknown => match text.get(at + 1) {
                Some(next) if *next == quote => return End::Unsure,
                Some(_) => at += 2,
                None => return End::Missing,
            },
        }
    }
}

/// The end of `[...]`, in which `]]` may stand for `]`.
pub(super) fn bracket_end(text: &[u8], at: usize, doubled: bool) -> End {
    let mut at = at + 1;
    while let Some(found) = memchr(b']', &text[at..]) {
        at += found + 1;
        if !(doubled && text.get(at) == Some(&b']')) {
            return End::At(at);
        }
        at += 1;
    }
    End::Missing
}

/// The quote with which a string that ended at `at` goes on: after white space with a line break in it. (PostgreSQL,
/// where the escapes of an `E'...'` hold in the next line too.)
pub(super) fn continued(text: &[u8], mut at: usize) -> Option<usize> {
    let mut broken = false;
    loop {
        match text.get(at)? {
            b'\n' | b'\r' => broken = true,
            b' ' | b'\t' | 0x0b | 0x0c => {}
            b'-' if text.get(at + 1) == Some(&b'-') => {
                at += memchr2(b'\n', b'\r', &text[at..])?;
                continue;
            }
            b'\'' if broken => return Some(at),
            _ => return None,
        }
        at += 1;
    }
}

/// The end of a comment that ends with the line. `return_ends`: also at a lone carriage return, if that is known.
pub(super) fn line_end(text: &[u8], at: usize, return_ends: Option<bool>) -> End {
    let rest = &text[at..];
    let line = memchr(b'\n', rest);
    let stop = line.unwrap_or(rest.len());
    // Some servers go on after a zero byte, others take it for the end.
    if memchr(0, &rest[..stop]).is_some() {
        return End::Unsure;
    }
    match (memchr(b'\r', &rest[..stop]), return_ends) {
        (Some(found), Some(true)) => End::At(at + found),
        (Some(found), None) if Some(found + 1) != line => End::Unsure,
        _ => line.map_or(End::Missing, |found| End::At(at + found)),
    }
}

/// The end of `/* ... */`.
pub(super) fn comment_end(text: &[u8], at: usize, nesting: Nesting) -> End {
    let mut at = at + 2;
    if nesting == Nesting::Flat {
        return match memmem::find(&text[at..], b"*/") {
            Some(found) => End::At(at + found + 2),
            None => End::Missing,
        };
    }
    let mut depth = 1usize;
    while let Some(found) = memchr2(b'*', b'/', &text[at..]) {
        at += found;
        match (text[at], text.get(at + 1)) {
            (b'*', Some(b'/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return End::At(at);
                }
            }
            (b'/', Some(b'*')) if nesting == Nesting::Unsure => return End::Unsure,
            (b'/', Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    End::Missing
}

/// The end of a string between `$tag$`, or `None` if the `$` at `at` begins none.
pub(super) fn dollar_end(text: &[u8], at: usize, rule: Dollar) -> Option<End> {
    if rule == Dollar::None {
        return None;
    }
    let rest = &text[at..];
    if rule == Dollar::Anything {
        let opener = &rest[..memchr(b'$', rest.get(1..)?)? + 2];
        let word = opener[1..opener.len() - 1]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let end = memmem::find(&rest[opener.len()..], opener).filter(|_| word);
        return Some(end.map_or(End::Unsure, |found| End::At(at + found + 2 * opener.len())));
    }
    let tag = match rest.get(1)? {
        b'$' => 0,
        _ if rule == Dollar::Plain => return None,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => rest[1..]
            .iter()
            .position(|b| !matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80..))?,
        _ => return None,
    };
    let opener = rest.get(..tag + 2)?;
    if opener[tag + 1] != b'$' {
        return None;
    }
    if rule == Dollar::Unsure {
        return Some(End::Unsure);
    }
    let body = &rest[opener.len()..];
    Some(match memmem::find(body, opener) {
        Some(found) => End::At(at + found + 2 * opener.len()),
        None => End::Missing,
    })
}
