//! HTTP/1.0 and HTTP/1.1 (RFC 9112): one connection's requests and responses become exchanges.
//!
//! Nothing is buffered. Heads are read piece by piece, the texts of interest go straight into the exchange, and bodies
//! are only followed to their end. Requests queue up until their responses come, so pipelining is followed too.
//!
//! Limits: [`Host::open`] decides how many exchanges are recorded; 64 requests may wait on one connection, with one
//! more it becomes opaque; a method has at most 32 bytes; field names above 48 bytes are never captured. Heads and
//! bodies may have any length; what is *kept* of a head has the caps of [`crate::exchange`].

mod body;
mod head;
pub(super) mod lexer;
pub(super) mod line;
mod pending;
mod request;
mod response;
pub mod scan;
#[cfg(test)]
mod tests;

use super::{Direction, Ended, ExchangeId, HeadPart, Host, Probe, db};
use crate::exchange::{Fault, Kind};
use line::{Part, RequestLine, blank_lines};
use pending::Pending;
use request::Request;
use response::Response;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub const PREFIX_MAX: usize = 32;

/// Where a reader stands after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes used, more to come.
    More,
    /// The end was reached, perhaps before the last of the bytes.
    Done,
    /// Not what it should be.
    Bad,
}

/// Judges the first bytes of both directions (each at most [`PREFIX_MAX`], so a full prefix is the last word on its
/// direction): which way does a request go? Optional empty lines, a method and the first byte of a target must have
/// been seen, so a first request is found only when these fit the prefix.
///
/// One direction alone never gives [`Probe::No`], unless it starts with the unmistakable greeting of another
/// protocol: servers speak first in some protocols, and in HTTP the request may be late.
pub fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    let (incoming, outgoing) = (side(in_prefix), side(out_prefix));
    match (incoming, outgoing) {
        (Side::Request, _) => Probe::Yes(Kind::Server),
        (_, Side::Request) => Probe::Yes(Kind::Client),
        (Side::Other, _) | (_, Side::Other) | (Side::NoRequest, Side::NoRequest) => Probe::No,
        _ => Probe::More,
    }
}

/// What no request of HTTP/1 begins with.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Unknown,
    Request,
    NoRequest,
    /// No HTTP/1 on this connection, either way: TLS, SSH, HTTP/2, or a line that is a request of something else.
    Other,
}

fn side(prefix: &[u8]) -> Side {
    const GREETINGS: [&[u8]; 3] = [b"\x16\x03", b"SSH-", HTTP2];
    if GREETINGS
        .iter()
        .any(|greeting| prefix.starts_with(greeting))
    {
        return Side::Other;
    }
    if HTTP2.starts_with(prefix) {
        return Side::Unknown;
    }
    // Keys of memcached are often paths and URLs: there the end of the line decides.
    match db::memcached_begins(prefix, prefix.len() >= PREFIX_MAX) {
        Some(true) => return Side::NoRequest,
        Some(false) => return Side::Unknown,
        None => {}
    }
    let mut line = RequestLine::default();
    let mut rest = &prefix[blank_lines(prefix)..];
    loop {
        let (used, part) = line.next(rest);
        rest = &rest[used..];
        match part {
            Part::Method(_) | Part::Target(_) => {}
            // It had the look of a request: the machine, had it been started earlier, would have given up too.
            Part::Bad if line.is_request() => return Side::Other,
            Part::Bad => return Side::NoRequest,
            _ if line.is_request() => return Side::Request,
            _ if prefix.len() >= PREFIX_MAX => return Side::NoRequest,
            _ => return Side::Unknown,
        }
    }
}

/// The state of one HTTP/1 connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Machine {
    role: Kind,
    /// Nothing more is to be learned, and no exchange is open.
    over: bool,
    /// It is over because the connection now belongs to another protocol.
    tunnel: bool,
    /// That protocol is HTTP/2, in which the response to the only waiting request comes.
    h2c: bool,
    /// Bytes of the last call on the responses' side that came after the end.
    beyond: u32,
    /// A message said that the connection ends after this exchange (RFC 9112 section 9.6).
    closing: bool,
    /// The first failure on the way to the server: the response may come all the same.
    fault: Fault,
    request: Request,
    response: Response,
    pending: Pending,
}

/// Why nothing more will be seen of the open exchanges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The program closed the connection.
    Closed,
    /// The way of the responses ended in order.
    ResponseEof,
    /// It failed; the fault is in the machine.
    Failed,
    /// The bytes went out of sight.
    Unobserved,
}

/// How far the request that this program is sending reaches.
#[derive(Clone, Copy, Debug)]
pub enum Tail {
    /// It is complete: what follows is another request.
    Ended,
    /// It ends where its body does.
    Body(BodyTail),
    /// That cannot be told, or nothing may follow it.
    Unknown,
}

/// Looks for the end of a body in bytes that are yet to be sent, without the stream taking note of them.
#[derive(Clone, Copy, Debug)]
pub struct BodyTail(body::Body);

impl BodyTail {
    /// Bytes until the end, where they were announced as a number.
    pub fn left(&self) -> Option<u64> {
        self.0.counted_left()
    }

    /// Takes the next bytes; the number of these that still belong to the body, once it ends among them.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let (used, _, progress) = self.0.feed(bytes);
        (progress == Progress::Done).then_some(used)
    }
}

impl Machine {
    pub(super) fn new(role: Kind) -> Self {
        Self {
            role,
            ..Self::default()
        }
    }

    pub(super) fn role(&self) -> Kind {
        self.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Where it is over because of CONNECT or an upgrade: how many of the last bytes fed belong to what comes now.
    pub(super) fn tunnel(&self) -> Option<usize> {
        self.tunnel.then_some(self.beyond as usize)
    }

    /// Where it is over because of HTTP/2: the exchange (zero: not recorded) that goes on there.
    pub(super) fn upgraded(&self) -> Option<ExchangeId> {
        let (id, _) = self.pending.front().filter(|_| self.h2c)?;
        Some(id)
    }

    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        if dir == self.request_direction() {
            self.feed_request(bytes, now, host);
        } else {
            self.feed_response(bytes, now, host);
        }
        self.settle();
    }

    /// Passes over `n` bytes that were not seen. Outside of a body of known extent the thread is lost.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let followed = if dir == self.request_direction() {
            self.skip_request(n, host)
        } else {
            self.skip_response(n, now, host)
        };
        if !followed {
            self.conclude(Cause::Unobserved, now, host);
        }
        self.settle();
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        if let Ended::Failed(fault) = how
            && self.fault == Fault::None
        {
            self.fault = fault;
        }
        if dir == self.request_direction() {
            self.end_requests(host);
        } else if how == Ended::Eof {
            self.conclude(Cause::ResponseEof, now, host);
        } else {
            self.conclude(Cause::Failed, now, host);
        }
        self.settle();
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Cause::Closed, now, host);
    }

    pub(super) fn can_start_request(&self, dir: Direction) -> bool {
        self.role == Kind::Client
            && dir == Direction::Out
            && !self.over
            && !self.closing
            && self.request.is_between()
    }

    pub(super) fn request_head(&self) -> Option<HeadPart> {
        if self.role == Kind::Server && !self.over && !self.closing {
            self.request.head_part()
        } else {
            None
        }
    }

    pub(super) fn outgoing_tail(&self) -> Tail {
        if self.can_start_request(Direction::Out) {
            Tail::Ended
        } else if self.role == Kind::Client && !self.over && !self.closing {
            self.request.tail()
        } else {
            Tail::Unknown
        }
    }

    /// The unfinished exchanges, oldest first.
    pub(super) fn open_exchanges(&self) -> impl Iterator<Item = ExchangeId> {
        self.pending.ids()
    }

    fn request_direction(&self) -> Direction {
        match self.role {
            Kind::Server => Direction::In,
            Kind::Client => Direction::Out,
        }
    }

    /// No request can follow and none is waiting: the rest says nothing.
    fn settle(&mut self) {
        self.over |= self.request.is_lost() && self.pending.is_empty();
    }
}
