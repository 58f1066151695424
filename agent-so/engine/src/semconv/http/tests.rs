//! Exchanges and the exact spans they make: no attribute more, none less.

mod client;
mod options;
mod server;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::exchange::{Endpoint, TARGET_MAX, VALUE_MAX};

/// A span as text: `name`, then `!` for status Error, then the attributes.
#[derive(Debug, Default)]
struct Span {
    name: Option<String>,
    error: bool,
    attributes: BTreeMap<String, String>,
}

impl Span {
    fn insert(&mut self, key: &str, value: String) {
        assert!(self.name.is_some(), "the name comes first");
        assert!(!value.is_empty(), "{key} is empty");
        assert_eq!(
            self.attributes.insert(key.to_owned(), value),
            None,
            "{key} twice"
        );
    }
}

impl SpanSink for Span {
    fn name(&mut self, name: &str) {
        assert_eq!(self.name.replace(name.to_owned()), None, "one name");
    }
    fn string(&mut self, key: &str, value: &str) {
        self.insert(key, value.to_owned());
    }
    fn int(&mut self, key: &str, value: i64) {
        self.insert(key, format!("#{value}"));
    }
    fn strings(&mut self, key: &str, values: &[&str]) {
        self.insert(key, format!("{values:?}"));
    }
    fn error(&mut self) {
        assert!(!self.error, "status once");
        self.error = true;
    }
}

const PEER: Endpoint = Endpoint::V4 {
    ip: [10, 0, 0, 9],
    port: 4711,
};

fn exchange(kind: Kind, fields: &[(Field, &str)], change: impl FnOnce(&mut Exchange)) -> Exchange {
    let mut ex = Exchange::default();
    (ex.kind, ex.version, ex.status, ex.peer) = (kind, 11, 200, PEER);
    for (field, value) in fields {
        let cap = if *field == Field::Target {
            TARGET_MAX
        } else {
            VALUE_MAX
        };
        ex.set(*field, value.as_bytes(), cap);
    }
    change(&mut ex);
    ex
}

fn span_of(ex: &Exchange, settings: &Settings) -> Span {
    let mut span = Span::default();
    describe(
        ex,
        None,
        &Options::new(settings),
        &mut Scratch::default(),
        &mut span,
    );
    span
}

/// Asserts the whole span. Integers are written `#80`.
#[track_caller]
fn check(ex: &Exchange, settings: &Settings, name: &str, error: bool, expected: &[(&str, &str)]) {
    let span = span_of(ex, settings);
    assert_eq!(span.name.as_deref(), Some(name));
    assert_eq!(span.error, error, "status");
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    assert_eq!(span.attributes, expected);
}

/// Section 3 of the conventions: who is to blame for which status code.
#[test]
fn status_and_error_type() {
    use Kind::{Client, Server};
    for (kind, status, fault, expected) in [
        (Server, 100, Fault::None, None),
        (Server, 101, Fault::None, None),
        (Server, 204, Fault::None, None),
        (Server, 302, Fault::None, None),
        (Server, 404, Fault::None, None),
        (Server, 499, Fault::None, None),
        (Server, 500, Fault::None, Some("500")),
        (Server, 599, Fault::None, Some("599")),
        (Server, 999, Fault::None, Some("999")),
        (Server, 0, Fault::None, None),
        (
            Server,
            201,
            Fault::ConnectionReset,
            Some("connection_reset"),
        ),
        (Server, 500, Fault::BrokenPipe, Some("broken_pipe")),
        (Client, 101, Fault::None, None),
        (Client, 200, Fault::None, None),
        (Client, 304, Fault::None, None),
        (Client, 400, Fault::None, Some("400")),
        (Client, 404, Fault::None, Some("404")),
        (Client, 503, Fault::None, Some("503")),
        (Client, 0, Fault::None, None),
        (Client, 0, Fault::TimedOut, Some("timed_out")),
        (
            Client,
            200,
            Fault::ResponseTruncated,
            Some("response_truncated"),
        ),
        (Client, 404, Fault::ProtocolError, Some("protocol_error")),
        (Client, 0, Fault::Other, Some("_OTHER")),
    ] {
        let ex = exchange(
            kind,
            &[(Field::Method, "GET"), (Field::Target, "/")],
            |ex| {
                ex.status = status;
                ex.fault = fault;
            },
        );
        let span = span_of(&ex, &Settings::default());
        let case = format!("{kind:?} {status} {fault:?}");
        assert_eq!(span.error, expected.is_some(), "{case}");
        assert_eq!(
            span.attributes.get(ERROR_TYPE).map(String::as_str),
            expected,
            "{case}"
        );
        let code = (status != 0).then(|| format!("#{status}"));
        assert_eq!(
            span.attributes.get(HTTP_RESPONSE_STATUS_CODE),
            code.as_ref(),
            "{case}"
        );
    }
}

/// Section 2 of the conventions.
#[test]
fn methods() {
    let known = "CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE QUERY";
    for method in known
        .split(' ')
        .chain(["GeT", "get", "ACL", "PROPFIND", "foo", "GETS"])
    {
        for kind in [Kind::Server, Kind::Client] {
            let ex = exchange(kind, &[(Field::Method, method)], |_| ());
            let span = span_of(
                &ex,
                &Settings {
                    route_heuristic: false,
                    ..Settings::default()
                },
            );
            let is_known = known.split(' ').any(|k| k == method);
            let attribute = |key| span.attributes.get(key).map(String::as_str);
            let name = if is_known { method } else { "HTTP" };
            assert_eq!(span.name.as_deref(), Some(name));
            assert_eq!(
                attribute(HTTP_REQUEST_METHOD),
                Some(if is_known { method } else { OTHER })
            );
            assert_eq!(
                attribute(HTTP_REQUEST_METHOD_ORIGINAL),
                (!is_known).then_some(method)
            );
        }
    }
}

#[test]
fn versions() {
    for (version, expected) in [
        (0, None),
        (9, Some("0.9")),
        (10, Some("1.0")),
        (11, Some("1.1")),
        (12, None),
        (20, Some("2")),
        (30, Some("3")),
    ] {
        let ex = exchange(Kind::Client, &[], |ex| ex.version = version);
        let span = span_of(&ex, &Settings::default());
        let shown = span
            .attributes
            .get(NETWORK_PROTOCOL_VERSION)
            .map(String::as_str);
        assert_eq!(shown, expected);
    }
}

/// Scratch of an earlier, larger span never shows in a later one.
#[test]
fn scratch_is_reused_without_traces() {
    let options = Options::default();
    let mut scratch = Scratch::default();
    let full = exchange(
        Kind::Server,
        &[
            (Field::Method, "B\u{e4}D"),
            (Field::Target, "/a\u{e4}/1?sig=2"),
            (Field::Host, "[2001:DB8::1]:8443"),
            (Field::XForwardedFor, "2001:DB8::2"),
            (Field::XForwardedProto, "HTTPS"),
            (Field::UserAgent, "x"),
        ],
        |_| (),
    );
    let empty = exchange(Kind::Server, &[], |ex| ex.peer = Endpoint::Unknown);
    let mut fresh = Span::default();
    describe(&empty, None, &options, &mut Scratch::default(), &mut fresh);
    for _ in 0..2 {
        describe(&full, None, &options, &mut scratch, &mut Span::default());
        let mut span = Span::default();
        describe(&empty, None, &options, &mut scratch, &mut span);
        assert_eq!(span.attributes, fresh.attributes);
        assert_eq!(span.name, fresh.name);
    }
}

fn header_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z0-9:@/?#&=;,.\"\\[\\]%_* -]{0,40}".prop_map(String::into_bytes),
        "(for=|host=|proto=|https?://|sig=|h:80|\"|;|,|/){0,8}".prop_map(String::into_bytes),
    ]
}

proptest! {
    /// Whatever is on the wire: no panic, and the sink's contract holds (its assertions).
    #[test]
    fn any_bytes_make_a_span(
        texts in prop::collection::vec(header_text(), 8),
        client: bool,
        connect: bool,
        caps in prop::collection::vec(0usize..40, 8),
        status in 0u16..1000,
    ) {
        let kind = if client { Kind::Client } else { Kind::Server };
        let mut ex = exchange(kind, &[], |ex| ex.status = status);
        let fields = [
            Field::Method, Field::Target, Field::Host, Field::UserAgent, Field::Forwarded,
            Field::XForwardedFor, Field::XForwardedProto, Field::XForwardedHost,
        ];
        for ((field, text), cap) in fields.into_iter().zip(&texts).zip(caps) {
            ex.set(field, text, cap);
        }
        ex.begin_captured(0, false);
        ex.append_captured(&texts[3], 30);
        if connect {
            ex.set(Field::Method, b"CONNECT", 20);
        }
        let name = || vec!["x".to_owned()];
        let settings = Settings {
            server_request_headers: name(),
            client_request_headers: name(),
            ..Settings::default()
        };
        let span = span_of(&ex, &settings);
        let required: &[&str] = if client { &[HTTP_REQUEST_METHOD, "server.address"] } else {
            &[HTTP_REQUEST_METHOD, "url.path", "url.scheme"]
        };
        for key in required {
            prop_assert!(span.attributes.contains_key(*key), "{} is required", key);
        }
        ex.connect_failed = true;
        prop_assert!(span_of(&ex, &settings).error);
    }
}
