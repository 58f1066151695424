//! OTLP trace messages and services.
#![forbid(unsafe_code)]
