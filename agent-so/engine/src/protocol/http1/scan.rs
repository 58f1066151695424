//! A look at a request head before it is written: may a context header go in, and where?

use super::Progress;
use super::head::signs;
use super::lexer::{Lexer, Piece};
use super::line::{Part, RequestLine, blank_lines};
use crate::protocol::outgoing::{Head, Syntax};

/// Length of a `traceparent` of version 00, bytes.
const TRACEPARENT_LEN: usize = 55;

/// What is known after a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Scan {
    /// A request so far; its head has not ended.
    #[default]
    More = 0,
    /// The head has ended, all fields of [`HeadScan`] are valid.
    Complete,
    /// Not a request head of HTTP/1: nothing may be added.
    NotRequest,
}

/// Reads the segments of one outgoing write up to the end of the first request head in them. It allocates
/// nothing and keeps nothing but a `traceparent`; offsets count from the first byte pushed.
#[derive(Clone, Debug)]
pub struct HeadScan {
    /// Just after the LF of the request line, bytes: where a field line is to be spliced in.
    pub line_end: usize,
    /// Just after the LF of the empty line, bytes.
    pub head_len: usize,
    /// The `traceparent` with the offset of its value, when there is exactly one and its value, blanks at the
    /// ends aside, is one run of 55 bytes without blanks. The value is not judged further.
    pub traceparent: Option<(usize, [u8; TRACEPARENT_LEN])>,
    /// Some field is named `traceparent`, in any case and with any value.
    pub has_traceparent: bool,
    /// Some field is named `tracestate`.
    pub has_tracestate: bool,
    /// Some field is named `baggage`.
    pub has_baggage: bool,
    /// The request is signed: AWS Signature Version 4 or HTTP Message Signatures (RFC 9421). Leave it alone.
    pub signed: bool,
    /// The request line ends in LF without CR, so a spliced line should as well.
    pub bare_lf: bool,

    state: Scan,
    in_fields: bool,
    line: RequestLine,
    lexer: Lexer,
    slot: Slot,
    repeated: bool,
    /// Bytes pushed before the current segment.
    pushed: usize,
    value_at: usize,
    /// Bytes of the value so far, with and without the blanks at their end.
    value_len: usize,
    trimmed_len: usize,
    value: [u8; TRACEPARENT_LEN],
}

impl Default for HeadScan {
    fn default() -> Self {
        Self {
            line_end: 0,
            head_len: 0,
            traceparent: None,
            has_traceparent: false,
            has_tracestate: false,
            has_baggage: false,
            signed: false,
            bare_lf: false,
            state: Scan::More,
            in_fields: false,
            line: RequestLine::default(),
            lexer: Lexer::default(),
            slot: Slot::Traceparent,
            repeated: false,
            pushed: 0,
            value_at: 0,
            value_len: 0,
            trimmed_len: 0,
            value: [0; TRACEPARENT_LEN],
        }
    }
}

/// Whose value is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Traceparent,
    Authorization,
}

impl HeadScan {
    /// Reads the next segment. After [`Scan::Complete`] and [`Scan::NotRequest`] nothing changes any more.
    pub fn push(&mut self, bytes: &[u8]) -> Scan {
        if self.state != Scan::More {
            return self.state;
        }
        let progress = if self.in_fields {
            self.fields(bytes, 0)
        } else {
            self.request_line(bytes)
        };
        self.pushed += bytes.len();
        self.state = match progress {
            Progress::More => Scan::More,
            Progress::Done => Scan::Complete,
            Progress::Bad => Scan::NotRequest,
        };
        self.state
    }

    pub(in crate::protocol) fn is_complete(&self) -> bool {
        self.state == Scan::Complete
    }

    /// What was found; valid once complete.
    pub fn head(&self) -> Head {
        Head {
            insert_at: self.line_end,
            len: self.head_len,
            traceparent: self.traceparent.map(|(at, _)| at),
            has_traceparent: self.has_traceparent,
            has_tracestate: self.has_tracestate,
            has_baggage: self.has_baggage,
            signed: self.signed,
            is_partial: false,
            syntax: Syntax::FieldLines,
        }
    }

    fn request_line(&mut self, bytes: &[u8]) -> Progress {
        let mut at = 0;
        if self.line.is_fresh() {
            at = blank_lines(bytes);
        }
        loop {
            let (used, part) = self.line.next(&bytes[at..]);
            at += used;
            match part {
                Part::Method(_) | Part::Target(_) => {}
                Part::More => return Progress::More,
                Part::Bad => return Progress::Bad,
                Part::Done => {
                    self.in_fields = true;
                    self.line_end = self.pushed + at;
                    self.bare_lf = self.line.bare_lf();
                    return self.fields(bytes, at);
                }
            }
        }
    }

    fn fields(&mut self, bytes: &[u8], mut at: usize) -> Progress {
        loop {
            let (used, piece) = self.lexer.next(&bytes[at..]);
            at += used;
            match piece {
                Piece::More => return Progress::More,
                Piece::Bad => return Progress::Bad,
                Piece::End => {
                    self.head_len = self.pushed + at;
                    return Progress::Done;
                }
                Piece::Name => self.name(),
                Piece::Value(value) => self.value(value, bytes, at),
                Piece::ValueEnd => self.value_end(),
            }
        }
    }

    fn name(&mut self) {
        let slot = match self.lexer.name() {
            Some(b"traceparent") => {
                self.repeated = self.has_traceparent;
                self.has_traceparent = true;
                Slot::Traceparent
            }
            Some(b"authorization") => Slot::Authorization,
            Some(b"tracestate") => {
                self.has_tracestate = true;
                return;
            }
            Some(b"baggage") => {
                self.has_baggage = true;
                return;
            }
            Some(b"signature" | b"signature-input") => {
                self.signed = true;
                return;
            }
            _ => return,
        };
        self.slot = slot;
        self.value_len = 0;
        self.trimmed_len = 0;
        self.lexer.want();
    }

    /// `at` is where the lexer stands: behind the value and what it has used of the line end.
    fn value(&mut self, value: &[u8], bytes: &[u8], at: usize) {
        if self.value_len == 0 {
            let line = &bytes[..at];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.value_at = self.pushed + line.len() - value.len();
        }
        for (slot, byte) in self.value.iter_mut().skip(self.value_len).zip(value) {
            *slot = *byte;
        }
        let trimmed = value.trim_ascii_end().len();
        if trimmed > 0 {
            self.trimmed_len = self.value_len + trimmed;
        }
        self.value_len += value.len();
    }

    fn value_end(&mut self) {
        let value = &self.value[..self.trimmed_len.min(TRACEPARENT_LEN)];
        match self.slot {
            Slot::Authorization => self.signed |= signs(value),
            Slot::Traceparent => {
                let whole = self.trimmed_len == TRACEPARENT_LEN
                    && !value.iter().any(u8::is_ascii_whitespace);
                self.traceparent = (whole && !self.repeated).then_some((self.value_at, self.value));
            }
        }
    }
}
