//! What the user can set about HTTP spans, and its compiled form.

use crate::exchange::{Captured, Kind};
use crate::route::Router;
use crate::semconv::{
    HTTP_REQUEST_HEADER, HTTP_RESPONSE_HEADER, RPC_REQUEST_METADATA, RPC_RESPONSE_METADATA,
};
use crate::url::{DEFAULT_SENSITIVE_KEYS, Redaction};

/// RFC 9110, PATCH (RFC 5789) and QUERY, as the conventions have it.
pub const KNOWN_METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "QUERY", "CONNECT", "TRACE",
];

/// Headers whose value is a secret by definition. Capturing one shows that it was there.
const SANITIZED_HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];

/// Settings as they come out of the configuration. Each list replaces its default as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Methods that are shown as they are; case-sensitive (`OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`).
    pub known_methods: Vec<String>,
    /// Route templates of servers: see [`crate::route::Templates`].
    pub route_templates: Vec<String>,
    /// Whether paths that match no template are clustered (`OTEL_RUN_HTTP_ROUTE_HEURISTIC`).
    pub route_heuristic: bool,
    /// Query parameters whose value is redacted; exact, case-sensitive. Empty: none is.
    pub sensitive_query_parameters: Vec<String>,
    /// Request headers to capture on servers, lower case; [`Captured::index`] counts in this list. So do the
    /// next three for their side.
    pub server_request_headers: Vec<String>,
    /// Response headers to capture on servers.
    pub server_response_headers: Vec<String>,
    /// Request headers to capture on clients.
    pub client_request_headers: Vec<String>,
    /// Response headers to capture on clients.
    pub client_response_headers: Vec<String>,
    /// Names of headers, in any case, that are captured with `[REDACTED]` instead of their value.
    pub sanitized_headers: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            known_methods: list(&KNOWN_METHODS),
            route_templates: Vec::new(),
            route_heuristic: true,
            sensitive_query_parameters: list(&DEFAULT_SENSITIVE_KEYS),
            server_request_headers: Vec::new(),
            server_response_headers: Vec::new(),
            client_request_headers: Vec::new(),
            client_response_headers: Vec::new(),
            sanitized_headers: list(&SANITIZED_HEADERS),
        }
    }
}

/// [`Settings`] compiled once, for [`describe`](crate::semconv::describe).
#[derive(Clone, Debug)]
pub struct Options {
    known_methods: Vec<Box<str>>,
    pub(super) router: Router,
    pub(super) redaction: Redaction,
    /// By kind, then request or response.
    headers: [[Vec<HeaderKey>; 2]; 2],
}

/// How one captured header is shown.
#[derive(Clone, Debug)]
pub(super) struct HeaderKey {
    /// The whole attribute name.
    pub(super) attribute: Box<str>,
    /// That of a call.
    pub(super) metadata: Box<str>,
    pub(super) sanitized: bool,
}

impl Options {
    /// Compiles `settings`.
    pub fn new(settings: &Settings) -> Self {
        let keys = |[prefix, metadata]: [&str; 2], names: &[String]| {
            let key = |name: &String| HeaderKey {
                attribute: format!("{prefix}{}", name.to_ascii_lowercase()).into(),
                metadata: format!("{metadata}{}", name.to_ascii_lowercase()).into(),
                sanitized: settings
                    .sanitized_headers
                    .iter()
                    .any(|s| s.eq_ignore_ascii_case(name)),
            };
            names.iter().map(key).collect()
        };
        let headers = |request: &[String], response: &[String]| {
            [
                keys([HTTP_REQUEST_HEADER, RPC_REQUEST_METADATA], request),
                keys([HTTP_RESPONSE_HEADER, RPC_RESPONSE_METADATA], response),
            ]
        };
        let mut kinds = [const { [const { Vec::new() }; 2] }; 2];
        kinds[Kind::Server as usize] = headers(
            &settings.server_request_headers,
            &settings.server_response_headers,
        );
        kinds[Kind::Client as usize] = headers(
            &settings.client_request_headers,
            &settings.client_response_headers,
        );
        Self {
            known_methods: settings
                .known_methods
                .iter()
                .map(|m| m.as_str().into())
                .collect(),
            router: Router::new(&settings.route_templates, settings.route_heuristic),
            redaction: Redaction::new(&settings.sensitive_query_parameters),
            headers: kinds,
        }
    }

    /// The method as a text, if it is in the list of known ones.
    pub(super) fn known_method(&self, wire: &[u8]) -> Option<&str> {
        self.known_methods
            .iter()
            .map(|m| &**m)
            .find(|m| m.as_bytes() == wire && !wire.is_empty())
    }

    /// How to show a captured header; none for an index that is not in the list of its side.
    pub(super) fn header(&self, kind: Kind, captured: Captured) -> Option<&HeaderKey> {
        self.headers[kind as usize][usize::from(captured.response)].get(usize::from(captured.index))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}
