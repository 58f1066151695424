//! The part of the agent that knows protocols and conventions and nothing of the machine: bytes and
//! timestamps in, events out. No libc, no sockets, no clock, no threads, no unsafe.
#![forbid(unsafe_code)]

pub mod classfile;
pub mod config;
pub mod context;
pub mod db;
pub mod exchange;
pub mod hash;
pub mod inflate;
pub mod protocol;
pub mod resource;
pub mod route;
pub mod sampler;
pub mod semconv;
pub mod sql;
pub mod url;
