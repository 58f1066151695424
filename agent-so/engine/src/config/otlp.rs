//! `OTEL_EXPORTER_OTLP_*`: where spans are sent and how. Each variable has a general and a `_TRACES_` form; the
//! latter wins, and a bad value acts as unset, so that the other form is looked at next.

use super::endpoint::{self, Endpoint, GRPC_PORT, HTTP_PORT};
use super::env::{Env, list_items};
use super::exporter::{OtlpConfig, Protocol};
use super::percent;
use super::vars::{self, Var};
use std::path::PathBuf;
use std::time::Duration;

/// Limit of one export unless configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where spans go over HTTP unless configured.
const DEFAULT_HTTP: &str = "http://localhost:4318/v1/traces";
/// Where spans go over gRPC unless configured.
const DEFAULT_GRPC: &str = "http://localhost:4317";
/// The path that is appended to the general endpoint.
const SIGNAL_PATH: &str = "v1/traces";

/// Headers that the transport owns: a second one would break the request.
const RESERVED: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-timeout",
    "host",
    "te",
    "transfer-encoding",
];

/// Reads the OTLP variables.
pub(super) fn from_env(env: &Env) -> OtlpConfig {
    let configured = protocol(env);
    let (protocol, endpoint) = destination(env, configured);
    OtlpConfig {
        protocol,
        endpoint,
        headers: headers(env, vars::OTLP_TRACES_HEADERS, protocol)
            .or_else(|| headers(env, vars::OTLP_HEADERS, protocol))
            .unwrap_or_default(),
        timeout: env
            .timeout(
                vars::OTLP_TRACES_TIMEOUT,
                "OTEL_EXPORTER_OTLP_TIMEOUT or 10000",
            )
            .or_else(|| env.timeout(vars::OTLP_TIMEOUT, "10000"))
            .unwrap_or(Some(DEFAULT_TIMEOUT)),
        gzip: gzip(env, vars::OTLP_TRACES_COMPRESSION)
            .or_else(|| gzip(env, vars::OTLP_COMPRESSION))
            .unwrap_or(false),
        ca_file: file(env, vars::OTLP_TRACES_CERTIFICATE, vars::OTLP_CERTIFICATE).map(|(_, f)| f),
        client_identity: client_identity(env),
    }
}

fn protocol(env: &Env) -> Option<Protocol> {
    let read = |var, default| {
        let text = env.text(var)?;
        if text.eq_ignore_ascii_case("http/json") {
            env.warn(var, "JSON is not supported", "http/protobuf is used");
            return Some(Protocol::HttpProtobuf);
        }
        let values = [
            ("grpc", Protocol::Grpc),
            ("http/protobuf", Protocol::HttpProtobuf),
        ];
        env.choice(var, &values, default)
    };
    read(
        vars::OTLP_TRACES_PROTOCOL,
        "OTEL_EXPORTER_OTLP_PROTOCOL or the default",
    )
    .or_else(|| {
        read(
            vars::OTLP_PROTOCOL,
            "the protocol that the endpoint implies",
        )
    })
}

/// The transport and the final endpoint.
fn destination(env: &Env, configured: Option<Protocol>) -> (Protocol, String) {
    let candidates = [
        (
            vars::OTLP_TRACES_ENDPOINT,
            true,
            "OTEL_EXPORTER_OTLP_ENDPOINT or the default is used",
        ),
        (
            vars::OTLP_ENDPOINT,
            false,
            "the default endpoint on localhost is used",
        ),
    ];
    for (var, own, fallback) in candidates {
        let Some(text) = env.text(var) else { continue };
        let endpoint = match endpoint::parse(text) {
            Ok(endpoint) => endpoint,
            Err(why) => {
                env.warn(var, why, fallback);
                continue;
            }
        };
        let protocol = configured
            .or(endpoint.implied_protocol())
            .unwrap_or(Protocol::HttpProtobuf);
        if protocol == Protocol::HttpProtobuf && !endpoint.has_scheme() {
            env.warn(var, "it has to begin with http:// or https://", fallback);
            continue;
        }
        hints(env, var, &endpoint, protocol, own);
        let url = match protocol {
            Protocol::Grpc => endpoint.grpc(insecure(env)),
            Protocol::HttpProtobuf if own => endpoint.http_signal(),
            Protocol::HttpProtobuf => endpoint.http_base(SIGNAL_PATH),
        };
        return (protocol, url);
    }
    match configured {
        Some(Protocol::Grpc) => (Protocol::Grpc, DEFAULT_GRPC.to_owned()),
        _ => (Protocol::HttpProtobuf, DEFAULT_HTTP.to_owned()),
    }
}

/// Tells of endpoints that are used but probably not as their author means.
fn hints(env: &Env, var: Var, endpoint: &Endpoint, protocol: Protocol, own: bool) {
    match (protocol, endpoint.port()) {
        (Protocol::HttpProtobuf, GRPC_PORT) => env.warn(
            var,
            "4317 is the usual port of OTLP over gRPC but the protocol is http/protobuf",
            "it is used as it stands; for gRPC set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        ),
        (Protocol::Grpc, HTTP_PORT) => env.warn(
            var,
            "4318 is the usual port of OTLP over HTTP but the protocol is grpc",
            "it is used as it stands; for HTTP set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        _ => {}
    }
    if protocol == Protocol::Grpc && (endpoint.has_path() || endpoint.has_query()) {
        env.warn(
            var,
            "gRPC has no path",
            "only scheme, host and port are used",
        );
    } else if !own && endpoint.has_query() {
        env.warn(var, "a base URL has no query", "the query is left out");
    }
    if endpoint.has_user {
        env.warn(
            var,
            "user and password in the URL are not sent",
            "they are left out; use OTEL_EXPORTER_OTLP_HEADERS",
        );
    }
}

fn insecure(env: &Env) -> bool {
    env.flag(vars::OTLP_TRACES_INSECURE)
        .or_else(|| env.flag(vars::OTLP_INSECURE))
        .unwrap_or(false)
}

fn gzip(env: &Env, var: Var) -> Option<bool> {
    let default = if var == vars::OTLP_COMPRESSION {
        "none"
    } else {
        "OTEL_EXPORTER_OTLP_COMPRESSION or none"
    };
    env.choice(var, &[("gzip", true), ("none", false)], default)
}

fn file(env: &Env, own: Var, general: Var) -> Option<(Var, PathBuf)> {
    [own, general]
        .into_iter()
        .find_map(|var| Some((var, PathBuf::from(env.text(var)?))))
}

/// Certificate and key are of use only together.
fn client_identity(env: &Env) -> Option<(PathBuf, PathBuf)> {
    let certificate = file(
        env,
        vars::OTLP_TRACES_CLIENT_CERTIFICATE,
        vars::OTLP_CLIENT_CERTIFICATE,
    );
    let key = file(env, vars::OTLP_TRACES_CLIENT_KEY, vars::OTLP_CLIENT_KEY);
    match (certificate, key) {
        (Some((_, certificate)), Some((_, key))) => Some((certificate, key)),
        (None, None) => None,
        (Some((var, _)), None) => {
            env.warn(
                var,
                "a client certificate without its key",
                "no client certificate is used",
            );
            None
        }
        (None, Some((var, _))) => {
            env.warn(
                var,
                "a client key without its certificate",
                "no client certificate is used",
            );
            None
        }
    }
}

/// The headers of one variable; `None` when it has none that can be sent. Items are told of by their position:
/// their texts may be secret.
fn headers(env: &Env, var: Var, protocol: Protocol) -> Option<Vec<(String, String)>> {
    let text = env.text(var)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for (index, item) in list_items(text).enumerate() {
        match header(item, protocol) {
            Ok((name, value)) => {
                headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
                headers.push((name, value));
            }
            Err(why) => {
                let number = index + 1;
                env.warn_secret(
                    var,
                    format!("item {number}: {why}"),
                    "that item is left out",
                );
            }
        }
    }
    (!headers.is_empty()).then_some(headers)
}

fn header(item: &str, protocol: Protocol) -> Result<(String, String), &'static str> {
    let (name, value) = item.split_once('=').ok_or("there is no '='")?;
    let name = name.trim();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("the part before '=' is not a header name");
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) {
        return Err("that header is set by the exporter");
    }
    let value = percent::decode(value.trim()).ok_or("the value has a bad percent sequence")?;
    if !value
        .bytes()
        .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    {
        return Err("the value has characters that a header cannot carry");
    }
    if protocol == Protocol::HttpProtobuf {
        return Ok((name.to_owned(), value));
    }
    if lower.ends_with("-bin") {
        return Err("binary gRPC metadata (-bin) is not supported");
    }
    Ok((lower, value))
}

/// Characters of a header name (RFC 9110 token).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
