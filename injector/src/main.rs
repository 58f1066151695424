//! The `otel-run` command.
fn main() {}
