//! What the header fields of a request or response say, straight into the [`Exchange`]: one place for HTTP/1 and HTTP/2.

use memchr::memrchr;

use super::{ExchangeId, Host};
use crate::exchange::{BAGGAGE_MAX, Exchange, Field, Kind, VALUE_MAX};

/// Whose head is being read.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    /// Zero when nothing is to be kept.
    pub(super) id: ExchangeId,
    pub(super) kind: Kind,
    pub(super) response: bool,
}

/// Where the fields of one head go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    slot: Slot,
    capture: Capture,
    /// A comma goes before the next byte of the value: its field had an earlier line.
    comma: bool,
    baggage_full: bool,
    /// Where in its text the current line's value starts.
    from: u16,
    scheme: Scheme,
}

/// Compares the start of credentials, piece by piece, with the names of [`SIGNING`].
#[derive(Clone, Copy, Debug, Default)]
struct Scheme {
    at: u8,
    differs: [bool; SIGNING.len()],
}

impl Scheme {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let at = usize::from(self.at);
            for (name, differs) in SIGNING.iter().zip(&mut self.differs) {
                *differs |= name
                    .get(at)
                    .is_some_and(|b| *b != byte.to_ascii_lowercase());
            }
            self.at = self.at.saturating_add(1);
        }
    }

    fn signs(&self) -> bool {
        let mut names = SIGNING.iter().zip(self.differs);
        names.any(|(name, differs)| !differs && usize::from(self.at) >= name.len())
    }
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

impl Fields {
    /// A field's name in lower case, if it is known. Says whether something of its value is to be kept.
    pub(super) fn name<H: Host>(
        &mut self,
        name: Option<&[u8]>,
        owner: Owner,
        host: &mut H,
    ) -> bool {
        self.slot = Slot::Nowhere;
        self.capture = Capture::No;
        self.comma = false;
        self.from = 0;
        self.scheme = Scheme::default();
        let Some(name) = name.filter(|_| owner.id != ExchangeId(0)) else {
            return false;
        };
        let mut signature = false;
        let slot = match name {
            _ if owner.response => Slot::Nowhere,
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
        let captured = host.captured_header(owner.kind, owner.response, name);
        if captured.is_none() && slot == Slot::Nowhere && !signature {
            return false;
        }
        let ex = host.exchange(owner.id);
        ex.signed |= signature;
        self.slot = self.open(slot, ex);
        self.capture = match (captured, self.slot) {
            (None, _) => Capture::No,
            (Some(index), Slot::Text(_) | Slot::Joined(_)) => Capture::Shared(index),
            (Some(index), _) if ex.begin_captured(index, owner.response) => Capture::Streaming,
            _ => Capture::No,
        };
        self.slot != Slot::Nowhere || self.capture != Capture::No
    }

    /// The exchange may end in the middle of a value, when a response overtakes the head.
    pub(super) fn keep_nothing(&mut self) {
        self.slot = Slot::Nowhere;
        self.capture = Capture::No;
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
            Slot::Nowhere | Slot::Authorization => {}
        }
        slot
    }

    /// The next bytes of the value of the name told last.
    pub(super) fn value<H: Host>(&mut self, bytes: &[u8], owner: Owner, host: &mut H) {
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
            Slot::Authorization => self.scheme.push(bytes),
        }
        if self.capture == Capture::Streaming {
            host.exchange(owner.id).append_captured(bytes, VALUE_MAX);
        }
    }

    /// The value is complete.
    pub(super) fn value_end<H: Host>(&mut self, owner: Owner, host: &mut H) {
        if self.slot == Slot::Nowhere && self.capture == Capture::No {
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
            Slot::Authorization => ex.signed |= self.scheme.signs(),
            Slot::Nowhere => {}
        }
        if self.capture == Capture::Streaming {
            ex.trim_captured();
        }
    }
}

/// Adds to the baggage. Keeps whole members only, as many as fit (W3C Baggage section 3.3.2); `full` once one did not.
pub(super) fn add_baggage(full: &mut bool, bytes: &[u8], ex: &mut Exchange) {
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

/// Credentials that are a signature over the request's fields: AWS Signature Version 4 and its draft-cavage relative.
const SIGNING: [&[u8]; 2] = [b"aws4-", b"signature "];

/// Whether the credentials that start like this are such a signature.
pub(super) fn signs(authorization: &[u8]) -> bool {
    let mut scheme = Scheme::default();
    scheme.push(&authorization[..authorization.len().min(u8::MAX.into())]);
    scheme.signs()
}
