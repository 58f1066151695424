//! `http/protobuf`.

use super::servers::Server;
use super::{body, config, export, export_within, exporter, failure, sent};
use crate::export::otlp::{Cause, Exporter, Outcome, Sent};
use agent_engine::config::exporter::Protocol;
use flate2::read::GzDecoder;
use http::Response;
use otlp_proto::collector::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn answer(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Response<&'static [u8]> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body: &'static [u8] = Box::leak(body.into().into_boxed_slice());
    builder.body(body).unwrap()
}

fn to(server: &Server) -> Exporter {
    let endpoint = format!("http://{}/v1/traces", server.address);
    exporter(&config(Protocol::HttpProtobuf, endpoint))
}

#[test]
fn requests_share_a_connection_and_carry_our_headers() {
    let server = Server::http(vec![], None);
    let mut exporter = to(&server);
    for _ in 0..3 {
        assert_eq!(export(&mut exporter), sent());
    }
    let log = server.log();
    assert_eq!((log.connections, log.requests.len()), (1, 3));
    let (headers, received) = &log.requests[0];
    assert_eq!(*received, body(3));
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["api-key"], "s3cret");
    assert_eq!(headers["host"], server.address.to_string());
    let agent = headers["user-agent"].to_str().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        agent,
        format!("otel-run/{version} OTel-OTLP-Exporter-Rust/{version}")
    );
}

#[test]
fn bodies_are_compressed_when_asked_for() {
    let server = Server::http(vec![], None);
    let endpoint = format!("http://{}/v1/traces", server.address);
    let mut config = config(Protocol::HttpProtobuf, endpoint);
    config.gzip = true;
    assert_eq!(export(&mut exporter(&config)), sent());
    let log = server.log();
    let (headers, received) = &log.requests[0];
    assert_eq!(headers["content-encoding"], "gzip");
    let mut plain = Vec::new();
    GzDecoder::new(&received[..])
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(plain, body(3));
}

#[test]
fn a_partial_success_is_a_success() {
    let partial = ExportTracePartialSuccess {
        rejected_spans: 2,
        error_message: "too old".into(),
    };
    let response = ExportTraceServiceResponse {
        partial_success: Some(partial),
    };
    let headers = [("content-type", "application/x-protobuf")];
    let server = Server::http(vec![answer(200, &headers, response.encode_to_vec())], None);
    let outcome = export(&mut to(&server));
    assert_eq!(
        outcome,
        Outcome::Sent(Sent {
            rejected: 2,
            message: "too old".into()
        })
    );
    assert_eq!(server.log().requests.len(), 1);
}

#[test]
fn unavailability_passes() {
    let server = Server::http(vec![answer(503, &[], "")], None);
    let start = Instant::now();
    assert_eq!(export(&mut to(&server)), sent());
    assert!(start.elapsed() >= Duration::from_millis(800));
    assert_eq!(server.log().requests.len(), 2);
    assert_eq!(server.log().connections, 1);
}

#[test]
fn throttling_is_heeded() {
    let server = Server::http(vec![answer(429, &[("retry-after", "2")], "")], None);
    let start = Instant::now();
    assert_eq!(export(&mut to(&server)), sent());
    assert!(start.elapsed() >= Duration::from_secs(2));
    let server = Server::http(vec![answer(429, &[("retry-after", "3600")], "")], None);
    let start = Instant::now();
    assert_eq!(failure(export(&mut to(&server))).0, Cause::Exhausted);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "a wait beyond the deadline is not begun"
    );
}

#[test]
fn refusals_are_not_retried() {
    let html = [("content-type", "text/html")];
    let cases = [
        answer(400, &[], ""),
        answer(500, &[], ""),
        answer(404, &html, "<html>no such page</html>"),
        answer(307, &[("location", "/elsewhere")], ""),
    ];
    for case in cases {
        let server = Server::http(vec![case], None);
        let mut exporter = to(&server);
        let (cause, detail) = failure(export(&mut exporter));
        assert_eq!(cause, Cause::Refused);
        assert!(
            detail.starts_with("HTTP ") && !detail.contains('<'),
            "{detail}"
        );
        assert_eq!(
            export(&mut exporter),
            sent(),
            "the connection is still good"
        );
        assert_eq!(server.log().connections, 1);
    }
}

#[test]
fn a_response_without_end_is_not_read() {
    let server = Server::http(vec![answer(200, &[], vec![0; 5 << 20])], None);
    let mut exporter = to(&server);
    assert_eq!(failure(export(&mut exporter)).0, Cause::TooLarge);
    assert_eq!(export(&mut exporter), sent());
}

/// A listener that treats its connections with `treat`, in turn.
fn raw(treat: impl Fn(usize, std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            treat(i, stream.unwrap());
        }
    });
    endpoint
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[test]
fn a_connection_without_an_answer_is_retried() {
    let endpoint = raw(|i, mut stream| {
        if i > 0 {
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(OK).unwrap();
        }
        // The first one is reset: closed with the request unread.
    });
    let start = Instant::now();
    assert_eq!(
        export(&mut exporter(&config(Protocol::HttpProtobuf, endpoint))),
        sent()
    );
    assert!(start.elapsed() >= Duration::from_millis(800));
}

#[test]
fn a_kept_connection_that_died_costs_no_wait() {
    let endpoint = raw(|_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(OK).unwrap();
    });
    let mut exporter = exporter(&config(Protocol::HttpProtobuf, endpoint));
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(export(&mut exporter), sent());
    }
    assert!(start.elapsed() < Duration::from_millis(800), "no backoff");
}

#[test]
fn a_kept_connection_that_was_reset_is_still_ours() {
    let endpoint = raw(|_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(OK).unwrap();
        // Lets the answer arrive, then closes by a reset.
        std::thread::sleep(Duration::from_millis(50));
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&stream).set_linger(linger).unwrap();
    });
    let mut exporter = exporter(&config(Protocol::HttpProtobuf, endpoint));
    for _ in 0..3 {
        assert_eq!(export(&mut exporter), sent());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_stalled_receiver_costs_no_more_than_the_deadline() {
    let kept = std::sync::Mutex::new(Vec::new());
    let endpoint = raw(move |_, stream| kept.lock().unwrap().push(stream));
    let mut exporter = exporter(&config(Protocol::HttpProtobuf, endpoint));
    for _ in 0..2 {
        let start = Instant::now();
        let limit = Duration::from_millis(300);
        let (cause, detail) = failure(export_within(&mut exporter, limit));
        assert_eq!(cause, Cause::Exhausted);
        assert!(detail.contains("no answer in time"), "{detail}");
        let took = start.elapsed();
        assert!(
            took >= limit && took < Duration::from_millis(800),
            "{took:?}"
        );
    }
}

#[test]
fn a_request_that_stalled_is_let_go() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut exporter = exporter(&config(protocol, endpoint));
        let large: bytes::Bytes = vec![0; 48 << 20].into();
        let deadline = Instant::now() + Duration::from_millis(300);
        let outcome = exporter.export(large.clone(), 3, Some(deadline), &|| false);
        assert_eq!(failure(outcome).0, Cause::Exhausted);
        assert!(large.is_unique(), "no task holds on to the body");
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut buffer = vec![0; 1 << 20];
        // Ends by the end of the stream or a reset, not by the timeout.
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        assert!(
            matches!(end, None | Some(std::io::ErrorKind::ConnectionReset)),
            "{end:?}"
        );
    }
}

#[test]
fn nobody_there() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint = format!("http://localhost:{port}/v1/traces");
    let mut exporter = exporter(&config(Protocol::HttpProtobuf, endpoint));
    let (cause, detail) = failure(export_within(&mut exporter, Duration::from_millis(100)));
    assert_eq!(cause, Cause::Exhausted);
    assert!(
        detail.starts_with(&format!("cannot reach localhost:{port}: ")),
        "{detail}"
    );
    let outcome = exporter.export(body(3), 3, None, &|| true);
    assert_eq!(failure(outcome).0, Cause::Aborted);
}

#[test]
fn a_request_beyond_the_limit_is_not_sent() {
    let server = Server::http(vec![], None);
    let huge = vec![0; crate::export::otlp::MAX_REQUEST + 1].into();
    let outcome = to(&server).export(huge, 3, None, &|| false);
    assert_eq!(failure(outcome).0, Cause::TooLarge);
    assert_eq!(server.log().connections, 0);
}
