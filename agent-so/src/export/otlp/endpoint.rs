//! Where to send, and which headers go with it.

use super::SetupError;
use agent_engine::config::exporter::{OtlpConfig, Protocol};
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, header};
use tonic::metadata::{Ascii, Binary, MetadataKey, MetadataMap, MetadataValue};

/// Headers that are ours alone: they describe the body, the connection or the sender.
const RESERVED: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "te",
    "transfer-encoding",
    "user-agent",
];

/// A parsed endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Whether the connection carries TLS.
    pub(super) tls: bool,
    /// Name or IP address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `host[:port]` as configured.
    pub(super) authority: Authority,
    /// HTTP only: what is posted to.
    pub(super) path: PathAndQuery,
}

impl Target {
    pub(super) fn parse(endpoint: &str) -> Result<Self, SetupError> {
        let wrong = || SetupError::Endpoint(super::outcome::tidy(endpoint));
        let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        // Credentials in the URL must not end up in a Host header.
        let bare = authority.as_str().rsplit('@').next().unwrap_or_default();
        let authority: Authority = bare.parse().map_err(|_| wrong())?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let port = match (authority.port(), tls) {
            (Some(port), _) => port.as_u16(),
            // Out of range, which the parser takes for none.
            (None, _) if !authority.as_str().ends_with(authority.host()) => return Err(wrong()),
            (None, true) => 443,
            (None, false) => 80,
        };
        let path = uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self {
            tls,
            host,
            port,
            authority,
            path,
        })
    }

    /// Scheme and authority, what gRPC puts in front of its path.
    pub(super) fn origin(&self) -> Result<Uri, SetupError> {
        let scheme = if self.tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        Uri::builder()
            .scheme(scheme)
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|_| SetupError::Endpoint(self.authority.to_string()))
    }
}

/// What every request carries besides its body.
#[derive(Clone, Debug)]
pub(super) enum Headers {
    /// Complete HTTP headers, `Content-Length` apart.
    Http(HeaderMap),
    /// gRPC metadata; the rest is tonic's business.
    Grpc(MetadataMap),
}

impl Headers {
    pub(super) fn new(
        config: &OtlpConfig,
        target: &Target,
        user_agent: &str,
    ) -> Result<Self, SetupError> {
        match config.protocol {
            Protocol::HttpProtobuf => http_headers(config, target, user_agent).map(Self::Http),
            Protocol::Grpc => grpc_metadata(config, user_agent).map(Self::Grpc),
        }
    }
}

fn http_headers(
    config: &OtlpConfig,
    target: &Target,
    user_agent: &str,
) -> Result<HeaderMap, SetupError> {
    let wrong = |name: &str| SetupError::Header(super::outcome::tidy(name));
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(name))?;
        if RESERVED.contains(&key.as_str()) {
            continue;
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong(name))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(target.authority.as_str()).map_err(|_| wrong("host"))?;
        headers.insert(HOST, host);
    }
    let agent = HeaderValue::from_str(user_agent).map_err(|_| wrong("user-agent"))?;
    headers.insert(header::USER_AGENT, agent);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    if config.gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

fn grpc_metadata(config: &OtlpConfig, user_agent: &str) -> Result<MetadataMap, SetupError> {
    let wrong = |name: &str| SetupError::Header(super::outcome::tidy(name));
    let mut metadata = MetadataMap::new();
    for (name, value) in &config.headers {
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower == "host" || lower.starts_with("grpc-") {
            continue;
        }
        if lower.ends_with("-bin") {
            let key = MetadataKey::<Binary>::from_bytes(lower.as_bytes());
            let mut value = MetadataValue::<Binary>::from_bytes(value.as_bytes());
            value.set_sensitive(true);
            metadata.insert_bin(key.map_err(|_| wrong(name))?, value);
        } else {
            let key = MetadataKey::<Ascii>::from_bytes(lower.as_bytes());
            let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| wrong(name))?;
            value.set_sensitive(true);
            metadata.insert(key.map_err(|_| wrong(name))?, value);
        }
    }
    metadata.insert(
        "user-agent",
        user_agent.parse().map_err(|_| wrong("user-agent"))?,
    );
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(endpoint: &str) -> Option<(bool, String, u16, String, String)> {
        let t = Target::parse(endpoint).ok()?;
        Some((
            t.tls,
            t.host,
            t.port,
            t.authority.to_string(),
            t.path.to_string(),
        ))
    }

    #[test]
    fn endpoints_are_taken_apart() {
        let is = |endpoint: &str, tls, host: &str, port, authority: &str, path: &str| {
            let wanted = (tls, host.into(), port, authority.into(), path.into());
            assert_eq!(target(endpoint), Some(wanted), "{endpoint}");
        };
        is(
            "http://c:4318/v1/traces",
            false,
            "c",
            4318,
            "c:4318",
            "/v1/traces",
        );
        is(
            "https://c.example/v1/traces/",
            true,
            "c.example",
            443,
            "c.example",
            "/v1/traces/",
        );
        is("http://c:4318", false, "c", 4318, "c:4318", "/");
        is("http://c/x?k=v", false, "c", 80, "c", "/x?k=v");
        is("http://[::1]:4317", false, "::1", 4317, "[::1]:4317", "/");
        is("https://user:pass@c:1/x", true, "c", 1, "c:1", "/x");
        for wrong in [
            "",
            "c:4317",
            "ftp://c",
            "http://",
            "http://c:99999",
            "/v1/traces",
        ] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }

    fn config(protocol: Protocol, headers: &[(&str, &str)]) -> OtlpConfig {
        OtlpConfig {
            protocol,
            endpoint: "http://c:4318/v1/traces".into(),
            headers: headers
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            timeout: None,
            gzip: true,
            ca_file: None,
            client_identity: None,
        }
    }

    #[test]
    fn http_headers_hide_secrets_and_keep_ours() {
        let config = config(
            Protocol::HttpProtobuf,
            &[
                ("Api-Key", "s3cret"),
                ("Content-Type", "x"),
                ("content-length", "1"),
                ("Host", "v"),
            ],
        );
        let target = Target::parse(&config.endpoint).unwrap();
        let headers = http_headers(&config, &target, "otel-run/1").unwrap();
        assert_eq!(headers["api-key"], "s3cret");
        assert!(!format!("{headers:?}").contains("s3cret"));
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["content-encoding"], "gzip");
        assert_eq!(headers["host"], "v");
        assert_eq!(headers["user-agent"], "otel-run/1");
        assert!(!headers.contains_key("content-length"));
    }

    #[test]
    fn metadata_keys_are_lower_case_and_binary_ones_base64() {
        let config = config(
            Protocol::Grpc,
            &[("Api-Key", "k"), ("Trace-Bin", "\u{1}é"), ("TE", "x")],
        );
        let metadata = grpc_metadata(&config, "otel-run/1").unwrap();
        assert_eq!(metadata.get("api-key").unwrap(), "k");
        assert_eq!(
            metadata.get_bin("trace-bin").unwrap().to_bytes().unwrap(),
            "\u{1}é".as_bytes()
        );
        assert!(metadata.get("te").is_none());
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_named_without_its_value() {
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            for (name, value) in [("a b", "s3cret"), ("ok", "s3cret\n")] {
                let config = config(protocol, &[(name, value)]);
                let target = Target::parse(&config.endpoint).unwrap();
                let error = Headers::new(&config, &target, "ua")
                    .unwrap_err()
                    .to_string();
                assert!(error.contains(name) && !error.contains("s3cret"), "{error}");
            }
        }
    }
}
