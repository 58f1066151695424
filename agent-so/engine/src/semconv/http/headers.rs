//! Captured headers: `http.request.header.<name>` and `http.response.header.<name>`, or `rpc.request.metadata.<name>` and
//! `rpc.response.metadata.<name>` of a call; always arrays.

use crate::exchange::{CAPTURED_MAX, Captured, Exchange};
use crate::semconv::text::push_lossy;
use crate::semconv::{REDACTED_HEADER, SpanSink};

use super::Options;

/// One attribute per header name, its lines in wire order. Empty lines are left out.
pub(in crate::semconv) fn describe(
    ex: &Exchange,
    options: &Options,
    text: &mut String,
    sink: &mut impl SpanSink,
) {
    for (at, (captured, _)) in ex.captured().enumerate() {
        let same =
            |other: &Captured| other.index == captured.index && other.response == captured.response;
        let Some(key) = options.header(ex.kind, captured) else {
            continue;
        };
        if ex.captured().take(at).any(|(other, _)| same(&other)) {
            continue;
        }
        // All lines go into one buffer first: they can only be borrowed from it once it has stopped growing.
        text.clear();
        let (mut ends, mut count) = ([0; CAPTURED_MAX], 0);
        for (line, value) in ex
            .captured()
            .filter(|(other, value)| same(other) && !value.is_empty())
        {
            if key.sanitized {
                text.push_str(REDACTED_HEADER);
            } else {
                push_lossy(value, line.value.cut, text);
            }
            ends[count] = text.len();
            count += 1;
        }
        let (mut values, mut start) = ([""; CAPTURED_MAX], 0);
        for (value, end) in values.iter_mut().zip(ends).take(count) {
            *value = &text[start..end];
            start = end;
        }
        if count > 0 {
            let name = if ex.rpc {
                &key.metadata
            } else {
                &key.attribute
            };
            sink.strings(name, &values[..count]);
        }
    }
}
