//! What commands of Redis are called.

use crate::exchange::{Exchange, Field};
use crate::semconv::text::push_lossy;

/// Appends the operation to `out`: the command as it was sent, `PIPELINE` or `MULTI` with the command that all of them are.
/// Returns how many operations it stands for.
pub(super) fn operation(ex: &Exchange, out: &mut String) -> u32 {
    let raw = ex.text(Field::Query).unwrap_or_default();
    let mut names = Commands(raw).map(|mut arguments| arguments.next().unwrap_or_default());
    let Some(first) = names.next() else {
        return ex.db.batch;
    };
    if ex.db.batch < 2 {
        push_lossy(first, false, out);
        return 1;
    }
    let frames = |name: &[u8]| {
        [&b"MULTI"[..], b"EXEC"]
            .iter()
            .any(|frame| frame.eq_ignore_ascii_case(name))
    };
    out.push_str(if frames(first) { "MULTI" } else { "PIPELINE" });
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
    if let Some(name) = same.filter(|_| !differ && count == ex.db.batch) {
        out.push(' ');
        push_lossy(name, false, out);
    }
    ex.db.batch - framing
}

/// The commands in bytes of the wire: whole ones, and what there is of the last.
struct Commands<'a>(&'a [u8]);

impl<'a> Iterator for Commands<'a> {
    type Item = std::vec::IntoIter<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.number(b'*')?;
        let mut arguments = Vec::new();
        for _ in 0..count {
            let Some(len) = self.number(b'$') else { break };
            let Some(argument) = self.0.get(..len) else {
                self.0 = &[];
                break;
            };
            arguments.push(argument);
            self.0 = self.0.get(len + 2..).unwrap_or_default();
        }
        (!arguments.is_empty()).then(|| arguments.into_iter())
    }
}

impl Commands<'_> {
    /// Reads a line of `mark` and a number.
    fn number(&mut self, mark: u8) -> Option<usize> {
        let end = memchr::memchr(b'\n', self.0)?;
        let line = self.0[..end].strip_suffix(b"\r")?.strip_prefix(&[mark])?;
        self.0 = &self.0[end + 1..];
        std::str::from_utf8(line).ok()?.parse().ok()
    }
}
