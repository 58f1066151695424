//! The exporter: everything that happens on the agent's own thread.

pub mod otlp;
