//! What proxies say about the original request: `Forwarded` (RFC 7239) and the `X-Forwarded-*` headers. Only the
//! first element counts: it was added by the proxy nearest to the client. Anybody can send these headers, so
//! `network.peer.*` is never taken from them.

use std::net::IpAddr;

use crate::url::Authority;

const BLANKS: [char; 2] = [' ', '\t'];

/// The first element of a `Forwarded` header; quotes are removed, nothing else is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) client: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) proto: Option<&'a str>,
}

impl<'a> Element<'a> {
    /// Reads `for=…;host=…;proto=…` up to the first comma outside of quotes. Of a repeated name the first counts.
    pub(super) fn first(header: &'a str) -> Self {
        let mut element = Self::default();
        // Empty list elements do not count.
        let mut rest = header.trim_start_matches([' ', '\t', ',', ';']);
        while let Some(end) = rest.find(['=', ';', ',']) {
            let (name, after) = rest.split_at(end);
            rest = after;
            if let Some(after) = rest.strip_prefix('=') {
                let value;
                (value, rest) = split_value(after.trim_start_matches(BLANKS));
                element.set(name.trim_matches(BLANKS), value);
            }
            // What follows a closing quote belongs to nothing.
            let Some(end) = rest
                .find([';', ','])
                .filter(|&end| rest.as_bytes()[end] == b';')
            else {
                break;
            };
            rest = &rest[end + 1..];
        }
        element
    }

    fn set(&mut self, name: &str, value: &'a str) {
        for (known, slot) in [
            ("for", &mut self.client),
            ("host", &mut self.host),
            ("proto", &mut self.proto),
        ] {
            if name.eq_ignore_ascii_case(known) && !value.is_empty() {
                slot.get_or_insert(value);
            }
        }
    }
}

/// Splits a token or quoted string off. A quoted pair (`\"`) stays as it is: no host or address contains one.
fn split_value(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
        return (value.trim_end_matches(BLANKS), rest);
    };
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return (&quoted[..at], &quoted[at + 1..]),
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    // No closing quote: the header is broken or was cut, and so is the value.
    ("", "")
}

/// The left-most entry of an `X-Forwarded-*` header.
pub(super) fn left_most(header: &str) -> Option<&str> {
    header
        .split(',')
        .map(|entry| entry.trim_matches(BLANKS))
        .find(|entry| !entry.is_empty())
}

/// The client of a `for=` or an `X-Forwarded-For` entry, without port and brackets. `unknown`, obfuscated
/// (`_hidden`) and all-zero ones name nobody.
pub(super) fn client(node: &str) -> Option<&str> {
    if node.eq_ignore_ascii_case("unknown") || node.starts_with('_') {
        return None;
    }
    let host = Authority::parse(node)?.host;
    let nobody = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    (!nobody && !host.eq_ignore_ascii_case("unknown")).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_element_counts() {
        let element = |client, host, proto| Element {
            client,
            host,
            proto,
        };
        for (header, expected) in [
            (
                "for=192.0.2.60;proto=https;host=example.com, for=\"[2001:db8::1]:4711\"",
                element(Some("192.0.2.60"), Some("example.com"), Some("https")),
            ),
            (
                "for=\"[2001:db8::1]:4711\";proto=https;host=h, for=x",
                element(Some("[2001:db8::1]:4711"), Some("h"), Some("https")),
            ),
            (
                "For=a;HOST=b;Proto=C",
                element(Some("a"), Some("b"), Some("C")),
            ),
            (
                "for=a, for=b;host=h;proto=https",
                element(Some("a"), None, None),
            ),
            (
                "by=x; for = a ; host=h",
                element(Some("a"), Some("h"), None),
            ),
            (", ,for=a", element(Some("a"), None, None)),
            (
                "for=\"a,b;host=c\";host=d",
                element(Some("a,b;host=c"), Some("d"), None),
            ),
            (
                "for=\"a\\\"b\"x;host=d",
                element(Some("a\\\"b"), Some("d"), None),
            ),
            ("for=\"open;host=d", element(None, None, None)),
            ("nonsense;host=d", element(None, Some("d"), None)),
            ("nonsense, host=d", element(None, None, None)),
            ("for=;host=d", element(None, Some("d"), None)),
            ("for=a;for=b", element(Some("a"), None, None)),
            ("", element(None, None, None)),
        ] {
            assert_eq!(Element::first(header), expected, "{header}");
        }
    }

    #[test]
    fn clients() {
        for (node, expected) in [
            ("192.0.2.60", Some("192.0.2.60")),
            ("192.0.2.60:47", Some("192.0.2.60")),
            ("[2001:db8::1]:4711", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("client.example", Some("client.example")),
            ("unknown", None),
            ("Unknown", None),
            ("unknown:80", None),
            ("_hidden", None),
            ("0.0.0.0", None),
            ("[::]:1", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(client(node), expected, "{node}");
        }
        assert_eq!(left_most(" , a , b"), Some("a"));
        assert_eq!(left_most(" ,"), None);
    }
}
