//! The ends of exchanges.

use super::Machine;
use super::block::What;
use super::grpc;
use super::streams::Open;
use crate::exchange::{Fault, Kind};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, ExchangeId, Host};

/// Why nothing more will be seen of the open exchanges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The program closed the connection.
    Closed,
    /// The way of the responses ended.
    Ended,
    /// What passes cannot be followed any more.
    Unobserved,
}

impl Machine {
    /// The server's side of a stream has ended.
    pub(super) fn answered<H: Host>(&mut self, stream: u32, now: u64, host: &mut H) {
        let Some(open) = self.remove(stream, host) else {
            return;
        };
        let ex = host.exchange(open.exchange);
        if ex.rpc && ex.rpc_status == 0 {
            ex.rpc_status = grpc::of_http(ex.status);
        }
        let fault = if open.answering {
            Fault::None
        } else {
            // DATA without HEADERS.
            Fault::ProtocolError
        };
        self.finish(open, fault, now, host);
    }

    pub(super) fn reset<H: Host>(
        &mut self,
        dir: Direction,
        stream: u32,
        code: u32,
        now: u64,
        host: &mut H,
    ) {
        let Some(open) = self.remove(stream, host) else {
            return;
        };
        let by_client = dir == self.request_direction();
        let ex = host.exchange(open.exchange);
        if ex.rpc && ex.rpc_status == 0 {
            let late = by_client && self.role == Kind::Client && open.deadline_ns != 0;
            ex.rpc_status = grpc::of_reset(
                code,
                late && grpc::is_due(open.deadline_ns, ex.start_ns, now),
            );
        }
        let fault = match code {
            grpc::REFUSED_STREAM => Fault::StreamRefused,
            // The client does not want the rest, which is no fault of anybody's.
            grpc::NO_ERROR | grpc::CANCEL if by_client => Fault::None,
            _ => Fault::StreamReset,
        };
        self.finish(open, fault, now, host);
    }

    /// The server says that it will not look at the requests on streams above `last`.
    pub(super) fn give_up_above<H: Host>(&mut self, last: u32, now: u64, host: &mut H) {
        while let Some(wide) = self.wide()
            && let Some(newest) = host.wide_mut(wide).http2.streams.newest_above(last)
            && let Some(open) = self.remove(newest, host)
        {
            let ex = host.exchange(open.exchange);
            if ex.rpc && ex.rpc_status == 0 {
                ex.rpc_status = grpc::UNAVAILABLE;
            }
            self.finish(open, Fault::StreamRefused, now, host);
        }
    }

    /// A request whose head will not be completed was none.
    pub(super) fn drop_partial<H: Host>(&mut self, host: &mut H) {
        let Some(wide) = self.wide() else { return };
        let dir = self.request_direction() as usize;
        let block = &mut host.wide_mut(wide).http2.blocks[dir];
        let (what, id) = (block.what, block.exchange);
        block.exchange = ExchangeId(0);
        if what == What::Request && id != ExchangeId(0) {
            host.discard(id);
        }
    }

    /// Finishes what is open, because no more will be seen of it. As in HTTP/1 nothing is made up: a request without any
    /// response has no status and, unless a call failed, no fault; a response that was broken off is a fault, unless it
    /// was our own program that did not want the rest.
    pub(super) fn conclude<H: Host>(&mut self, cause: Cause, now: u64, host: &mut H) {
        self.over = true;
        self.drop_partial(host);
        let Some(wide) = self.wide() else { return };
        while let Some(open) = host.wide_mut(wide).http2.streams.pop_oldest() {
            self.removed(open);
            let broken = open.answering
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
            let ex = host.exchange(open.exchange);
            if ex.rpc && ex.rpc_status == 0 && self.role == Kind::Client && cause == Cause::Ended {
                ex.rpc_status = grpc::UNAVAILABLE;
            }
            self.finish(open, fault, now, host);
        }
        self.wide = WideId(0);
        host.release_wide(wide);
    }

    pub(super) fn finish<H: Host>(&mut self, open: Open, fault: Fault, now: u64, host: &mut H) {
        let ex = host.exchange(open.exchange);
        ex.fault = fault;
        ex.end_ns = now.max(ex.start_ns);
        host.finished(open.exchange);
    }
}
