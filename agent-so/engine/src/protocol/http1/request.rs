//! The way of the requests.

use super::body::Body;
use super::head::{Framing, Head};
use super::line::{Part, RequestLine, blank_lines};
use super::pending::Method;
use super::{BodyTail, Tail};
use super::{Cause, Machine, Progress};
use crate::exchange::{Fault, Field, System, TARGET_MAX, VALUE_MAX};
use crate::protocol::fields::Owner;
use crate::protocol::{ExchangeId, HeadPart, Host};

/// Where the requests stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request {
    phase: Phase,
    /// The newest pending request is the one being read: no response has overtaken it.
    attached: bool,
    line: RequestLine,
    head: Head,
    body: Body,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests.
    #[default]
    Between = 0,
    Line,
    Fields,
    Body,
    /// After a request that asked for another protocol: the response tells whose bytes come next.
    Held,
    /// No request can be told from what follows.
    Lost,
}

impl Request {
    pub(super) fn is_between(&self) -> bool {
        self.phase == Phase::Between
    }

    pub(super) fn head_part(&self) -> Option<HeadPart> {
        match self.phase {
            Phase::Between => Some(HeadPart::Start),
            Phase::Fields => Some(HeadPart::Fields),
            Phase::Line | Phase::Body | Phase::Held | Phase::Lost => None,
        }
    }

    /// Where the request under way ends, its head being complete.
    pub(super) fn tail(&self) -> Tail {
        if self.phase == Phase::Body {
            Tail::Body(BodyTail(self.body))
        } else {
            Tail::Unknown
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.phase == Phase::Lost
    }
}

impl Machine {
    pub(super) fn feed_request<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.over {
            let used = match self.request.phase {
                Phase::Between => self.begin_request(rest, now, host),
                Phase::Line => self.request_line(rest, host),
                Phase::Fields => self.request_fields(rest, now, host),
                Phase::Body => self.request_body(rest, host),
                Phase::Held | Phase::Lost => {
                    self.request.phase = Phase::Lost;
                    return;
                }
            };
            rest = &rest[used..];
        }
    }

    /// False when it cannot be told where the unseen bytes lead.
    pub(super) fn skip_request<H: Host>(&mut self, n: u64, host: &mut H) -> bool {
        match self.request.phase {
            Phase::Held | Phase::Lost => self.request.phase = Phase::Lost,
            Phase::Body => {
                let Some(progress) = self.request.body.skip(n) else {
                    return false;
                };
                self.count_request(n, host);
                if progress == Progress::Done {
                    self.request_done();
                }
            }
            _ => return false,
        }
        true
    }

    /// No more requests come this way.
    pub(super) fn end_requests<H: Host>(&mut self, host: &mut H) {
        self.end_partial_head(self.fault, host);
        self.request.phase = Phase::Lost;
    }

    /// A head that will not be completed was no request, unless it was a failure that cut it.
    pub(super) fn end_partial_head<H: Host>(&mut self, fault: Fault, host: &mut H) {
        if !self.has_partial_head() {
            return;
        }
        if fault != Fault::None && self.has_request_line() {
            self.settle_partial_head(host);
        } else {
            self.drop_newest(host);
        }
    }

    /// Whether the newest pending request has no complete head yet.
    pub(super) fn has_partial_head(&self) -> bool {
        self.request.attached && matches!(self.request.phase, Phase::Line | Phase::Fields)
    }

    /// Whether the request line being read is complete.
    pub(super) fn has_request_line(&self) -> bool {
        self.request.phase != Phase::Line
    }

    /// Forgets the newest pending request, which turned out not to be one.
    pub(super) fn drop_newest<H: Host>(&mut self, host: &mut H) {
        self.request.attached = false;
        self.request.phase = Phase::Lost;
        if let Some(id) = self.pending.pop_back()
            && id != ExchangeId(0)
        {
            host.discard(id);
        }
    }

    /// The head of the newest request will not be complete before its exchange goes on: what is known of it must do.
    /// The rest of the head, if any comes, is followed and not kept.
    pub(super) fn settle_partial_head<H: Host>(&mut self, host: &mut H) {
        let id = self.owner();
        self.request.attached = false;
        if id != ExchangeId(0) {
            host.request_head(id);
        }
    }

    /// The last pending request has got its response.
    pub(super) fn all_answered(&mut self) {
        self.request.attached = false;
        match self.request.phase {
            // The other protocol was refused.
            Phase::Held => self.request.phase = Phase::Between,
            // A client that waited for leave to send the body may now send it, or may not.
            Phase::Body
                if self.request.head.expects_continue() && !self.request.body.is_started() =>
            {
                self.request.phase = Phase::Lost;
            }
            _ => {}
        }
    }

    /// Whether the only request that waits for its answer is complete and offered HTTP/2.
    pub(super) fn asked_for_h2c(&self) -> bool {
        self.request.phase == Phase::Held && self.pending.is_single() && self.request.head.is_h2c()
    }

    /// The exchange of the request being read; zero when there is none (any more).
    fn owner(&self) -> ExchangeId {
        match self.pending.back() {
            Some(id) if self.request.attached => id,
            _ => ExchangeId(0),
        }
    }

    fn begin_request<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let blank = blank_lines(bytes);
        if blank == bytes.len() {
            return blank;
        }
        if self.closing {
            self.request.phase = Phase::Lost;
            return blank;
        }
        if self.pending.is_full() {
            self.conclude(Cause::Unobserved, now, host);
            return blank;
        }
        let id = host.open(self.role, System::None).unwrap_or_default();
        if id != ExchangeId(0) {
            let ex = host.exchange(id);
            ex.kind = self.role;
            ex.start_ns = now;
        }
        self.pending.push(id);
        self.request.attached = true;
        self.request.line = RequestLine::default();
        self.request.phase = Phase::Line;
        blank
    }

    fn request_line<H: Host>(&mut self, bytes: &[u8], host: &mut H) -> usize {
        let (used, part) = self.request.line.next(bytes);
        let id = self.owner();
        match part {
            Part::More => {}
            Part::Method(method) => append(id, Field::Method, method, VALUE_MAX, host),
            Part::Target(target) => append(id, Field::Target, target, TARGET_MAX, host),
            Part::Done => {
                if id != ExchangeId(0) {
                    host.exchange(id).version = 10 + self.request.line.minor().min(1);
                }
                self.pending.set_method(if self.request.line.is_connect() {
                    Method::Connect
                } else if self.request.line.is_head() {
                    Method::Head
                } else {
                    Method::Other
                });
                self.request.head = Head::default();
                self.request.phase = Phase::Fields;
            }
            Part::Bad => self.drop_newest(host),
        }
        used
    }

    fn request_fields<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let owner = Owner {
            id: self.owner(),
            kind: self.role,
            response: false,
        };
        let (used, progress) = self.request.head.feed(bytes, owner, host);
        match progress {
            Progress::More => {}
            Progress::Done => self.request_head_done(now, host),
            Progress::Bad if self.request.attached => self.drop_newest(host),
            Progress::Bad => self.request.phase = Phase::Lost,
        }
        used
    }

    fn request_head_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let id = self.owner();
        if id != ExchangeId(0) {
            host.request_head(id);
        }
        let head = &self.request.head;
        self.closing |= !head.is_persistent(self.request.line.minor());
        if self.request.line.is_connect() {
            // Content of a CONNECT has no meaning (RFC 9110 section 9.3.6).
            self.request_done();
            return;
        }
        match head.request_framing() {
            Framing::Empty => self.request_done(),
            Framing::Body(body) => {
                self.request.body = body;
                self.request.phase = Phase::Body;
            }
            Framing::Invalid => {
                if self.request.attached {
                    self.request.attached = false;
                    self.pending.pop_back();
                }
                self.request.phase = Phase::Lost;
                if id != ExchangeId(0) {
                    let ex = host.exchange(id);
                    ex.fault = Fault::ProtocolError;
                    ex.end_ns = now.max(ex.start_ns);
                    host.finished(id);
                }
            }
        }
    }

    fn request_body<H: Host>(&mut self, bytes: &[u8], host: &mut H) -> usize {
        let (used, payload, progress) = self.request.body.feed(bytes);
        self.count_request(payload, host);
        match progress {
            Progress::More => {}
            Progress::Done => self.request_done(),
            Progress::Bad => self.request.phase = Phase::Lost,
        }
        used
    }

    fn count_request<H: Host>(&mut self, payload: u64, host: &mut H) {
        let id = self.owner();
        if id != ExchangeId(0) {
            let ex = host.exchange(id);
            ex.request_body = ex.request_body.saturating_add(payload);
        }
    }

    fn request_done(&mut self) {
        let asks_for_another = self.request.line.is_connect() || self.request.head.is_upgrade();
        // Once answered (a refusal: otherwise all were over) nothing holds the next request.
        self.request.phase = if asks_for_another && self.request.attached {
            Phase::Held
        } else {
            Phase::Between
        };
        self.request.attached = false;
    }
}

/// Adds to a text, begun at its first piece.
fn append<H: Host>(id: ExchangeId, field: Field, bytes: &[u8], cap: usize, host: &mut H) {
    if id != ExchangeId(0) {
        let ex = host.exchange(id);
        if ex.text(field).is_none() {
            ex.begin(field);
        }
        ex.append(field, bytes, cap);
    }
}
