//! The envelope: one resource and one scope around encoded spans.

use super::{LEN, len_field_len, put_bytes, put_tag, put_varint};
use crate::common::InstrumentationScope;
use crate::resource::Resource;
use bytes::Bytes;
use prost::Message;

/// Size of an encoded request, in bytes, above which a batch is split. Many gRPC receivers still refuse
/// messages above 4 MiB (otlp.md section 2); a span that crosses this line must fit in the rest.
pub const SPLIT_BYTES: usize = 3 * 1024 * 1024;

/// Frames spans into request bodies; everything but the spans is encoded once.
#[derive(Clone, Debug)]
pub struct RequestEncoder {
    /// `ResourceSpans.resource`, with tag and length.
    resource: Vec<u8>,
    /// `ResourceSpans.schema_url`, with tag and length.
    resource_schema: Vec<u8>,
    /// `ScopeSpans.scope`, with tag and length.
    scope: Vec<u8>,
    /// `ScopeSpans.schema_url`, with tag and length.
    scope_schema: Vec<u8>,
}

impl RequestEncoder {
    /// Encodes what all requests share. The schema URLs may be empty.
    pub fn new(
        resource: &Resource,
        resource_schema_url: &str,
        scope: &InstrumentationScope,
        scope_schema_url: &str,
    ) -> Self {
        let message = |bytes: Vec<u8>| {
            let mut out = Vec::with_capacity(len_field_len(bytes.len()));
            put_tag(&mut out, 1, LEN);
            put_varint(&mut out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
            out
        };
        let schema = |url: &str| {
            let mut out = Vec::new();
            put_bytes(&mut out, 3, url.as_bytes());
            out
        };
        Self {
            resource: message(resource.encode_to_vec()),
            resource_schema: schema(resource_schema_url),
            scope: message(scope.encode_to_vec()),
            scope_schema: schema(scope_schema_url),
        }
    }

    /// Size in bytes of the request that [`RequestEncoder::encode`] makes of `spans` bytes of spans.
    pub fn encoded_len(&self, spans: usize) -> usize {
        len_field_len(self.resource_spans_len(spans))
    }

    /// Whether another span can be added to `spans` bytes of spans before the batch has to be sent.
    pub fn has_room(&self, spans: usize) -> bool {
        self.encoded_len(spans) < SPLIT_BYTES
    }

    /// One request body with `spans`, what [`super::SpanEncoder`] appended. Not to be called with none: an
    /// empty envelope is not to be sent.
    pub fn encode(&self, spans: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_len(spans.len()));
        put_tag(&mut out, 1, LEN);
        put_varint(&mut out, self.resource_spans_len(spans.len()) as u64);
        out.extend_from_slice(&self.resource);
        put_tag(&mut out, 2, LEN);
        put_varint(&mut out, self.scope_spans_len(spans.len()) as u64);
        out.extend_from_slice(&self.scope);
        out.extend_from_slice(spans);
        out.extend_from_slice(&self.scope_schema);
        out.extend_from_slice(&self.resource_schema);
        Bytes::from(out)
    }

    fn scope_spans_len(&self, spans: usize) -> usize {
        self.scope.len() + spans + self.scope_schema.len()
    }

    fn resource_spans_len(&self, spans: usize) -> usize {
        self.resource.len()
            + len_field_len(self.scope_spans_len(spans))
            + self.resource_schema.len()
    }
}
