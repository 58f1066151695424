//! The two kinds of first line (RFC 9112 sections 3 and 4), read piece by piece.

use memchr::memchr;

use super::Progress;

/// Longest method followed, bytes. The registered ones have at most 17 (`UPDATEREDIRECTREF`).
pub(super) const METHOD_MAX: usize = 32;
const VERSION: &[u8; 7] = b"HTTP/1.";

/// How many bytes of empty lines stand before the first line of a message (RFC 9112 section 2.2).
pub(super) fn blank_lines(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|&&b| matches!(b, b'\r' | b'\n'))
        .count()
}

/// `method SP request-target SP HTTP/1.x`, then CR? LF. Several blanks between the parts and at the end are
/// accepted as RFC 9112 section 3 allows; a blank or control character inside the target is not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestLine {
    at: At,
    /// How much of `http` (in `Scheme`) or of the version's constant part has been matched.
    matched: u8,
    minor: u8,
    cr: bool,
    method_len: u8,
    /// The start of the method: enough to tell those that change how messages are framed.
    method: [u8; 8],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum At {
    #[default]
    Method = 0,
    TargetStart,
    Scheme,
    Asterisk,
    Target,
    Version,
    Tail,
}

/// What a call of [`RequestLine::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// All bytes are used up inside the line.
    More,
    /// The next bytes of the method.
    Method(&'a [u8]),
    /// The next bytes of the target.
    Target(&'a [u8]),
    /// The line is complete, its LF included.
    Done,
    /// Not a request line of HTTP/1.
    Bad,
}

impl RequestLine {
    /// Reads on; gives how many bytes were used and what they were. The line must not start with an empty line.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Part<'a>) {
        for (i, &byte) in bytes.iter().enumerate() {
            match self.at {
                At::Method => return self.method_bytes(bytes),
                At::TargetStart => match byte {
                    b' ' => {}
                    b'/' => return self.target(bytes, i),
                    b'*' => {
                        self.at = At::Asterisk;
                        return (i + 1, Part::Target(&bytes[i..=i]));
                    }
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'[' if self.is_connect() => {
                        return self.target(bytes, i);
                    }
                    b'h' | b'H' => return self.scheme(bytes, i),
                    _ => return (i, Part::Bad),
                },
                At::Scheme => return self.scheme(bytes, i),
                At::Asterisk if byte == b' ' => self.at = At::Version,
                At::Asterisk => return (i, Part::Bad),
                At::Target => return self.target(bytes, i),
                At::Version => match VERSION.get(usize::from(self.matched)) {
                    Some(_) if self.matched == 0 && byte == b' ' => {}
                    Some(&expected) if byte == expected => self.matched += 1,
                    None if byte.is_ascii_digit() => {
                        self.minor = byte - b'0';
                        self.at = At::Tail;
                    }
                    _ => return (i, Part::Bad),
                },
                At::Tail => match byte {
                    b'\n' => return (i + 1, Part::Done),
                    b'\r' => self.cr = true,
                    b' ' | b'\t' => self.cr = false,
                    _ => return (i, Part::Bad),
                },
            }
        }
        (bytes.len(), Part::More)
    }

    /// Whether method and the start of the target were those of a request. `PRI *`, the start of the HTTP/2
    /// preface (RFC 9113 section 3.4), counts only once its version turns out to be 1.
    pub(super) fn is_request(&self) -> bool {
        match self.at {
            At::Method | At::TargetStart | At::Scheme => false,
            At::Asterisk | At::Version => self.start() != b"PRI",
            At::Target | At::Tail => true,
        }
    }

    /// Whether no byte of the line was seen yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.method_len == 0
    }

    pub(super) fn is_head(&self) -> bool {
        self.start() == b"HEAD"
    }

    pub(super) fn is_connect(&self) -> bool {
        self.start() == b"CONNECT"
    }

    /// The x of `HTTP/1.x`; valid once the line is done.
    pub(super) fn minor(&self) -> u8 {
        self.minor
    }

    /// Whether the line ended in LF without CR; valid once the line is done.
    pub(super) fn bare_lf(&self) -> bool {
        !self.cr
    }

    /// The method, or its first bytes when it is longer than any that matters here.
    fn start(&self) -> &[u8] {
        &self.method[..usize::from(self.method_len).min(self.method.len())]
    }

    fn method_bytes<'a>(&mut self, bytes: &'a [u8]) -> (usize, Part<'a>) {
        let seen = usize::from(self.method_len);
        let room = METHOD_MAX - seen;
        let n = bytes
            .iter()
            .take(room + 1)
            .take_while(|&&b| is_tchar(b))
            .count();
        if n > room {
            return (0, Part::Bad);
        }
        for (slot, &byte) in self.method.iter_mut().skip(seen).zip(&bytes[..n]) {
            *slot = byte;
        }
        self.method_len += n as u8;
        match bytes.get(n) {
            None => (n, Part::Method(bytes)),
            Some(b' ') if self.method_len > 0 => {
                self.at = At::TargetStart;
                (n + 1, Part::Method(&bytes[..n]))
            }
            Some(_) => (n, Part::Bad),
        }
    }

    fn scheme<'a>(&mut self, bytes: &'a [u8], from: usize) -> (usize, Part<'a>) {
        self.at = At::Scheme;
        let expected = &b"http"[usize::from(self.matched)..];
        let n = expected.len().min(bytes.len() - from);
        let seen = &bytes[from..from + n];
        if !seen.eq_ignore_ascii_case(&expected[..n]) {
            return (from, Part::Bad);
        }
        self.matched += n as u8;
        if n == expected.len() {
            self.matched = 0;
            self.at = At::Target;
        }
        (from + n, Part::Target(seen))
    }

    fn target<'a>(&mut self, bytes: &'a [u8], from: usize) -> (usize, Part<'a>) {
        self.at = At::Target;
        let rest = &bytes[from..];
        let end = memchr(b' ', rest);
        let part = &rest[..end.unwrap_or(rest.len())];
        // Without an early exit the compiler makes vector code of this.
        if part
            .iter()
            .fold(false, |bad, &b| bad | (b < b' ') | (b == 0x7f))
        {
            return (from, Part::Bad);
        }
        if end.is_some() {
            self.at = At::Version;
        }
        (
            from + part.len() + usize::from(end.is_some()),
            Part::Target(part),
        )
    }
}

/// `HTTP/1.x SP status [SP reason]`, then CR? LF.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct StatusLine {
    /// Bytes of the fixed part seen: 7 version, 1 minor, 1 blank, 3 status, 1 separator.
    at: u8,
    minor: u8,
    status: u16,
}

impl StatusLine {
    /// Reads on; gives how many bytes were used. The line must not start with an empty line.
    pub(in crate::protocol) fn feed(&mut self, bytes: &[u8]) -> (usize, Progress) {
        for (i, &byte) in bytes.iter().enumerate() {
            match self.at {
                0..=6 if byte == VERSION[usize::from(self.at)] => {}
                7 if byte.is_ascii_digit() => self.minor = byte - b'0',
                8 if byte == b' ' => {}
                9 if byte == b' ' => continue,
                9 if byte == b'0' => return (i, Progress::Bad),
                9..=11 if byte.is_ascii_digit() => {
                    self.status = self.status * 10 + u16::from(byte - b'0');
                }
                12 if byte == b'\n' => return (i + 1, Progress::Done),
                12 if matches!(byte, b' ' | b'\t' | b'\r') => {}
                13 => {
                    return match memchr(b'\n', &bytes[i..]) {
                        Some(end) => (i + end + 1, Progress::Done),
                        None => (bytes.len(), Progress::More),
                    };
                }
                _ => return (i, Progress::Bad),
            }
            self.at += 1;
        }
        (bytes.len(), Progress::More)
    }

    /// 100..=999; valid once the line is done.
    pub(in crate::protocol) fn status(&self) -> u16 {
        self.status
    }

    /// The x of `HTTP/1.x`; valid once the line is done.
    pub(super) fn minor(&self) -> u8 {
        self.minor
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
