//! gRPC.

use super::servers::Server;
use super::{body, config, export, export_within, exporter, failure, sent};
use crate::export::otlp::{Cause, Exporter, Outcome, Sent};
use agent_engine::config::exporter::{OtlpConfig, Protocol};
use otlp_proto::collector::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use otlp_proto::google::{self, Any, RetryInfo};
use prost::Message;
use std::time::{Duration, Instant};
use tonic::{Code, Status};

fn at(server: &Server) -> OtlpConfig {
    config(Protocol::Grpc, format!("http://{}", server.address))
}

fn to(server: &Server) -> Exporter {
    exporter(&at(server))
}

#[test]
fn requests_share_a_connection_and_carry_our_metadata() {
    let server = Server::grpc(vec![], None);
    let mut exporter = to(&server);
    for _ in 0..3 {
        assert_eq!(export(&mut exporter), sent());
    }
    let log = server.log();
    assert_eq!((log.connections, log.requests.len()), (1, 3));
    let (metadata, received) = &log.requests[0];
    assert_eq!(*received, body(3));
    assert_eq!(metadata["api-key"], "s3cret");
    let version = env!("CARGO_PKG_VERSION");
    let agent = format!("otel-run/{version} OTel-OTLP-Exporter-Rust/{version}");
    assert_eq!(metadata["user-agent"], agent);
    assert!(metadata.contains_key("grpc-timeout"));
    let names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .collect();
    assert!(
        !names.iter().any(|name| name.starts_with("tokio")),
        "no extra thread: {names:?}"
    );
}

#[test]
fn messages_are_compressed_when_asked_for() {
    let server = Server::grpc(vec![], None);
    let mut config = at(&server);
    config.gzip = true;
    let large = body(100_000);
    let deadline = Some(Instant::now() + super::PLENTY);
    let outcome = exporter(&config).export(large.clone(), 100_000, deadline, &|| false);
    assert_eq!(outcome, sent());
    let log = server.log();
    let (metadata, received) = &log.requests[0];
    assert_eq!(metadata["grpc-encoding"], "gzip");
    assert_eq!(*received, large);
}

#[test]
fn unavailability_passes() {
    let server = Server::grpc(vec![Err(Status::unavailable("starting"))], None);
    let start = Instant::now();
    assert_eq!(export(&mut to(&server)), sent());
    assert!(start.elapsed() >= Duration::from_millis(800));
    assert_eq!(server.log().requests.len(), 2);
}

#[test]
fn exhaustion_is_retried_only_when_told_when() {
    let server = Server::grpc(vec![Err(Status::resource_exhausted("quota"))], None);
    let (cause, detail) = failure(export(&mut to(&server)));
    assert_eq!(
        (cause, detail.as_str()),
        (Cause::Refused, "gRPC ResourceExhausted: quota")
    );
    assert_eq!(server.log().requests.len(), 1);

    let delay = google::Duration {
        seconds: 1,
        nanos: 500_000_000,
    };
    let info = RetryInfo {
        retry_delay: Some(delay),
    };
    let any = Any {
        type_url: RetryInfo::TYPE_URL.into(),
        value: info.encode_to_vec(),
    };
    let details = google::Status {
        code: 8,
        message: "quota".into(),
        details: vec![any],
    };
    let details = details.encode_to_vec().into();
    let status = Status::with_details(Code::ResourceExhausted, "quota", details);
    let server = Server::grpc(vec![Err(status)], None);
    let start = Instant::now();
    assert_eq!(export(&mut to(&server)), sent());
    assert!(start.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn a_partial_success_is_a_success() {
    let partial = ExportTracePartialSuccess {
        rejected_spans: 1,
        error_message: "too long".into(),
    };
    let response = ExportTraceServiceResponse {
        partial_success: Some(partial),
    };
    let server = Server::grpc(vec![Ok(response)], None);
    let outcome = export(&mut to(&server));
    assert_eq!(
        outcome,
        Outcome::Sent(Sent {
            rejected: 1,
            message: "too long".into()
        })
    );
    assert_eq!(server.log().requests.len(), 1);
}

#[test]
fn a_response_above_the_limit_is_fatal() {
    let partial = ExportTracePartialSuccess {
        rejected_spans: 0,
        error_message: "x".repeat(5 << 20),
    };
    let response = ExportTraceServiceResponse {
        partial_success: Some(partial),
    };
    let server = Server::grpc(vec![Ok(response)], None);
    let mut exporter = to(&server);
    assert_eq!(failure(export(&mut exporter)).0, Cause::TooLarge);
    assert_eq!(server.log().requests.len(), 1, "not retried");
    assert_eq!(export(&mut exporter), sent());
}

#[test]
fn an_http_server_is_not_a_grpc_server() {
    let server = Server::http(vec![], None);
    let (cause, detail) = failure(export_within(&mut to(&server), Duration::from_millis(500)));
    assert_eq!(cause, Cause::Exhausted, "{detail}");
}

#[test]
fn a_stalled_receiver_costs_no_more_than_the_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut exporter = exporter(&config(Protocol::Grpc, endpoint));
    for _ in 0..2 {
        let start = Instant::now();
        let limit = Duration::from_millis(300);
        assert_eq!(
            failure(export_within(&mut exporter, limit)).0,
            Cause::Exhausted
        );
        let took = start.elapsed();
        assert!(
            took >= limit && took < Duration::from_millis(800),
            "{took:?}"
        );
    }
}
