//! The part of a span that the console shows.

use otlp_proto::common::{AnyValue, KeyValue, any_value::Value};
use otlp_proto::trace::{ResourceSpans, Span as OtlpSpan, SpanKind, StatusCode, span_flags};

/// Longest text kept of a name or an attribute, in characters.
const MAX_TEXT: usize = 300;

/// A trace's identity.
pub(crate) type TraceId = [u8; 16];
/// A span's identity.
pub(crate) type SpanId = [u8; 8];

/// A finished span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The trace it belongs to.
    pub(crate) trace: TraceId,
    /// Its own identity.
    pub(crate) id: SpanId,
    /// Its parent's.
    pub(crate) parent: Option<SpanId>,
    /// The parent is in another process, known or not.
    pub(crate) parent_is_remote: bool,
    /// `SERVER`, `CLIENT`, ...
    pub(crate) kind: &'static str,
    /// The span's name.
    pub(crate) name: String,
    /// Nanoseconds since the epoch.
    pub(crate) start: u64,
    /// How long it took, in nanoseconds.
    pub(crate) duration: u64,
    /// The status is "error".
    pub(crate) error: bool,
    /// The protocol's status code.
    pub(crate) code: Option<String>,
    /// `service.name` of its process.
    pub(crate) service: String,
    /// What else is worth a look.
    pub(crate) details: Vec<String>,
}

/// Takes the spans of one resource; the second number counts those without a valid identity.
pub(crate) fn read(resource_spans: ResourceSpans) -> (Vec<Span>, usize) {
    let service = resource_spans
        .resource
        .as_ref()
        .and_then(|resource| text(&resource.attributes, "service.name"))
        .unwrap_or_else(|| "unknown_service".to_owned());
    let mut invalid = 0;
    let all = resource_spans
        .scope_spans
        .into_iter()
        .flat_map(|scope| scope.spans);
    let spans = all
        .filter_map(|span| {
            let read = read_span(&span, &service);
            invalid += usize::from(read.is_none());
            read
        })
        .collect();
    (spans, invalid)
}

fn read_span(span: &OtlpSpan, service: &str) -> Option<Span> {
    let kind = SpanKind::try_from(span.kind).unwrap_or(SpanKind::Unspecified);
    let status = span.status.as_ref();
    let error = status.is_some_and(|status| status.code == StatusCode::Error as i32);
    let known = span.flags & span_flags::CONTEXT_HAS_IS_REMOTE_MASK != 0;
    let code = [
        "http.response.status_code",
        "rpc.response.status_code",
        "db.response.status_code",
    ];
    Some(Span {
        trace: identity(&span.trace_id)?,
        id: identity(&span.span_id)?,
        parent: identity(&span.parent_span_id),
        parent_is_remote: if known {
            span.flags & span_flags::CONTEXT_IS_REMOTE_MASK != 0
        } else {
            // Who serves was called from elsewhere.
            matches!(kind, SpanKind::Server | SpanKind::Consumer)
        },
        kind: match kind {
            SpanKind::Unspecified | SpanKind::Internal => "INTERNAL",
            SpanKind::Server => "SERVER",
            SpanKind::Client => "CLIENT",
            SpanKind::Producer => "PRODUCER",
            SpanKind::Consumer => "CONSUMER",
        },
        name: shorten(&span.name),
        start: span.start_time_unix_nano,
        duration: span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano),
        error,
        code: code.iter().find_map(|key| text(&span.attributes, key)),
        service: service.to_owned(),
        details: details(span, error),
    })
}

fn identity<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| *id != [0; N])
}

/// Where the request went, then what went wrong.
fn details(span: &OtlpSpan, error: bool) -> Vec<String> {
    let get = |key| text(&span.attributes, key);
    let url = get("url.full").or_else(|| {
        let path = get("url.path")?;
        Some(match get("url.query") {
            Some(query) => format!("{path}?{query}"),
            None => path,
        })
    });
    let target = url
        .or_else(|| get("db.query.text"))
        .or_else(|| get("messaging.destination.name"))
        .or_else(|| {
            let address = get("server.address")?;
            Some(match get("server.port") {
                Some(port) if address.contains(':') => format!("[{address}]:{port}"),
                Some(port) => format!("{address}:{port}"),
                None => address,
            })
        });
    let message = span.status.as_ref().map(|status| shorten(&status.message));
    let reason = get("error.type")
        .map(|kind| format!("error.type={kind}"))
        .or_else(|| message.filter(|message| error && !message.is_empty()));
    target.into_iter().chain(reason).collect()
}

/// An attribute as text, when it is there and has a simple value.
fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    let Some(AnyValue { value: Some(value) }) = &attribute.value else {
        return None;
    };
    match value {
        Value::StringValue(text) => Some(shorten(text)),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
