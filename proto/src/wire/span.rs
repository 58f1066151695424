//! One span, written field by field into a buffer that is reused.

use super::varint_len;
use super::{FIXED32, FIXED64, LEN, VARINT, len_field_len, put_bytes, put_tag, put_varint};
use crate::trace::{SpanKind, StatusCode, span_flags};

/// The name of a span whose own is empty: the protocol wants one.
const UNNAMED: &str = "unknown";

/// Bytes set aside for a span's length: right for bodies of 128 to 16383 bytes, which is nearly all.
const LENGTH_ROOM: usize = 2;

/// What is cut (`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Most attributes of one span; those beyond are counted as dropped.
    pub attributes: usize,
    /// Most characters (not bytes) of a string value, or of each string in a list; `usize::MAX` is no limit.
    pub value_chars: usize,
}

impl Default for SpanLimits {
    /// The specification's: 128 attributes, values of any length.
    fn default() -> Self {
        Self {
            attributes: 128,
            value_chars: usize::MAX,
        }
    }
}

/// The fields of a span that are known before its attributes.
#[derive(Clone, Copy, Debug)]
pub struct SpanHead<'a> {
    /// Not all zero.
    pub trace_id: [u8; 16],
    /// Not all zero.
    pub span_id: [u8; 8],
    /// `None` for a root span.
    pub parent_span_id: Option<[u8; 8]>,
    /// Whether the parent's context came over the wire.
    pub parent_is_remote: bool,
    /// W3C trace flags.
    pub trace_flags: u8,
    /// W3C `tracestate`; may be empty.
    pub trace_state: &'a str,
    /// Replaced by `unknown` when empty.
    pub name: &'a str,
    /// Not [`SpanKind::Unspecified`].
    pub kind: SpanKind,
    /// Nanoseconds since the UNIX epoch.
    pub start_unix_nano: u64,
    /// Nanoseconds since the UNIX epoch; raised to the start when it is earlier.
    pub end_unix_nano: u64,
}

/// Appends spans to a buffer, each as one field of `ScopeSpans`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanEncoder {
    limits: SpanLimits,
}

impl SpanEncoder {
    /// An encoder that enforces `limits`.
    pub fn new(limits: SpanLimits) -> Self {
        Self { limits }
    }

    /// Begins a span at the end of `out`. It is there once [`SpanWriter::finish`] was called; a writer that
    /// is dropped before leaves `out` as it was.
    pub fn begin<'a>(&self, out: &'a mut Vec<u8>, head: &SpanHead<'_>) -> SpanWriter<'a> {
        let start = out.len();
        put_tag(out, 2, LEN);
        out.extend_from_slice(&[0; LENGTH_ROOM]);
        put_bytes(out, 1, &head.trace_id);
        put_bytes(out, 2, &head.span_id);
        put_bytes(out, 3, head.trace_state.as_bytes());
        if let Some(parent) = &head.parent_span_id {
            put_bytes(out, 4, parent);
        }
        let name = if head.name.is_empty() {
            UNNAMED
        } else {
            head.name
        };
        put_bytes(out, 5, name.as_bytes());
        put_tag(out, 6, VARINT);
        put_varint(out, head.kind as u64);
        put_tag(out, 7, FIXED64);
        out.extend_from_slice(&head.start_unix_nano.to_le_bytes());
        put_tag(out, 8, FIXED64);
        let end = head.end_unix_nano.max(head.start_unix_nano);
        out.extend_from_slice(&end.to_le_bytes());
        let mut flags = u32::from(head.trace_flags) | span_flags::CONTEXT_HAS_IS_REMOTE_MASK;
        if head.parent_is_remote {
            flags |= span_flags::CONTEXT_IS_REMOTE_MASK;
        }
        SpanWriter {
            out,
            start,
            flags,
            room: self.limits.attributes,
            dropped: 0,
            value_chars: self.limits.value_chars,
            finished: false,
        }
    }
}

/// A span in the making: attributes first, then [`SpanWriter::finish`]. Keys must differ from each other.
#[derive(Debug)]
pub struct SpanWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the span's tag stands.
    start: usize,
    flags: u32,
    /// Attributes that may still come.
    room: usize,
    dropped: u32,
    value_chars: usize,
    finished: bool,
}

impl SpanWriter<'_> {
    /// Adds a string attribute, cut at the limit.
    pub fn string(&mut self, key: &str, value: &str) {
        if !self.admit() {
            return;
        }
        let value = cut(value, self.value_chars);
        let field = len_field_len(value.len());
        self.key(key, field);
        self.any_string(value, field);
    }

    /// Adds a string attribute from bytes off the wire; what is not UTF-8 becomes U+FFFD.
    pub fn text(&mut self, key: &str, value: &[u8]) {
        self.string(key, &String::from_utf8_lossy(value));
    }

    /// Adds an integer attribute.
    pub fn int(&mut self, key: &str, value: i64) {
        if !self.admit() {
            return;
        }
        // Negative numbers take ten bytes: int64 is not zigzag-encoded.
        let field = 1 + varint_len(value as u64);
        self.key(key, field);
        put_tag(self.out, 2, LEN);
        put_varint(self.out, field as u64);
        put_tag(self.out, 3, VARINT);
        put_varint(self.out, value as u64);
    }

    /// Adds a boolean attribute.
    pub fn bool(&mut self, key: &str, value: bool) {
        if !self.admit() {
            return;
        }
        self.key(key, 2);
        put_tag(self.out, 2, LEN);
        put_varint(self.out, 2);
        put_tag(self.out, 2, VARINT);
        self.out.push(u8::from(value));
    }

    /// Adds a list of strings, each cut at the limit.
    pub fn strings<'v, I>(&mut self, key: &str, values: I)
    where
        I: IntoIterator<Item = &'v str>,
        I::IntoIter: Clone,
    {
        if !self.admit() {
            return;
        }
        let limit = self.value_chars;
        let values = values.into_iter().map(|value| cut(value, limit));
        let list: usize = values
            .clone()
            .map(|value| len_field_len(len_field_len(value.len())))
            .sum();
        let field = len_field_len(list);
        self.key(key, field);
        put_tag(self.out, 2, LEN);
        put_varint(self.out, field as u64);
        put_tag(self.out, 5, LEN);
        put_varint(self.out, list as u64);
        for value in values {
            put_tag(self.out, 1, LEN);
            self.any_string_body(value, len_field_len(value.len()));
        }
    }

    /// Ends the span with its status; the message is kept for errors only, as the API prescribes. Returns
    /// the bytes that the span takes.
    pub fn finish(mut self, status: StatusCode, message: &str) -> usize {
        if self.dropped > 0 {
            put_tag(self.out, 10, VARINT);
            put_varint(self.out, u64::from(self.dropped));
        }
        if status != StatusCode::Unset {
            let message = if status == StatusCode::Error {
                message
            } else {
                ""
            };
            let text = if message.is_empty() {
                0
            } else {
                len_field_len(message.len())
            };
            put_tag(self.out, 15, LEN);
            put_varint(self.out, (text + 2) as u64);
            put_bytes(self.out, 2, message.as_bytes());
            put_tag(self.out, 3, VARINT);
            put_varint(self.out, status as u64);
        }
        put_tag(self.out, 16, FIXED32);
        self.out.extend_from_slice(&self.flags.to_le_bytes());
        self.put_length();
        self.finished = true;
        self.out.len() - self.start
    }

    /// Whether one more attribute may be written; counts it as dropped otherwise.
    fn admit(&mut self) -> bool {
        if self.room == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        }
        self.room -= 1;
        true
    }

    /// The field `attributes` up to and including the key; a value field with `value` bytes of content
    /// must follow.
    fn key(&mut self, key: &str, value: usize) {
        let name = if key.is_empty() {
            0
        } else {
            len_field_len(key.len())
        };
        put_tag(self.out, 9, LEN);
        put_varint(self.out, (name + len_field_len(value)) as u64);
        put_bytes(self.out, 1, key.as_bytes());
    }

    /// `KeyValue.value` holding a string whose own field takes `field` bytes.
    fn any_string(&mut self, value: &str, field: usize) {
        put_tag(self.out, 2, LEN);
        self.any_string_body(value, field);
    }

    /// Length and content of an `AnyValue` holding a string. Members of a oneof are written even when empty.
    fn any_string_body(&mut self, value: &str, field: usize) {
        put_varint(self.out, field as u64);
        put_tag(self.out, 1, LEN);
        put_varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Fills in the span's length, moving the body when the room set aside is not exactly right.
    fn put_length(&mut self) {
        let at = self.start + 1;
        let body = at + LENGTH_ROOM;
        let len = self.out.len() - body;
        let mut bytes = [0; 10];
        let mut rest = len as u64;
        let width = varint_len(rest);
        for (i, byte) in bytes[..width].iter_mut().enumerate() {
            *byte = rest as u8 & 0x7f | if i + 1 < width { 0x80 } else { 0 };
            rest >>= 7;
        }
        if width == LENGTH_ROOM {
            self.out[at..body].copy_from_slice(&bytes[..width]);
        } else {
            self.out.splice(at..body, bytes[..width].iter().copied());
        }
    }
}

impl Drop for SpanWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// The first `limit` characters of `text`.
fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    text.char_indices()
        .nth(limit)
        .map_or(text, |(end, _)| &text[..end])
}
