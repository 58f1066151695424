//! Trace context: identifiers, and the headers that carry them (spec/propagation.md sections 1 to 4).
//!
//! All of it runs on the hook path: no allocation, no formatting machinery, small stack frames.

pub mod baggage;
pub mod headers;
pub mod ids;
pub mod tracestate;

/// Length of a version 00 `traceparent` value.
pub const TRACEPARENT_LEN: usize = 55;

/// Identifies a trace: 16 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Identifies a span in its trace: 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The flags of W3C Trace Context Level 2; unknown bits are never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// The trace is recorded.
    pub const SAMPLED: Self = Self(0x01);
    /// The last 7 bytes of the trace id are random.
    pub const RANDOM: Self = Self(0x02);

    /// The known bits of `bits`.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x03)
    }

    /// The bits as on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the sampled bit is set.
    pub const fn sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// The same flags with the sampled bit as given.
    pub const fn with_sampled(self, sampled: bool) -> Self {
        Self(self.0 & !Self::SAMPLED.0 | sampled as u8)
    }
}

/// The part of a span that travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Sampled, random.
    pub flags: TraceFlags,
    /// It came from another process.
    pub remote: bool,
}

impl SpanContext {
    /// Whether both ids are set. The all-zero context is what empty memory holds.
    pub fn is_valid(&self) -> bool {
        self.trace_id.0 != [0; 16] && self.span_id.0 != [0; 8]
    }
}

/// Reads a `traceparent` value; `None` for anything invalid, which means a new trace. White space around the value is
/// tolerated. Higher versions are read by the rules of version 00, with more fields allowed after a dash. That
/// a request has only one such header is for the caller to check.
pub fn parse_traceparent(value: &[u8]) -> Option<SpanContext> {
    let value = trim(value);
    let fields = value.get(..TRACEPARENT_LEN)?;
    let version = lower_hex(fields, 0)?;
    let more_allowed = match (version, value.get(TRACEPARENT_LEN)) {
        (0xff, _) => false,
        (_, None) => true,
        (version, Some(next)) => version > 0 && *next == b'-',
    };
    let dashes = [2, 35, 52].iter().all(|at| fields[*at] == b'-');
    if !more_allowed || !dashes {
        return None;
    }
    let mut context = SpanContext {
        remote: true,
        ..SpanContext::default()
    };
    for (index, byte) in context.trace_id.0.iter_mut().enumerate() {
        *byte = lower_hex(fields, 3 + 2 * index)?;
    }
    for (index, byte) in context.span_id.0.iter_mut().enumerate() {
        *byte = lower_hex(fields, 36 + 2 * index)?;
    }
    context.flags = TraceFlags::from_bits(lower_hex(fields, 53)?);
    context.is_valid().then_some(context)
}

/// Writes the `traceparent` value of `context`, version 00.
pub fn format_traceparent(out: &mut [u8; TRACEPARENT_LEN], context: &SpanContext) {
    out[..3].copy_from_slice(b"00-");
    hex_into(&mut out[3..35], &context.trace_id.0);
    out[35] = b'-';
    hex_into(&mut out[36..52], &context.span_id.0);
    out[52] = b'-';
    hex_into(&mut out[53..55], &[context.flags.bits()]);
}

/// Writes `bytes` as lower-case hexadecimal digits; `out` has twice their length.
pub(crate) fn hex_into(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The byte that two lower-case hexadecimal digits at `at` stand for.
fn lower_hex(text: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(*text.get(at)?)? << 4 | digit(*text.get(at + 1)?)?)
}

/// Without the optional white space of HTTP (space, tab) at both ends.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: &str = "0af7651916cd43dd8448eb211c80319c";
    const S: &str = "b7ad6b7169203331";

    fn flags(text: &str) -> Option<u8> {
        parse_traceparent(text.as_bytes()).map(|c| c.flags.bits())
    }

    #[test]
    fn traceparent_verdicts() {
        let (zero_t, zero_s) = ("0".repeat(32), "0".repeat(16));
        let rows = [
            (format!("00-{T}-{S}-01"), Some(1)),
            (format!("00-{T}-{S}-00"), Some(0)),
            (format!(" \t00-{T}-{S}-01\t "), Some(1)),
            (String::new(), None),
            ("00".into(), None),
            (format!("ff-{T}-{S}-01"), None),
            (format!("FF-{T}-{S}-01"), None),
            (format!(".0-{T}-{S}-01"), None),
            (format!("0.-{T}-{S}-01"), None),
            (format!("0-{T}-{S}-01"), None),
            (format!("000-{T}-{S}-01"), None),
            (format!("0A-{T}-{S}-01"), None),
            (format!("00{T}-{S}-01"), None),
            (format!("00_{T}-{S}-01"), None),
            (format!("00-{T}-{S}-01."), None),
            (format!("00-{T}-{S}-01-extra"), None),
            (format!("00-{T}-{S}-01-"), None),
            (format!("00-{T}-{S}-001"), None),
            (format!("00-{T}-{S}-1"), None),
            (format!("00-{T}-{S}"), None),
            (format!("01-{T}-{S}-01"), Some(1)),
            (format!("fe-{T}-{S}-00"), Some(0)),
            (format!("cc-{T}-{S}-01-what-the-future"), Some(1)),
            (format!("cc-{T}-{S}-01-"), Some(1)),
            (format!("cc-{T}-{S}-01.what"), None),
            (format!("cc-{T}-{S}-0"), None),
            (format!("00-{zero_t}-{S}-01"), None),
            (format!("00-{T}-{zero_s}-01"), None),
            (format!("00-{}-{S}-01", T.to_uppercase()), None),
            (format!("00-{T}-{}-01", S.to_uppercase()), None),
            (format!("00-{}-{S}-01", T.replace('0', "g")), None),
            (format!("00-{T}-{}-01", S.replace('b', "x")), None),
            (format!("00-{}-{S}-01", &T[1..]), None),
            (format!("00-{T}0-{S}-01"), None),
            (format!("00-{T}-{}-01", &S[1..]), None),
            (format!("00-{T}-{S}0-01"), None),
            (format!("00-{T}-{S}-0x"), None),
            (format!("00-{T}-{S}-0A"), None),
            (format!("00-{T}-{S}-03"), Some(3)),
            (format!("00-{T}-{S}-02"), Some(2)),
            (format!("00-{T}-{S}-ff"), Some(3)),
            (format!("00-{T}-{S}-fc"), Some(0)),
        ];
        for (text, expected) in rows {
            assert_eq!(flags(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let text = format!("00-{T}-{S}-03");
        let context = parse_traceparent(text.as_bytes()).unwrap();
        assert!(context.remote && context.flags.sampled());
        let mut out = [0; TRACEPARENT_LEN];
        format_traceparent(&mut out, &context);
        assert_eq!(out, text.as_bytes());
        assert_eq!(context.flags.with_sampled(false), TraceFlags::RANDOM);
        assert_eq!(TraceFlags::RANDOM.with_sampled(true).bits(), 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(value in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(context) = parse_traceparent(&value) {
                prop_assert!(context.is_valid());
            }
        }

        #[test]
        fn one_wrong_byte_is_never_taken_for_another_context(at in 0usize..55, byte in any::<u8>()) {
            let mut text = format!("00-{T}-{S}-01").into_bytes();
            text[at] = byte;
            if let Some(context) = parse_traceparent(&text) {
                let mut out = [0; TRACEPARENT_LEN];
                format_traceparent(&mut out, &context);
                // all but version and flags come back unchanged
                prop_assert_eq!(&out[2..53], &text[2..53]);
            }
        }
    }
}
