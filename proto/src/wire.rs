//! Spans straight to wire bytes, without a message tree in between.
//!
//! A batch is two buffers: [`SpanEncoder`] appends finished spans to one that is reused from batch to
//! batch, and [`RequestEncoder`] puts the resource, encoded once, around a copy of it. The property tests
//! in `tests/wire.rs` hold these bytes against the prost messages.

mod request;
mod span;

pub use request::{RequestEncoder, SPLIT_BYTES};
pub use span::{SpanEncoder, SpanHead, SpanLimits, SpanWriter};

/// Wire type 0.
const VARINT: u32 = 0;
/// Wire type 1.
const FIXED64: u32 = 1;
/// Wire type 2: strings, bytes and messages.
const LEN: u32 = 2;
/// Wire type 5.
const FIXED32: u32 = 5;

fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`put_varint`] writes.
fn varint_len(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// A length-delimited field, left out when empty as proto3 does.
fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    put_tag(out, field, LEN);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes of a length-delimited field with a tag of one byte (fields 1 to 15), never left out.
fn len_field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}
