//! Endpoint texts (spec/config.md section 6): what they mean does not depend on where they came from, so this
//! module knows no variables.

use super::exporter::Protocol;
use std::net::Ipv6Addr;

/// The port that OTLP over gRPC usually has.
pub(super) const GRPC_PORT: u16 = 4317;
/// The port that OTLP over HTTP usually has.
pub(super) const HTTP_PORT: u16 = 4318;

/// An endpoint taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint<'a> {
    /// `Some(true)` for https, `Some(false)` for http, `None` without a scheme.
    tls: Option<bool>,
    /// Host name or address; an IPv6 address keeps its brackets.
    host: &'a str,
    port: Option<u16>,
    /// From the first `/`, without query and fragment; may be empty.
    path: &'a str,
    /// With its `?`; may be empty.
    query: &'a str,
    /// The text named a user: never sent, never shown.
    pub(super) has_user: bool,
}

/// Takes `text` apart, or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Endpoint<'_>, &'static str> {
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a URL has no spaces, control characters or letters beyond ASCII");
    }
    let (tls, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
        Some(_) => return Err("the scheme is neither http nor https"),
        None => (None, text),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (has_user, authority) = match authority.rsplit_once('@') {
        Some((_, host)) => (true, host),
        None => (false, authority),
    };
    let (host, port) = split_port(authority)?;
    check_host(host)?;
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("the port is not a number from 1 to 65535"),
        },
        Some(_) => return Err("the port is not a number from 1 to 65535"),
    };
    Ok(Endpoint {
        tls,
        host,
        port,
        path,
        query,
        has_user,
    })
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority
            .find(']')
            .ok_or("the IPv6 address has no closing bracket")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("there is more than a port after the IPv6 address"),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err("an IPv6 address has to stand in brackets, a port after one colon")
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("there is no host in it");
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err("there is no IPv6 address between the brackets"),
        };
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if host.bytes().all(allowed) {
        Ok(())
    } else {
        Err("the host has characters that no host has")
    }
}

impl Endpoint<'_> {
    /// The port given, or the scheme's: 80 for http, 443 for https.
    pub(super) fn port(&self) -> u16 {
        self.port
            .unwrap_or(if self.tls == Some(false) { 80 } else { 443 })
    }

    /// Whether the text began with a scheme; only gRPC can do without.
    pub(super) fn has_scheme(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether there is a path beyond `/`.
    pub(super) fn has_path(&self) -> bool {
        self.path.len() > 1
    }

    /// Whether there is a query.
    pub(super) fn has_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// The transport that is meant where none is configured: 4317 is the port of OTLP over gRPC. A path speaks
    /// for HTTP, for gRPC has none.
    pub(super) fn implied_protocol(&self) -> Option<Protocol> {
        (self.port() == GRPC_PORT && !self.has_path()).then_some(Protocol::Grpc)
    }

    /// The gRPC target. `insecure` decides only where the text has no scheme.
    pub(super) fn grpc(&self, insecure: bool) -> String {
        let tls = self.tls.unwrap_or(!insecure);
        format!("{}://{}:{}", scheme(tls), self.host, self.port())
    }

    /// The URL for a signal's own variable: as it is, with `/` for a missing path.
    pub(super) fn http_signal(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { self.path };
        format!("{}{path}{}", self.http_authority(), self.query)
    }

    /// The URL for the general variable: the signal's path is appended; a query cannot survive that.
    pub(super) fn http_base(&self, signal_path: &str) -> String {
        let slash = if self.path.ends_with('/') { "" } else { "/" };
        format!("{}{}{slash}{signal_path}", self.http_authority(), self.path)
    }

    /// Scheme, host and the port if one was given: an absent port stays absent so that the `Host` header is
    /// what virtual hosts and gateways know.
    fn http_authority(&self) -> String {
        let scheme = scheme(self.tls == Some(true));
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_endpoints() {
        // text, as base, as signal URL
        let rows = [
            (
                "http://collector:4318",
                "http://collector:4318/v1/traces",
                "http://collector:4318/",
            ),
            (
                "http://collector:4318/",
                "http://collector:4318/v1/traces",
                "http://collector:4318/",
            ),
            (
                "http://c:4318/my",
                "http://c:4318/my/v1/traces",
                "http://c:4318/my",
            ),
            (
                "http://c:4318/my/",
                "http://c:4318/my/v1/traces",
                "http://c:4318/my/",
            ),
            (
                "https://c.example/v1/traces/",
                "https://c.example/v1/traces/v1/traces",
                "https://c.example/v1/traces/",
            ),
            (
                "HTTPS://c.example",
                "https://c.example/v1/traces",
                "https://c.example/",
            ),
            (
                "http://[::1]:4318/x?y=1#z",
                "http://[::1]:4318/x/v1/traces",
                "http://[::1]:4318/x?y=1",
            ),
            ("http://u:p@c:1", "http://c:1/v1/traces", "http://c:1/"),
            ("http://c:/", "http://c/v1/traces", "http://c/"),
        ];
        for (text, base, signal) in rows {
            let endpoint = parse(text).unwrap();
            assert_eq!(endpoint.http_base("v1/traces"), base, "{text}");
            assert_eq!(endpoint.http_signal(), signal, "{text}");
            assert_eq!(endpoint.has_user, text.contains('@'));
        }
        assert_eq!(parse("http://c").unwrap().port(), 80);
        assert_eq!(parse("https://c").unwrap().port(), 443);
    }

    #[test]
    fn grpc_endpoints() {
        // text, insecure, target
        let rows = [
            ("http://c:4317", false, "http://c:4317"),
            ("http://c:4317", true, "http://c:4317"),
            ("https://c:4317/ignored", true, "https://c:4317"),
            ("c:4317", false, "https://c:4317"),
            ("c:4317", true, "http://c:4317"),
            ("c", false, "https://c:443"),
            ("http://c", false, "http://c:80"),
            ("[::1]:4317", true, "http://[::1]:4317"),
        ];
        for (text, insecure, target) in rows {
            assert_eq!(parse(text).unwrap().grpc(insecure), target, "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        let rows = [
            "http://",
            "https://:4318",
            "http:///path",
            "ftp://c:1",
            "unix:///sock",
            "http://c:0",
            "http://c:65536",
            "http://c:x",
            "http://c:-1",
            "http://a b",
            "http://é",
            "::1",
            "http://[::1",
            "http://[::1]x",
            "http://[zz]:1",
            "http://a,b:1",
            "",
            ":4317",
            "http://c:+1",
            "http://u@",
        ];
        for text in rows {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn port_4317_implies_grpc_unless_there_is_a_path() {
        assert_eq!(
            parse("http://c:4317/").unwrap().implied_protocol(),
            Some(Protocol::Grpc)
        );
        assert_eq!(
            parse("c:4317").unwrap().implied_protocol(),
            Some(Protocol::Grpc)
        );
        assert_eq!(
            parse("http://c:4317/v1/traces").unwrap().implied_protocol(),
            None
        );
        assert_eq!(parse("http://c:4318").unwrap().implied_protocol(), None);
    }
}
