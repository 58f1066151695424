//! What commands of Redis are called, and how they are shown.

use super::Shown;
use crate::config::db::QueryText;
use crate::db::redis::{counted, is_name, text};
use crate::exchange::{Exchange, Field};
use crate::semconv::text::push_lossy;

/// Commands whose arguments are never shown as they are: passwords may be among them.
const SECRET: [&[u8]; 5] = [b"AUTH", b"HELLO", b"CONFIG", b"ACL", b"MIGRATE"];

/// Fills `shown`: the operation is the command as it was sent, or `PIPELINE` or `MULTI` with the command that all of them
/// are. `out` is room for the text of one command.
pub(super) fn show(ex: &Exchange, mode: QueryText, out: &mut [u8], shown: &mut Shown) {
    let raw = ex.text(Field::Query).unwrap_or_default();
    let cut = ex.is_cut(Field::Query);
    if mode != QueryText::Off {
        show_text(raw, cut, mode, out, &mut shown.text);
    }
    let operation = &mut shown.operation;
    let mut names = Commands(raw).map(|command| command.name);
    let Some(first) = names.next() else {
        return;
    };
    if ex.db.batch < 2 {
        if is_name(first) {
            push_lossy(first, false, operation);
        }
        return;
    }
    let frames = |name: &[u8]| {
        [&b"MULTI"[..], b"EXEC"]
            .iter()
            .any(|frame| frame.eq_ignore_ascii_case(name))
    };
    operation.push_str(if frames(first) { "MULTI" } else { "PIPELINE" });
    let mut count = 1;
    let mut framing = u32::from(frames(first));
    let mut same = (!frames(first)).then_some(first);
    let mut differ = false;
    for name in names {
        count += 1;
        if frames(name) {
            framing += 1;
        } else {
            differ |= !same.get_or_insert(name).eq_ignore_ascii_case(name);
        }
    }
    // What was cut off may be anything.
    if let Some(name) = same.filter(|name| !differ && count == ex.db.batch && is_name(name)) {
        operation.push(' ');
        push_lossy(name, false, operation);
    }
    shown.batch = ex.db.batch - framing;
}

/// All commands, as they would be typed, with `; ` between.
fn show_text(raw: &[u8], cut: bool, mode: QueryText, out: &mut [u8], shown: &mut String) {
    for command in Commands(raw) {
        let words = || command.words.clone();
        let secret = SECRET.iter().any(|s| s.eq_ignore_ascii_case(command.name));
        let between = if shown.is_empty() { "" } else { "; " };
        if mode == QueryText::Raw && !secret {
            shown.push_str(between);
            for (i, word) in words().enumerate() {
                if i > 0 {
                    shown.push(' ');
                }
                push_lossy(word, cut, shown);
            }
            continue;
        }
        let written = text(words(), cut && command.is_last, out);
        if written.len > 0 {
            shown.push_str(between);
            push_lossy(&out[..written.len], false, shown);
        }
    }
}

/// A command on the wire, as far as it was kept.
struct Command<'a> {
    name: &'a [u8],
    words: Words<'a>,
    /// Nothing of another one was kept.
    is_last: bool,
}

/// The commands in bytes of the wire: whole ones, and what there is of the last.
struct Commands<'a>(&'a [u8]);

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = number(&mut self.0, b'*')?;
        let words = Words { raw: self.0, left };
        let mut rest = words.clone();
        let name = rest.next()?;
        while rest.next().is_some() {}
        self.0 = rest.raw;
        Some(Command {
            name,
            words,
            is_last: rest.raw.is_empty(),
        })
    }
}

/// The words of one command.
#[derive(Clone)]
struct Words<'a> {
    raw: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let Some(len) = number(&mut self.raw, b'$') else {
            self.left = 0;
            return None;
        };
        let Some(word) = self.raw.get(..len) else {
            // Only its front was kept.
            self.left = 0;
            return Some(std::mem::take(&mut self.raw));
        };
        self.raw = self.raw.get(len + 2..).unwrap_or_default();
        Some(word)
    }
}

/// Takes a line of `mark` and a number from the front of `raw`.
fn number(raw: &mut &[u8], mark: u8) -> Option<usize> {
    if let Some((number, used)) = counted(raw, mark) {
        *raw = &raw[used..];
        return Some(number);
    }
    let end = memchr::memchr(b'\n', raw)?;
    let line = raw[..end].strip_suffix(b"\r")?.strip_prefix(&[mark])?;
    *raw = &raw[end + 1..];
    std::str::from_utf8(line).ok()?.parse().ok()
}
