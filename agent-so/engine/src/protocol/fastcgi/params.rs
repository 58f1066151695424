//! What the parameters of a request say, straight into the [`Exchange`]: CGI variables (RFC 3875 section 4.1) and those
//! that all web servers add (`REQUEST_URI`, `HTTPS`).

use std::net::IpAddr;
use std::str::{FromStr, from_utf8};

use super::pairs::{NAME_MAX, Pairs, Piece};
use crate::exchange::{Endpoint, Exchange, Field, Kind, TARGET_MAX, VALUE_MAX};
use crate::protocol::fields::{add_baggage, signs};
use crate::protocol::{ExchangeId, Host};

/// Longest value of those that are read rather than kept, bytes: an IPv6 address in its longest spelling.
const TOKEN_MAX: usize = 45;

/// The parameters of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Params {
    pairs: Pairs,
    slot: Slot,
    capture: Capture,
    baggage_full: bool,
    /// `HTTP_HOST` and `REQUEST_URI` were seen: nothing stands in for them any more.
    has_host: bool,
    has_target: bool,
    carries: Carries,
    /// `REMOTE_ADDR` was an address.
    has_remote: bool,
    remote_port: u16,
    server_port: u16,
    token: Token,
}

/// A short value that is read when it is complete. The rest of a longer one is lost: none of those looked for is longer.
#[derive(Clone, Copy, Debug)]
struct Token {
    len: u8,
    bytes: [u8; TOKEN_MAX],
}

impl Default for Token {
    fn default() -> Self {
        Self {
            len: 0,
            bytes: [0; TOKEN_MAX],
        }
    }
}

impl Token {
    fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.iter_mut().skip(self.len.into());
        for (slot, byte) in room.zip(bytes) {
            *slot = *byte;
            self.len += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What the parameters seen so far say that decides whether a context may be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carries {
    pub(super) traceparent: bool,
    pub(super) tracestate: bool,
    pub(super) baggage: bool,
    pub(super) signature: bool,
}

impl Carries {
    /// Takes note of a parameter whose name alone decides.
    pub(super) fn note(&mut self, name: &[u8]) {
        match name {
            b"HTTP_TRACEPARENT" => self.traceparent = true,
            b"HTTP_TRACESTATE" => self.tracestate = true,
            b"HTTP_BAGGAGE" => self.baggage = true,
            b"HTTP_SIGNATURE" | b"HTTP_SIGNATURE_INPUT" => self.signature = true,
            _ => {}
        }
    }
}

/// Where the value being read goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Slot {
    #[default]
    Nowhere = 0,
    Text(Field),
    /// Stands in for `HTTP_HOST`.
    ServerName,
    Baggage,
    Authorization,
    ServerPort,
    RemoteAddr,
    RemotePort,
    Protocol,
    Https,
    Scheme,
}

impl Slot {
    fn of(name: &[u8]) -> Self {
        match name {
            b"REQUEST_METHOD" => Slot::Text(Field::Method),
            b"REQUEST_URI" | b"SCRIPT_NAME" => Slot::Text(Field::Target),
            b"SERVER_PROTOCOL" => Slot::Protocol,
            b"SERVER_NAME" => Slot::ServerName,
            b"SERVER_PORT" => Slot::ServerPort,
            b"REMOTE_ADDR" => Slot::RemoteAddr,
            b"REMOTE_PORT" => Slot::RemotePort,
            b"REQUEST_SCHEME" => Slot::Scheme,
            b"HTTPS" => Slot::Https,
            b"HTTP_HOST" => Slot::Text(Field::Host),
            b"HTTP_USER_AGENT" => Slot::Text(Field::UserAgent),
            b"HTTP_FORWARDED" => Slot::Text(Field::Forwarded),
            b"HTTP_X_FORWARDED_FOR" => Slot::Text(Field::XForwardedFor),
            b"HTTP_X_FORWARDED_PROTO" => Slot::Text(Field::XForwardedProto),
            b"HTTP_X_FORWARDED_HOST" => Slot::Text(Field::XForwardedHost),
            b"HTTP_TRACEPARENT" => Slot::Text(Field::Traceparent),
            b"HTTP_TRACESTATE" => Slot::Text(Field::Tracestate),
            b"HTTP_BAGGAGE" => Slot::Baggage,
            b"HTTP_AUTHORIZATION" => Slot::Authorization,
            _ => Slot::Nowhere,
        }
    }
}

/// Whether the value being read is also one that the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Capture {
    #[default]
    No = 0,
    /// It is copied as it comes.
    Streaming,
    /// It goes to a text anyway, which is shared when it is complete; index in the user's list.
    Shared(u8),
}

impl Params {
    /// Whether the next byte begins a pair.
    pub(super) fn is_between(&self) -> bool {
        self.pairs.is_between()
    }

    pub(super) fn pairs(&self) -> Pairs {
        self.pairs
    }

    pub(super) fn carries(&self) -> Carries {
        self.carries
    }

    /// Reads on. Without an exchange (zero) the pairs are followed and nothing is kept.
    pub(super) fn feed<H: Host>(&mut self, bytes: &[u8], kind: Kind, id: ExchangeId, host: &mut H) {
        let mut rest = bytes;
        loop {
            let (used, piece) = self.pairs.next(rest);
            rest = &rest[used..];
            match piece {
                Piece::More => return,
                _ if id == ExchangeId(0) => {}
                Piece::Name => self.name(kind, id, host),
                Piece::Value(value) => self.value(value, host.exchange(id)),
                Piece::ValueEnd => self.value_end(kind, host.exchange(id)),
            }
        }
    }

    /// The parameters are complete, as far as is of interest. False: this is no HTTP request.
    pub(super) fn end(&mut self, ex: &mut Exchange) -> bool {
        let has = |field| ex.text(field).is_some_and(|text| !text.is_empty());
        if !has(Field::Method) || !has(Field::Target) {
            return false;
        }
        if !self.has_host && ex.text(Field::Host).is_some() && self.server_port != 0 {
            ex.reopen(Field::Host);
            ex.append(Field::Host, b":", VALUE_MAX);
            ex.append_number(Field::Host, self.server_port.into());
        }
        if self.has_remote {
            match &mut ex.peer {
                Endpoint::V4 { port, .. } | Endpoint::V6 { port, .. } => *port = self.remote_port,
                Endpoint::Unknown | Endpoint::Unix => {}
            }
        }
        ex.signed = self.carries.signature;
        true
    }

    fn name<H: Host>(&mut self, kind: Kind, id: ExchangeId, host: &mut H) {
        self.slot = Slot::Nowhere;
        self.capture = Capture::No;
        self.token.len = 0;
        let Some(name) = self.pairs.name() else {
            return;
        };
        let mut lower = [0; NAME_MAX];
        let captured = header_name(name, &mut lower)
            .and_then(|header| host.captured_header(kind, false, header));
        let ex = host.exchange(id);
        self.carries.note(name);
        self.slot = match Slot::of(name) {
            Slot::ServerName if self.has_host => Slot::Nowhere,
            Slot::Text(Field::Target) if self.has_target => Slot::Nowhere,
            Slot::Text(field @ (Field::Host | Field::Target)) => {
                self.has_host |= field == Field::Host;
                self.has_target |= name == b"REQUEST_URI";
                Slot::Text(field)
            }
            Slot::Text(field) if ex.text(field).is_some() => {
                ex.traceparent_repeated |= field == Field::Traceparent;
                Slot::Nowhere
            }
            slot => slot,
        };
        match self.slot {
            Slot::Text(field) => ex.begin(field),
            Slot::ServerName => ex.begin(Field::Host),
            _ => {}
        }
        if let Some(index) = captured {
            self.capture = match self.slot {
                Slot::Text(_) => Capture::Shared(index),
                _ if ex.begin_captured(index, false) => Capture::Streaming,
                _ => Capture::No,
            };
        }
        if self.slot != Slot::Nowhere || self.capture != Capture::No {
            self.pairs.want();
        }
    }

    fn value(&mut self, bytes: &[u8], ex: &mut Exchange) {
        match self.slot {
            Slot::Nowhere => {}
            Slot::Text(Field::Target) => ex.append(Field::Target, bytes, TARGET_MAX),
            Slot::Text(field) => ex.append(field, bytes, VALUE_MAX),
            Slot::ServerName => ex.append(Field::Host, bytes, VALUE_MAX),
            Slot::Baggage => add_baggage(&mut self.baggage_full, bytes, ex),
            _ => self.token.push(bytes),
        }
        if self.capture == Capture::Streaming {
            ex.append_captured(bytes, VALUE_MAX);
        }
    }

    fn value_end(&mut self, kind: Kind, ex: &mut Exchange) {
        let token = self.token.bytes();
        let text = || from_utf8(token).unwrap_or_default();
        match self.slot {
            Slot::Text(field) => {
                ex.trim_end(field);
                if let Capture::Shared(index) = self.capture {
                    ex.capture_text(index, false, field, 0);
                }
                if field == Field::Host && ex.text(field) == Some(b"") {
                    ex.clear(field);
                    self.has_host = false;
                }
            }
            // What nginx calls a server that takes every name.
            Slot::ServerName if matches!(ex.text(Field::Host), Some(b"" | b"_")) => {
                ex.clear(Field::Host);
            }
            Slot::Authorization => self.carries.signature |= signs(token),
            Slot::ServerPort => self.server_port = number(text()),
            Slot::RemotePort => self.remote_port = number(text()),
            // The client of a server is the one that the web server took the request from.
            Slot::RemoteAddr if kind == Kind::Server => {
                if let Ok(ip) = IpAddr::from_str(text()) {
                    self.has_remote = true;
                    ex.peer = match ip.to_canonical() {
                        IpAddr::V4(ip) => Endpoint::V4 {
                            ip: ip.octets(),
                            port: 0,
                        },
                        IpAddr::V6(ip) => Endpoint::V6 {
                            ip: ip.octets(),
                            port: 0,
                        },
                    };
                }
            }
            Slot::Protocol => ex.version = version(token),
            Slot::Https => ex.tls |= !matches!(token, b"" | b"off" | b"0"),
            Slot::Scheme => ex.tls |= token == b"https",
            _ => {}
        }
        if self.capture == Capture::Streaming {
            ex.trim_captured();
        }
    }
}

/// The header that a parameter tells of, in lower case.
fn header_name<'a>(param: &[u8], lower: &'a mut [u8; NAME_MAX]) -> Option<&'a [u8]> {
    let name = match param {
        // These two have names of their own; servers may send them twice.
        b"CONTENT_TYPE" | b"CONTENT_LENGTH" => param,
        b"HTTP_CONTENT_TYPE" | b"HTTP_CONTENT_LENGTH" => return None,
        _ => param.strip_prefix(b"HTTP_")?,
    };
    let lower = lower.get_mut(..name.len())?;
    for (to, from) in lower.iter_mut().zip(name) {
        *to = if *from == b'_' {
            b'-'
        } else {
            from.to_ascii_lowercase()
        };
    }
    Some(lower)
}

/// `SERVER_PROTOCOL` as an exchange keeps it; 0 for one that is not known.
fn version(protocol: &[u8]) -> u8 {
    match protocol {
        b"HTTP/1.0" => 10,
        b"HTTP/1.1" => 11,
        b"HTTP/2.0" | b"HTTP/2" => 20,
        b"HTTP/3.0" | b"HTTP/3" => 30,
        _ => 0,
    }
}

fn number(text: &str) -> u16 {
    text.parse().unwrap_or_default()
}
