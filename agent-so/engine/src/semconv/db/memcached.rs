//! What commands of memcached are called, and how they are shown.

use super::Shown;
use crate::config::db::QueryText;
use crate::db::memcached::{is_command, text};
use crate::exchange::{Exchange, Field};
use crate::semconv::text::push_lossy;

/// What only shows that all before it was answered, in the meta and in the binary protocol.
const BARRIERS: [&[u8]; 2] = [b"mn", b"noop"];

/// Fills `shown`: the operation is the command, or `BATCH` with the command that all of them are. `out` is room for the text
/// of one command.
pub(super) fn show(ex: &Exchange, mode: QueryText, out: &mut [u8], shown: &mut Shown) {
    let raw = ex.text(Field::Query).unwrap_or_default();
    let cut = ex.is_cut(Field::Query) && !raw.ends_with(b"\n");
    let end = raw.len();
    let alone = lines(raw).count() == 1;
    let mut at = 0;
    let mut first: Option<&[u8]> = None;
    let (mut count, mut differ) = (0, false);
    for line in raw.split_inclusive(|b| *b == b'\n') {
        at += line.len();
        let line = line.trim_ascii_end();
        let name = name(line);
        if line.is_empty() || !alone && BARRIERS.contains(&name) {
            continue;
        }
        count += 1;
        differ |= *first.get_or_insert(name) != name;
        if mode != QueryText::Off {
            show_line(line, cut && at == end, mode, out, &mut shown.text);
        }
    }
    let name = first.filter(|name| is_command(name));
    if ex.db.batch < 2 {
        push_lossy(name.unwrap_or_default(), false, &mut shown.operation);
        return;
    }
    shown.operation.push_str("BATCH");
    // What was cut off may be anything.
    if let Some(name) = name.filter(|_| !differ && count == ex.db.batch) {
        shown.operation.push(' ');
        push_lossy(name, false, &mut shown.operation);
    }
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

fn name(line: &[u8]) -> &[u8] {
    line.split(|b| *b == b' ').next().unwrap_or_default()
}

fn show_line(line: &[u8], cut: bool, mode: QueryText, out: &mut [u8], shown: &mut String) {
    let between = if shown.is_empty() { "" } else { "; " };
    if mode == QueryText::Raw && is_command(name(line)) {
        shown.push_str(between);
        push_lossy(line, cut, shown);
        return;
    }
    let written = text(line, cut, out);
    if written.len > 0 {
        shown.push_str(between);
        push_lossy(&out[..written.len], false, shown);
    }
}
