//! What a response means (otlp.md section 5).

use super::outcome::{Cause, Sent, tidy};
use super::retry::Verdict;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use otlp_proto::collector::ExportTraceServiceResponse;
use otlp_proto::google;
use prost::Message;
use std::time::{Duration, SystemTime};
use tonic::Code;

/// Longest delay taken from a receiver: beyond it no deadline would allow a retry anyway.
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A response over HTTP, its body read to the end.
pub(super) fn http(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    spans: u64,
    now: SystemTime,
) -> Verdict {
    let media_type = content_type(headers);
    let protobuf = media_type
        .as_deref()
        .is_none_or(|t| t == "application/x-protobuf");
    if status.is_success() {
        let response = protobuf
            .then(|| ExportTraceServiceResponse::decode(body).ok())
            .flatten();
        return Verdict::Sent(match (response, media_type.as_deref()) {
            (Some(response), _) => sent(&response, spans),
            // A success all the same, but a page rather than a receiver has answered: worth a line.
            (None, None | Some("text/html")) => Sent {
                rejected: 0,
                message: format!("HTTP {status}, but not an OTLP answer"),
            },
            // Some receivers answer in JSON or plain text, whatever they were asked in.
            (None, Some(_)) => Sent::default(),
        });
    }
    let mut detail = format!("HTTP {status}");
    // Proxies answer with HTML, which says nothing in one line.
    let answer = protobuf
        .then(|| google::Status::decode(body).ok())
        .flatten();
    if let Some(message) = answer
        .map(|answer| tidy(&answer.message))
        .filter(|m| !m.is_empty())
    {
        detail = format!("{detail}: {message}");
    }
    match status.as_u16() {
        429 | 502 | 503 | 504 => Verdict::Retry {
            after: retry_after(headers, now),
            detail,
        },
        300..=399 => Verdict::Fatal {
            cause: Cause::Refused,
            detail: format!("{detail}: redirects are not followed"),
        },
        _ => Verdict::Fatal {
            cause: Cause::Refused,
            detail,
        },
    }
}

/// What a response message says about the spans.
pub(super) fn sent(response: &ExportTraceServiceResponse, spans: u64) -> Sent {
    match &response.partial_success {
        Some(partial) => Sent {
            rejected: u64::try_from(partial.rejected_spans)
                .unwrap_or(0)
                .min(spans),
            message: tidy(&partial.error_message),
        },
        None => Sent::default(),
    }
}

/// A failure over gRPC. `answered` tells a status that the receiver sent from one that tonic made up.
pub(super) fn grpc(status: &tonic::Status, answered: bool) -> Verdict {
    let code = status.code();
    let message = tidy(status.message());
    let detail = match message.is_empty() {
        true => format!("gRPC {code:?}"),
        false => format!("gRPC {code:?}: {message}"),
    };
    // tonic reports a response above its size limit by the code that means "retry" from a receiver.
    if !answered && code == Code::OutOfRange {
        return Verdict::Fatal {
            cause: Cause::TooLarge,
            detail,
        };
    }
    let after = google::Status::decode(status.details())
        .ok()
        .and_then(|s| s.retry_delay());
    let retryable = match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => after.is_some(),
        _ => false,
    };
    match retryable {
        true => Verdict::Retry {
            after: after.map(|delay| delay.min(MAX_DELAY)),
            detail,
        },
        false => Verdict::Fatal {
            cause: Cause::Refused,
            detail,
        },
    }
}

/// The media type without its parameters, lower-cased.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
    )
}

/// `Retry-After` in either form: seconds, or a date (in the past: at once). Nonsense is no header.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = match value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        true => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
        false => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(now)
            .unwrap_or(Duration::ZERO),
    };
    Some(delay.min(MAX_DELAY))
}
