//! The way of the responses, and the ends of exchanges.

use super::body::Body;
use super::head::{Framing, Head};
use super::line::{StatusLine, blank_lines};
use super::pending::Method;
use super::{Cause, Machine, Progress};
use crate::exchange::{Fault, Kind};
use crate::protocol::fields::Owner;
use crate::protocol::{ExchangeId, Host};

/// Where the responses stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Response {
    phase: Phase,
    /// The response being read answers no request that was seen.
    orphan: bool,
    line: StatusLine,
    head: Head,
    body: Body,
    /// When the last byte passed, monotonic nanoseconds.
    last_ns: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between responses.
    #[default]
    Between = 0,
    Line,
    Fields,
    Body,
}

impl Response {
    /// An interim response (RFC 9110 section 15.2); 101 is final in that no other follows in HTTP/1.
    fn is_interim(&self) -> bool {
        self.line.status() < 200 && self.line.status() != 101
    }
}

impl Machine {
    pub(super) fn feed_response<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        if !rest.is_empty() {
            self.response.last_ns = now;
        }
        while !rest.is_empty() && !self.over {
            let used = match self.response.phase {
                Phase::Between => self.begin_response(rest, now, host),
                Phase::Line => self.status_line(rest, now, host),
                Phase::Fields => self.response_fields(rest, now, host),
                Phase::Body => self.response_body(rest, now, host),
            };
            rest = &rest[used..];
        }
        // One call of the kernel moves less than 2^31 bytes.
        self.beyond = rest.len() as u32;
    }

    /// False when it cannot be told where the unseen bytes lead.
    pub(super) fn skip_response<H: Host>(&mut self, n: u64, now: u64, host: &mut H) -> bool {
        if self.response.phase != Phase::Body {
            return false;
        }
        let Some(progress) = self.response.body.skip(n) else {
            return false;
        };
        self.response.last_ns = now;
        self.count_response(n, host);
        if progress == Progress::Done {
            self.response_done(now, host);
        }
        true
    }

    /// Finishes all that is open, because no more will be seen.
    ///
    /// A request without any response has no status and, unless a call failed, no fault: nothing is made up. A
    /// response that was broken off is a fault, unless it was our own program that did not want the rest.
    pub(super) fn conclude<H: Host>(&mut self, cause: Cause, now: u64, host: &mut H) {
        let fault = if cause == Cause::Unobserved {
            Fault::None
        } else {
            self.fault
        };
        let until_close = self.response.phase == Phase::Body && self.response.body.is_until_close();
        let broken = self.answering()
            && !until_close
            && match cause {
                Cause::Closed => self.role == Kind::Server,
                Cause::ResponseEof | Cause::Failed => true,
                Cause::Unobserved => false,
            };
        let (mut next_fault, mut next_end) = (fault, now);
        if broken && fault == Fault::None {
            next_fault = Fault::ResponseTruncated;
        }
        if self.answering() && until_close && self.role == Kind::Server && fault == Fault::None {
            next_end = self.response.last_ns;
        }
        self.end_partial_head(fault, host);
        while !self.pending.is_empty() {
            self.finish_oldest(next_fault, next_end, host);
            (next_fault, next_end) = (fault, now);
        }
        self.over = true;
    }

    /// Whether some of the final response to the oldest pending request was seen.
    fn answering(&self) -> bool {
        match self.response.phase {
            Phase::Between => false,
            Phase::Line => !self.response.orphan,
            Phase::Fields | Phase::Body => !self.response.orphan && !self.response.is_interim(),
        }
    }

    /// The exchange being answered; zero when there is none.
    fn answered(&self) -> (ExchangeId, Method) {
        match self.pending.front() {
            Some(front) if !self.response.orphan => front,
            _ => (ExchangeId(0), Method::Other),
        }
    }

    fn begin_response<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let blank = blank_lines(bytes);
        if blank == bytes.len() {
            return blank;
        }
        self.response.orphan = match self.pending.front() {
            None => true,
            // The request being read is the oldest one.
            Some(_) if self.has_partial_head() && self.pending.is_single() => {
                if !self.has_request_line() {
                    // Answered before it was a request: whatever this is, it is not HTTP as we know it.
                    self.conclude(Cause::Unobserved, now, host);
                    return blank;
                }
                self.settle_partial_head(host);
                false
            }
            Some(_) => false,
        };
        self.response.line = StatusLine::default();
        self.response.phase = Phase::Line;
        blank
    }

    fn status_line<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let (used, progress) = self.response.line.feed(bytes);
        match progress {
            Progress::More => {}
            Progress::Done => {
                let (id, _) = self.answered();
                if id != ExchangeId(0) && !self.response.is_interim() {
                    host.exchange(id).status = self.response.line.status();
                }
                self.response.head = Head::default();
                self.response.phase = Phase::Fields;
            }
            Progress::Bad => self.response_invalid(now, host),
        }
        used
    }

    fn response_fields<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let (mut id, _) = self.answered();
        if self.response.is_interim() {
            id = ExchangeId(0);
        }
        let owner = Owner {
            id,
            kind: self.role,
            response: true,
        };
        let (used, progress) = self.response.head.feed(bytes, owner, host);
        match progress {
            Progress::More => {}
            Progress::Done => self.response_head_done(now, host),
            Progress::Bad => self.response_invalid(now, host),
        }
        used
    }

    fn response_head_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let status = self.response.line.status();
        let (_, method) = self.answered();
        if self.response.is_interim() {
            self.response.phase = Phase::Between;
            return;
        }
        if status == 101 || method == Method::Connect && (200..300).contains(&status) {
            // From here on the connection belongs to another protocol (RFC 9110 sections 7.8 and 9.3.6).
            if status == 101 && self.response.head.is_h2c() && self.asked_for_h2c() {
                let (id, _) = self.answered();
                if id != ExchangeId(0) {
                    host.exchange(id).status = 0;
                }
                self.h2c = true;
                self.over = true;
                self.tunnel = true;
                return;
            }
            self.response_done(now, host);
            self.conclude(Cause::Unobserved, now, host);
            self.tunnel = true;
            return;
        }
        self.closing |= !self.response.head.is_persistent(self.response.line.minor());
        if method == Method::Head || matches!(status, 204 | 304) {
            self.response_done(now, host);
            return;
        }
        match self.response.head.response_framing() {
            Framing::Empty => self.response_done(now, host),
            Framing::Body(body) if self.response.orphan && body.is_until_close() => {
                self.conclude(Cause::Unobserved, now, host);
            }
            Framing::Body(body) => {
                self.response.body = body;
                self.response.phase = Phase::Body;
            }
            Framing::Invalid => self.response_invalid(now, host),
        }
    }

    fn response_body<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let (used, payload, progress) = self.response.body.feed(bytes);
        self.count_response(payload, host);
        match progress {
            Progress::More => {}
            Progress::Done => self.response_done(now, host),
            Progress::Bad => self.response_invalid(now, host),
        }
        used
    }

    fn count_response<H: Host>(&mut self, payload: u64, host: &mut H) {
        let (id, _) = self.answered();
        if id != ExchangeId(0) {
            let ex = host.exchange(id);
            ex.response_body = ex.response_body.saturating_add(payload);
        }
    }

    fn response_done<H: Host>(&mut self, now: u64, host: &mut H) {
        self.response.phase = Phase::Between;
        if !self.response.orphan {
            self.finish_oldest(Fault::None, now, host);
        }
    }

    /// The response cannot be read as one: its exchange is at fault, those behind it are out of sight.
    fn response_invalid<H: Host>(&mut self, now: u64, host: &mut H) {
        self.response.phase = Phase::Between;
        if !self.response.orphan {
            self.finish_oldest(Fault::ProtocolError, now, host);
        }
        self.conclude(Cause::Unobserved, now, host);
    }

    fn finish_oldest<H: Host>(&mut self, fault: Fault, end_ns: u64, host: &mut H) {
        let Some(id) = self.pending.pop_front() else {
            return;
        };
        if id != ExchangeId(0) {
            let ex = host.exchange(id);
            ex.fault = fault;
            ex.end_ns = end_ns.max(ex.start_ns);
            host.finished(id);
        }
        if self.pending.is_empty() {
            self.all_answered();
        }
    }
}
