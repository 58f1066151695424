//! A look at a request's parameters before they are written: may a context go in, and where?

use super::pairs::{self, Pairs};
use super::params::Carries;
use super::record::{BEGIN_REQUEST, PARAMS, Piece, Records, STDIN};
use super::{Machine, Phase};
use crate::context::TRACEPARENT_LEN;
use crate::exchange::Kind;
use crate::protocol::http1::head::signs;
use crate::protocol::outgoing::{Head, Scan, Syntax};

/// Reads one outgoing write up to the empty record that ends the parameters. In front of that record another one of
/// parameters can stand, whatever the program wrote before: so the web servers that write them in several calls are served
/// too, and bytes of the program always follow ours. Offsets count from the first byte pushed.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct ParamsScan {
    state: Scan,
    begun: bool,
    id: u16,
    records: Records,
    pairs: Pairs,
    carries: Carries,
    /// Bytes pushed, up to where the reading stands.
    at: usize,
    /// Where the record under way began, if that is in these bytes.
    record_at: Option<usize>,
    insert_at: usize,
    slot: Slot,
    /// Where the value being read began, and how much of it was seen without a gap.
    value_at: usize,
    value_len: usize,
    /// The start of the value.
    token: [u8; TOKEN_MAX],
    traceparent: Option<usize>,
}

/// As much of credentials as tells a signature.
const TOKEN_MAX: usize = 10;

/// Whose value is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Nowhere,
    Traceparent,
    Authorization,
}

impl ParamsScan {
    /// Reads the next segment. After [`Scan::Complete`] and [`Scan::NotRequest`] nothing changes any more.
    pub(in crate::protocol) fn push(&mut self, bytes: &[u8]) -> Scan {
        let mut rest = bytes;
        while self.state == Scan::More {
            if self.records.is_between() && !rest.is_empty() {
                self.record_at = Some(self.at);
            }
            let (used, piece) = self.records.next(rest);
            rest = &rest[used..];
            let content_at = self.at;
            self.at += used;
            match piece {
                Piece::More => break,
                Piece::Padded => {}
                Piece::Bad => self.state = Scan::NotRequest,
                Piece::Start => self.start(),
                Piece::Content(content) => {
                    if self.is_params() {
                        self.params(content, content_at + used - content.len());
                    }
                }
                Piece::End => self.end(),
            }
        }
        self.state
    }

    pub(in crate::protocol) fn is_complete(&self) -> bool {
        self.state == Scan::Complete
    }

    /// Whether the head goes on in another write, but a context that may be replaced stands in this one. The servers that
    /// write the parameters in several calls (Apache) pass it on so.
    pub(in crate::protocol) fn carries_whole(&self) -> bool {
        self.state == Scan::More
            && self.traceparent.is_some()
            && self.records.is_between()
            && self.pairs.is_between()
    }

    /// What was found; valid once complete, or while a context stands whole in it.
    pub(in crate::protocol) fn head(&self) -> Head {
        Head {
            insert_at: self.insert_at,
            len: self.at,
            traceparent: self.traceparent,
            has_traceparent: self.carries.traceparent,
            has_tracestate: self.carries.tracestate,
            has_baggage: self.carries.baggage,
            signed: self.carries.signature,
            is_partial: !self.is_complete(),
            syntax: Syntax::Params(self.id),
        }
    }

    fn is_params(&self) -> bool {
        self.records.kind() == PARAMS && self.records.id() == self.id
    }

    fn start(&mut self) {
        let mine = self.records.id() == self.id;
        match self.records.kind() {
            BEGIN_REQUEST if !self.begun => {}
            _ if !self.begun => self.state = Scan::NotRequest,
            BEGIN_REQUEST => self.state = Scan::NotRequest,
            STDIN if mine => self.state = Scan::NotRequest,
            _ => {}
        }
    }

    fn end(&mut self) {
        if self.records.kind() == BEGIN_REQUEST {
            self.begun = true;
            self.id = self.records.id();
        } else if self.is_params() && self.records.len() == 0 {
            self.state = match self.record_at {
                Some(at) if self.pairs.is_between() => {
                    self.insert_at = at;
                    Scan::Complete
                }
                _ => Scan::NotRequest,
            };
        }
    }

    /// `at` is where `content` begins.
    fn params(&mut self, content: &[u8], mut at: usize) {
        let mut rest = content;
        loop {
            let (used, piece) = self.pairs.next(rest);
            rest = &rest[used..];
            at += used;
            match piece {
                pairs::Piece::More => return,
                pairs::Piece::Name => self.name(),
                pairs::Piece::Value(value) => self.value(value, at - value.len()),
                pairs::Piece::ValueEnd => self.value_end(),
            }
        }
    }

    fn name(&mut self) {
        self.slot = match self.pairs.name() {
            Some(b"HTTP_TRACEPARENT") => {
                // One of several is not replaced, nor is one whose length does not fit.
                self.traceparent = None;
                let first = !std::mem::replace(&mut self.carries.traceparent, true);
                if !first || self.pairs.value_left() as usize != TRACEPARENT_LEN {
                    return;
                }
                Slot::Traceparent
            }
            Some(b"HTTP_AUTHORIZATION") => Slot::Authorization,
            Some(name) => return self.carries.note(name),
            None => return,
        };
        self.value_len = 0;
        self.token = [0; TOKEN_MAX];
        self.pairs.want();
    }

    /// `from` is where these bytes of the value stand.
    fn value(&mut self, value: &[u8], from: usize) {
        if self.value_len == 0 {
            self.value_at = from;
        }
        for (slot, byte) in self.token.iter_mut().skip(self.value_len).zip(value) {
            *slot = *byte;
        }
        if from == self.value_at + self.value_len {
            self.value_len += value.len();
        }
    }

    fn value_end(&mut self) {
        match self.slot {
            Slot::Traceparent if self.value_len == TRACEPARENT_LEN => {
                self.traceparent = Some(self.value_at);
            }
            Slot::Authorization => self.carries.signature |= signs(&self.token),
            _ => {}
        }
        self.slot = Slot::Nowhere;
    }
}

impl Machine {
    /// For a client that may begin a request with the next byte, or stands in the parameters of one.
    pub(in crate::protocol) fn scan(&self) -> Option<ParamsScan> {
        if self.role != Kind::Client || self.over {
            return None;
        }
        match self.phase {
            Phase::Idle if self.requests.is_between() => Some(ParamsScan::default()),
            Phase::Params => Some(ParamsScan {
                begun: true,
                id: self.id,
                records: self.requests,
                pairs: self.params.pairs(),
                carries: self.params.carries(),
                ..ParamsScan::default()
            }),
            _ => None,
        }
    }
}
