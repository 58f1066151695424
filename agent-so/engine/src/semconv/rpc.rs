//! Spans of gRPC calls after the conventions for RPC (release candidate), in their form of [`super::SCHEMA_URL`].
//!
//! A call makes this span and no HTTP span. Where the conventions leave a choice:
//!
//! * A method is one that the server knows unless the answer is UNIMPLEMENTED, or the path is not `/Service/Method`: then
//!   it is `_OTHER`, and the span's name `grpc`. So is every one beyond the limit on distinct names.
//! * A call of which no status is known has none, and is an error only if something failed.
//! * The server is what `:authority` names; a client that names no port has used the peer's.

use super::http::{Options, Scratch, canonical_host, headers, host_header, peer, put};
use super::text::lossy;
use super::{
    ERROR_TYPE, OTHER, RPC_METHOD, RPC_METHOD_ORIGINAL, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
    SERVER_ADDRESS, SERVER_PORT, SpanSink,
};
use crate::exchange::{Exchange, Fault, Field, Kind};
use crate::url::{Authority, Port};

#[cfg(test)]
mod tests;

const SYSTEM: &str = "grpc";

/// Statuses by their number, and whether one is an error for the server: for the client all are but the first.
const STATUSES: [(&str, bool); 17] = [
    ("OK", false),
    ("CANCELLED", false),
    ("UNKNOWN", true),
    ("INVALID_ARGUMENT", false),
    ("DEADLINE_EXCEEDED", true),
    ("NOT_FOUND", false),
    ("ALREADY_EXISTS", false),
    ("PERMISSION_DENIED", false),
    ("RESOURCE_EXHAUSTED", false),
    ("FAILED_PRECONDITION", false),
    ("ABORTED", false),
    ("OUT_OF_RANGE", false),
    (UNIMPLEMENTED, true),
    ("INTERNAL", true),
    ("UNAVAILABLE", true),
    ("DATA_LOSS", true),
    ("UNAUTHENTICATED", false),
];
const UNIMPLEMENTED: &str = "UNIMPLEMENTED";

/// Describes a call as one span.
pub(super) fn describe(
    ex: &Exchange,
    options: &Options,
    scratch: &mut Scratch,
    sink: &mut impl SpanSink,
) {
    let Scratch {
        target,
        peer: peer_text,
        text,
        methods,
        ..
    } = scratch;
    let status = usize::from(ex.rpc_status)
        .checked_sub(1)
        .and_then(|code| STATUSES.get(code));
    let cut = ex.is_cut(Field::Target);
    let path = lossy(ex.text(Field::Target).unwrap_or_default(), cut, target);
    let original = path.strip_prefix('/').unwrap_or(path);
    let known = status.is_none_or(|(name, _)| *name != UNIMPLEMENTED);
    if known && !cut && is_method(original) && methods.admit(original, status.is_none()) {
        sink.name(original);
        sink.string(RPC_METHOD, original);
    } else {
        sink.name(SYSTEM);
        sink.string(RPC_METHOD, OTHER);
        put(sink, RPC_METHOD_ORIGINAL, original);
    }
    sink.string(RPC_SYSTEM_NAME, SYSTEM);

    let peer_port = peer(ex, peer_text, sink);
    let client = ex.kind == Kind::Client;
    let server = match host_header(ex).and_then(Authority::parse) {
        Some(Authority { host, port }) => {
            let port = match port {
                Port::Number(port) => Some(port),
                Port::Absent | Port::Bad => peer_port.filter(|_| client),
            };
            Some((canonical_host(host, text), port))
        }
        None => Some((peer_text.as_str(), peer_port))
            .filter(|(address, _)| client && !address.is_empty()),
    };
    if let Some((address, port)) = server {
        sink.string(SERVER_ADDRESS, address);
        if let Some(port) = port {
            sink.int(SERVER_PORT, port.into());
        }
    }

    if let Some((name, _)) = status {
        sink.string(RPC_RESPONSE_STATUS_CODE, name);
    }
    let failed = match status {
        Some((name, of_server)) => {
            let error = if client {
                ex.rpc_status != 1
            } else {
                *of_server
            };
            error.then_some(*name)
        }
        None => (ex.fault != Fault::None).then(|| ex.fault.as_str()),
    };
    if let Some(kind) = failed {
        sink.string(ERROR_TYPE, kind);
        sink.error();
    }
    headers::describe(ex, options, text, sink);
}

/// Whether a path without its slash is `package.Service/Method`.
fn is_method(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"/?#".contains(&b))
    };
    path.split_once('/')
        .is_some_and(|(service, method)| plain(service) && plain(method))
}
