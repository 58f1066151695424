//! Bytes from the wire into texts that may leave the agent. Buffers are the caller's and are reused: once they
//! have grown, nothing here allocates.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::exchange::Endpoint;

/// `bytes` as UTF-8. Valid text is borrowed as it is; otherwise each broken sequence becomes U+FFFD in `buffer`.
/// `cut` says that `bytes` was shortened: half a character at the end is then our own doing and is dropped.
pub(crate) fn lossy<'a>(bytes: &'a [u8], cut: bool, buffer: &'a mut String) -> &'a str {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text;
    }
    buffer.clear();
    push_lossy(bytes, cut, buffer);
    buffer
}

/// As [`lossy`], appending to `out`.
pub(crate) fn push_lossy(bytes: &[u8], cut: bool, out: &mut String) {
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        out.push_str(chunk.valid());
        let broken = chunk.invalid();
        let ours = cut && chunks.peek().is_none() && is_incomplete(broken);
        if !broken.is_empty() && !ours {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Whether `bytes` would be a character if more followed.
fn is_incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

/// Appends `ip` in its canonical text form (RFC 5952; IPv4-mapped addresses as IPv4).
pub(crate) fn push_ip(ip: IpAddr, out: &mut String) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // By hand: this runs for each span, and formatting machinery costs ten times as much.
            for (i, byte) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push('.');
                }
                if byte >= 100 {
                    out.push(char::from(b'0' + byte / 100));
                }
                if byte >= 10 {
                    out.push(char::from(b'0' + byte / 10 % 10));
                }
                out.push(char::from(b'0' + byte % 10));
            }
        }
        // Writing to a String cannot fail.
        IpAddr::V6(ip) => _ = write!(out, "{ip}"),
    }
}

/// Address and port of an endpoint; `None` where it has none or it is all zero, which means unknown.
pub(crate) fn socket_address(endpoint: Endpoint) -> Option<(IpAddr, u16)> {
    let (ip, port) = match endpoint {
        Endpoint::V4 { ip, port } => (IpAddr::V4(Ipv4Addr::from(ip)), port),
        Endpoint::V6 { ip, port } => (IpAddr::V6(Ipv6Addr::from(ip)), port),
        Endpoint::Unknown | Endpoint::Unix => return None,
    };
    let ip = ip.to_canonical();
    (!ip.is_unspecified()).then_some((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_utf8_is_replaced_and_our_own_cut_is_not_shown() {
        let mut buffer = String::new();
        assert_eq!(lossy(b"plain", true, &mut buffer), "plain");
        assert_eq!(lossy(b"a\xffb", false, &mut buffer), "a\u{fffd}b");
        assert_eq!(
            lossy(b"a\xff\xfeb\xe2\x82", false, &mut buffer),
            "a\u{fffd}\u{fffd}b\u{fffd}"
        );
        assert_eq!(
            lossy("10 €".as_bytes().split_at(5).0, true, &mut buffer),
            "10 "
        );
        assert_eq!(
            lossy("10 €".as_bytes().split_at(5).0, false, &mut buffer),
            "10 \u{fffd}"
        );
        assert_eq!(
            lossy(b"a\xff", true, &mut buffer),
            "a\u{fffd}",
            "never was a character"
        );
    }

    #[test]
    fn addresses_are_canonical() {
        for (ip, text) in [
            ("0.9.10.99", "0.9.10.99"),
            ("100.255.1.0", "100.255.1.0"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("::ffff:192.168.0.1", "192.168.0.1"),
        ] {
            let mut out = String::new();
            push_ip(ip.parse().unwrap(), &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn an_all_zero_address_is_unknown() {
        assert_eq!(
            socket_address(Endpoint::V4 {
                ip: [0; 4],
                port: 80
            }),
            None
        );
        assert_eq!(
            socket_address(Endpoint::V6 {
                ip: [0; 16],
                port: 80
            }),
            None
        );
        assert_eq!(socket_address(Endpoint::Unix), None);
        let mapped = Endpoint::V6 {
            ip: "::ffff:1.2.3.4".parse::<Ipv6Addr>().unwrap().octets(),
            port: 9,
        };
        assert_eq!(
            socket_address(mapped),
            Some((IpAddr::from([1, 2, 3, 4]), 9))
        );
    }
}
