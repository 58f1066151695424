//! `opentelemetry.proto.trace.v1`: spans.

use crate::common::{InstrumentationScope, KeyValue};
use crate::resource::Resource;
use prost::{Enumeration, Message};

/// Bits of [`Span::flags`] and [`Link::flags`]: the low eight are the W3C trace flags.
pub mod span_flags {
    /// The W3C trace flags (0x01 sampled, 0x02 random trace id).
    pub const TRACE_FLAGS_MASK: u32 = 0xff;
    /// "It is known whether the parent (or link) is remote".
    pub const CONTEXT_HAS_IS_REMOTE_MASK: u32 = 0x100;
    /// The parent (or link) is remote.
    pub const CONTEXT_IS_REMOTE_MASK: u32 = 0x200;
}

/// The spans of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// What produced them.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The spans, by instrumentation scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
    /// Semantic-convention schema of the resource; may be empty.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// The spans of one instrumentation scope.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The instrumentation that made them.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// The spans, in any order.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
    /// Semantic-convention schema of the spans; may be empty.
    #[prost(string, tag = "3")]
    pub schema_url: String,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes, not all zero.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes, not all zero.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// W3C `tracestate`; may be empty.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// 8 bytes, or empty for a root span.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// Not empty.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Role of the span.
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// Nanoseconds since the UNIX epoch.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the UNIX epoch, never before the start.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// Attributes; keys are unique.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// How many attributes were left out.
    #[prost(uint32, tag = "10")]
    pub dropped_attributes_count: u32,
    /// Things that happened at one moment of the span.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<span::Event>,
    /// How many events were left out.
    #[prost(uint32, tag = "12")]
    pub dropped_events_count: u32,
    /// Related spans, of this or other traces.
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<span::Link>,
    /// How many links were left out.
    #[prost(uint32, tag = "14")]
    pub dropped_links_count: u32,
    /// Outcome; absent means unset.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// See [`span_flags`].
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

/// The messages nested in [`Span`].
pub mod span {
    use super::{KeyValue, Message};

    /// Something that happened at one moment of a span.
    #[derive(Clone, PartialEq, Message)]
    pub struct Event {
        /// Nanoseconds since the UNIX epoch.
        #[prost(fixed64, tag = "1")]
        pub time_unix_nano: u64,
        /// Not empty.
        #[prost(string, tag = "2")]
        pub name: String,
        /// Attributes; keys are unique.
        #[prost(message, repeated, tag = "3")]
        pub attributes: Vec<KeyValue>,
        /// How many attributes were left out.
        #[prost(uint32, tag = "4")]
        pub dropped_attributes_count: u32,
    }

    /// A pointer to another span.
    #[derive(Clone, PartialEq, Message)]
    pub struct Link {
        /// 16 bytes.
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        /// 8 bytes.
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
        /// W3C `tracestate` of the linked span.
        #[prost(string, tag = "3")]
        pub trace_state: String,
        /// Attributes; keys are unique.
        #[prost(message, repeated, tag = "4")]
        pub attributes: Vec<KeyValue>,
        /// How many attributes were left out.
        #[prost(uint32, tag = "5")]
        pub dropped_attributes_count: u32,
        /// See [`super::span_flags`].
        #[prost(fixed32, tag = "6")]
        pub flags: u32,
    }
}

/// Role of a span. The numbers differ from the API's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Never sent; a receiver treats it as internal.
    Unspecified = 0,
    /// Inside the process.
    Internal = 1,
    /// Handles a request from a remote client.
    Server = 2,
    /// Makes a request to a remote server.
    Client = 3,
    /// Sends a message to a broker.
    Producer = 4,
    /// Receives a message from a broker.
    Consumer = 5,
}

/// Outcome of a span. Field 1 is reserved.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// Description of an error; empty otherwise.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The outcome.
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub code: i32,
}

/// Values of [`Status::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StatusCode {
    /// The instrumentation has no opinion.
    Unset = 0,
    /// Declared successful by the application.
    Ok = 1,
    /// Failed.
    Error = 2,
}
