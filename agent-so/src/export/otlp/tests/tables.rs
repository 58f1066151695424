//! The tables of otlp.md section 5, row by row.

use crate::export::otlp::classify;
use crate::export::otlp::outcome::{Cause, Sent};
use crate::export::otlp::retry::Verdict;
use http::{HeaderMap, StatusCode};
use otlp_proto::collector::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use otlp_proto::google::{self, Any, RetryInfo};
use prost::Message;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap()))
        .collect()
}

fn http(status: u16, pairs: &[(&'static str, &str)], body: &[u8]) -> Verdict {
    let status = StatusCode::from_u16(status).unwrap();
    classify::http(status, &headers(pairs), body, 10, SystemTime::now())
}

#[test]
fn http_codes() {
    for code in [200, 202, 204] {
        assert_eq!(
            http(code, &[], b""),
            Verdict::Sent(Sent::default()),
            "{code}"
        );
    }
    for code in [429, 502, 503, 504] {
        assert!(
            matches!(http(code, &[], b""), Verdict::Retry { after: None, .. }),
            "{code}"
        );
    }
    let refused = [
        301, 302, 304, 307, 400, 401, 403, 404, 408, 413, 415, 500, 501, 505, 599,
    ];
    for code in refused {
        let verdict = http(code, &[], b"");
        assert!(
            matches!(
                verdict,
                Verdict::Fatal {
                    cause: Cause::Refused,
                    ..
                }
            ),
            "{code}"
        );
    }
}

#[test]
fn retry_after_in_both_forms() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    let after = |value: &str| {
        let headers = headers(&[("retry-after", value)]);
        match classify::http(StatusCode::TOO_MANY_REQUESTS, &headers, b"", 1, now) {
            Verdict::Retry { after, .. } => after.map(|delay| delay.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    let day = 24 * 60 * 60;
    assert_eq!(after("0"), Some(0));
    assert_eq!(after(" 17 "), Some(17));
    assert_eq!(after("99999999999999999999999"), Some(day));
    assert_eq!(
        after("Sun, 06 Nov 1994 08:49:37 GMT"),
        Some(7),
        "ahead of now by seven seconds"
    );
    assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "passed");
    assert_eq!(after("Sunday, 06-Nov-94 08:49:37 GMT"), Some(7), "RFC 850");
    for nonsense in ["", "-1", "1.5", "soon"] {
        assert_eq!(after(nonsense), None, "{nonsense}");
    }
}

#[test]
fn http_bodies_are_read_defensively() {
    let detail = |verdict| match verdict {
        Verdict::Fatal { detail, .. } => detail,
        other => panic!("{other:?}"),
    };
    let status = google::Status {
        message: "bad\nspan".into(),
        ..Default::default()
    };
    let protobuf = [("content-type", "application/x-protobuf")];
    let text = detail(http(400, &protobuf, &status.encode_to_vec()));
    assert_eq!(text, "HTTP 400 Bad Request: bad span");
    let html = [("content-type", "text/html; charset=utf-8")];
    assert_eq!(detail(http(404, &html, b"<html>")), "HTTP 404 Not Found");
    assert_eq!(detail(http(404, &[], b"<html>")), "HTTP 404 Not Found");
    let long = google::Status {
        message: "é".repeat(5000),
        ..Default::default()
    };
    assert!(
        detail(http(400, &protobuf, &long.encode_to_vec()))
            .chars()
            .count()
            < 300
    );
    let json = [("content-type", "application/json")];
    assert_eq!(http(200, &json, b"{}"), Verdict::Sent(Sent::default()));
    match http(200, &html, b"<html>welcome") {
        Verdict::Sent(Sent {
            rejected: 0,
            message,
        }) => assert!(message.contains("not an OTLP")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn partial_success_never_exceeds_what_was_sent() {
    let sent = |rejected_spans, error_message: &str| {
        let error_message = error_message.into();
        let partial = ExportTracePartialSuccess {
            rejected_spans,
            error_message,
        };
        let response = ExportTraceServiceResponse {
            partial_success: Some(partial),
        };
        let sent = classify::sent(&response, 10);
        (sent.rejected, sent.message)
    };
    assert_eq!(sent(2, "too old"), (2, "too old".into()));
    assert_eq!(sent(0, "slow down"), (0, "slow down".into()));
    assert_eq!(sent(1000, ""), (10, String::new()));
    assert_eq!(sent(-1, ""), (0, String::new()));
}

#[test]
fn grpc_codes() {
    use Code::*;
    for code in [
        Cancelled,
        DeadlineExceeded,
        OutOfRange,
        Aborted,
        Unavailable,
        DataLoss,
    ] {
        let verdict = classify::grpc(&Status::new(code, ""), true);
        assert!(
            matches!(verdict, Verdict::Retry { after: None, .. }),
            "{code:?}"
        );
    }
    let refused = [
        Unknown,
        InvalidArgument,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Unimplemented,
        Internal,
        Unauthenticated,
    ];
    for code in refused {
        let verdict = classify::grpc(&Status::new(code, ""), true);
        assert!(
            matches!(
                verdict,
                Verdict::Fatal {
                    cause: Cause::Refused,
                    ..
                }
            ),
            "{code:?}"
        );
    }
    let local = classify::grpc(&Status::new(OutOfRange, "too large"), false);
    assert!(matches!(
        local,
        Verdict::Fatal {
            cause: Cause::TooLarge,
            ..
        }
    ));
}

#[test]
fn retry_info_makes_exhaustion_retryable() {
    let info = |delay| {
        let retry = RetryInfo { retry_delay: delay };
        let other = Any {
            type_url: "type.googleapis.com/google.rpc.Help".into(),
            value: vec![8],
        };
        let any = Any {
            type_url: RetryInfo::TYPE_URL.into(),
            value: retry.encode_to_vec(),
        };
        google::Status {
            code: 8,
            message: String::new(),
            details: vec![other, any],
        }
    };
    let after = |code, status: google::Status| {
        let status = Status::with_details(code, "", status.encode_to_vec().into());
        match classify::grpc(&status, true) {
            Verdict::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        }
    };
    let delay = |seconds, nanos| Some(google::Duration { seconds, nanos });
    let millis = |ms| Some(Duration::from_millis(ms));
    assert_eq!(
        after(Code::ResourceExhausted, info(delay(2, 500_000_000))),
        millis(2500)
    );
    assert_eq!(after(Code::ResourceExhausted, info(None)), millis(0));
    assert_eq!(
        after(Code::ResourceExhausted, info(delay(-1, -1))),
        millis(0)
    );
    assert_eq!(after(Code::Unavailable, info(delay(1, 0))), millis(1000));
    let day = 24 * 60 * 60 * 1000;
    assert_eq!(
        after(Code::Unavailable, info(delay(i64::MAX, 0))),
        millis(day)
    );
    assert_eq!(after(Code::Unavailable, google::Status::default()), None);
}
