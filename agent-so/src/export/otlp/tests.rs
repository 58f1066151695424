//! The exporter against real servers on the loopback.

mod backoff;
mod broken;
mod grpc;
mod http;
mod servers;
mod tables;
mod tls;

use super::{Addresses, Adopt, Exporter, Outcome, Sent, Surroundings, USER_AGENT};
use agent_engine::config::exporter::{OtlpConfig, Protocol};
use bytes::Bytes;
use otlp_proto::collector::ExportTraceServiceRequest;
use otlp_proto::trace::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::time::{Duration, Instant};

/// Time that is plenty for a test that succeeds.
const PLENTY: Duration = Duration::from_secs(20);

fn config(protocol: Protocol, endpoint: String) -> OtlpConfig {
    OtlpConfig {
        protocol,
        endpoint,
        headers: vec![("Api-Key".into(), "s3cret".into())],
        timeout: Some(PLENTY),
        gzip: false,
        ca_file: None,
        client_identity: None,
    }
}

fn exporter(config: &OtlpConfig) -> Exporter {
    let addresses: &'static Addresses = Box::leak(Box::new(Addresses::new()));
    let adopt: Adopt = Ok;
    let surroundings = Surroundings {
        user_agent: USER_AGENT,
        addresses,
        adopt,
        pause: std::thread::sleep,
    };
    Exporter::new(config, &surroundings).unwrap()
}

/// A request of `spans` spans.
fn request(spans: usize) -> ExportTraceServiceRequest {
    let span = Span {
        name: "GET /cart".into(),
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: vec![span; spans],
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource],
    }
}

fn body(spans: usize) -> Bytes {
    request(spans).encode_to_vec().into()
}

/// Exports three spans with `limit` for everything.
fn export_within(exporter: &mut Exporter, limit: Duration) -> Outcome {
    exporter.export(body(3), 3, Some(Instant::now() + limit), &|| false)
}

fn export(exporter: &mut Exporter) -> Outcome {
    export_within(exporter, PLENTY)
}

fn sent() -> Outcome {
    Outcome::Sent(Sent::default())
}

/// The cause and text of a failed export.
fn failure(outcome: Outcome) -> (super::Cause, String) {
    match outcome {
        Outcome::Failed {
            cause,
            spans: 3,
            detail,
        } => (cause, detail),
        other => panic!("not a failure of three spans: {other:?}"),
    }
}
