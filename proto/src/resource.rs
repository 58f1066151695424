//! `opentelemetry.proto.resource.v1`: what produced the telemetry.

use crate::common::KeyValue;
use prost::Message;

/// The entity that produced the telemetry (service, process, host).
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// Attributes of the resource; keys are unique.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    /// How many attributes were left out.
    #[prost(uint32, tag = "2")]
    pub dropped_attributes_count: u32,
}
