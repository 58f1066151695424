//! OTLP traces: the messages, the gRPC service, and an encoder that writes spans straight to wire bytes.
//!
//! Written by hand from the published field numbers (opentelemetry-proto 1.11), so that building needs no
//! `protoc` and no build script. What is not here (metrics, logs, profiles, entity references) is ignored
//! by a decoder, as protobuf prescribes.
//!
//! * [`common`], [`resource`], [`trace`], [`collector`], [`google`]: prost messages, named as in the
//!   `.proto` files.
//! * [`wire`]: the direct encoder.
//! * `service` (features `client`, `server`): `TraceService/Export` over tonic.
#![forbid(unsafe_code)]

pub mod collector;
pub mod common;
pub mod google;
pub mod resource;
#[cfg(any(feature = "client", feature = "server"))]
pub mod service;
pub mod trace;
pub mod wire;
