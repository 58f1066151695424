//! What is said about HTTP exchanges: captured headers, methods, routes, query secrets, excluded paths.

use super::env::Env;
use super::glob;
use super::vars::{self, Var};
use crate::semconv::http::KNOWN_METHODS;
use crate::url::DEFAULT_SENSITIVE_KEYS;
use std::borrow::Cow;

/// Most header names per side and direction; an exchange keeps fewer values than that anyway.
pub const CAPTURE_LIST_MAX: usize = 64;

/// Headers whose value is a credential. They are captured as `[REDACTED]`.
const ALWAYS_MASKED: [&str; 5] = [
    "authorization",
    "cookie",
    "set-cookie",
    "proxy-authorization",
    "x-api-key",
];

/// A header that becomes a span attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedName {
    /// Lower-case header name.
    pub name: String,
    /// Its value is replaced by `[REDACTED]`.
    pub masked: bool,
}

/// Headers to capture, per side and direction, without repetition, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedHeaders {
    /// Of requests this process receives.
    pub server_request: Vec<CapturedName>,
    /// Of responses this process gives.
    pub server_response: Vec<CapturedName>,
    /// Of requests this process sends.
    pub client_request: Vec<CapturedName>,
    /// Of responses this process gets.
    pub client_response: Vec<CapturedName>,
}

/// Settings of the HTTP instrumentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Headers to capture.
    pub headers: CapturedHeaders,
    /// Methods that `http.request.method` may hold, case-sensitive; others become `_OTHER`.
    pub known_methods: Vec<Cow<'static, str>>,
    /// Route templates (`/users/{id}`, `/users/:id`) in the order given; the first that matches a path is its route.
    pub routes: Vec<String>,
    /// Whether a path that no template matches gets a low-cardinality route by heuristic.
    pub route_heuristic: bool,
    /// Query parameters whose values are redacted: exact, case-sensitive names.
    pub sensitive_parameters: Vec<Cow<'static, str>>,
    /// Globs of whole paths for which no span is made.
    excluded_paths: Vec<String>,
}

impl HttpConfig {
    /// Whether no span is wanted for a request for `path` (without its query). A request without a span still
    /// passes a context on.
    pub fn is_excluded(&self, path: &[u8]) -> bool {
        self.excluded_paths
            .iter()
            .any(|pattern| glob::matches(pattern.as_bytes(), path))
    }
}

/// Reads the HTTP variables.
pub(super) fn from_env(env: &Env) -> HttpConfig {
    HttpConfig {
        headers: headers(env),
        known_methods: names(env.list(vars::KNOWN_METHODS), &KNOWN_METHODS),
        routes: routes(env),
        route_heuristic: env.flag(vars::HTTP_ROUTE_HEURISTIC).unwrap_or(true),
        sensitive_parameters: match env.list(vars::SENSITIVE_QUERY_PARAMETERS) {
            Some(list) if is_none(&list) => Vec::new(),
            list => names(list, &DEFAULT_SENSITIVE_KEYS),
        },
        excluded_paths: excluded_paths(env),
    }
}

fn names(list: Option<Vec<&str>>, default: &[&'static str]) -> Vec<Cow<'static, str>> {
    match list {
        Some(items) => items
            .into_iter()
            .map(|item| Cow::Owned(item.to_owned()))
            .collect(),
        None => default.iter().map(|item| Cow::Borrowed(*item)).collect(),
    }
}

fn is_none(list: &[&str]) -> bool {
    matches!(list, [item] if item.eq_ignore_ascii_case("none"))
}

fn routes(env: &Env) -> Vec<String> {
    let mut routes = Vec::new();
    for item in env.list(vars::HTTP_ROUTES).unwrap_or_default() {
        if item.starts_with('/') {
            routes.push(item.to_owned());
        } else {
            let why = format!("the template \"{item}\" does not begin with '/'");
            env.warn(vars::HTTP_ROUTES, why, "that template is left out");
        }
    }
    routes
}

/// A pattern that begins with neither a slash nor a star means any directory, as in ignore files: `healthz` is
/// `/healthz` and `/api/healthz` but not `/unhealthz`.
fn excluded_paths(env: &Env) -> Vec<String> {
    let items = env.list(vars::EXCLUDED_URLS).unwrap_or_default();
    let rooted = |item: &str| match item.as_bytes().first() {
        Some(b'/' | b'*') => item.to_owned(),
        _ => format!("*/{item}"),
    };
    items.into_iter().map(rooted).collect()
}

fn headers(env: &Env) -> CapturedHeaders {
    let masks = masks(env);
    let list = |python, java| captured(env, &[python, java], &masks);
    CapturedHeaders {
        server_request: list(
            vars::HEADERS_SERVER_REQUEST,
            vars::JAVA_HEADERS_SERVER_REQUEST,
        ),
        server_response: list(
            vars::HEADERS_SERVER_RESPONSE,
            vars::JAVA_HEADERS_SERVER_RESPONSE,
        ),
        client_request: list(
            vars::HEADERS_CLIENT_REQUEST,
            vars::JAVA_HEADERS_CLIENT_REQUEST,
        ),
        client_response: list(
            vars::HEADERS_CLIENT_RESPONSE,
            vars::JAVA_HEADERS_CLIENT_RESPONSE,
        ),
    }
}

fn captured(env: &Env, vars: &[Var], masks: &[String]) -> Vec<CapturedName> {
    let mut list: Vec<CapturedName> = Vec::new();
    for &var in vars {
        for item in env.list(var).unwrap_or_default() {
            let name = item.to_ascii_lowercase();
            if list.iter().any(|other| other.name == name) {
                continue;
            }
            // Header names have more characters, but here these are part of a regular expression.
            if !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            {
                let why = format!("\"{item}\" is not a header name, patterns are not supported");
                env.warn(var, why, "that item is left out");
                continue;
            }
            if list.len() >= CAPTURE_LIST_MAX {
                let why = format!("more than {CAPTURE_LIST_MAX} headers");
                env.warn(var, why, "the first ones are used");
                break;
            }
            let masked = masks
                .iter()
                .any(|mask| glob::matches(mask.as_bytes(), name.as_bytes()));
            list.push(CapturedName { name, masked });
        }
    }
    list
}

/// The headers to mask, as globs: the built-in ones and the user's. `none` alone takes all masks off.
fn masks(env: &Env) -> Vec<String> {
    let var = vars::HEADERS_SANITIZE_FIELDS;
    let items = env.list(var).unwrap_or_default();
    if is_none(&items) {
        return Vec::new();
    }
    let mut masks: Vec<String> = ALWAYS_MASKED
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    for item in items {
        masks.push(mask(item).unwrap_or_else(|| {
            // A secret must not slip through because its pattern was not understood.
            let why = format!("\"{item}\" uses more of regular expressions than .* ^ $");
            env.warn(var, why, "every captured header is masked");
            "*".to_owned()
        }));
    }
    masks
}

/// The glob for one item of the sanitize list, which other agents take as a regular expression that is searched
/// for. `None` when it uses more of their syntax than `.*`, `^` and `$`.
fn mask(item: &str) -> Option<String> {
    let lower = item.to_ascii_lowercase().replace(".*", "*");
    let (start, rest) = match lower.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => ("*", lower.as_str()),
    };
    let (end, body) = match rest.strip_suffix('$') {
        Some(body) => ("", body),
        None => ("*", rest),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
    // A dot is any character in a regular expression.
    body.bytes()
        .all(plain)
        .then(|| format!("{start}{}{end}", body.replace('.', "?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> (HttpConfig, Vec<String>) {
        let env = Env::new(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
        let config = from_env(&env);
        (
            config,
            env.into_warnings()
                .iter()
                .map(ToString::to_string)
                .collect(),
        )
    }

    fn shown(list: &[CapturedName]) -> Vec<String> {
        list.iter()
            .map(|h| format!("{}{}", h.name, if h.masked { "!" } else { "" }))
            .collect()
    }

    #[test]
    fn both_styles_of_header_capture_are_united() {
        let (config, lines) = read(&[
            (
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
                "X-Id, Cookie,x-id,X-.*,a|b",
            ),
            (
                "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS",
                "x-id,accept",
            ),
            (
                "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS",
                "Set-Cookie",
            ),
            (
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
                "a",
            ),
            (
                "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS",
                "b",
            ),
        ]);
        assert_eq!(
            shown(&config.headers.server_request),
            ["x-id", "cookie!", "accept"]
        );
        assert_eq!(shown(&config.headers.server_response), ["set-cookie!"]);
        assert_eq!(shown(&config.headers.client_request), ["a"]);
        assert_eq!(shown(&config.headers.client_response), ["b"]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        let many: Vec<String> = (0..70).map(|i| format!("h{i}")).collect();
        let (config, lines) = read(&[(vars::HEADERS_CLIENT_REQUEST.name(), &many.join(","))]);
        assert_eq!(
            (config.headers.client_request.len(), lines.len()),
            (CAPTURE_LIST_MAX, 1)
        );
    }

    #[test]
    fn masks_are_searched_for_and_fail_closed() {
        let rows = [
            ("", "x-session,authorization", "x-session authorization!", 0),
            (
                "none",
                "x-session,authorization",
                "x-session authorization",
                0,
            ),
            (
                "session",
                "x-session-id,authorization",
                "x-session-id! authorization!",
                0,
            ),
            (
                ".*session.*,Set-Cookie",
                "x-session-id,x",
                "x-session-id! x",
                0,
            ),
            ("^x-.*id$", "x-my-id,x-ids,ax-id", "x-my-id! x-ids ax-id", 0),
            ("x.id", "x-id,xid", "x-id! xid", 0),
            ("(a|b)", "c", "c!", 1),
        ];
        for (fields, names, expected, warnings) in rows {
            let (config, lines) = read(&[
                (vars::HEADERS_SANITIZE_FIELDS.name(), fields),
                (vars::HEADERS_CLIENT_REQUEST.name(), names),
            ]);
            assert_eq!(
                shown(&config.headers.client_request).join(" "),
                expected,
                "{fields}"
            );
            assert_eq!(lines.len(), warnings, "{fields}: {lines:?}");
        }
    }

    #[test]
    fn methods_and_parameters_are_replaced() {
        let (config, _) = read(&[]);
        assert_eq!(config.known_methods.len(), 10);
        assert_eq!(config.sensitive_parameters.len(), 7);
        let (config, lines) = read(&[
            ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,PROPFIND"),
            ("OTEL_RUN_SENSITIVE_QUERY_PARAMETERS", "token"),
        ]);
        assert_eq!(config.known_methods, ["GET", "PROPFIND"]);
        assert_eq!(config.sensitive_parameters, ["token"]);
        assert!(lines.is_empty());
        let (config, _) = read(&[("OTEL_RUN_SENSITIVE_QUERY_PARAMETERS", "None")]);
        assert!(config.sensitive_parameters.is_empty());
    }

    #[test]
    fn routes_and_excluded_paths() {
        let (config, lines) = read(&[
            (
                "OTEL_RUN_HTTP_ROUTES",
                "/users/{id},users, /users/:id/orders",
            ),
            ("OTEL_RUN_HTTP_ROUTE_HEURISTIC", "FALSE"),
            ("OTEL_RUN_EXCLUDED_URLS", "healthz,/static/*,*.ico"),
        ]);
        assert_eq!(config.routes, ["/users/{id}", "/users/:id/orders"]);
        assert!(!config.route_heuristic);
        assert_eq!(lines.len(), 1);
        let rows: [(&[u8], bool); 8] = [
            (b"/healthz", true),
            (b"/api/healthz", true),
            (b"/unhealthz", false),
            (b"/healthz/x", false),
            (b"/static/a/b.js", true),
            (b"/favicon.ico", true),
            (b"/", false),
            (b"", false),
        ];
        for (path, expected) in rows {
            assert_eq!(config.is_excluded(path), expected, "{path:?}");
        }
        let (config, lines) = read(&[("OTEL_RUN_HTTP_ROUTE_HEURISTIC", "0")]);
        assert!(config.route_heuristic && lines.len() == 1);
    }
}
