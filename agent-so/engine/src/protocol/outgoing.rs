//! A look at what a program is about to write: does a request begin there whose head is whole, and where may a context
//! go in?

use super::fastcgi::scan::ParamsScan;
use super::http1::scan::HeadScan;
pub use super::http1::scan::Scan;

/// How a context is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Field lines of HTTP/1.
    FieldLines,
    /// A record of FastCGI parameters, for the request with this id.
    Params(u16),
}

/// The head of a request. Offsets are bytes from the first one looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where a context is to be spliced in.
    pub insert_at: usize,
    /// Where the head ends.
    pub len: usize,
    /// The value of the `traceparent`, where there is exactly one and it stands there in one run of 55 bytes. The value is
    /// not judged further.
    pub traceparent: Option<usize>,
    /// There is some `traceparent`, with any value.
    pub has_traceparent: bool,
    /// There is some `tracestate`.
    pub has_tracestate: bool,
    /// There is some `baggage`.
    pub has_baggage: bool,
    /// The request is signed (AWS Signature Version 4, HTTP Message Signatures): leave it alone.
    pub signed: bool,
    /// The head goes on in another write, but a `traceparent` that may be replaced stands in this one. Nothing can be
    /// inserted. See [`super::Stream::settle_head`].
    pub is_partial: bool,
    /// How a context is to be written.
    pub syntax: Syntax,
}

/// Reads the segments of one outgoing write up to the end of the first request's head in them. It allocates nothing.
#[derive(Clone, Debug)]
pub struct RequestScan(Reader);

#[derive(Clone, Debug)]
enum Reader {
    /// The first byte tells the protocol.
    Unknown,
    Http1(HeadScan),
    FastCgi(ParamsScan),
}

impl RequestScan {
    /// For a connection on which nothing has passed.
    pub(super) fn unknown() -> Self {
        Self(Reader::Unknown)
    }

    pub(super) fn http1() -> Self {
        Self(Reader::Http1(HeadScan::default()))
    }

    pub(super) fn fastcgi(scan: ParamsScan) -> Self {
        Self(Reader::FastCgi(scan))
    }

    /// Reads the next segment. After [`Scan::Complete`] and [`Scan::NotRequest`] nothing changes any more.
    pub fn push(&mut self, bytes: &[u8]) -> Scan {
        if let (Reader::Unknown, Some(first)) = (&self.0, bytes.first()) {
            *self = if *first == 1 {
                Self::fastcgi(ParamsScan::default())
            } else {
                Self::http1()
            };
        }
        match &mut self.0 {
            Reader::Unknown => Scan::More,
            Reader::Http1(scan) => scan.push(bytes),
            Reader::FastCgi(scan) => scan.push(bytes),
        }
    }

    /// What was found; `None` unless the head is complete, or ([`Head::is_partial`]) as good as.
    pub fn head(&self) -> Option<Head> {
        match &self.0 {
            Reader::Http1(scan) if scan.is_complete() => Some(scan.head()),
            Reader::FastCgi(scan) if scan.is_complete() || scan.carries_whole() => {
                Some(scan.head())
            }
            _ => None,
        }
    }
}
