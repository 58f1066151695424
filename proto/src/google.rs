//! The few `google.rpc` and `google.protobuf` messages by which an OTLP receiver describes a failure.

use prost::Message;

/// `google.rpc.Status`: body of a failed HTTP export, and of the `grpc-status-details-bin` trailer.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// A gRPC code; unused over HTTP.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Human-readable reason.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Typed details, [`RetryInfo`] among them.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`: an encoded message with the name of its type.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// `type.googleapis.com/<full name>`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`: when to try again.
#[derive(Clone, PartialEq, Message)]
pub struct RetryInfo {
    /// The shortest wait before the next attempt.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Duration {
    /// Whole seconds, of either sign.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the same sign, below 10^9.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl RetryInfo {
    /// Full name of the type, what follows the last `/` of [`Any::type_url`].
    pub const FULL_NAME: &'static str = "google.rpc.RetryInfo";
    /// The type URL that receivers send.
    pub const TYPE_URL: &'static str = "type.googleapis.com/google.rpc.RetryInfo";
}

impl Status {
    /// The delay of the first [`RetryInfo`] among the details. `Some(0)` when it is there without a delay
    /// or with a negative one: its presence alone makes a failure retryable (OTLP/gRPC throttling).
    pub fn retry_delay(&self) -> Option<std::time::Duration> {
        let named = |any: &&Any| any.type_url.rsplit('/').next() == Some(RetryInfo::FULL_NAME);
        let info = RetryInfo::decode(self.details.iter().find(named)?.value.as_slice()).ok()?;
        let delay = info.retry_delay.unwrap_or_default();
        let seconds = u64::try_from(delay.seconds).unwrap_or(0);
        let nanos = u32::try_from(delay.nanos).unwrap_or(0).min(999_999_999);
        Some(std::time::Duration::new(seconds, nanos))
    }
}
