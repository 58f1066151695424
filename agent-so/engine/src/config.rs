//! What the environment variables say, read once and immutable.

pub mod exporter;
