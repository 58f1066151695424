//! Records to OTLP bytes.

use super::record::Record;
use crate::settings;
use crate::sys::clock::WallClock;
use crate::sys::process::State;
use crate::sys::raw;
use agent_engine::config::Config;
use agent_engine::exchange::{Kind, System};
use agent_engine::resource::{Facts, Resource, Value};
use agent_engine::semconv::{self, SpanSink, db, http};
use bytes::Bytes;
use otlp_proto::common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use otlp_proto::trace::{SpanKind, StatusCode};
use otlp_proto::wire::{RequestEncoder, SpanEncoder, SpanHead, SpanLimits, SpanWriter};

/// Makes spans and requests.
pub(super) struct Encoder {
    spans: SpanEncoder,
    request: RequestEncoder,
    http: http::Options,
    scratch: http::Scratch,
    queries: db::Scratch,
}

impl Encoder {
    /// For this process, as it is now: a forked child makes a new one.
    pub(super) fn new(state: &State) -> Self {
        let config = &settings::get().config;
        let resource = otlp_proto::resource::Resource {
            attributes: detect(state)
                .attributes()
                .map(|(k, v)| key_value(k, v))
                .collect(),
            ..Default::default()
        };
        let scope = InstrumentationScope {
            name: semconv::SCOPE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        };
        let limits = SpanLimits {
            attributes: config.limits.count,
            value_chars: config.limits.value_length.unwrap_or(usize::MAX),
        };
        Self {
            spans: SpanEncoder::new(limits),
            request: RequestEncoder::new(
                &resource,
                semconv::SCHEMA_URL,
                &scope,
                semconv::SCHEMA_URL,
            ),
            http: http::Options::new(&http_settings(config)),
            scratch: http::Scratch::default(),
            queries: db::Scratch::default(),
        }
    }

    /// Appends the span of a record.
    ///
    /// # Safety
    /// The caller owns the record.
    pub(super) unsafe fn span(&mut self, record: &Record, wall: &WallClock, out: &mut Vec<u8>) {
        // SAFETY: by the caller's promise.
        let (identity, exchange) = unsafe { (record.identity(), record.exchange()) };
        // SAFETY: by the caller's promise.
        let tracestate = unsafe { record.tracestate() };
        let head = SpanHead {
            trace_id: identity.span.trace_id.0,
            span_id: identity.span.span_id.0,
            parent_span_id: (identity.parent.0 != [0; 8]).then_some(identity.parent.0),
            parent_is_remote: identity.parent_remote,
            trace_flags: identity.span.flags.bits(),
            trace_state: std::str::from_utf8(tracestate).unwrap_or_default(),
            kind: match exchange.kind {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
            },
            start_unix_nano: wall.wall(exchange.start_ns),
            end_unix_nano: wall.wall(exchange.end_ns),
        };
        let mut sink = Sink {
            writer: self.spans.begin(out, &head),
            status: StatusCode::Unset,
        };
        match exchange.db.system {
            System::None => semconv::describe(
                exchange,
                record.route(),
                &self.http,
                &mut self.scratch,
                &mut sink,
            ),
            _ => {
                let mode = settings::get().config.query_text;
                db::describe(exchange, mode, &mut self.queries, &mut sink);
            }
        }
        sink.writer.finish(sink.status, "");
    }

    /// Whether another span can be added to `encoded` bytes of spans.
    pub(super) fn has_room(&self, encoded: usize) -> bool {
        self.request.has_room(encoded)
    }

    /// The request body for encoded spans.
    pub(super) fn request(&self, spans: &[u8]) -> Bytes {
        self.request.encode(spans)
    }
}

struct Sink<'a> {
    writer: SpanWriter<'a>,
    status: StatusCode,
}

impl SpanSink for Sink<'_> {
    fn name(&mut self, name: &str) {
        self.writer.name(name);
    }

    fn string(&mut self, key: &str, value: &str) {
        self.writer.string(key, value);
    }

    fn int(&mut self, key: &str, value: i64) {
        self.writer.int(key, value);
    }

    fn strings(&mut self, key: &str, values: &[&str]) {
        self.writer.strings(key, values.iter().copied());
    }

    fn error(&mut self) {
        self.status = StatusCode::Error;
    }
}

fn http_settings(config: &Config) -> http::Settings {
    let names = |list: &[agent_engine::config::http::CapturedName]| {
        list.iter().map(|h| h.name.clone()).collect::<Vec<_>>()
    };
    let headers = &config.http.headers;
    let all = [
        &headers.server_request,
        &headers.server_response,
        &headers.client_request,
        &headers.client_response,
    ];
    http::Settings {
        known_methods: config
            .http
            .known_methods
            .iter()
            .map(|m| m.to_string())
            .collect(),
        route_templates: config.http.routes.clone(),
        route_heuristic: config.http.route_heuristic,
        sensitive_query_parameters: config
            .http
            .sensitive_parameters
            .iter()
            .map(|p| p.to_string())
            .collect(),
        server_request_headers: names(&headers.server_request),
        server_response_headers: names(&headers.server_response),
        client_request_headers: names(&headers.client_request),
        client_response_headers: names(&headers.client_response),
        sanitized_headers: all
            .into_iter()
            .flatten()
            .filter(|h| h.masked)
            .map(|h| h.name.clone())
            .collect(),
    }
}

fn key_value(key: &str, value: &Value) -> KeyValue {
    let string = |text: &String| any_value::Value::StringValue(text.clone());
    let any = |value| AnyValue { value: Some(value) };
    let value = match value {
        Value::String(text) => string(text),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Strings(texts) => any_value::Value::ArrayValue(ArrayValue {
            values: texts.iter().map(|text| any(string(text))).collect(),
        }),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
    }
}

/// Asks the machine what this process is. What cannot be read is left out.
fn detect(state: &State) -> Resource {
    let settings = settings::get();
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let trimmed = |path: &str| text(path).trim().to_owned();
    let mut random = [0; 16];
    for (half, bits) in random.chunks_exact_mut(8).zip(state.ids.next()) {
        half.copy_from_slice(&bits.to_ne_bytes());
    }
    let facts = Facts {
        pid: raw::getpid(),
        exe: &settings.exe,
        argv0: &settings.argv0,
        default_service_name: &settings.default_service_name,
        creation_time_ms: creation_time_ms(&text("/proc/self/stat"), &text("/proc/stat")),
        runtime_version: "",
        host_name: &trimmed("/proc/sys/kernel/hostname"),
        machine: std::env::consts::ARCH,
        os_release: &text("/etc/os-release"),
        kernel_release: &trimmed("/proc/sys/kernel/osrelease"),
        cgroup: &text("/proc/self/cgroup"),
        mountinfo: &text("/proc/self/mountinfo"),
        machine_id: &trimmed("/etc/machine-id"),
        random,
    };
    Resource::detect(&settings.config, &facts)
}

/// When the process was made, milliseconds since the epoch: clock ticks since boot (field 22 of `stat`, which
/// follows the command in parentheses) and the time of boot. The tick is 1/100 s on every Linux.
fn creation_time_ms(own: &str, system: &str) -> Option<u64> {
    let (_, fields) = own.rsplit_once(')')?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let boot = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let boot: u64 = boot.trim().parse().ok()?;
    Some(boot * 1000 + ticks * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_time_is_read_past_odd_command_names() {
        let own = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 250 1 2";
        assert_eq!(
            creation_time_ms(own, "cpu 1\nbtime 1000\n"),
            Some(1_002_500)
        );
        assert_eq!(creation_time_ms("", "btime 1"), None);
        assert_eq!(creation_time_ms(own, ""), None);
    }
}
