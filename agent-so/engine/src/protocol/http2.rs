//! HTTP/2 (RFC 9113): every stream of one connection becomes an exchange of its own.
//!
//! Nothing is buffered: frames and header blocks are read piece by piece, the texts of interest go straight into the exchange,
//! DATA is only counted. A connection is HTTP/2 if it begins with the client's preface, whether or not the server has spoken
//! before; the server's first frame must be SETTINGS as well. An exchange ends with the last byte of the server's side of
//! its stream, or when the stream is reset. Pushed responses are passed over.
//!
//! Limits: 512 requests of one connection are followed at once, more are passed over ([`Host::passed_over`]); of a dynamic table
//! larger than 8192 bytes the newest entries are known, and what refers to others is an unknown field; names above 48
//! bytes are not told; a block of more than 64 CONTINUATION frames, and anything that is an error of the whole connection,
//! ends the following. Header blocks may have any length.

pub mod arrivals;
mod block;
mod ends;
mod frames;
mod grpc;
mod heads;
mod hpack;
mod huffman;
mod probe;
pub(super) mod scan;
mod streams;
mod table;
#[cfg(test)]
mod tests;

use super::outgoing::BlockEdit;
use super::wide::WideId;
use super::{Direction, Ended, ExchangeId, Host};
use crate::context::TRACEPARENT_LEN;
use crate::exchange::{Fault, Kind};
use arrivals::Arrivals;
use block::Block;
pub(super) use probe::{PREFIX_MAX, probe};

use ends::Cause;
use frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frames, GOAWAY, HEADERS, PUSH_PROMISE, Piece, RST_STREAM,
    SETTINGS, number,
};
use hpack::{Decoder, Form};
use scan::FrameScan;
use streams::{Open, Streams};

/// What the client begins with.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest payload that a peer accepts that has not said anything else.
const FRAME_SIZE: u32 = 16_384;
/// The settings that are of interest (RFC 9113 section 6.5.2).
const MAX_FRAME_SIZE: u32 = 5;

/// Where an offset in a frame's payload is in the frame.
pub(super) fn in_frame(offset: u32) -> usize {
    frames::HEADER + offset as usize
}

/// What a connection keeps in its [`super::wide::Wide`].
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct State {
    blocks: [Block; 2],
    streams: Streams,
    decoders: [Decoder; 2],
}

impl State {
    pub(super) fn reset(&mut self) {
        self.blocks = [Block::default(); 2];
        self.streams.reset();
        for decoder in &mut self.decoders {
            decoder.reset();
        }
    }

    pub(super) fn exchange_on(&self, stream: u32) -> Option<ExchangeId> {
        self.streams.find(stream).map(|open| open.exchange)
    }

    pub(super) fn open_exchanges(&self) -> impl Iterator<Item = ExchangeId> {
        self.streams.all().iter().map(|open| open.exchange)
    }
}

/// The state of one HTTP/2 connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Machine {
    role: Kind,
    /// Nothing more is to be learned, and no exchange is open.
    over: bool,
    /// Bytes of the client's preface seen.
    preface: u8,
    /// The first failure on the way to the server: responses may come all the same.
    fault: Fault,
    /// Open exchanges whose heads are complete.
    open: u16,
    /// Zero until the first header block.
    wide: WideId,
    /// The highest stream on which a request began.
    newest_stream: u32,
    /// The newest exchange that is open.
    newest: ExchangeId,
    /// What the peer accepts as a payload; 0: nothing was said.
    frame_size: u32,
    frames: [Frames; 2],
    /// The request sent last.
    sent: Sent,
    /// A `traceparent` has become an entry of the peer's table, perhaps with another value than the program gave it.
    altered: bool,
}

/// The shape of the header block of a request, for those who want to add to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) exchange: ExchangeId,
    /// Payload of its first frame, bytes.
    pub(super) length: u32,
    /// How much of that stands in front of the place where fields may be added; 0: nowhere.
    pub(super) place: u32,
    /// The `traceparent`, or only its value where it becomes an entry of the table: begin and end in the payload.
    pub(super) traceparent: [u32; 2],
    form: Form,
    pub(super) frame_size: u32,
}

impl Sent {
    /// Whether its `traceparent` becomes an entry of the table.
    pub(super) fn adds_traceparent(&self) -> bool {
        self.form == Form::Added
    }

    /// An edit of its first frame, without the place.
    pub(super) fn edit(&self) -> BlockEdit {
        BlockEdit {
            length: self.length as usize,
            most: self.frame_size as usize,
            ..BlockEdit::default()
        }
    }
}

impl Machine {
    pub(super) fn new(role: Kind) -> Self {
        Self {
            role,
            ..Self::default()
        }
    }

    /// The connection made way for HTTP/2 when `exchange` (zero: not recorded) asked for it.
    pub(super) fn upgraded<H: Host>(
        role: Kind,
        exchange: ExchangeId,
        now: u64,
        host: &mut H,
    ) -> Self {
        let mut machine = Self {
            role,
            newest_stream: 1,
            ..Self::default()
        };
        if exchange != ExchangeId(0) {
            host.exchange(exchange).version = 20;
            let open = Open {
                stream: 1,
                exchange,
                ..Open::default()
            };
            if machine.has_wide(host) {
                machine.add(open, host);
            } else {
                machine.finish(open, Fault::None, now, host);
            }
        }
        machine
    }

    /// The role, once it is certain.
    pub(super) fn role(&self) -> Option<Kind> {
        self.is_proven().then_some(self.role)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the client's preface was seen, or HTTP/1 has led here.
    pub(super) fn is_proven(&self) -> bool {
        usize::from(self.preface) == PREFACE.len() || self.newest_stream > 0
    }

    /// Number of open exchanges.
    pub(super) fn open(&self) -> usize {
        self.open.into()
    }

    pub(super) fn newest(&self) -> Option<ExchangeId> {
        (self.newest != ExchangeId(0)).then_some(self.newest)
    }

    pub(super) fn wide(&self) -> Option<WideId> {
        (self.wide != WideId(0)).then_some(self.wide)
    }

    /// A reader for what the program is about to send.
    pub(super) fn scan(&self) -> Option<FrameScan> {
        (self.role == Kind::Client && !self.over).then(|| {
            FrameScan::new(
                self.preface,
                self.frames[Direction::Out as usize],
                self.newest_stream,
            )
        })
    }

    /// Where requests would be in what is read next.
    pub(super) fn arrivals(&self) -> Option<Arrivals> {
        let frames = &self.frames[Direction::In as usize];
        if self.role != Kind::Server || self.over {
            return None;
        }
        Arrivals::new(self.preface, frames, self.newest_stream)
    }

    /// The shape of the request whose head was fed last.
    pub(super) fn sent(&self) -> Option<Sent> {
        let frame_size = if self.frame_size == 0 {
            FRAME_SIZE
        } else {
            self.frame_size
        };
        (self.sent.exchange != ExchangeId(0) && self.sent.place != 0).then_some(Sent {
            frame_size,
            ..self.sent
        })
    }

    /// How the `traceparent` of that request may be replaced; `text` is what it says.
    pub(super) fn replacement(&self, sent: &Sent, text: Option<&[u8]>) -> Option<BlockEdit> {
        let [from, to] = sent.traceparent.map(in_frame);
        let added = sent.form == Form::Added;
        // Entries have to stay as large as both sides believe.
        let fits = !added || text.is_some_and(|text| text.len() == TRACEPARENT_LEN);
        (sent.traceparent[1] > 0 && fits).then_some(BlockEdit {
            keep: from,
            skip: to,
            value_only: added,
            restates: sent.form == Form::Indexed && self.altered,
            ..sent.edit()
        })
    }

    pub(super) fn can_start_request(&self, dir: Direction) -> bool {
        self.role == Kind::Client
            && dir == Direction::Out
            && self.is_proven()
            && !self.over
            && self.frames[dir as usize].is_between()
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        if dir == Direction::Out && !bytes.is_empty() {
            self.sent = Sent::default();
        }
        if dir == self.request_direction() && usize::from(self.preface) < PREFACE.len() {
            let expected = &PREFACE[usize::from(self.preface)..];
            let count = expected.len().min(rest.len());
            if rest[..count] != expected[..count] {
                return self.conclude(Cause::Unobserved, now, host);
            }
            self.preface += count as u8;
            rest = &rest[count..];
        }
        while !self.over {
            let (used, piece) = self.frames[dir as usize].next(rest, now);
            rest = &rest[used..];
            let followed = match piece {
                Piece::More => return,
                Piece::Lead => self.lead(dir, now, host),
                Piece::Content(bytes) => self.content(dir, bytes, host),
                Piece::End => self.frame_ends(dir, now, host),
                Piece::Bad => false,
            };
            if !followed {
                self.conclude(Cause::Unobserved, now, host);
            }
        }
    }

    /// Passes over `n` bytes that were not seen. Outside of DATA the thread is lost.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        match self.frames[dir as usize].skip(n) {
            Some(content) => {
                self.count(dir, content, host);
                // The frame, and with it the stream, may have ended.
                self.feed(dir, &[], now, host);
            }
            None => self.conclude(Cause::Unobserved, now, host),
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
        } else if !self.is_proven() {
            self.over = true;
        } else {
            self.drop_partial(host);
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

    /// What stands in front of a frame's content is complete. False: this connection cannot be followed.
    fn lead<H: Host>(&mut self, dir: Direction, now: u64, host: &mut H) -> bool {
        let frames = self.frames[dir as usize];
        let requests = dir == self.request_direction();
        match (frames.kind(), frames.lead()) {
            (HEADERS, _) => return self.block_begins(dir, host),
            (PUSH_PROMISE, _) => {
                // Only servers push.
                return !requests
                    && self.has_wide(host)
                    && self.begin(dir, Block::of_nobody(frames.stream()), host);
            }
            (CONTINUATION, _) => {}
            (SETTINGS, [high, low, value @ ..])
                if frames.flags() & ACK == 0
                    && dir == Direction::In
                    && number(&[*high, *low]) == MAX_FRAME_SIZE =>
            {
                self.frame_size = number(value).max(FRAME_SIZE);
            }
            (RST_STREAM, code) => self.reset(dir, frames.stream(), number(code), now, host),
            (GOAWAY, [last @ .., _, _, _, _]) if !requests => {
                self.give_up_above(number(last) & 0x7fff_ffff, now, host);
            }
            _ => {}
        }
        true
    }

    fn content<H: Host>(&mut self, dir: Direction, bytes: &[u8], host: &mut H) -> bool {
        match self.frames[dir as usize].kind() {
            DATA => self.count(dir, bytes.len() as u64, host),
            HEADERS | CONTINUATION | PUSH_PROMISE => {
                return bytes.is_empty() || block::fragment(self.wide, dir, bytes, host);
            }
            _ => {}
        }
        true
    }

    fn frame_ends<H: Host>(&mut self, dir: Direction, now: u64, host: &mut H) -> bool {
        let frames = self.frames[dir as usize];
        if frames.ends_block() {
            return self.block_ends(dir, now, host);
        }
        if frames.kind() == DATA
            && frames.flags() & END_STREAM != 0
            && dir != self.request_direction()
        {
            self.answered(frames.stream(), now, host);
        }
        true
    }

    fn count<H: Host>(&mut self, dir: Direction, n: u64, host: &mut H) {
        let stream = self.frames[dir as usize].stream();
        let Some(open) = self.get(stream, host) else {
            return;
        };
        let ex = host.exchange(open.exchange);
        let body = if dir == self.request_direction() {
            &mut ex.request_body
        } else {
            &mut ex.response_body
        };
        *body = body.saturating_add(n);
    }

    fn add<H: Host>(&mut self, open: Open, host: &mut H) {
        host.wide_mut(self.wide).http2.streams.push(open);
        self.open += 1;
        self.newest = open.exchange;
    }

    fn has_wide<H: Host>(&mut self, host: &mut H) -> bool {
        if self.wide == WideId(0) {
            self.wide = host.wide().unwrap_or_default();
        }
        self.wide != WideId(0)
    }

    fn get<H: Host>(&self, stream: u32, host: &mut H) -> Option<Open> {
        if self.open == 0 {
            return None;
        }
        let state = &mut host.wide_mut(self.wide()?).http2;
        state.streams.get(stream).copied()
    }

    fn remove<H: Host>(&mut self, stream: u32, host: &mut H) -> Option<Open> {
        let state = &mut host.wide_mut(self.wide()?).http2;
        let open = state.streams.remove(stream)?;
        self.removed(open);
        // A block of the other direction may be under way.
        let state = &mut host.wide_mut(self.wide).http2;
        for block in &mut state.blocks {
            if block.exchange == open.exchange {
                block.exchange = ExchangeId(0);
            }
        }
        Some(open)
    }

    fn removed(&mut self, open: Open) {
        self.open -= 1;
        if self.newest == open.exchange {
            self.newest = ExchangeId(0);
        }
        if self.sent.exchange == open.exchange {
            self.sent = Sent::default();
        }
    }
}
