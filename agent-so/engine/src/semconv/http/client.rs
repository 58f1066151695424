//! CLIENT spans.

use std::fmt::Write;

use super::{
    Method, Options, Scratch, UNKNOWN_METHOD_NAME, canonical_host, host_header, outcome, peer, put,
    socket_scheme, version,
};
use crate::exchange::{Exchange, Fault, Field};
use crate::semconv::text::lossy;
use crate::semconv::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, NETWORK_PROTOCOL_NAME, OTHER, SERVER_ADDRESS, SERVER_PORT,
    SpanSink, URL_FULL,
};
use crate::url::{Authority, Port, Redaction, Resource, Target, default_port, push_authority};

/// The lowest status code that is an error for the one who asked.
const ERRORS_FROM: u16 = 400;

pub(super) fn describe(
    ex: &Exchange,
    method: Method<'_>,
    options: &Options,
    scratch: &mut Scratch,
    sink: &mut impl SpanSink,
) {
    let Scratch {
        target,
        peer: peer_text,
        text,
        ..
    } = scratch;
    let cut = ex.is_cut(Field::Target);
    let target = lossy(ex.text(Field::Target).unwrap_or_default(), cut, target);
    let target = Target::parse(target, method.is_connect);
    sink.name(method.name);
    method.describe(ex.is_cut(Field::Method), text, sink);
    let peer_port = peer(ex, peer_text, sink);

    // A target that names a host overrides `Host` (RFC 9112).
    let host = host_header(ex).filter(|host| Authority::parse(host).is_some());
    let (scheme, written) = match target {
        Target::Absolute {
            scheme, authority, ..
        } => (scheme, Some(authority)),
        // The tunnel's protocol is not known, so neither is a default port.
        Target::Authority(authority) => ("", Some(authority)),
        Target::Origin(_) | Target::Asterisk => (socket_scheme(ex), None),
    };
    let authority = written
        .and_then(Authority::parse)
        .or_else(|| host.and_then(Authority::parse));
    describe_server(authority, scheme, peer_text, peer_port, text, sink);

    text.clear();
    match target {
        Target::Absolute {
            authority,
            resource,
            ..
        } => {
            text.push_str(scheme);
            text.push_str("://");
            push_authority(authority, text);
            push_resource(resource, &options.redaction, text);
        }
        Target::Authority(authority) => push_authority(authority, text),
        Target::Origin(_) | Target::Asterisk => {
            text.push_str(scheme);
            text.push_str("://");
            let from = text.len();
            match host {
                Some(host) => push_authority(host, text),
                None => push_peer(peer_text, peer_port, scheme, text),
            }
            if text.len() == from {
                // Without a host there is no URL.
                text.clear();
            } else if let Target::Origin(resource) = target {
                if !resource.path.starts_with('/') {
                    text.push('/');
                }
                push_resource(resource, &options.redaction, text);
            }
        }
    }
    put(sink, URL_FULL, text);
    if ex.fastcgi {
        // The version is that of the request to the web server.
        sink.string(NETWORK_PROTOCOL_NAME, "fastcgi");
    } else {
        version(ex, sink);
    }
    outcome(ex, ERRORS_FROM, text, sink);
}

/// A connect that failed. The agent left the name that was looked up, if it knows it, where the `Host` header
/// would be.
pub(super) fn describe_connect(ex: &Exchange, scratch: &mut Scratch, sink: &mut impl SpanSink) {
    let Scratch {
        peer: peer_text,
        text,
        ..
    } = scratch;
    sink.name(UNKNOWN_METHOD_NAME);
    sink.string(HTTP_REQUEST_METHOD, OTHER);
    let peer_port = peer(ex, peer_text, sink);
    let authority = host_header(ex).and_then(Authority::parse);
    let authority = authority.map(|a| match (a.port, peer_port) {
        (Port::Absent, Some(port)) => Authority {
            port: Port::Number(port),
            ..a
        },
        _ => a,
    });
    describe_server(authority, "", peer_text, peer_port, text, sink);
    sink.string(
        ERROR_TYPE,
        if ex.fault == Fault::None {
            OTHER
        } else {
            ex.fault.as_str()
        },
    );
    sink.error();
}

/// `server.*`: what the request names, else whom the socket is connected to.
fn describe_server(
    authority: Option<Authority<'_>>,
    scheme: &str,
    peer_text: &str,
    peer_port: Option<u16>,
    text: &mut String,
    sink: &mut impl SpanSink,
) {
    let (address, port) = match authority {
        Some(Authority { host, port }) => {
            let port = match port {
                Port::Number(port) => Some(port),
                Port::Absent => default_port(scheme),
                Port::Bad => peer_port,
            };
            (canonical_host(host, text), port)
        }
        None => (peer_text, peer_port),
    };
    if address.is_empty() {
        return;
    }
    sink.string(SERVER_ADDRESS, address);
    if let Some(port) = port {
        sink.int(SERVER_PORT, port.into());
    }
}

/// Path, query and fragment, redacted. A fragment has the form of a query where it holds a secret.
fn push_resource(resource: Resource<'_>, redaction: &Redaction, out: &mut String) {
    out.push_str(resource.path);
    for (mark, part) in [('?', resource.query), ('#', resource.fragment)] {
        if let Some(part) = part {
            out.push(mark);
            redaction.push(part, out);
        }
    }
}

/// The peer as an authority: IPv6 in brackets, no default port.
fn push_peer(address: &str, port: Option<u16>, scheme: &str, out: &mut String) {
    if address.contains(':') {
        out.push('[');
        out.push_str(address);
        out.push(']');
    } else {
        out.push_str(address);
    }
    if let Some(port) = port.filter(|port| Some(*port) != default_port(scheme)) {
        // Writing to a String cannot fail.
        _ = write!(out, ":{port}");
    }
}
