//! Spans of databases, by the stable database conventions. Those of Redis are in development there.
//!
//! The making of a connection has no convention of its own: it is called `connect`, as the SDKs' instrumentations of
//! SQLAlchemy and others do.

mod redis;
#[cfg(test)]
mod tests;

use super::http::{host_header, peer, put};
use super::text::lossy;
use super::{
    DB_NAMESPACE, DB_OPERATION_BATCH_SIZE, DB_OPERATION_NAME, DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME, ERROR_TYPE, SERVER_ADDRESS, SERVER_PORT, SpanSink,
};
use crate::exchange::{Exchange, Fault, Field, System};

/// What [`describe`] keeps between spans: buffers.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    peer: String,
    text: String,
    operation: String,
}

impl System {
    /// The value of `db.system.name`; empty for [`System::None`].
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Redis => "redis",
        }
    }

    /// The port that goes without saying.
    fn default_port(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Redis => 6379,
        }
    }
}

/// Describes `ex`, an exchange with a database, to `sink` as one span.
pub fn describe(ex: &Exchange, scratch: &mut Scratch, sink: &mut impl SpanSink) {
    let Scratch {
        peer: peer_text,
        text,
        operation,
    } = scratch;
    operation.clear();
    let operations = if ex.db.is_connect {
        operation.push_str("connect");
        1
    } else {
        redis::operation(ex, operation)
    };
    let system = ex.db.system.name();
    sink.name(if operation.is_empty() {
        system
    } else {
        operation
    });
    sink.string(DB_SYSTEM_NAME, system);
    put(sink, DB_OPERATION_NAME, operation);
    let namespace = ex.text(Field::Namespace).unwrap_or_default();
    put(sink, DB_NAMESPACE, lossy(namespace, false, text));
    if operations > 1 {
        sink.int(DB_OPERATION_BATCH_SIZE, operations.into());
    }
    let peer_port = peer(ex, peer_text, sink);
    // The agent left the name that was looked up, if it knows it.
    let host = host_header(ex).unwrap_or(peer_text);
    put(sink, SERVER_ADDRESS, host);
    if let Some(port) = peer_port.filter(|port| *port != ex.db.system.default_port()) {
        sink.int(SERVER_PORT, port.into());
    }
    let code = ex.text(Field::Code).unwrap_or_default();
    let code = lossy(code, false, text);
    put(sink, DB_RESPONSE_STATUS_CODE, code);
    if ex.fault != Fault::None {
        sink.string(ERROR_TYPE, ex.fault.as_str());
        sink.error();
    } else if !code.is_empty() {
        sink.string(ERROR_TYPE, code);
        sink.error();
    }
}
