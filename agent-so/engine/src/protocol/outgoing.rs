//! A look at what a program is about to write: does a request begin there whose head is whole, and where may a context
//! go in?

use super::fastcgi::scan::ParamsScan;
use super::http1::scan::HeadScan;
pub use super::http1::scan::Scan;
use super::http2;
use super::http2::scan::FrameScan;

/// How a context is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Field lines of HTTP/1.
    FieldLines,
    /// A record of FastCGI parameters, for the request with this id.
    Params(u16),
    /// Fields of an HTTP/2 header block. A [`Head`] only says where once it was completed: see
    /// [`super::Stream::complete_head`].
    HeaderBlock(BlockEdit),
}

/// How the first frame of a header block is changed: the new frame, as far as it differs, stands in place of the front of the
/// program's. It begins with the first `keep` bytes of that, of which the length has to be corrected; then come the
/// fields, and then the program's frame goes on behind its first `skip` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockEdit {
    /// Bytes that are kept of the frame's beginning: at least its header.
    pub keep: usize,
    /// Bytes of the frame's beginning that are not sent as they are.
    pub skip: usize,
    /// Bytes of payload now.
    pub length: usize,
    /// Most bytes of payload that the peer accepts.
    pub most: usize,
    /// What is kept ends with the name of the `traceparent`: only its value comes next, because the field becomes an entry of the
    /// peer's table, and has to go on doing so.
    pub value_only: bool,
    /// The `traceparent` refers to such an entry, whose value the peer may know as another one: if nothing else, what it
    /// says has to come in its place.
    pub restates: bool,
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
    /// How a `traceparent` may be replaced, where that takes more than writing over the one at `traceparent`.
    pub replace: Option<BlockEdit>,
}

/// Reads the segments of one outgoing write up to the end of the first request's head in them. It allocates nothing.
#[derive(Clone, Debug)]
pub struct RequestScan(Reader);

#[derive(Clone, Debug)]
enum Reader {
    /// The first byte tells the protocol, unless it begins the preface of HTTP/2, of which so many bytes were seen.
    Unknown(usize),
    Http1(HeadScan),
    Http2(FrameScan),
    FastCgi(ParamsScan),
}

impl RequestScan {
    /// For a connection on which nothing has passed.
    pub(super) fn unknown() -> Self {
        Self(Reader::Unknown(0))
    }

    pub(super) fn http1() -> Self {
        Self(Reader::Http1(HeadScan::default()))
    }

    pub(super) fn http2(scan: FrameScan) -> Self {
        Self(Reader::Http2(scan))
    }

    pub(super) fn fastcgi(scan: ParamsScan) -> Self {
        Self(Reader::FastCgi(scan))
    }

    /// Reads the next segment. After [`Scan::Complete`] and [`Scan::NotRequest`] nothing changes any more.
    pub fn push(&mut self, bytes: &[u8]) -> Scan {
        let mut bytes = bytes;
        if let (Reader::Unknown(seen), Some(first)) = (&mut self.0, bytes.first()) {
            let expected = &http2::PREFACE[*seen..];
            let alike = expected.iter().zip(bytes).take_while(|(a, b)| a == b);
            let alike = alike.count();
            let before = *seen;
            *seen += alike;
            if *seen == http2::PREFACE.len() {
                *self = Self::http2(FrameScan::after_preface());
                bytes = &bytes[alike..];
            } else if alike == bytes.len() {
                return Scan::More;
            } else if before == 0 && *first == 1 {
                *self = Self::fastcgi(ParamsScan::default());
            } else {
                let mut scan = HeadScan::default();
                scan.push(&http2::PREFACE[..before]);
                *self = Self(Reader::Http1(scan));
            }
        }
        match &mut self.0 {
            Reader::Unknown(_) => Scan::More,
            Reader::Http2(scan) => scan.push(bytes),
            Reader::Http1(scan) => scan.push(bytes),
            Reader::FastCgi(scan) => scan.push(bytes),
        }
    }

    /// What was found; `None` unless the head is complete, or ([`Head::is_partial`]) as good as.
    pub fn head(&self) -> Option<Head> {
        match &self.0 {
            Reader::Http2(scan) => scan.head(),
            Reader::Http1(scan) if scan.is_complete() => Some(scan.head()),
            Reader::FastCgi(scan) if scan.is_complete() || scan.carries_whole() => {
                Some(scan.head())
            }
            _ => None,
        }
    }
}
