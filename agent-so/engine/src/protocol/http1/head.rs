//! What the fields of a head say: framing facts into a [`Head`], texts straight into the [`Exchange`].

use memchr::memrchr;

use super::Progress;
use super::body::Body;
use super::lexer::{Lexer, Piece};
use crate::exchange::{BAGGAGE_MAX, Exchange, Field, Kind, VALUE_MAX};
use crate::protocol::{ExchangeId, Host};

/// Longest list element looked at, bytes; none that has a meaning here is longer.
const TOKEN_MAX: usize = 20;

/// Whose head is being read.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    /// Zero when nothing is to be kept.
    pub(super) id: ExchangeId,
    pub(super) kind: Kind,
    pub(super) response: bool,
}

/// The fields of one head, from the end of the first line on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    lexer: Lexer,
    slot: Slot,
    capture: Capture,
    /// A comma goes before the next byte of the value: its field had an earlier line.
    comma: bool,
    /// Where in its text the current line's value starts.
    from: u16,
    baggage_full: bool,

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
    expect: bool,
}

/// Where the value being read goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Slot {
    #[default]
    Nowhere = 0,
    /// A text, first line only.
    Text(Field),
    /// A text to which every line adds an element.
    Joined(Field),
    Baggage,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Authorization,
}

/// Whether the value being read is also one that the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Capture {
    #[default]
    No = 0,
    /// It is copied as it comes.
    Streaming,
    /// It goes to a text anyway, of which a part is shared when it is complete; index in the user's list.
    Shared(u8),
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
            self.keep_nothing();
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
                Piece::Value(value) => self.value(value, owner, host),
                Piece::ValueEnd => self.value_end(owner, host),
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
        self.slot = Slot::Nowhere;
        self.capture = Capture::No;
        self.comma = false;
        self.from = 0;
        self.token_len = 0;
        let Some(name) = self.lexer.name() else {
            return;
        };
        let mut signature = false;
        let slot = match name {
            b"content-length" => Slot::ContentLength,
            b"transfer-encoding" => Slot::TransferEncoding,
            b"connection" => Slot::Connection,
            b"upgrade" => {
                self.upgrade = true;
                Slot::Nowhere
            }
            _ if owner.response => Slot::Nowhere,
            b"expect" => Slot::Expect,
            _ if owner.id == ExchangeId(0) => Slot::Nowhere,
            b"host" => Slot::Text(Field::Host),
            b"user-agent" => Slot::Text(Field::UserAgent),
            b"x-forwarded-for" => Slot::Text(Field::XForwardedFor),
            b"x-forwarded-proto" => Slot::Text(Field::XForwardedProto),
            b"x-forwarded-host" => Slot::Text(Field::XForwardedHost),
            b"traceparent" => Slot::Text(Field::Traceparent),
            b"forwarded" => Slot::Joined(Field::Forwarded),
            b"tracestate" => Slot::Joined(Field::Tracestate),
            b"baggage" => Slot::Baggage,
            b"authorization" => Slot::Authorization,
            b"signature" | b"signature-input" => {
                signature = true;
                Slot::Nowhere
            }
            _ => Slot::Nowhere,
        };
        if owner.id != ExchangeId(0) {
            let captured = host.captured_header(owner.kind, owner.response, name);
            if captured.is_some() || slot != Slot::Nowhere || signature {
                let ex = host.exchange(owner.id);
                ex.signed |= signature;
                self.slot = self.open(slot, ex);
                self.capture = match (captured, self.slot) {
                    (None, _) => Capture::No,
                    (Some(index), Slot::Text(_) | Slot::Joined(_)) => Capture::Shared(index),
                    (Some(index), _) if ex.begin_captured(index, owner.response) => {
                        Capture::Streaming
                    }
                    _ => Capture::No,
                };
            }
        } else {
            self.slot = slot;
        }
        if self.slot != Slot::Nowhere || self.capture != Capture::No {
            self.lexer.want();
        }
    }

    /// The exchange may end in the middle of a value, when a response overtakes the head.
    fn keep_nothing(&mut self) {
        self.capture = Capture::No;
        if matches!(
            self.slot,
            Slot::Text(_) | Slot::Joined(_) | Slot::Baggage | Slot::Authorization
        ) {
            self.slot = Slot::Nowhere;
        }
    }

    /// Makes room for another line of a field; gives where its value goes.
    fn open(&mut self, slot: Slot, ex: &mut Exchange) -> Slot {
        match slot {
            Slot::Text(field) if ex.text(field).is_some() => {
                ex.traceparent_repeated |= field == Field::Traceparent;
                return Slot::Nowhere;
            }
            Slot::Text(field) => ex.begin(field),
            Slot::Joined(field) => match ex.text(field) {
                None => ex.begin(field),
                Some(text) => {
                    self.comma = !text.is_empty();
                    self.from = text.len() as u16;
                    ex.reopen(field);
                }
            },
            Slot::Baggage => self.comma = !ex.baggage().is_empty(),
            _ => {}
        }
        slot
    }

    fn value<H: Host>(&mut self, bytes: &[u8], owner: Owner, host: &mut H) {
        match self.slot {
            Slot::Nowhere => {}
            Slot::Text(field) => host.exchange(owner.id).append(field, bytes, VALUE_MAX),
            Slot::Joined(field) => {
                let ex = host.exchange(owner.id);
                if self.comma {
                    self.comma = false;
                    ex.append(field, b",", VALUE_MAX);
                    self.from = ex.text(field).map_or(0, <[u8]>::len) as u16;
                }
                ex.append(field, bytes, VALUE_MAX);
            }
            Slot::Baggage => {
                let ex = host.exchange(owner.id);
                if self.comma {
                    self.comma = false;
                    add_baggage(&mut self.baggage_full, b",", ex);
                }
                add_baggage(&mut self.baggage_full, bytes, ex);
            }
            // Only the start of the credentials, the scheme, tells something.
            Slot::Authorization => {
                let room = self.token.iter_mut().skip(usize::from(self.token_len));
                for (slot, byte) in room.zip(bytes) {
                    *slot = *byte;
                    self.token_len += 1;
                }
            }
            _ => self.tokens(bytes),
        }
        if self.capture == Capture::Streaming {
            host.exchange(owner.id).append_captured(bytes, VALUE_MAX);
        }
    }

    fn value_end<H: Host>(&mut self, owner: Owner, host: &mut H) {
        if self.slot == Slot::Authorization {
            host.exchange(owner.id).signed |= signs(&self.token[..usize::from(self.token_len)]);
        }
        self.token_end();
        if owner.id == ExchangeId(0) {
            return;
        }
        let ex = host.exchange(owner.id);
        match self.slot {
            Slot::Text(field) | Slot::Joined(field) => {
                ex.trim_end(field);
                if let Capture::Shared(index) = self.capture {
                    ex.capture_text(index, owner.response, field, self.from);
                }
            }
            Slot::Baggage => ex.truncate_baggage(ex.baggage().trim_ascii_end().len()),
            _ => {}
        }
        if self.capture == Capture::Streaming {
            ex.trim_captured();
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
        match self.slot {
            Slot::ContentLength => match decimal(token) {
                Some(len) if !self.has_length || self.length == len => {
                    self.has_length = true;
                    self.length = len;
                }
                _ => self.length_bad = true,
            },
            Slot::TransferEncoding if !token.is_empty() => {
                self.coded = true;
                self.chunked = token == b"chunked";
            }
            Slot::Connection => match token {
                b"close" => self.close = true,
                b"keep-alive" => self.keep_alive = true,
                b"upgrade" => self.upgrade_option = true,
                _ => {}
            },
            Slot::Expect => self.expect |= token == b"100-continue",
            _ => {}
        }
        self.token_len = 0;
    }
}

/// Adds to the baggage. Keeps whole members only, as many as fit (W3C Baggage section 3.3.2); `full` once one did not.
pub(in crate::protocol) fn add_baggage(full: &mut bool, bytes: &[u8], ex: &mut Exchange) {
    if *full {
        return;
    }
    let room = BAGGAGE_MAX - ex.baggage().len();
    ex.append_baggage(&bytes[..room.min(bytes.len())]);
    let Some(&next) = bytes.get(room) else { return };
    *full = true;
    if next != b',' {
        ex.truncate_baggage(memrchr(b',', ex.baggage()).unwrap_or(0));
    }
}

/// Whether the credentials that start like this are a signature over the request's fields: AWS Signature
/// Version 4 or its draft-cavage relative.
pub(in crate::protocol) fn signs(authorization: &[u8]) -> bool {
    [&b"aws4-"[..], b"signature "].iter().any(|scheme| {
        authorization
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
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
