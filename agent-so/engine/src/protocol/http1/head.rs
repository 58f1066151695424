//! What the fields of a head say: framing facts into a [`Head`], all else goes to [`Fields`].

use super::Progress;
use super::body::Body;
use super::lexer::{Lexer, Piece};
use crate::protocol::fields::{Fields, Owner};
use crate::protocol::{ExchangeId, Host};

/// Longest list element looked at, bytes; none that has a meaning here is longer.
const TOKEN_MAX: usize = 20;

/// The fields of one head, from the end of the first line on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    lexer: Lexer,
    fields: Fields,
    framing: Framed,

    token_len: u8,
    token: [u8; TOKEN_MAX],

    /// Whether there is a Content-Length; not an `Option` because that has no specified layout.
    has_length: bool,
    length: u64,
    /// A Content-Length that is no number, or two that differ.
    length_bad: bool,
    /// Some transfer coding is named; whether the last one is `chunked`.
    coded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade: bool,
    /// The protocol offered (or, in a response, chosen) is HTTP/2 in plain text.
    h2c: bool,
    expect: bool,
}

/// What the value being read says of the framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Framed {
    #[default]
    Nothing = 0,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
}

/// How the body after a head is delimited (RFC 9112 section 6.3).
pub(super) enum Framing {
    Empty,
    Body(Body),
    /// A message that no recipient may guess at.
    Invalid,
}

impl Head {
    /// Reads on; gives how many bytes were used and whether the head is complete.
    pub(super) fn feed<H: Host>(
        &mut self,
        bytes: &[u8],
        owner: Owner,
        host: &mut H,
    ) -> (usize, Progress) {
        if owner.id == ExchangeId(0) {
            self.fields.keep_nothing();
        }
        let mut used = 0;
        loop {
            let (n, piece) = self.lexer.next(&bytes[used..]);
            used += n;
            match piece {
                Piece::More => return (used, Progress::More),
                Piece::End => return (used, Progress::Done),
                Piece::Bad => return (used, Progress::Bad),
                Piece::Name => self.name(owner, host),
                Piece::Value(value) => {
                    if self.framing != Framed::Nothing {
                        self.tokens(value);
                    }
                    self.fields.value(value, owner, host);
                }
                Piece::ValueEnd => {
                    self.token_end();
                    self.fields.value_end(owner, host);
                }
            }
        }
    }

    /// Whether the connection outlives this message as far as its sender is concerned (RFC 9112 section 9.3).
    pub(super) fn is_persistent(&self, minor: u8) -> bool {
        !self.close && (minor > 0 || self.keep_alive)
    }

    /// Whether the sender offers (or, in a response, makes) a change of protocol (RFC 9110 section 7.8).
    pub(super) fn is_upgrade(&self) -> bool {
        self.upgrade && self.upgrade_option
    }

    /// Whether that protocol is HTTP/2 in plain text.
    pub(super) fn is_h2c(&self) -> bool {
        self.is_upgrade() && self.h2c
    }

    /// Whether the sender may keep the body back until it is told to go on (RFC 9110 section 10.1.1).
    pub(super) fn expects_continue(&self) -> bool {
        self.expect
    }

    pub(super) fn request_framing(&self) -> Framing {
        if self.length_bad || self.coded && !self.chunked {
            Framing::Invalid
        } else if self.chunked {
            Framing::Body(Body::chunked())
        } else if self.length > 0 {
            Framing::Body(Body::counted(self.length))
        } else {
            Framing::Empty
        }
    }

    /// For a response that may have a body at all.
    pub(super) fn response_framing(&self) -> Framing {
        if self.length_bad {
            Framing::Invalid
        } else if self.chunked {
            Framing::Body(Body::chunked())
        } else if self.coded || !self.has_length {
            Framing::Body(Body::until_close())
        } else if self.length > 0 {
            Framing::Body(Body::counted(self.length))
        } else {
            Framing::Empty
        }
    }

    fn name<H: Host>(&mut self, owner: Owner, host: &mut H) {
        self.framing = Framed::Nothing;
        self.token_len = 0;
        let name = self.lexer.name();
        self.framing = match name.unwrap_or_default() {
            b"content-length" => Framed::ContentLength,
            b"transfer-encoding" => Framed::TransferEncoding,
            b"connection" => Framed::Connection,
            b"upgrade" => {
                self.upgrade = true;
                Framed::Upgrade
            }
            b"expect" if !owner.response => Framed::Expect,
            _ => Framed::Nothing,
        };
        let kept = self.fields.name(name, owner, host);
        if kept || self.framing != Framed::Nothing {
            self.lexer.want();
        }
    }

    /// Collects the elements of a comma-separated list, in lower case.
    fn tokens(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.token.get_mut(usize::from(self.token_len)) {
                _ if byte == b',' => self.token_end(),
                Some(_) if self.token_len == 0 && matches!(byte, b' ' | b'\t') => {}
                Some(slot) => {
                    *slot = byte.to_ascii_lowercase();
                    self.token_len += 1;
                }
                None if matches!(byte, b' ' | b'\t') => {}
                None => self.token_len = TOKEN_MAX as u8 + 1,
            }
        }
    }

    fn token_end(&mut self) {
        // A token that was too long is none of those looked for.
        let token = self
            .token
            .get(..usize::from(self.token_len))
            .unwrap_or(b"?")
            .trim_ascii_end();
        match self.framing {
            Framed::ContentLength => match decimal(token) {
                Some(len) if !self.has_length || self.length == len => {
                    self.has_length = true;
                    self.length = len;
                }
                _ => self.length_bad = true,
            },
            Framed::TransferEncoding if !token.is_empty() => {
                self.coded = true;
                self.chunked = token == b"chunked";
            }
            Framed::Connection => match token {
                b"close" => self.close = true,
                b"keep-alive" => self.keep_alive = true,
                b"upgrade" => self.upgrade_option = true,
                _ => {}
            },
            Framed::Upgrade => self.h2c |= token == b"h2c",
            Framed::Expect => self.expect |= token == b"100-continue",
            _ => {}
        }
        self.token_len = 0;
    }
}

/// `1*DIGIT` (RFC 9110 section 8.6).
fn decimal(digits: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!digits.is_empty()).then_some(value)
}
