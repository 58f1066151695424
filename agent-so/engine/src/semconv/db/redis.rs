//! What commands of Redis are called, and how they are shown.

use super::Shown;
use crate::config::db::QueryText;
use crate::db::redis::{is_name, text};
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
    let mut names = Commands::new(raw).map(|command| command.name());
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
    for command in Commands::new(raw) {
        let words = || command.arguments.iter().copied();
        let secret = SECRET
            .iter()
            .any(|s| s.eq_ignore_ascii_case(command.name()));
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
    arguments: Vec<&'a [u8]>,
    /// Nothing of another one was kept.
    is_last: bool,
}

impl<'a> Command<'a> {
    fn name(&self) -> &'a [u8] {
        self.arguments.first().copied().unwrap_or_default()
    }
}

/// The commands in bytes of the wire: whole ones, and what there is of the last.
struct Commands<'a>(&'a [u8]);

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.number(b'*')?;
        let mut arguments = Vec::new();
        for _ in 0..count {
            let Some(len) = self.number(b'$') else { break };
            let Some(argument) = self.0.get(..len) else {
                // Only its front was kept.
                arguments.push(self.0);
                self.0 = &[];
                break;
            };
            arguments.push(argument);
            self.0 = self.0.get(len + 2..).unwrap_or_default();
        }
        (!arguments.is_empty()).then_some(Command {
            arguments,
            is_last: self.0.is_empty(),
        })
    }
}

impl<'a> Commands<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// Reads a line of `mark` and a number.
    fn number(&mut self, mark: u8) -> Option<usize> {
        let end = memchr::memchr(b'\n', self.0)?;
        let line = self.0[..end].strip_suffix(b"\r")?.strip_prefix(&[mark])?;
        self.0 = &self.0[end + 1..];
        std::str::from_utf8(line).ok()?.parse().ok()
    }
}
