//! Values that stand without quotes.

/// The end of the number at `at`, which begins with a digit or with `.` and a digit. What is stuck to it (`123abc`,
/// `0xff`, `1_000`, `5kb`) goes with it; `word_end` finds the end of that. `continued`: it may go on after a
/// backslash at the end of a line.
pub(super) fn number_end(
    text: &[u8],
    at: usize,
    word_end: impl Fn(usize) -> usize,
    continued: bool,
) -> usize {
    let byte = |i: usize| text.get(i).copied().unwrap_or(0);
    let mut end = run_end(text, at, &word_end);
    if byte(end) == b'.' && end > at || end == at {
        end = match (byte(end + 1), byte(end + 2)) {
            (b'0'..=b'9', _) => run_end(text, end + 1, &word_end),
            (b'e' | b'E', b'0'..=b'9') => word_end(end + 1),
            (b'e' | b'E', b'+' | b'-') if byte(end + 3).is_ascii_digit() => word_end(end + 3),
            (b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.., _) => end,
            _ => end + 1,
        };
    }
    while continued && byte(end) == b'\\' {
        end = match (byte(end + 1), byte(end + 2)) {
            (b'\n', _) => word_end(end + 2),
            (b'\r', b'\n') => word_end(end + 3),
            _ => break,
        };
    }
    end
}

/// The end of the digits at `at` with an exponent and anything that sticks to them.
fn run_end(text: &[u8], at: usize, word_end: &impl Fn(usize) -> usize) -> usize {
    let end = word_end(at);
    let Some([digits @ .., b'e' | b'E']) = text.get(at..end) else {
        return end;
    };
    let decimal = !digits.is_empty() && digits.iter().all(|b| b.is_ascii_digit() || *b == b'_');
    match text.get(end..end + 2) {
        Some([b'+' | b'-', b'0'..=b'9']) if decimal => word_end(end + 1),
        _ => end,
    }
}

/// The end of a UUID or a duration of CQL at `at`, which both may begin with a letter.
pub(super) fn bare(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let run = |of: fn(&u8) -> bool| rest.iter().position(|b| !of(b)).unwrap_or(rest.len());
    let hex = run(u8::is_ascii_hexdigit);
    if hex == 8 && rest.get(8) == Some(&b'-') {
        return Some(at + run(|b| b.is_ascii_hexdigit() || *b == b'-'));
    }
    let [b'P' | b'p', rest @ ..] = rest else {
        return None;
    };
    // PnYnMnDTnHnMnS, PnW, or P[YYYY]-[MM]-[DD]T[hh]:[mm]:[ss].
    let word = rest
        .iter()
        .position(|b| !b.is_ascii_alphanumeric() && *b != b'_')
        .unwrap_or(rest.len());
    let units = rest[..word]
        .iter()
        .all(|b| b.is_ascii_digit() || b"YMWDTHSymwdths".contains(b));
    let digits = rest[..word].iter().any(u8::is_ascii_digit);
    if !units || !digits {
        return None;
    }
    let dated = word == 4 && rest.get(4) == Some(&b'-');
    if dated {
        let more = |b: &u8| !(b.is_ascii_digit() || matches!(b, b'-' | b':' | b'T' | b't'));
        let length = rest.iter().position(more).unwrap_or(rest.len());
        return Some(at + 1 + length);
    }
    let ends_with_unit = word > 0 && rest[word - 1].is_ascii_alphabetic();
    ends_with_unit.then_some(at + 1 + word)
}

/// Where the code of a version comment (`/*!50100 ...`, MariaDB also `/*M!`) begins.
pub(super) fn version_code(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let mark = match rest {
        [b'/', b'*', b'!', ..] => 3,
        [b'/', b'*', b'M', b'!', ..] => 4,
        _ => return None,
    };
    let version = rest[mark..]
        .iter()
        .take(6)
        .take_while(|b| b.is_ascii_digit())
        .count();
    Some(at + mark + version)
}

/// The character at `at`, if it is one in UTF-8.
pub(super) fn char_at(text: &[u8], at: usize) -> Option<char> {
    let bytes = &text[at..text.len().min(at + 4)];
    let valid = match std::str::from_utf8(bytes) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
    };
    valid.chars().next()
}
