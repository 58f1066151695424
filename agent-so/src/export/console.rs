//! `OTEL_TRACES_EXPORTER=console`: spans as text on standard error (never standard output: that is the program's).

use crate::sys::log;
use otlp_proto::collector::ExportTraceServiceRequest;
use otlp_proto::common::{AnyValue, any_value};
use otlp_proto::trace::{Span, SpanKind, StatusCode};
use prost::Message;
use std::fmt::Write;

/// Prints the spans of an encoded request, one line each.
pub(super) fn print(request: &[u8]) {
    let Ok(request) = ExportTraceServiceRequest::decode(request) else {
        return;
    };
    for resource in &request.resource_spans {
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let mut line = String::with_capacity(400);
            if render(span, &mut line).is_ok() {
                log::raw_text(line.as_bytes());
            }
        }
    }
}

fn render(span: &Span, out: &mut String) -> std::fmt::Result {
    let kind = if span.kind == SpanKind::Server as i32 {
        "SERVER"
    } else {
        "CLIENT"
    };
    let micros = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano)
        / 1000;
    write!(out, "{kind} {:?} {micros}us", span.name)?;
    if span
        .status
        .as_ref()
        .is_some_and(|s| s.code == StatusCode::Error as i32)
    {
        out.push_str(" ERROR");
    }
    out.push_str(" trace=");
    hex(&span.trace_id, out)?;
    out.push_str(" span=");
    hex(&span.span_id, out)?;
    if !span.parent_span_id.is_empty() {
        out.push_str(" parent=");
        hex(&span.parent_span_id, out)?;
    }
    for attribute in &span.attributes {
        write!(out, " {}=", attribute.key)?;
        value(attribute.value.as_ref(), out)?;
    }
    out.push('\n');
    Ok(())
}

fn hex(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

fn value(value: Option<&AnyValue>, out: &mut String) -> std::fmt::Result {
    match value.and_then(|v| v.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => write!(out, "{text:?}"),
        Some(any_value::Value::IntValue(number)) => write!(out, "{number}"),
        Some(any_value::Value::ArrayValue(list)) => {
            out.push('[');
            for (i, item) in list.values.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                self::value(Some(item), out)?;
            }
            out.push(']');
            Ok(())
        }
        _ => Ok(()),
    }
}
