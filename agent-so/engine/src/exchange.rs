//! One request with its response, as far as it has been seen: what a span is made of.
//!
//! An [`Exchange`] has a fixed size and no pointers, and all-zero bytes are a valid, empty one: the agent
//! keeps it in preallocated memory that a forked child finds zeroed. Texts live in one arena inside it.
//! What does not fit is cut at the documented caps, never reallocated.

mod db;
mod fault;
#[cfg(test)]
mod tests;

pub use db::{Db, System};
pub use fault::Fault;

/// Bytes of the text arena of one exchange (all captured texts except baggage).
pub const TEXT_ARENA: usize = 6 * 1024;
/// Bytes of baggage kept (W3C Baggage: at least 8192 must be propagated).
pub const BAGGAGE_MAX: usize = 8 * 1024;
/// Longest request target kept; longer ones are cut here.
pub const TARGET_MAX: usize = 2048;
/// Longest other single header value kept (`tracestate` included: W3C asks for at least 512).
pub const VALUE_MAX: usize = 1024;
/// How many request plus response headers the user can have captured per exchange.
pub const CAPTURED_MAX: usize = 16;

/// Which side of the exchange this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Kind {
    /// The request came in.
    #[default]
    Server = 0,
    /// The request went out.
    Client = 1,
}

/// The texts an exchange keeps. Each is stored at most once; for a header that is repeated the protocol
/// machine decides (join with a comma, keep the first, or mark invalid).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Field {
    /// The method as it stood on the wire.
    Method = 0,
    /// The request target as it stood on the wire (origin, absolute, authority or asterisk form).
    Target,
    Host,
    UserAgent,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    Traceparent,
    /// All `tracestate` lines joined by commas.
    Tracestate,
    /// The database, schema or index that a query is about, as it is shown.
    Namespace,
    /// What a database was asked to do, where its protocol says that in a word of its own.
    Operation,
    /// The table, collection or the like, where the protocol names it.
    Collection,
    /// What was asked of a database, raw: it is made presentable when the span is described. For Redis the bytes on the
    /// wire.
    Query,
    /// The database's own code of an error.
    Code,
}
/// Number of [`Field`]s.
pub const FIELDS: usize = 15;

/// Longest query kept, bytes.
pub const QUERY_MAX: usize = 4096;

/// Where a text stands in the arena; `present` tells an empty value from a missing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Text {
    /// Offset in the arena, bytes.
    pub start: u16,
    /// Length, bytes.
    pub len: u16,
    /// Whether the text was seen at all.
    pub present: bool,
    /// Whether it was longer than its cap or the arena.
    pub cut: bool,
}

/// A header that the user asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Captured {
    /// Index in the configured list of its side (request headers and response headers each have one).
    pub index: u8,
    /// Whether it is a response header.
    pub response: bool,
    /// The value; several lines of one header are several entries.
    pub value: Text,
}

/// The address at one end of a connection. IPv4-mapped IPv6 addresses are normalised to `V4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Endpoint {
    #[default]
    Unknown,
    V4 {
        ip: [u8; 4],
        port: u16,
    },
    V6 {
        ip: [u8; 16],
        port: u16,
    },
    /// A UNIX socket: its path is not kept.
    Unix,
}

/// One request and its response. The order of the fields keeps what a usual one touches together: a record was last in the
/// exporter's hands, so each page and line of it is far away.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Exchange {
    /// SERVER or CLIENT.
    pub kind: Kind,
    /// HTTP version times ten: 10, 11, 20, and through FastCGI 30; 0 when unknown.
    pub version: u8,
    /// Response status, 100..=999; 0 when no final response was seen.
    pub status: u16,
    /// Whether the connection carries TLS (the scheme is then `https`); through FastCGI, the web server's connection.
    pub tls: bool,
    /// Whether the request passes as FastCGI parameters rather than as HTTP.
    pub fastcgi: bool,
    /// Whether it is a call of gRPC.
    pub rpc: bool,
    /// The status of that call plus one; 0 when none is known.
    pub rpc_status: u8,
    /// More than one `traceparent` line: the context is invalid (W3C Trace Context).
    pub traceparent_repeated: bool,
    /// Whether the request carried an AWS SigV4 or HTTP-signature header: it must not be altered.
    pub signed: bool,
    /// What went wrong besides the status code.
    pub fault: Fault,
    /// A connect that failed: no request was ever written (method and target are empty).
    pub connect_failed: bool,
    /// Start, monotonic nanoseconds of the agent's clock.
    pub start_ns: u64,
    /// End, same clock; never before `start_ns`.
    pub end_ns: u64,
    /// Payload bytes of the request body as counted on the wire (chunk framing excluded).
    pub request_body: u64,
    /// Payload bytes of the response body.
    pub response_body: u64,
    /// The other end of the socket.
    pub peer: Endpoint,
    /// Our end of the socket.
    pub local: Endpoint,
    /// What it is to a database.
    pub db: Db,
    texts: [Text; FIELDS],
    captured: [Captured; CAPTURED_MAX],
    captured_len: u8,
    used: u16,
    baggage_len: u16,
    arena: [u8; TEXT_ARENA],
    baggage: [u8; BAGGAGE_MAX],
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            kind: Kind::Server,
            version: 0,
            status: 0,
            tls: false,
            fastcgi: false,
            rpc: false,
            rpc_status: 0,
            traceparent_repeated: false,
            signed: false,
            fault: Fault::None,
            connect_failed: false,
            start_ns: 0,
            end_ns: 0,
            request_body: 0,
            response_body: 0,
            peer: Endpoint::Unknown,
            local: Endpoint::Unknown,
            db: Db::default(),
            texts: [Text::default(); FIELDS],
            captured: [Captured::default(); CAPTURED_MAX],
            captured_len: 0,
            used: 0,
            baggage_len: 0,
            arena: [0; TEXT_ARENA],
            baggage: [0; BAGGAGE_MAX],
        }
    }
}

impl Exchange {
    /// Makes a used exchange empty again without touching the arenas (their bytes are unreachable once the
    /// lengths are zero).
    pub fn reset(&mut self) {
        self.kind = Kind::Server;
        self.version = 0;
        self.status = 0;
        self.tls = false;
        self.fastcgi = false;
        self.rpc = false;
        self.rpc_status = 0;
        self.traceparent_repeated = false;
        self.signed = false;
        self.fault = Fault::None;
        self.connect_failed = false;
        self.start_ns = 0;
        self.end_ns = 0;
        self.request_body = 0;
        self.response_body = 0;
        self.peer = Endpoint::Unknown;
        self.local = Endpoint::Unknown;
        self.db = Db::default();
        self.texts = [Text::default(); FIELDS];
        self.captured_len = 0;
        self.used = 0;
        self.baggage_len = 0;
    }

    /// The text of `field`, or `None` when it was not seen.
    pub fn text(&self, field: Field) -> Option<&[u8]> {
        let text = self.texts[field as usize];
        text.present.then(|| self.slice(text))
    }

    /// Whether `field` was longer than what is kept.
    pub fn is_cut(&self, field: Field) -> bool {
        self.texts[field as usize].cut
    }

    /// Marks `field` as seen, empty, with its bytes to follow by [`Exchange::append`]. A field that was seen
    /// before is started anew.
    pub fn begin(&mut self, field: Field) {
        self.texts[field as usize] = Text {
            start: self.used,
            len: 0,
            present: true,
            cut: false,
        };
    }

    /// Appends to a field begun before. Bytes beyond `cap` (or the arena) are dropped and the field is marked
    /// cut; so are bytes that follow another text's, because a text is contiguous.
    pub fn append(&mut self, field: Field, bytes: &[u8], cap: usize) {
        let mut text = self.texts[field as usize];
        self.extend(&mut text, bytes, cap);
        self.texts[field as usize] = text;
    }

    /// Lets a field seen before be appended to again although other texts followed it: its text moves to the
    /// end of the arena. Without room for that, the field stays as it is and is marked cut by the next append.
    pub fn reopen(&mut self, field: Field) {
        let text = &mut self.texts[field as usize];
        let (start, len, used) = (
            usize::from(text.start),
            usize::from(text.len),
            usize::from(self.used),
        );
        if start + len == used || used + len > TEXT_ARENA {
            return;
        }
        self.arena.copy_within(start..start + len, used);
        text.start = self.used;
        self.used += text.len;
    }

    /// Sets `field` to `bytes` in one go.
    pub fn set(&mut self, field: Field, bytes: &[u8], cap: usize) {
        self.begin(field);
        self.append(field, bytes, cap);
    }

    /// Appends `number` in decimal to a field begun before.
    pub fn append_number(&mut self, field: Field, number: i64) {
        let mut room = itoa::Buffer::new();
        self.append(field, room.format(number).as_bytes(), VALUE_MAX);
    }

    /// Sets `field` to `number` in decimal.
    pub fn set_number(&mut self, field: Field, number: i64) {
        self.begin(field);
        self.append_number(field, number);
    }

    /// Removes white space at the end of a field's value.
    pub fn trim_end(&mut self, field: Field) {
        let mut text = self.texts[field as usize];
        self.trim(&mut text);
        self.texts[field as usize] = text;
    }

    /// Makes the text of `from` that of `to` as well.
    pub fn alias(&mut self, from: Field, to: Field) {
        self.texts[to as usize] = self.texts[from as usize];
    }

    /// Forgets `field` again.
    pub fn clear(&mut self, field: Field) {
        self.texts[field as usize] = Text::default();
    }

    /// Opens the next captured header; false when [`CAPTURED_MAX`] are taken.
    pub fn begin_captured(&mut self, index: u8, response: bool) -> bool {
        let at = usize::from(self.captured_len);
        if at >= CAPTURED_MAX {
            return false;
        }
        let value = Text {
            start: self.used,
            len: 0,
            present: true,
            cut: false,
        };
        self.captured[at] = Captured {
            index,
            response,
            value,
        };
        self.captured_len += 1;
        true
    }

    /// Makes the bytes of `field` from offset `from` on a captured header as well (both share them); false
    /// when [`CAPTURED_MAX`] are taken.
    pub fn capture_text(&mut self, index: u8, response: bool, field: Field, from: u16) -> bool {
        let mut value = self.texts[field as usize];
        let from = from.min(value.len);
        value.start += from;
        value.len -= from;
        let Some(slot) = self.captured.get_mut(usize::from(self.captured_len)) else {
            return false;
        };
        *slot = Captured {
            index,
            response,
            value,
        };
        self.captured_len += 1;
        true
    }

    /// Appends to the captured header opened last.
    pub fn append_captured(&mut self, bytes: &[u8], cap: usize) {
        let Some(at) = usize::from(self.captured_len).checked_sub(1) else {
            return;
        };
        let mut text = self.captured[at].value;
        self.extend(&mut text, bytes, cap);
        self.captured[at].value = text;
    }

    /// Removes white space at the end of the captured header opened last.
    pub fn trim_captured(&mut self) {
        let Some(at) = usize::from(self.captured_len).checked_sub(1) else {
            return;
        };
        let mut text = self.captured[at].value;
        self.trim(&mut text);
        self.captured[at].value = text;
    }

    /// The captured headers in wire order, with their values.
    pub fn captured(&self) -> impl Iterator<Item = (Captured, &[u8])> {
        self.captured[..usize::from(self.captured_len)]
            .iter()
            .map(|c| (*c, self.slice(c.value)))
    }

    /// The baggage text (several lines joined by commas); empty when there is none.
    pub fn baggage(&self) -> &[u8] {
        &self.baggage[..usize::from(self.baggage_len)]
    }

    /// Appends to the baggage; false when it did not fit ([`BAGGAGE_MAX`]) and was left as it was.
    pub fn append_baggage(&mut self, bytes: &[u8]) -> bool {
        let at = usize::from(self.baggage_len);
        let Some(room) = self.baggage.get_mut(at..at + bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.baggage_len += bytes.len() as u16;
        true
    }

    /// Cuts the baggage back to `len` bytes (used to drop an incomplete member).
    pub fn truncate_baggage(&mut self, len: usize) {
        self.baggage_len = self.baggage_len.min(len as u16);
    }

    fn slice(&self, text: Text) -> &[u8] {
        let start = usize::from(text.start);
        &self.arena[start..start + usize::from(text.len)]
    }

    fn extend(&mut self, text: &mut Text, bytes: &[u8], cap: usize) {
        let end = usize::from(text.start) + usize::from(text.len);
        if end != usize::from(self.used) {
            text.cut |= !bytes.is_empty();
            return;
        }
        let room = cap
            .saturating_sub(usize::from(text.len))
            .min(TEXT_ARENA - end);
        let take = bytes.len().min(room);
        self.arena[end..end + take].copy_from_slice(&bytes[..take]);
        text.len += take as u16;
        text.cut |= take < bytes.len();
        self.used += take as u16;
    }

    fn trim(&mut self, text: &mut Text) {
        let kept = self.slice(*text).trim_ascii_end().len();
        let dropped = usize::from(text.len) - kept;
        if usize::from(text.start) + usize::from(text.len) == usize::from(self.used) {
            self.used -= dropped as u16;
        }
        text.len = kept as u16;
    }
}
