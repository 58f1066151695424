//! The direct encoder's bytes decode, by prost, to exactly the message they stand for.

use otlp_proto::collector::ExportTraceServiceRequest;
use otlp_proto::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value};
use otlp_proto::resource::Resource;
use otlp_proto::trace::{ResourceSpans, ScopeSpans, Span, SpanKind, Status, StatusCode};
use otlp_proto::wire::{RequestEncoder, SPLIT_BYTES, SpanEncoder, SpanHead, SpanLimits};
use prop::collection::vec;
use prop::sample::select;
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, Debug)]
enum Attribute {
    Text(String),
    Bytes(Vec<u8>),
    Int(i64),
    Bool(bool),
    List(Vec<String>),
}

#[derive(Clone, Debug)]
struct Input {
    ids: ([u8; 16], [u8; 8], Option<[u8; 8]>),
    remote: bool,
    trace_flags: u8,
    trace_state: String,
    name: String,
    kind: SpanKind,
    times: (u64, u64),
    attributes: Vec<(String, Attribute)>,
    status: StatusCode,
    message: String,
}

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<String>().prop_map(Attribute::Text),
        "[a-é€𝄞]{0,300}".prop_map(Attribute::Text),
        vec(any::<u8>(), 0..40).prop_map(Attribute::Bytes),
        any::<i64>().prop_map(Attribute::Int),
        any::<bool>().prop_map(Attribute::Bool),
        vec("\\PC{0,20}", 0..5).prop_map(Attribute::List),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let kinds = vec![
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];
    let statuses = vec![StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
    (
        any::<([u8; 16], [u8; 8], Option<[u8; 8]>)>(),
        any::<(bool, u8)>(),
        ("[a-z=,]{0,40}", "\\PC{0,200}", "\\PC{0,10}"),
        select(kinds),
        any::<(u64, u64)>(),
        vec(("[a-z._]{0,30}", attribute()), 0..20),
        select(statuses),
    )
        .prop_map(
            |(ids, flags, texts, kind, times, attributes, status)| Input {
                ids,
                remote: flags.0,
                trace_flags: flags.1,
                trace_state: texts.0,
                name: texts.1,
                message: texts.2,
                kind,
                times,
                attributes,
                status,
            },
        )
}

fn encode(encoder: &SpanEncoder, out: &mut Vec<u8>, input: &Input) -> usize {
    let mut writer = encoder.begin(
        out,
        &SpanHead {
            trace_id: input.ids.0,
            span_id: input.ids.1,
            parent_span_id: input.ids.2,
            parent_is_remote: input.remote,
            trace_flags: input.trace_flags,
            trace_state: &input.trace_state,
            name: &input.name,
            kind: input.kind,
            start_unix_nano: input.times.0,
            end_unix_nano: input.times.1,
        },
    );
    for (key, value) in &input.attributes {
        match value {
            Attribute::Text(text) => writer.string(key, text),
            Attribute::Bytes(bytes) => writer.text(key, bytes),
            Attribute::Int(int) => writer.int(key, *int),
            Attribute::Bool(value) => writer.bool(key, *value),
            Attribute::List(list) => writer.strings(key, list.iter().map(String::as_str)),
        }
    }
    writer.finish(input.status, &input.message)
}

fn expected(input: &Input, limits: SpanLimits) -> Span {
    let cut = |text: &str| text.chars().take(limits.value_chars).collect::<String>();
    let any = |value| AnyValue { value: Some(value) };
    let value = |attribute: &Attribute| match attribute {
        Attribute::Text(text) => Value::StringValue(cut(text)),
        Attribute::Bytes(bytes) => Value::StringValue(cut(&String::from_utf8_lossy(bytes))),
        Attribute::Int(int) => Value::IntValue(*int),
        Attribute::Bool(value) => Value::BoolValue(*value),
        Attribute::List(list) => Value::ArrayValue(ArrayValue {
            values: list
                .iter()
                .map(|text| any(Value::StringValue(cut(text))))
                .collect(),
        }),
    };
    let kept = input.attributes.len().min(limits.attributes);
    let error = input.status == StatusCode::Error;
    Span {
        trace_id: input.ids.0.to_vec(),
        span_id: input.ids.1.to_vec(),
        trace_state: input.trace_state.clone(),
        parent_span_id: input.ids.2.map(|id| id.to_vec()).unwrap_or_default(),
        name: if input.name.is_empty() {
            "unknown".into()
        } else {
            input.name.clone()
        },
        kind: input.kind as i32,
        start_time_unix_nano: input.times.0,
        end_time_unix_nano: input.times.1.max(input.times.0),
        attributes: input.attributes[..kept]
            .iter()
            .map(|(key, attribute)| KeyValue {
                key: key.clone(),
                value: Some(any(value(attribute))),
            })
            .collect(),
        dropped_attributes_count: (input.attributes.len() - kept) as u32,
        status: (input.status != StatusCode::Unset).then(|| Status {
            message: if error {
                input.message.clone()
            } else {
                String::new()
            },
            code: input.status as i32,
        }),
        flags: u32::from(input.trace_flags) | 0x100 | if input.remote { 0x200 } else { 0 },
        ..Span::default()
    }
}

fn resource(name: &str) -> Resource {
    let value = Some(AnyValue {
        value: Some(Value::StringValue(name.into())),
    });
    let attributes = vec![KeyValue {
        key: "service.name".into(),
        value,
    }];
    Resource {
        attributes,
        dropped_attributes_count: 0,
    }
}

proptest! {
    #[test]
    fn a_request_decodes_to_its_spans(
        spans in vec(input(), 1..5),
        attributes in 0usize..20,
        value_chars in prop_oneof![Just(usize::MAX), 0usize..30],
        service in "\\PC{0,200}",
        schema in "[a-z:/]{0,40}",
    ) {
        let limits = SpanLimits { attributes, value_chars };
        let encoder = SpanEncoder::new(limits);
        let mut bytes = Vec::new();
        for span in &spans {
            let before = bytes.len();
            prop_assert_eq!(encode(&encoder, &mut bytes, span), bytes.len() - before);
        }
        let scope = InstrumentationScope { name: "otel-run".into(), ..Default::default() };
        let request = RequestEncoder::new(&resource(&service), &schema, &scope, &schema);
        let body = request.encode(&bytes);
        prop_assert_eq!(body.len(), request.encoded_len(bytes.len()));
        let wanted = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource(&service)),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    spans: spans.iter().map(|span| expected(span, limits)).collect(),
                    schema_url: schema.clone(),
                }],
                schema_url: schema,
            }],
        };
        prop_assert_eq!(wanted.encoded_len(), body.len(), "no byte more than prost would write");
        prop_assert_eq!(ExportTraceServiceRequest::decode(body).unwrap(), wanted);
    }

    #[test]
    fn a_span_of_any_size_has_a_minimal_length(size in prop_oneof![0usize..200, 16_200usize..16_500, 2_097_000usize..2_097_200]) {
        let input = Input {
            ids: ([1; 16], [2; 8], None),
            remote: false,
            trace_flags: 1,
            trace_state: String::new(),
            name: "GET".into(),
            kind: SpanKind::Server,
            times: (2, 1),
            attributes: vec![("k".into(), Attribute::Text("v".repeat(size)))],
            status: StatusCode::Unset,
            message: String::new(),
        };
        let mut bytes = Vec::new();
        encode(&SpanEncoder::default(), &mut bytes, &input);
        let wanted = ScopeSpans {
            spans: vec![expected(&input, SpanLimits::default())],
            ..ScopeSpans::default()
        };
        prop_assert_eq!(bytes.len(), wanted.encoded_len());
        prop_assert_eq!(ScopeSpans::decode(bytes.as_slice()).unwrap(), wanted);
    }
}

#[test]
fn an_abandoned_span_leaves_no_trace() {
    let encoder = SpanEncoder::default();
    let mut bytes = b"before".to_vec();
    let mut writer = encoder.begin(
        &mut bytes,
        &SpanHead {
            trace_id: [1; 16],
            span_id: [1; 8],
            parent_span_id: None,
            parent_is_remote: false,
            trace_flags: 0,
            trace_state: "",
            name: "",
            kind: SpanKind::Internal,
            start_unix_nano: 0,
            end_unix_nano: 0,
        },
    );
    writer.int("key", -1);
    drop(writer);
    assert_eq!(bytes, b"before");
}

#[test]
fn a_batch_is_full_just_below_the_split_size() {
    let request = RequestEncoder::new(&resource("app"), "", &InstrumentationScope::default(), "");
    assert!(request.has_room(0));
    assert!(request.has_room(SPLIT_BYTES - 200));
    assert!(!request.has_room(SPLIT_BYTES));
}
