//! What the machine makes of connections.

mod cases;
mod fields;
mod head_scan;
mod random;
mod splits;
