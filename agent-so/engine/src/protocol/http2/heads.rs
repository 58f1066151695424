//! Header blocks begin and end: whose they are, and what they mean for their streams.

use super::block::{Block, What};
use super::frames::END_STREAM;
use super::streams::Open;
use super::{Machine, Sent};
use crate::protocol::{Direction, ExchangeId, Host};

impl Machine {
    /// The header of a HEADERS frame is complete.
    pub(super) fn block_begins<H: Host>(&mut self, dir: Direction, host: &mut H) -> bool {
        if !self.has_wide(host) {
            return false;
        }
        let frames = self.frames[dir as usize];
        let stream = frames.stream();
        let mut block = Block::of_nobody(stream);
        block.end_stream = frames.flags() & END_STREAM != 0;
        block.kind = self.role;
        block.place.lead = frames.lead_len();
        block.place.until = frames.content_end();
        block.place.length = frames.length();
        if dir != self.request_direction() {
            if let Some(open) = self.get(stream, host) {
                block.exchange = open.exchange;
                block.what = if open.answering {
                    What::Trailers
                } else {
                    What::Response
                };
            }
        } else if stream % 2 == 1 && stream > self.newest_stream {
            self.newest_stream = stream;
            // The request before this one may have ended in the same call.
            self.sent = Sent::default();
            block.what = What::Request;
            if host.wide_mut(self.wide).http2.streams.is_full() {
                host.passed_over();
            } else {
                block.exchange = host.open_stream(self.role).unwrap_or_default();
            }
            if block.exchange != ExchangeId(0) {
                let ex = host.exchange(block.exchange);
                ex.kind = self.role;
                ex.version = 20;
                ex.start_ns = frames.ns;
            }
        }
        self.begin(dir, block, host)
    }

    pub(super) fn begin<H: Host>(&mut self, dir: Direction, block: Block, host: &mut H) -> bool {
        let state = &mut host.wide_mut(self.wide).http2;
        state.blocks[dir as usize] = block;
        state.decoders[dir as usize].begin();
        true
    }

    pub(super) fn block_ends<H: Host>(&mut self, dir: Direction, now: u64, host: &mut H) -> bool {
        let state = &mut host.wide_mut(self.wide).http2;
        if !state.decoders[dir as usize].is_between() {
            return false;
        }
        let block = std::mem::take(&mut state.blocks[dir as usize]);
        if block.exchange == ExchangeId(0) {
            return true;
        }
        match block.what {
            What::Nothing => {}
            What::Request => self.request_head(block, host),
            What::Response => {
                let streams = &mut host.wide_mut(self.wide).http2.streams;
                let open = streams.get(block.stream);
                let Some(open) = open.filter(|_| !block.is_interim()) else {
                    if block.end_stream {
                        self.answered(block.stream, now, host);
                    }
                    return true;
                };
                open.answering = true;
                let tunnel = open.connect && (200..300).contains(&block.status);
                let ex = host.exchange(block.exchange);
                ex.status = block.status;
                if ex.rpc {
                    ex.rpc_status = block.rpc_status;
                }
                if block.end_stream || tunnel {
                    self.answered(block.stream, now, host);
                }
            }
            What::Trailers => {
                let ex = host.exchange(block.exchange);
                if ex.rpc {
                    ex.rpc_status = block.rpc_status;
                }
                if block.end_stream {
                    self.answered(block.stream, now, host);
                }
            }
        }
        true
    }

    fn request_head<H: Host>(&mut self, block: Block, host: &mut H) {
        let id = block.exchange;
        let ex = host.exchange(id);
        let Some(connect) = block.complete(ex) else {
            // No request: an error of this stream alone (RFC 9113 section 8.1.1).
            return host.discard(id);
        };
        if !host.wants(id) {
            return host.discard(id);
        }
        let ex = host.exchange(id);
        let deadline_ns = match block.timeout_ns {
            0 => 0,
            timeout => ex.start_ns.saturating_add(timeout),
        };
        self.sent = Sent {
            exchange: id,
            ..block.place.sent()
        };
        self.altered |= self.sent.adds_traceparent();
        host.request_head(id);
        let open = Open {
            stream: block.stream,
            exchange: id,
            connect,
            deadline_ns,
            ..Open::default()
        };
        self.add(open, host);
    }
}
