//! HTTP spans after the stable semantic conventions.
//!
//! [`describe`] says everything about one exchange: name, status and attributes, required and recommended ones;
//! of the opt-in ones only the headers that the user asked for. Where the conventions leave a choice:
//!
//! * The route is a configured template or the clustered path (see [`crate::route`]); only servers have one.
//! * A server without any host in the request has no `server.address`; a client then uses the peer's.
//! * A port that is no number is left out (a client then uses the peer's), an absent one is the scheme's default.
//! * A connect that failed is a CLIENT span `HTTP` with the method `_OTHER`: no request was ever written.
//! * What an exchange that broke failed of goes before its status code in `error.type`.

mod client;
mod forwarded;
mod headers;
mod options;
mod server;
#[cfg(test)]
mod tests;

pub use options::{KNOWN_METHODS, Options, Settings};

use std::fmt::Write;

use super::text::{lossy, push_ip, socket_address};
use super::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL, HTTP_RESPONSE_STATUS_CODE,
    NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, NETWORK_PROTOCOL_VERSION, OTHER, SpanSink,
};
use crate::exchange::{Exchange, Fault, Field, Kind};
use crate::route::RouteLimiter;

/// Method part of a span name when the method is not known.
const UNKNOWN_METHOD_NAME: &str = "HTTP";

/// What [`describe`] keeps between spans: buffers, so that describing allocates nothing once they have grown,
/// and the routes made so far. One per process (the exporter thread's), because the limit on routes is per
/// process.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    target: String,
    route: String,
    peer: String,
    text: String,
    routes: RouteLimiter,
}

/// Describes `ex` to `sink` as one span. `matched` is the route that the program's own router found for it, where that is
/// known.
pub fn describe(
    ex: &Exchange,
    matched: Option<&str>,
    options: &Options,
    scratch: &mut Scratch,
    sink: &mut impl SpanSink,
) {
    if ex.connect_failed {
        client::describe_connect(ex, scratch, sink);
        return;
    }
    let method = Method::of(ex, options);
    match ex.kind {
        Kind::Server => server::describe(ex, method, matched, options, scratch, sink),
        Kind::Client => client::describe(ex, method, options, scratch, sink),
    }
    headers::describe(ex, options, &mut scratch.text, sink);
}

/// The method in its three shapes.
#[derive(Clone, Copy)]
struct Method<'a> {
    attribute: &'a str,
    name: &'a str,
    /// The text on the wire where it is not the attribute's.
    original: &'a [u8],
    is_connect: bool,
}

impl<'a> Method<'a> {
    fn of(ex: &'a Exchange, options: &'a Options) -> Self {
        let wire = ex.text(Field::Method).unwrap_or_default();
        let is_connect = wire == b"CONNECT";
        match options.known_method(wire) {
            Some(known) => Method {
                attribute: known,
                name: known,
                original: &[],
                is_connect,
            },
            None => Method {
                attribute: OTHER,
                name: UNKNOWN_METHOD_NAME,
                original: wire,
                is_connect,
            },
        }
    }

    fn describe(self, cut: bool, buffer: &mut String, sink: &mut impl SpanSink) {
        sink.string(HTTP_REQUEST_METHOD, self.attribute);
        let original = lossy(self.original, cut, buffer);
        put(sink, HTTP_REQUEST_METHOD_ORIGINAL, original);
    }
}

/// A string attribute, left out when it would be empty.
pub(super) fn put(sink: &mut impl SpanSink, key: &str, value: &str) {
    if !value.is_empty() {
        sink.string(key, value);
    }
}

/// A header as text; none when it was not sent or is no UTF-8.
fn header(ex: &Exchange, field: Field) -> Option<&str> {
    std::str::from_utf8(ex.text(field)?).ok()
}

/// The `Host` header. One that was cut would be another host's name: it does not count.
pub(super) fn host_header(ex: &Exchange) -> Option<&str> {
    header(ex, Field::Host).filter(|_| !ex.is_cut(Field::Host))
}

/// The scheme as the socket shows it.
fn socket_scheme(ex: &Exchange) -> &'static str {
    if ex.tls { "https" } else { "http" }
}

/// A host as an attribute shows it: IPv6 addresses in their canonical form, all else as written.
fn canonical_host<'a>(host: &'a str, buffer: &'a mut String) -> &'a str {
    if !host.contains(':') {
        return host;
    }
    match host.parse() {
        Ok(ip) => {
            buffer.clear();
            push_ip(ip, buffer);
            buffer
        }
        Err(_) => host,
    }
}

/// `network.peer.*`. Leaves the address in `buffer`, empty when unknown, and gives the port.
pub(super) fn peer(ex: &Exchange, buffer: &mut String, sink: &mut impl SpanSink) -> Option<u16> {
    buffer.clear();
    let (ip, port) = socket_address(ex.peer)?;
    push_ip(ip, buffer);
    sink.string(NETWORK_PEER_ADDRESS, buffer);
    let port = (port != 0).then_some(port)?;
    sink.int(NETWORK_PEER_PORT, port.into());
    Some(port)
}

/// `network.protocol.version`. The name is `http` and therefore left out.
fn version(ex: &Exchange, sink: &mut impl SpanSink) {
    let version = match ex.version {
        9 => "0.9",
        10 => "1.0",
        11 => "1.1",
        20 => "2",
        30 => "3",
        _ => return,
    };
    sink.string(NETWORK_PROTOCOL_VERSION, version);
}

/// Status code, span status and `error.type`. `threshold` is the lowest status code that is an error. A missing
/// response alone is none: nothing is known of it.
fn outcome(ex: &Exchange, threshold: u16, buffer: &mut String, sink: &mut impl SpanSink) {
    if ex.status != 0 {
        sink.int(HTTP_RESPONSE_STATUS_CODE, ex.status.into());
    }
    if ex.fault != Fault::None {
        sink.string(ERROR_TYPE, ex.fault.as_str());
        sink.error();
    } else if ex.status >= threshold {
        buffer.clear();
        // Writing to a String cannot fail.
        _ = write!(buffer, "{}", ex.status);
        sink.string(ERROR_TYPE, buffer);
        sink.error();
    }
}
