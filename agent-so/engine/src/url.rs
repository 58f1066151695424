//! URLs as they stand in requests: the four forms of a request target, authorities, redaction.
//!
//! Nothing is decoded or normalised but what has to be: a span shows what was on the wire. Only secrets are
//! replaced ([`Redaction`], [`push_authority`]).

mod redact;
#[cfg(test)]
mod tests;

pub use redact::{DEFAULT_SENSITIVE_KEYS, REDACTED, Redaction};

use memchr::{memchr2, memchr3, memrchr};

/// A request target (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`
    Origin(Resource<'a>),
    /// `http://host/path?query`, as sent to proxies.
    Absolute {
        /// As written.
        scheme: &'a str,
        /// What stands between `//` and the path: parse it with [`Authority::parse`]. May be empty.
        authority: &'a str,
        /// The rest.
        resource: Resource<'a>,
    },
    /// `host:port`, the form of CONNECT.
    Authority(&'a str),
    /// `*`, the form of a server-wide OPTIONS.
    Asterisk,
}

/// Path, query and fragment. Together they are the text they were parsed from, less `?` and `#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resource<'a> {
    /// May be empty.
    pub path: &'a str,
    /// Without `?`; `None` when there is no `?`.
    pub query: Option<&'a str>,
    /// Without `#`. Has no place in a request, but some clients send it.
    pub fragment: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a target apart. `connect` says that the method is CONNECT, the only one with an authority form.
    /// Any text is accepted: what is none of the other forms is a path.
    pub fn parse(text: &'a str, connect: bool) -> Self {
        if text == "*" {
            return Target::Asterisk;
        }
        if text.starts_with('/') {
            return Target::Origin(Resource::parse(text));
        }
        if let Some((scheme, rest)) = split_scheme(text) {
            let end = memchr3(b'/', b'?', b'#', rest.as_bytes()).unwrap_or(rest.len());
            let (authority, resource) = rest.split_at(end);
            return Target::Absolute {
                scheme,
                authority,
                resource: Resource::parse(resource),
            };
        }
        if connect {
            return Target::Authority(text);
        }
        Target::Origin(Resource::parse(text))
    }
}

impl<'a> Resource<'a> {
    /// Splits at the first `?` and the first `#`.
    pub fn parse(text: &'a str) -> Self {
        let Some(at) = memchr2(b'?', b'#', text.as_bytes()) else {
            return Resource {
                path: text,
                query: None,
                fragment: None,
            };
        };
        let (path, rest) = text.split_at(at);
        if let Some(fragment) = rest.strip_prefix('#') {
            return Resource {
                path,
                query: None,
                fragment: Some(fragment),
            };
        }
        let rest = &rest[1..];
        match rest.split_once('#') {
            Some((query, fragment)) => Resource {
                path,
                query: Some(query),
                fragment: Some(fragment),
            },
            None => Resource {
                path,
                query: Some(rest),
                fragment: None,
            },
        }
    }
}

/// Splits `scheme://rest` if `text` has that shape.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    is_scheme(scheme).then_some((scheme, rest))
}

/// Whether `text` is a URI scheme (RFC 3986) of a sane length.
pub fn is_scheme(text: &str) -> bool {
    text.len() <= 16
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// The port that a URL of `scheme` has when none is written.
pub fn default_port(scheme: &str) -> Option<u16> {
    const DEFAULTS: [(&str, u16); 4] = [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];
    DEFAULTS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(scheme))
        .map(|(_, port)| *port)
}

/// The port part of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Nothing written, or nothing after the colon: the scheme's default holds.
    Absent,
    /// A number of 1..=65535.
    Number(u16),
    /// Something that is no port.
    Bad,
}

/// Host and port of a `Host` header, a URL or a forwarding header. Credentials are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// As written, without the brackets of an IPv6 address; never empty.
    pub host: &'a str,
    /// The port.
    pub port: Port,
}

impl<'a> Authority<'a> {
    /// Parses `[userinfo@]host[:port]`. `None` when there is no host or it cannot be one: the caller then looks
    /// elsewhere, because a made-up name is worse than none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = split_userinfo(text).1;
        if text.len() > HOST_MAX {
            return None;
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']')?;
            let literal = |b: u8| b.is_ascii_alphanumeric() || b":.%-_~".contains(&b);
            if host.is_empty() || !host.bytes().all(literal) {
                return None;
            }
            let port = match after.strip_prefix(':') {
                Some(port) => parse_port(port),
                None if after.is_empty() => Port::Absent,
                None => return None,
            };
            return Some(Authority { host, port });
        }
        let (host, port) = match text.split_once(':') {
            None => (text, Port::Absent),
            // More than one colon and no brackets: not allowed, but seen. It is an address or nothing.
            Some((_, rest)) if rest.contains(':') => {
                text.parse::<std::net::Ipv6Addr>().ok()?;
                return Some(Authority {
                    host: text,
                    port: Port::Absent,
                });
            }
            Some((host, port)) => (host, parse_port(port)),
        };
        (!host.is_empty() && host.bytes().all(is_host_byte)).then_some(Authority { host, port })
    }
}

/// Longest `host:port` that is believed: DNS names end at 253 bytes.
const HOST_MAX: usize = 253 + ":65535".len();

/// What may stand in a host name: RFC 3986 `reg-name`, and non-ASCII text as browsers' users write it.
fn is_host_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b >= 0x80 || b"-._~%!$&'()*+;=".contains(&b)
}

fn parse_port(text: &str) -> Port {
    if text.is_empty() {
        return Port::Absent;
    }
    // `u16::from_str` would accept a sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Port::Bad;
    }
    match text.parse() {
        Ok(0) | Err(_) => Port::Bad,
        Ok(port) => Port::Number(port),
    }
}

/// Splits off the credentials: they end at the last `@`, so that an unescaped one in a password does not let
/// half of it through.
fn split_userinfo(authority: &str) -> (Option<&str>, &str) {
    match memrchr(b'@', authority.as_bytes()) {
        Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
        None => (None, authority),
    }
}

/// Appends an authority as written, with credentials replaced: `user:pw@h` gives `REDACTED:REDACTED@h`.
pub fn push_authority(authority: &str, out: &mut String) {
    let (userinfo, rest) = split_userinfo(authority);
    if let Some(userinfo) = userinfo {
        out.push_str(REDACTED);
        if userinfo.contains(':') {
            out.push(':');
            out.push_str(REDACTED);
        }
        out.push('@');
    }
    out.push_str(rest);
}
