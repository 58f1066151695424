//! The low-cardinality form of a path that no template matches.
//!
//! Each segment is looked at on its own, `;parameters` removed; the first rule that fits decides:
//!
//! | segment | becomes |
//! |---|---|
//! | empty (also after a slash at the end) | itself |
//! | longer than 64 bytes | `{token}` |
//! | `2024-01`, `2024-01-31`, with or without a time | `{date}` |
//! | UUID | `{uuid}` |
//! | digits; digits with `-`, `_`, `.` between | `{id}` |
//! | 8 or more hexadecimal digits (0-9 among them, or 16 or more), `0x…` | `{hex}` |
//! | `name@host.tld` | `{email}` |
//! | any byte that is no letter, digit, `-`, `_`, `.` (percent-encoded and non-ASCII text too) | `{token}` |
//! | five or more parts between `-`, `_` (a title) | `{slug}` |
//! | every part between `-`, `_`, `.` is a word: see [`is_name`] | itself |
//! | anything else: mixed letters and digits, gibberish | `{token}` |
//!
//! In the last segment a known file extension stays: a static asset is `{file}.js`, unless it stands alone and is
//! made of words (`/favicon.ico`); of a page the name is classified (`/orders/{id}.json`, `/index.html`).
//! After ten segments the rest of the path is `/**`. Paths with `.` or `..` segments get no route: see
//! [`Router::route`](super::Router::route).

use super::without_parameters;
use super::words::is_word;

/// Segments that are kept.
const SEGMENTS_MAX: usize = 10;
/// Longest segment that is looked into.
const SEGMENT_MAX: usize = 64;
/// So many parts make a title.
const SLUG_PARTS: usize = 5;
const TOKEN: &str = "{token}";

/// Extensions of files that are served as they are: their names say nothing about the server's routes.
const ASSETS: &[&str] = &[
    "js", "mjs", "css", "map", "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "bmp",
    "woff", "woff2", "ttf", "otf", "eot", "mp3", "mp4", "m4a", "m4s", "ogg", "wav", "webm", "mov",
    "ts", "m3u8", "pdf", "zip", "gz", "tgz", "tar", "xz", "bz2", "exe", "dmg", "deb", "rpm", "jar",
    "wasm", "bin", "iso", "doc", "docx", "xls", "xlsx", "ppt", "pptx",
];

/// Extensions of pages and documents, which are often the route itself.
const PAGES: &[&str] = &[
    "html",
    "htm",
    "xhtml",
    "php",
    "jsp",
    "asp",
    "aspx",
    "do",
    "action",
    "cgi",
    "pl",
    "py",
    "json",
    "xml",
    "txt",
    "csv",
    "md",
    "rss",
    "atom",
    "yaml",
    "yml",
    "ics",
    "webmanifest",
];

/// Names of letters and digits that are words all the same.
const MIXED: &[&str] = &[
    "i18n", "l10n", "a11y", "k8s", "2fa", "b2b", "b2c", "3d", "base64", "sha256", "sha512", "x509",
    "utf16", "m2m", "p2p", "e2e", "h264", "h265",
];

/// Appends the clustered form of `path` to `out`.
pub fn cluster(path: &str, out: &mut String) {
    if path.is_empty() {
        out.push('/');
        return;
    }
    let mut rest = path;
    if let Some(after) = rest.strip_prefix('/') {
        out.push('/');
        rest = after;
    }
    let mut root = true;
    for _ in 0..SEGMENTS_MAX {
        let Some((segment, tail)) = rest.split_once('/') else {
            push_last(without_parameters(rest), root, out);
            return;
        };
        push_segment(without_parameters(segment), out);
        out.push('/');
        rest = tail;
        root = false;
    }
    if !rest.is_empty() {
        out.push_str("**");
    }
}

fn push_segment(segment: &str, out: &mut String) {
    out.push_str(placeholder(segment).unwrap_or(segment));
}

/// The last segment may be a file. `root` says that it is also the first.
fn push_last(segment: &str, root: bool, out: &mut String) {
    let Some((stem, extension)) = segment
        .rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
    else {
        return push_segment(segment, out);
    };
    let known = |list: &[&'static str]| -> Option<&'static str> {
        list.iter()
            .copied()
            .find(|known| known.eq_ignore_ascii_case(extension))
    };
    let (name, extension) = if let Some(extension) = known(ASSETS) {
        let name = if root && placeholder(stem).is_none() {
            stem
        } else {
            "{file}"
        };
        (name, extension)
    } else if let Some(extension) = known(PAGES) {
        (placeholder(stem).unwrap_or(stem), extension)
    } else {
        return push_segment(segment, out);
    };
    out.push_str(name);
    out.push('.');
    out.push_str(extension);
}

/// What a variable segment is replaced by; `None` for one that is kept.
fn placeholder(segment: &str) -> Option<&'static str> {
    let bytes = segment.as_bytes();
    if bytes.is_empty() {
        return None;
    }
    if bytes.len() > SEGMENT_MAX {
        return Some(TOKEN);
    }
    let [digits, hex_letters, other_letters, separators] = census(bytes);
    let letters = hex_letters + other_letters;
    let count = bytes.len();
    if digits == 0 && letters == count {
        // The usual case.
        if hex_letters == count && count >= 16 {
            return Some("{hex}");
        }
        return (!is_word(bytes)).then_some(TOKEN);
    }
    if digits > 0 {
        if is_date(bytes) {
            return Some("{date}");
        }
        if is_uuid(bytes) {
            return Some("{uuid}");
        }
        if digits + separators == count {
            return Some("{id}");
        }
        let plain_hex = digits + hex_letters == count && count >= 8;
        let marked_hex = bytes.starts_with(b"0x") && digits + hex_letters + 1 == count;
        if plain_hex || marked_hex {
            return Some("{hex}");
        }
    }
    if digits + letters + separators < count {
        return Some(if is_email(segment) { "{email}" } else { TOKEN });
    }
    let parts = segment
        .split(['-', '_'])
        .filter(|part| !part.is_empty())
        .count();
    if parts >= SLUG_PARTS {
        return Some("{slug}");
    }
    if is_version(bytes) || segment.split(['-', '_', '.']).all(is_name) {
        return None;
    }
    Some(TOKEN)
}

/// Counts digits, letters up to f, letters from g, and separators, of at most 255 bytes: four counters in one
/// word, because this looks at each byte of each path.
fn census(bytes: &[u8]) -> [usize; 4] {
    const COUNTERS: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = match byte as u8 {
                b'0'..=b'9' => 1,
                b'a'..=b'f' | b'A'..=b'F' => 1 << 8,
                b'g'..=b'z' | b'G'..=b'Z' => 1 << 16,
                b'-' | b'_' | b'.' => 1 << 24,
                _ => 0,
            };
            byte += 1;
        }
        table
    };
    let counts: u32 = bytes.iter().map(|byte| COUNTERS[usize::from(*byte)]).sum();
    counts.to_le_bytes().map(usize::from)
}

/// Whether one part of a segment may be kept: a word, a word with one digit after it (`oauth2`, `k6`), an API
/// version (`v1`, `v2beta1`), or one of a few known mixtures. Nothing between two separators is kept too.
fn is_name(part: &str) -> bool {
    let bytes = part.as_bytes();
    match bytes.iter().position(u8::is_ascii_digit) {
        None => is_word(bytes),
        Some(at) if at > 0 && at + 1 == bytes.len() => is_word(&bytes[..at]),
        Some(_) => is_version(bytes) || MIXED.iter().any(|known| known.eq_ignore_ascii_case(part)),
    }
}

/// `v1`, `v12`, `v1.2`, `v1beta1`: at most three digits a number.
fn is_version(bytes: &[u8]) -> bool {
    let Some((b'v' | b'V', rest)) = bytes.split_first() else {
        return false;
    };
    let rest = match skip_number(rest) {
        Some(rest) => rest,
        None => return false,
    };
    match rest {
        [] => true,
        [b'.', minor @ ..] => skip_number(minor).is_some_and(<[u8]>::is_empty),
        _ => {
            let stage = [&b"alpha"[..], b"beta", b"rc"]
                .into_iter()
                .find_map(|s| rest.strip_prefix(s));
            stage.is_some_and(|n| n.is_empty() || skip_number(n).is_some_and(<[u8]>::is_empty))
        }
    }
}

/// Skips one to three digits.
fn skip_number(bytes: &[u8]) -> Option<&[u8]> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=3).contains(&digits).then(|| &bytes[digits..])
}

/// `YYYY-MM`, `YYYY-MM-DD`, and what ISO 8601 lets follow a full date.
fn is_date(bytes: &[u8]) -> bool {
    let shaped = |shape: &[u8]| {
        bytes.len() >= shape.len()
            && shape.iter().zip(bytes).all(|(s, b)| {
                if *s == b'0' {
                    b.is_ascii_digit()
                } else {
                    s == b
                }
            })
    };
    if bytes.len() == "0000-00".len() {
        return shaped(b"0000-00");
    }
    let time = |b: &u8| b.is_ascii_digit() || b"TtZz:.,+-%_".contains(b);
    shaped(b"0000-00-00")
        && match &bytes["0000-00-00".len()..] {
            [] => true,
            [b'T' | b't' | b'_', clock @ ..] => !clock.is_empty() && clock.iter().all(time),
            _ => false,
        }
}

/// The 8-4-4-4-12 form.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// A mail address, `@` percent-encoded or not.
fn is_email(segment: &str) -> bool {
    let Some((user, host)) = segment
        .split_once('@')
        .or_else(|| segment.split_once("%40"))
    else {
        return false;
    };
    !user.is_empty()
        && host
            .split_once('.')
            .is_some_and(|(name, tld)| !name.is_empty() && !tld.is_empty())
}
