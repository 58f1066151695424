//! FastCGI 1.0, responder role: one connection's requests become exchanges, as the HTTP requests that they stand for.
//!
//! A web server is the client, the application (PHP-FPM) the server. The parameters say what the request line and the
//! header said, standard output is a CGI response, END_REQUEST ends the exchange; standard error is passed over.
//! Nothing is buffered.
//!
//! Limits: one request at a time on a connection; with a second one open (multiplexing, which PHP-FPM and nginx do not do)
//! the connection becomes opaque, and so it does with another role than responder. Parameter names above 53 bytes are not
//! told. Without `REQUEST_URI` the target is `SCRIPT_NAME`, without a query; parameters that name no method or no target
//! make no exchange.

mod answer;
mod pairs;
mod params;
mod record;
pub(super) mod scan;
#[cfg(test)]
mod tests;

use super::{Direction, Ended, ExchangeId, Host, Probe};
use crate::exchange::{Fault, Kind, System};
use answer::Answer;
use params::Params;
use record::{
    ABORT_REQUEST, BEGIN_REQUEST, DATA, END_REQUEST, PARAMS, Piece, Records, STDERR, STDIN, STDOUT,
};

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(super) const PREFIX_MAX: usize = 16;
/// The role of a program that answers requests.
const RESPONDER: u8 = 1;
/// The flag by which the web server asks to keep the connection.
const KEEP_CONN: u8 = 1;

/// The header of a PARAMS record with `len` bytes of content, for the request `id`.
pub(crate) const fn params_header(id: u16, len: u16) -> [u8; record::HEADER] {
    let ([id_high, id_low], [high, low]) = (id.to_be_bytes(), len.to_be_bytes());
    [1, PARAMS, id_high, id_low, high, low, 0, 0]
}

/// Judges the first bytes of both directions: the client begins, with a whole BEGIN_REQUEST record.
pub(super) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// Whether the first bytes are all of BEGIN_REQUEST; `None`: not even its beginning.
fn begins(prefix: &[u8]) -> Option<bool> {
    let fits = |(at, byte): (usize, &u8)| match at {
        0 | 1 | 9 => *byte == 1,
        // The request's id is any but 0; that is looked at when the connection is followed.
        2 | 3 => true,
        5 => *byte == 8,
        10 => *byte <= KEEP_CONN,
        _ => *byte == 0,
    };
    let mut known = prefix.iter().take(PREFIX_MAX).enumerate();
    known.all(fits).then_some(prefix.len() >= PREFIX_MAX)
}

/// The state of one FastCGI connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Machine {
    role: Kind,
    /// Nothing more is to be learned, and no exchange is open.
    over: bool,
    /// Where the request stands.
    phase: Phase,
    keep: bool,
    aborted: bool,
    /// The host was told of the head.
    told: bool,
    /// The first failure on the way to the server: the response may come all the same.
    fault: Fault,
    id: u16,
    /// Of the open request; zero when it is not recorded.
    exchange: ExchangeId,
    /// When the first byte of the request side's record passed.
    record_ns: u64,
    requests: Records,
    responses: Records,
    params: Params,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// No request is open.
    #[default]
    Idle = 0,
    Params,
    Stdin,
    /// The request is complete, its response is not.
    Sent,
}

/// Why nothing more will be seen of the open exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The program closed the connection.
    Closed,
    /// The way of the responses ended.
    Ended,
    /// What passes cannot be followed any more.
    Unobserved,
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

    /// The unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        (self.exchange != ExchangeId(0)).then_some(self.exchange)
    }

    pub(super) fn can_start_request(&self, dir: Direction) -> bool {
        self.role == Kind::Client
            && dir == Direction::Out
            && !self.over
            && self.phase == Phase::Idle
            && self.requests.is_between()
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        if dir == self.request_direction() {
            self.feed_request(bytes, now, host);
        } else {
            self.feed_response(bytes, now, host);
        }
    }

    /// Passes over `n` bytes that were not seen. Outside of content that is only counted the thread is lost.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let requests = dir == self.request_direction();
        let records = if requests {
            &mut self.requests
        } else {
            &mut self.responses
        };
        let (kind, mine) = (records.kind(), records.id() == self.id);
        let counted = match kind {
            STDIN | STDERR | DATA => true,
            STDOUT => !mine || self.answer.in_body,
            _ => false,
        };
        if !counted || !records.skip(n) {
            return self.conclude(Cause::Unobserved, now, host);
        }
        if mine && let Some(id) = self.open_exchange() {
            let ex = host.exchange(id);
            match kind {
                STDIN => ex.request_body = ex.request_body.saturating_add(n),
                STDOUT => answer::count(ex, n),
                _ => {}
            }
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        if let Ended::Failed(fault) = how
            && self.fault == Fault::None
        {
            self.fault = fault;
        }
        if dir != self.request_direction() {
            self.conclude(Cause::Ended, now, host);
        } else if self.phase == Phase::Params {
            self.conclude(Cause::Unobserved, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Cause::Closed, now, host);
    }

    fn request_direction(&self) -> Direction {
        match self.role {
            Kind::Server => Direction::In,
            Kind::Client => Direction::Out,
        }
    }

    fn feed_request<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !self.over {
            if self.requests.is_between() && !rest.is_empty() {
                self.record_ns = now;
            }
            let (used, piece) = self.requests.next(rest);
            rest = &rest[used..];
            let mine = self.phase != Phase::Idle && self.requests.id() == self.id;
            match (piece, self.requests.kind()) {
                (Piece::More, _) => return,
                (Piece::Bad, _) => self.conclude(Cause::Unobserved, now, host),
                (Piece::End, BEGIN_REQUEST) => self.begin(now, host),
                (Piece::End, ABORT_REQUEST) if mine => self.aborted = true,
                (Piece::Content(bytes), PARAMS) if mine && self.phase == Phase::Params => {
                    self.params.feed(bytes, self.role, self.exchange, host);
                }
                (Piece::End, PARAMS)
                    if mine && self.phase == Phase::Params && self.requests.len() == 0 =>
                {
                    self.head_done(now, host);
                }
                (Piece::Content(bytes), STDIN) if mine && self.phase == Phase::Stdin => {
                    if let Some(id) = self.open_exchange() {
                        let ex = host.exchange(id);
                        ex.request_body = ex.request_body.saturating_add(bytes.len() as u64);
                    }
                }
                (Piece::End, STDIN)
                    if mine && self.phase == Phase::Stdin && self.requests.len() == 0 =>
                {
                    self.phase = Phase::Sent;
                }
                _ => {}
            }
        }
    }

    fn begin<H: Host>(&mut self, now: u64, host: &mut H) {
        let [zero, role, flags, ..] = self.requests.fixed();
        if self.phase != Phase::Idle || (zero, role) != (0, RESPONDER) || self.requests.id() == 0 {
            return self.conclude(Cause::Unobserved, now, host);
        }
        self.phase = Phase::Params;
        self.keep = flags & KEEP_CONN != 0;
        self.aborted = false;
        self.told = false;
        self.id = self.requests.id();
        self.params = Params::default();
        self.answer = Answer::default();
        self.exchange = host.open(self.role, System::None).unwrap_or_default();
        if let Some(id) = self.open_exchange() {
            let ex = host.exchange(id);
            ex.kind = self.role;
            ex.fastcgi = true;
            ex.start_ns = self.record_ns;
        }
    }

    fn head_done<H: Host>(&mut self, now: u64, host: &mut H) {
        if !self.params.is_between() {
            return self.conclude(Cause::Unobserved, now, host);
        }
        self.settle_head(host);
        self.phase = Phase::Stdin;
        if let Some(id) = self.open_exchange().filter(|_| !self.told) {
            self.exchange = ExchangeId(0);
            host.discard(id);
        }
    }

    /// What is known of the parameters must do as the head, if that is possible: more may follow, but the program is about
    /// to write the context that it carries.
    pub(super) fn settle_head<H: Host>(&mut self, host: &mut H) {
        if self.phase == Phase::Params
            && !self.told
            && let Some(id) = self.open_exchange()
            && self.params.end(host.exchange(id))
        {
            self.told = true;
            host.request_head(id);
        }
    }

    fn feed_response<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !self.over {
            let (used, piece) = self.responses.next(rest);
            rest = &rest[used..];
            let mine = self.phase != Phase::Idle && self.responses.id() == self.id;
            match (piece, self.responses.kind()) {
                (Piece::More, _) => return,
                (Piece::Bad, _) => self.response_invalid(now, host),
                // Answered before it was a request: whatever this is, it is not FastCGI as we know it.
                (Piece::Start, STDOUT | END_REQUEST) if mine && self.phase == Phase::Params => {
                    self.conclude(Cause::Unobserved, now, host);
                }
                (Piece::Content(bytes), STDOUT)
                    if mine && !self.answer.feed(bytes, self.role, self.exchange, host) =>
                {
                    self.response_invalid(now, host);
                }
                (Piece::End, END_REQUEST) if mine => self.request_ended(now, host),
                _ => {}
            }
        }
    }

    /// END_REQUEST is complete.
    fn request_ended<H: Host>(&mut self, now: u64, host: &mut H) {
        let [_, _, _, _, protocol_status, ..] = self.responses.fixed();
        let fault = if protocol_status != 0 {
            // Refused: overloaded, no multiplexing, unknown role.
            Fault::Other
        } else if !self.answer.in_body && !self.aborted {
            Fault::ResponseTruncated
        } else {
            Fault::None
        };
        self.finish(fault, now, host);
        self.over = !self.keep;
    }

    /// The response cannot be read as one.
    fn response_invalid<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.phase != Phase::Params {
            self.finish(Fault::ProtocolError, now, host);
        }
        self.conclude(Cause::Unobserved, now, host);
    }

    /// Finishes what is open, because no more will be seen of it. As in HTTP/1 nothing is made up: a request without any
    /// response has no status and, unless a call failed, no fault; a response that was broken off is a fault, unless it was
    /// our own program that did not want the rest.
    fn conclude<H: Host>(&mut self, cause: Cause, now: u64, host: &mut H) {
        let broken = self.answer.started
            && match cause {
                Cause::Closed => self.role == Kind::Server,
                Cause::Ended => true,
                Cause::Unobserved => false,
            };
        let fault = match self.fault {
            _ if cause == Cause::Unobserved => Fault::None,
            Fault::None if broken => Fault::ResponseTruncated,
            fault => fault,
        };
        self.finish(fault, now, host);
        self.over = true;
    }

    fn finish<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        let partial = self.phase == Phase::Params && !self.told;
        self.phase = Phase::Idle;
        let Some(id) = self.open_exchange() else {
            return;
        };
        self.exchange = ExchangeId(0);
        if partial {
            host.discard(id);
        } else {
            let ex = host.exchange(id);
            ex.fault = fault;
            ex.end_ns = now.max(ex.start_ns);
            host.finished(id);
        }
    }
}
