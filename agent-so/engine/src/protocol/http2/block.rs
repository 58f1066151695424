//! Header blocks: what their fields say, straight into the exchange.

use super::Sent;
use super::grpc;
use super::hpack::{Form, OUT, Piece};
use crate::exchange::{Exchange, Field, Kind, TARGET_MAX, VALUE_MAX};
use crate::protocol::fields::{Fields, Owner};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, ExchangeId, Host};

/// Longest beginning of a value that is read rather than kept, bytes.
const TOKEN_MAX: usize = 20;

/// What a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum What {
    /// Of no interest, except for what it does to the table.
    #[default]
    Nothing = 0,
    Request,
    /// An interim or the final response.
    Response,
    /// What follows a response.
    Trailers,
}

/// Where the value being read goes, apart from [`Fields`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Slot {
    #[default]
    Nowhere = 0,
    Text(Field),
    Status,
    ContentType,
    GrpcStatus,
    GrpcTimeout,
}

/// The block under way in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    pub(super) what: What,
    pub(super) kind: Kind,
    pub(super) end_stream: bool,
    pub(super) stream: u32,
    /// Zero when nothing is to be kept.
    pub(super) exchange: ExchangeId,
    pub(super) status: u16,
    pub(super) rpc_status: u8,
    /// The request is a call of gRPC.
    rpc: bool,
    pub(super) timeout_ns: u64,
    pub(super) place: Place,
    fields: Fields,
    slot: Slot,
    token_len: u8,
    token: [u8; TOKEN_MAX],
}

/// Where in the block fields may be added: offsets in the payload of its first frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Bytes in front of the block, those up to the padding, and all of the payload.
    pub(super) lead: u32,
    pub(super) until: u32,
    pub(super) length: u32,
    /// How much of the block was read.
    at: u32,
    field_at: u32,
    /// Where the value of the field being read begins, if it stands in the block.
    value_at: u32,
    /// The end of the last pseudo-header field.
    end: u32,
    /// The field being read is one, or the `traceparent`.
    pseudo: bool,
    own: bool,
    /// Another field was seen; and then a pseudo-header field, which must not be.
    regular: bool,
    bad: bool,
    traceparent: [u32; 2],
    form: Form,
}

impl Place {
    fn name(&mut self, name: Option<&[u8]>) {
        let name = name.unwrap_or_default();
        self.pseudo = name.starts_with(b":");
        self.own = name == b"traceparent";
        self.value_at = self.at;
        self.bad |= self.pseudo && self.regular;
        self.regular |= !self.pseudo;
    }

    fn field_ends(&mut self, form: Form) {
        if self.pseudo {
            self.end = self.at;
        }
        if self.own {
            // What becomes an entry has to go on doing so: only its value may be another.
            let from = if form == Form::Added {
                self.value_at
            } else {
                self.field_at
            };
            self.traceparent = [from, self.at];
            self.form = form;
        }
        self.field_at = self.at;
    }

    /// Offsets in the first frame are only those up to its padding.
    pub(super) fn sent(&self) -> Sent {
        let inside = |end: u32| self.lead + end <= self.until;
        let [from, to] = self.traceparent;
        Sent {
            length: self.length,
            place: if self.end > 0 && !self.bad && inside(self.end) {
                self.lead + self.end
            } else {
                0
            },
            traceparent: if to > 0 && inside(to) {
                [self.lead + from, self.lead + to]
            } else {
                [0, 0]
            },
            form: self.form,
            ..Sent::default()
        }
    }
}

impl Block {
    /// A block that is only followed.
    pub(super) fn of_nobody(stream: u32) -> Self {
        Self {
            stream,
            ..Self::default()
        }
    }

    /// An interim response (RFC 9110 section 15.2).
    pub(super) fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// The block of a request is complete: whether it is CONNECT. `None`: it was no request.
    pub(super) fn complete(&self, ex: &mut Exchange) -> Option<bool> {
        let has = |ex: &Exchange, field| ex.text(field).is_some_and(|text| !text.is_empty());
        let connect = ex.text(Field::Method) == Some(b"CONNECT");
        if connect && !has(ex, Field::Target) {
            ex.alias(Field::Host, Field::Target);
        }
        if !has(ex, Field::Method) || !has(ex, Field::Target) {
            return None;
        }
        ex.rpc = self.rpc && ex.text(Field::Method) == Some(b"POST");
        Some(connect)
    }

    fn owner(&self) -> Owner {
        Owner {
            id: self.exchange,
            kind: self.kind,
            response: self.what == What::Response,
        }
    }

    /// A name; says whether its value is wanted.
    fn name<H: Host>(&mut self, name: Option<&[u8]>, host: &mut H) -> bool {
        self.place.name(name);
        self.slot = Slot::Nowhere;
        self.token_len = 0;
        let Some(name) = name.filter(|_| self.exchange != ExchangeId(0)) else {
            self.fields.keep_nothing();
            return false;
        };
        self.slot = match (self.what, name) {
            (What::Request, b":method") => Slot::Text(Field::Method),
            (What::Request, b":path") => Slot::Text(Field::Target),
            (What::Request, b":authority") => Slot::Text(Field::Host),
            (What::Request, b"content-type") => Slot::ContentType,
            (What::Request, b"grpc-timeout") => Slot::GrpcTimeout,
            (What::Response, b":status") => Slot::Status,
            (What::Response | What::Trailers, b"grpc-status") => Slot::GrpcStatus,
            _ => Slot::Nowhere,
        };
        if let Slot::Text(field) = self.slot {
            let ex = host.exchange(self.exchange);
            if ex.text(field).is_some() {
                self.slot = Slot::Nowhere;
            } else {
                ex.begin(field);
            }
        }
        let told = match self.what {
            What::Request => !self.place.pseudo,
            What::Response => !self.place.pseudo && !self.is_interim(),
            What::Nothing | What::Trailers => false,
        };
        let kept = self
            .fields
            .name(Some(name).filter(|_| told), self.owner(), host);
        kept || self.slot != Slot::Nowhere
    }

    fn value<H: Host>(&mut self, bytes: &[u8], host: &mut H) {
        match self.slot {
            _ if self.exchange == ExchangeId(0) => return,
            Slot::Nowhere => {}
            Slot::Text(field) => {
                let cap = if field == Field::Target {
                    TARGET_MAX
                } else {
                    VALUE_MAX
                };
                host.exchange(self.exchange).append(field, bytes, cap);
            }
            _ => {
                let room = self.token.iter_mut().skip(self.token_len.into());
                for (slot, byte) in room.zip(bytes) {
                    *slot = *byte;
                    self.token_len += 1;
                }
            }
        }
        self.fields.value(bytes, self.owner(), host);
    }

    fn value_ends<H: Host>(&mut self, host: &mut H) {
        if self.exchange == ExchangeId(0) {
            return;
        }
        let token = self.token[..usize::from(self.token_len)].trim_ascii();
        match self.slot {
            Slot::Nowhere | Slot::Text(_) => {}
            Slot::Status => {
                self.status = match std::str::from_utf8(token).map(str::parse) {
                    Ok(Ok(status @ 100..=999)) => status,
                    _ => 0,
                }
            }
            Slot::ContentType => self.rpc = grpc::is_content_type(token),
            Slot::GrpcStatus => self.rpc_status = grpc::status(token),
            Slot::GrpcTimeout => self.timeout_ns = grpc::timeout(token),
        }
        self.fields.value_end(self.owner(), host);
    }
}

/// Reads on in the block of a direction. False: it is none.
pub(super) fn fragment<H: Host>(wide: WideId, dir: Direction, bytes: &[u8], host: &mut H) -> bool {
    let mut out = [0; OUT];
    let mut rest = bytes;
    // The exchange and the wide state are the host's, so only one of them can be had at a time.
    let mut block = host.wide_mut(wide).http2.blocks[dir as usize];
    loop {
        let decoder = &mut host.wide_mut(wide).http2.decoders[dir as usize];
        let (used, piece) = decoder.next(rest, &mut out);
        let form = decoder.form();
        rest = &rest[used..];
        block.place.at = block.place.at.saturating_add(used as u32);
        match piece {
            Piece::More => break,
            Piece::Bad => return false,
            Piece::Name(len) => {
                let name = len.map(|len| &out[..len]);
                if block.name(name, host) {
                    host.wide_mut(wide).http2.decoders[dir as usize].want();
                }
            }
            Piece::Plain(bytes) => block.value(bytes, host),
            Piece::Decoded(len) => block.value(&out[..len], host),
            Piece::End => {
                block.value_ends(host);
                block.place.field_ends(form);
            }
        }
    }
    host.wide_mut(wide).http2.blocks[dir as usize] = block;
    true
}
