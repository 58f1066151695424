//! Where and how spans are sent.

use std::path::PathBuf;
use std::time::Duration;

/// OTLP transport (`OTEL_EXPORTER_OTLP_PROTOCOL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    HttpProtobuf,
}

/// `OTEL_TRACES_EXPORTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exporter {
    /// Send OTLP.
    Otlp,
    /// Print spans to standard error.
    Console,
    /// Make and propagate contexts, export nothing.
    None,
}

/// One OTLP destination, every default and precedence already applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Transport.
    pub protocol: Protocol,
    /// HTTP: the full URL that is posted to (`http://h:4318/v1/traces`). gRPC: `http(s)://host:port`, no path.
    pub endpoint: String,
    /// Extra request headers (gRPC: metadata, keys lower-cased), percent-decoded.
    pub headers: Vec<(String, String)>,
    /// Limit of one export with its retries; `None` is no limit.
    pub timeout: Option<Duration>,
    /// Compress requests with gzip.
    pub gzip: bool,
    /// PEM file with the CAs trusted for the server instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client certificate and its key (mTLS); both or none.
    pub client_identity: Option<(PathBuf, PathBuf)>,
}

/// The batch span processor's settings (`OTEL_BSP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Longest time a finished span waits before an export begins.
    pub schedule_delay: Duration,
    /// Limit of one export; `None` is no limit.
    pub export_timeout: Option<Duration>,
    /// Finished spans kept while waiting; beyond it spans are dropped and counted.
    pub max_queue_size: usize,
    /// Most spans in one request.
    pub max_export_batch_size: usize,
}
