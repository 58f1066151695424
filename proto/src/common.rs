//! `opentelemetry.proto.common.v1`: attributes and instrumentation scopes.

use prost::{Message, Oneof};

/// An attribute: keys are unique within one collection.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Attribute name, not empty.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value; `None` and an [`AnyValue`] without a value both mean "empty".
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of any type.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// The value itself.
    #[prost(oneof = "any_value::Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<any_value::Value>,
}

/// The types an [`AnyValue`] can have.
pub mod any_value {
    use super::{ArrayValue, KeyValueList, Oneof};

    /// One typed value.
    #[derive(Clone, PartialEq, Oneof)]
    #[allow(missing_docs, reason = "the names are the types")]
    pub enum Value {
        #[prost(string, tag = "1")]
        StringValue(String),
        #[prost(bool, tag = "2")]
        BoolValue(bool),
        #[prost(int64, tag = "3")]
        IntValue(i64),
        #[prost(double, tag = "4")]
        DoubleValue(f64),
        #[prost(message, tag = "5")]
        ArrayValue(ArrayValue),
        #[prost(message, tag = "6")]
        KvlistValue(KeyValueList),
        #[prost(bytes = "vec", tag = "7")]
        BytesValue(Vec<u8>),
    }
}

/// A list of values; in attributes all of one type.
#[derive(Clone, PartialEq, Message)]
pub struct ArrayValue {
    /// The elements in order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// A map of values.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValueList {
    /// The entries; keys are unique.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// Who made the spans of a [`crate::trace::ScopeSpans`].
#[derive(Clone, PartialEq, Message)]
pub struct InstrumentationScope {
    /// Name of the instrumentation; may be empty.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version; may be empty.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Attributes of the scope.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
    /// How many attributes were left out.
    #[prost(uint32, tag = "4")]
    pub dropped_attributes_count: u32,
}
