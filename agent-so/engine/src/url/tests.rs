use proptest::prelude::*;

use super::*;

fn resource<'a>(path: &'a str, query: Option<&'a str>, fragment: Option<&'a str>) -> Resource<'a> {
    Resource {
        path,
        query,
        fragment,
    }
}

#[test]
fn target_forms() {
    let origin = |path, query, fragment| Target::Origin(resource(path, query, fragment));
    let absolute = |scheme, authority, r| Target::Absolute {
        scheme,
        authority,
        resource: r,
    };
    for (text, connect, expected) in [
        ("/", false, origin("/", None, None)),
        ("/a/b?q=1", false, origin("/a/b", Some("q=1"), None)),
        ("/a?", false, origin("/a", Some(""), None)),
        ("/a?b?c", false, origin("/a", Some("b?c"), None)),
        ("/a#f?x", false, origin("/a", None, Some("f?x"))),
        ("/a?q#f#g", false, origin("/a", Some("q"), Some("f#g"))),
        ("//evil/p", false, origin("//evil/p", None, None)),
        (
            "/r?u=http://x/",
            false,
            origin("/r", Some("u=http://x/"), None),
        ),
        ("", false, origin("", None, None)),
        ("?q", false, origin("", Some("q"), None)),
        ("relative", false, origin("relative", None, None)),
        ("*", false, Target::Asterisk),
        (
            "http://h/p?q",
            false,
            absolute("http", "h", resource("/p", Some("q"), None)),
        ),
        (
            "HTTPS://u:p@h:8?q",
            false,
            absolute("HTTPS", "u:p@h:8", resource("", Some("q"), None)),
        ),
        (
            "http:///p",
            false,
            absolute("http", "", resource("/p", None, None)),
        ),
        ("1http://h/p", false, origin("1http://h/p", None, None)),
        (
            "example.com:443",
            true,
            Target::Authority("example.com:443"),
        ),
        (
            "example.com:443",
            false,
            origin("example.com:443", None, None),
        ),
        ("/p", true, origin("/p", None, None)),
    ] {
        assert_eq!(Target::parse(text, connect), expected, "{text}");
    }
}

#[test]
fn authorities() {
    for (text, expected) in [
        ("h", Some(("h", Port::Absent))),
        ("h:", Some(("h", Port::Absent))),
        ("h:8080", Some(("h", Port::Number(8080)))),
        ("h:00080", Some(("h", Port::Number(80)))),
        ("h:0", Some(("h", Port::Bad))),
        ("h:65536", Some(("h", Port::Bad))),
        ("h:+80", Some(("h", Port::Bad))),
        ("h:http", Some(("h", Port::Bad))),
        ("[::1]:8080", Some(("::1", Port::Number(8080)))),
        ("[::1]", Some(("::1", Port::Absent))),
        (
            "[fe80::1%25eth0]:1",
            Some(("fe80::1%25eth0", Port::Number(1))),
        ),
        ("::1", Some(("::1", Port::Absent))),
        ("u:p@h:1", Some(("h", Port::Number(1)))),
        ("u:p@x@h", Some(("h", Port::Absent))),
        ("bücher.example", Some(("bücher.example", Port::Absent))),
        ("example.com.", Some(("example.com.", Port::Absent))),
        ("", None),
        (":80", None),
        ("u@", None),
        ("[]", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[a b]", None),
        ("a:b:c", None),
        ("a b", None),
        ("a/b", None),
        ("<script>", None),
        ("a,b", None),
    ] {
        let expected = expected.map(|(host, port)| Authority { host, port });
        assert_eq!(Authority::parse(text), expected, "{text}");
    }
}

#[test]
fn credentials_are_replaced() {
    for (text, expected) in [
        ("h:1", "h:1"),
        ("user@h", "REDACTED@h"),
        ("user:pw@h", "REDACTED:REDACTED@h"),
        ("user:p@w@h", "REDACTED:REDACTED@h"),
        (":@h", "REDACTED:REDACTED@h"),
    ] {
        let mut out = String::new();
        push_authority(text, &mut out);
        assert_eq!(out, expected);
    }
}

#[test]
fn default_ports() {
    assert_eq!(default_port("HTTP"), Some(80));
    assert_eq!(default_port("https"), Some(443));
    assert_eq!(default_port("wss"), Some(443));
    assert_eq!(default_port("ws"), Some(80));
    assert_eq!(default_port("ftp"), None);
}

fn redacted(redaction: &Redaction, query: &str) -> String {
    let mut out = String::new();
    redaction.push(query, &mut out);
    out
}

#[test]
fn all_seven_keys_are_redacted_exactly() {
    let redaction = Redaction::default();
    assert_eq!(DEFAULT_SENSITIVE_KEYS.len(), 7);
    for key in DEFAULT_SENSITIVE_KEYS {
        let query = format!("a=1&{key}=se=cret&b");
        assert!(!redaction.is_clean(&query));
        assert_eq!(
            redacted(&redaction, &query),
            format!("a=1&{key}=REDACTED&b")
        );
        let other = format!("{}=v&{key}x=v&x{key}=v", key.to_uppercase() + "_");
        assert!(redaction.is_clean(&other), "{other}");
    }
    for (query, expected) in [
        ("q=a&sig=x", "q=a&sig=REDACTED"),
        ("sig=", "sig=REDACTED"),
        ("sig", "sig"),
        ("SIG=x", "SIG=x"),
        ("sig=a&sig=b", "sig=REDACTED&sig=REDACTED"),
        ("&&sig=1&", "&&sig=REDACTED&"),
        ("=sig&a==b", "=sig&a==b"),
        ("", ""),
    ] {
        assert_eq!(redacted(&redaction, query), expected);
    }
}

#[test]
fn the_list_of_keys_is_replaced_as_a_whole() {
    let none = Redaction::new::<&str>([]);
    assert!(none.is_clean("sig=1&Signature=2"));
    let long = "k".repeat(80);
    let own = Redaction::new(["token", &long]);
    assert_eq!(redacted(&own, "sig=1&token=2"), "sig=1&token=REDACTED");
    assert_eq!(
        redacted(&own, &format!("{long}=2")),
        format!("{long}=REDACTED")
    );
}

proptest! {
    #[test]
    fn parsing_never_panics_and_loses_nothing(text in "\\PC{0,60}", connect: bool) {
        let show = |r: Resource| {
            let query = r.query.map(|q| format!("?{q}")).unwrap_or_default();
            let fragment = r.fragment.map(|f| format!("#{f}")).unwrap_or_default();
            format!("{}{query}{fragment}", r.path)
        };
        let again = match Target::parse(&text, connect) {
            Target::Origin(r) => show(r),
            Target::Absolute { scheme, authority, resource } => {
                format!("{scheme}://{authority}{}", show(resource))
            }
            Target::Authority(a) => a.to_owned(),
            Target::Asterisk => "*".to_owned(),
        };
        prop_assert_eq!(again, text);
    }

    #[test]
    fn authorities_never_panic(text in "[\\[\\]:@a-f0-9./ é%]{0,24}") {
        if let Some(authority) = Authority::parse(&text) {
            prop_assert!(!authority.host.is_empty());
        }
        let mut out = String::new();
        push_authority(&text, &mut out);
        prop_assert_eq!(out.contains('@'), text.contains('@'));
    }

    #[test]
    fn redaction_keeps_keys_and_order(
        query in prop::collection::vec(("(sig|Signature|a|[a-zé=&]{0,5})", "[a-z=é]{0,6}"), 0..8),
    ) {
        let query: Vec<String> = query.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        let query = query.join("&");
        let out = redacted(&Redaction::default(), &query);
        let keys = |q: &str| -> Vec<String> {
            q.split('&').map(|p| p.split('=').next().unwrap_or("").to_owned()).collect()
        };
        prop_assert_eq!(keys(&out), keys(&query));
        for (new, old) in out.split('&').zip(query.split('&')) {
            let secret = old.starts_with("sig=") || old.starts_with("Signature=");
            let as_it_should = if secret { new.ends_with("=REDACTED") } else { new == old };
            prop_assert!(as_it_should);
        }
        prop_assert_eq!(Redaction::default().is_clean(&query), out == query);
    }
}
