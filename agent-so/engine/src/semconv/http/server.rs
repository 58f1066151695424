//! SERVER spans.

use super::forwarded::{Element, client, left_most};
use super::{
    Method, Options, Scratch, canonical_host, header, host_header, outcome, peer, put,
    socket_scheme, version,
};
use crate::exchange::{Exchange, Field};
use crate::semconv::text::lossy;
use crate::semconv::{
    CLIENT_ADDRESS, HTTP_ROUTE, SERVER_ADDRESS, SERVER_PORT, SpanSink, URL_PATH, URL_QUERY,
    URL_SCHEME, USER_AGENT_ORIGINAL,
};
use crate::url::{Authority, Port, Resource, Target, default_port, is_scheme};

/// The lowest status code that is this side's fault.
const ERRORS_FROM: u16 = 500;

pub(super) fn describe(
    ex: &Exchange,
    method: Method<'_>,
    matched: Option<&str>,
    options: &Options,
    scratch: &mut Scratch,
    sink: &mut impl SpanSink,
) {
    let Scratch {
        target,
        route,
        peer: peer_text,
        text,
        routes,
        ..
    } = scratch;
    let cut = ex.is_cut(Field::Target);
    let target = lossy(ex.text(Field::Target).unwrap_or_default(), cut, target);
    let target = Target::parse(target, method.is_connect);
    let (path, query) = match target {
        Target::Origin(Resource { path, query, .. })
        | Target::Absolute {
            resource: Resource { path, query, .. },
            ..
        } => (if path.is_empty() { "/" } else { path }, query),
        Target::Authority(_) => ("/", None),
        Target::Asterisk => ("*", None),
    };

    // The end of a path that was cut is missing: it may be any route.
    let whole = path.starts_with('/')
        && !matches!(target, Target::Authority(_))
        && !(cut && query.is_none());
    let route = if whole {
        let doubtful = ex.status == 404;
        options.router.route(path, matched, doubtful, routes, route)
    } else {
        matched
    };
    match route {
        Some(route) => {
            text.clear();
            text.push_str(method.name);
            text.push(' ');
            // What Rails puts after most routes is not part of the name.
            text.push_str(route.strip_suffix("(.:format)").unwrap_or(route));
            sink.name(text);
        }
        None => sink.name(method.name),
    }
    method.describe(ex.is_cut(Field::Method), text, sink);
    put(sink, HTTP_ROUTE, route.unwrap_or_default());
    sink.string(URL_PATH, path);
    describe_query(query.unwrap_or_default(), options, text, sink);

    let forwarded = header(ex, Field::Forwarded)
        .map(Element::first)
        .unwrap_or_default();
    let scheme = scheme(ex, forwarded, target);
    describe_scheme(scheme, text, sink);
    if let Some(Authority { host, port }) = authority(ex, forwarded, target) {
        sink.string(SERVER_ADDRESS, canonical_host(host, text));
        let port = match port {
            Port::Number(port) => Some(port),
            Port::Absent => default_port(scheme),
            Port::Bad => None,
        };
        if let Some(port) = port {
            sink.int(SERVER_PORT, port.into());
        }
    }

    peer(ex, peer_text, sink);
    match original_client(ex, forwarded) {
        Some(host) => sink.string(CLIENT_ADDRESS, canonical_host(host, text)),
        None => put(sink, CLIENT_ADDRESS, peer_text),
    }
    version(ex, sink);
    let user_agent = ex.text(Field::UserAgent).unwrap_or_default();
    put(
        sink,
        USER_AGENT_ORIGINAL,
        lossy(user_agent, ex.is_cut(Field::UserAgent), text),
    );
    outcome(ex, ERRORS_FROM, text, sink);
}

fn describe_query(query: &str, options: &Options, text: &mut String, sink: &mut impl SpanSink) {
    if options.redaction.is_clean(query) {
        put(sink, URL_QUERY, query);
    } else {
        text.clear();
        options.redaction.push(query, text);
        sink.string(URL_QUERY, text);
    }
}

/// The scheme that the original client used. An entry that is no scheme does not count.
fn scheme<'a>(ex: &'a Exchange, forwarded: Element<'a>, target: Target<'a>) -> &'a str {
    let by_proxy = || header(ex, Field::XForwardedProto).and_then(left_most);
    let in_target = match target {
        Target::Absolute { scheme, .. } => Some(scheme),
        _ => None,
    };
    forwarded
        .proto
        .filter(|s| is_scheme(s))
        .or_else(|| by_proxy().filter(|s| is_scheme(s)))
        .or(in_target)
        .unwrap_or_else(|| socket_scheme(ex))
}

/// Schemes are shown in lower case.
fn describe_scheme(scheme: &str, text: &mut String, sink: &mut impl SpanSink) {
    if scheme.bytes().any(|b| b.is_ascii_uppercase()) {
        text.clear();
        text.push_str(scheme);
        text.make_ascii_lowercase();
        sink.string(URL_SCHEME, text);
    } else {
        sink.string(URL_SCHEME, scheme);
    }
}

/// The host that the original client asked for. A target that names a host overrides `Host` (RFC 9112).
fn authority<'a>(
    ex: &'a Exchange,
    forwarded: Element<'a>,
    target: Target<'a>,
) -> Option<Authority<'a>> {
    let by_proxy = || header(ex, Field::XForwardedHost).and_then(left_most);
    let in_target = match target {
        Target::Absolute { authority, .. } | Target::Authority(authority) => Some(authority),
        Target::Origin(_) | Target::Asterisk => None,
    };
    forwarded
        .host
        .and_then(Authority::parse)
        .or_else(|| by_proxy().and_then(Authority::parse))
        .or_else(|| in_target.and_then(Authority::parse))
        .or_else(|| host_header(ex).and_then(Authority::parse))
}

/// The client that the proxies name.
fn original_client<'a>(ex: &'a Exchange, forwarded: Element<'a>) -> Option<&'a str> {
    let by_proxy = || header(ex, Field::XForwardedFor).and_then(left_most);
    forwarded
        .client
        .and_then(client)
        .or_else(|| by_proxy().and_then(client))
}
