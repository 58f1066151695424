//! `opentelemetry.proto.collector.trace.v1`: the request and response of `TraceService/Export`.

use crate::trace::ResourceSpans;
use prost::Message;

/// The body of an export; the same over gRPC and HTTP.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceRequest {
    /// The spans, by resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The answer to an export that succeeded, wholly or in part.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceResponse {
    /// Set when spans were rejected or the receiver has a warning; the request is not to be resent.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<ExportTracePartialSuccess>,
}

/// What became of the spans that were not accepted.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTracePartialSuccess {
    /// Number of spans rejected; 0 makes the message a warning.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Human-readable reason, in English.
    #[prost(string, tag = "2")]
    pub error_message: String,
}
