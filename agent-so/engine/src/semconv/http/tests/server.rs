use super::*;
use crate::exchange::Field::*;

/// A SERVER exchange with method GET unless given otherwise.
fn server(fields: &[(Field, &str)]) -> Exchange {
    let mut all = vec![(Method, "GET")];
    all.extend(fields);
    exchange(Kind::Server, &all, |_| ())
}

/// Attributes of every exchange that `server` makes, then `more`; a key given again replaces.
#[track_caller]
fn check_server(ex: &Exchange, name: &str, error: bool, more: &[(&str, &str)]) {
    let mut expected = vec![
        ("http.request.method", "GET"),
        ("http.response.status_code", "#200"),
        ("url.scheme", "http"),
        ("client.address", "10.0.0.9"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
        ("network.protocol.version", "1.1"),
    ];
    expected.extend(more);
    check(ex, &Settings::default(), name, error, &expected);
}

#[test]
fn a_usual_request() {
    let ex = server(&[
        (Target, "/users/42?q=1&sig=secret123"),
        (Host, "example.com:8080"),
        (UserAgent, "curl/8.5.0"),
    ]);
    check_server(
        &ex,
        "GET /users/{id}",
        false,
        &[
            ("http.route", "/users/{id}"),
            ("url.path", "/users/42"),
            ("url.query", "q=1&sig=REDACTED"),
            ("server.address", "example.com"),
            ("server.port", "#8080"),
            ("user_agent.original", "curl/8.5.0"),
        ],
    );
}

#[test]
fn nothing_but_a_method() {
    let mut ex = server(&[]);
    ex.peer = Endpoint::Unix;
    ex.version = 0;
    ex.status = 0;
    check(
        &ex,
        &Settings::default(),
        "GET /",
        false,
        &[
            ("http.request.method", "GET"),
            ("http.route", "/"),
            ("url.path", "/"),
            ("url.scheme", "http"),
        ],
    );
}

#[test]
fn errors_of_the_server_and_of_the_connection() {
    let root = [
        ("http.route", "/"),
        ("url.path", "/"),
        ("server.address", "h"),
        ("server.port", "#80"),
    ];
    let mut ex = server(&[(Target, "/"), (Host, "h")]);
    ex.status = 404;
    check_server(
        &ex,
        "GET /",
        false,
        &[&root[..], &[("http.response.status_code", "#404")]].concat(),
    );
    ex.status = 500;
    let broken = [("http.response.status_code", "#500"), ("error.type", "500")];
    check_server(&ex, "GET /", true, &[&root[..], &broken].concat());
    ex.status = 201;
    ex.fault = Fault::ConnectionReset;
    let broken = [
        ("http.response.status_code", "#201"),
        ("error.type", "connection_reset"),
    ];
    check_server(&ex, "GET /", true, &[&root[..], &broken].concat());
}

#[test]
fn an_upgrade_is_no_error() {
    let mut ex = server(&[(Target, "/ws"), (Host, "h")]);
    ex.status = 101;
    check_server(
        &ex,
        "GET /ws",
        false,
        &[
            ("http.response.status_code", "#101"),
            ("http.route", "/ws"),
            ("url.path", "/ws"),
            ("server.address", "h"),
            ("server.port", "#80"),
        ],
    );
}

#[test]
fn an_unknown_method_keeps_the_route() {
    let ex = server(&[(Method, "PROPFIND"), (Target, "/dav/1"), (Host, "h")]);
    check_server(
        &ex,
        "HTTP /dav/{id}",
        false,
        &[
            ("http.request.method", "_OTHER"),
            ("http.request.method_original", "PROPFIND"),
            ("http.route", "/dav/{id}"),
            ("url.path", "/dav/1"),
            ("server.address", "h"),
            ("server.port", "#80"),
        ],
    );
}

#[test]
fn target_forms() {
    let host = [("server.address", "h"), ("server.port", "#80")];
    let options = server(&[(Method, "OPTIONS"), (Target, "*"), (Host, "h")]);
    let expected = [("http.request.method", "OPTIONS"), ("url.path", "*")];
    check_server(&options, "OPTIONS", false, &[&host[..], &expected].concat());

    let connect = server(&[
        (Method, "CONNECT"),
        (Target, "up.example:8443"),
        (Host, "h"),
    ]);
    check_server(
        &connect,
        "CONNECT",
        false,
        &[
            ("http.request.method", "CONNECT"),
            ("url.path", "/"),
            ("server.address", "up.example"),
            ("server.port", "#8443"),
        ],
    );

    let absolute = server(&[(Target, "HTTPS://u:p@up.example/p?sig=1#f"), (Host, "h")]);
    check_server(
        &absolute,
        "GET /p",
        false,
        &[
            ("http.route", "/p"),
            ("url.path", "/p"),
            ("url.query", "sig=REDACTED"),
            ("url.scheme", "https"),
            ("server.address", "up.example"),
            ("server.port", "#443"),
        ],
    );

    let no_path = server(&[(Target, "http://up.example?"), (Host, "h")]);
    check_server(
        &no_path,
        "GET /",
        false,
        &[
            ("http.route", "/"),
            ("url.path", "/"),
            ("server.address", "up.example"),
            ("server.port", "#80"),
        ],
    );
}

/// Hosts of requests over TLS, with the address and port they give.
#[test]
fn hosts() {
    for (host, address, port) in [
        ("h", Some("h"), Some("#443")),
        ("h:8443", Some("h"), Some("#8443")),
        ("h:", Some("h"), Some("#443")),
        ("h:bad", Some("h"), None),
        ("h:0", Some("h"), None),
        ("[::1]:8080", Some("::1"), Some("#8080")),
        ("[2001:DB8:0:0::1]", Some("2001:db8::1"), Some("#443")),
        ("[::ffff:192.168.0.1]", Some("192.168.0.1"), Some("#443")),
        ("[fe80::1%25eth0]", Some("fe80::1%25eth0"), Some("#443")),
        ("user:pw@h", Some("h"), Some("#443")),
        ("", None, None),
        (":80", None, None),
        ("a b", None, None),
    ] {
        let mut ex = server(&[(Target, "/"), (Host, host)]);
        ex.tls = true;
        let mut more = vec![
            ("url.path", "/"),
            ("http.route", "/"),
            ("url.scheme", "https"),
        ];
        more.extend(address.map(|a| ("server.address", a)));
        more.extend(port.map(|p| ("server.port", p)));
        check_server(&ex, "GET /", false, &more);
    }
}

#[test]
fn a_cut_host_is_no_host() {
    let mut ex = server(&[(Target, "/")]);
    ex.set(Host, b"example.com", 7);
    check_server(
        &ex,
        "GET /",
        false,
        &[("url.path", "/"), ("http.route", "/")],
    );
}

/// Parsing notes, section 1.4: what proxies say.
#[test]
fn forwarding_headers() {
    type Case<'a> = (&'a [(Field, &'a str)], &'a [(&'a str, &'a str)]);
    let h = [("server.address", "h"), ("server.port", "#80")];
    let cases: &[Case] = &[
        (
            &[(
                Forwarded,
                "for=\"[2001:db8::1]:4711\";proto=https;host=public.example, for=10.0.0.1",
            )],
            &[
                ("client.address", "2001:db8::1"),
                ("url.scheme", "https"),
                ("server.address", "public.example"),
                ("server.port", "#443"),
            ],
        ),
        (
            &[
                (Forwarded, "for=unknown"),
                (XForwardedFor, "192.0.2.1, 10.0.0.1"),
            ],
            &[("client.address", "192.0.2.1")],
        ),
        (&[(Forwarded, "for=_obf")], &[]),
        (&[(Forwarded, "for=0.0.0.0")], &[]),
        (
            &[(XForwardedFor, "192.0.2.1:8080, 10.0.0.1")],
            &[("client.address", "192.0.2.1")],
        ),
        (
            &[(XForwardedFor, "::ffff:192.0.2.1")],
            &[("client.address", "192.0.2.1")],
        ),
        (
            &[(XForwardedFor, "2001:DB8::0:1")],
            &[("client.address", "2001:db8::1")],
        ),
        (&[(XForwardedFor, "unknown, 192.0.2.1")], &[]),
        (&[(XForwardedFor, "")], &[]),
        (&[(XForwardedFor, "\u{1}<script>")], &[]),
        (
            &[(XForwardedProto, "https, http")],
            &[("url.scheme", "https"), ("server.port", "#443")],
        ),
        (
            &[(XForwardedProto, "WSS")],
            &[("url.scheme", "wss"), ("server.port", "#443")],
        ),
        (&[(XForwardedProto, "no scheme")], &[]),
        (
            &[(Forwarded, "proto=https"), (XForwardedProto, "http")],
            &[("url.scheme", "https"), ("server.port", "#443")],
        ),
        (
            &[(XForwardedHost, "a.example:81, b.example")],
            &[("server.address", "a.example"), ("server.port", "#81")],
        ),
        (
            &[
                (Forwarded, "host=f.example"),
                (XForwardedHost, "a.example:81"),
            ],
            &[("server.address", "f.example")],
        ),
        (&[(Forwarded, "host=\"a b\"")], &[]),
    ];
    for (fields, changes) in cases {
        let ex = server(&[&[(Target, "/"), (Host, "h")], *fields].concat());
        let base = [&h[..], &[("url.path", "/"), ("http.route", "/")]].concat();
        check_server(&ex, "GET /", false, &[&base[..], changes].concat());
    }
}

#[test]
fn ipv6_peers() {
    let mut ex = server(&[(Target, "/"), (Host, "h")]);
    let mut ip = [0; 16];
    (ip[0], ip[1], ip[15]) = (0x20, 0x01, 1);
    ex.peer = Endpoint::V6 { ip, port: 0 };
    check(
        &ex,
        &Settings::default(),
        "GET /",
        false,
        &[
            ("http.request.method", "GET"),
            ("http.response.status_code", "#200"),
            ("http.route", "/"),
            ("url.path", "/"),
            ("url.scheme", "http"),
            ("server.address", "h"),
            ("server.port", "#80"),
            ("client.address", "2001::1"),
            ("network.peer.address", "2001::1"),
            ("network.protocol.version", "1.1"),
        ],
    );
}

#[test]
fn text_that_is_no_utf8_or_was_cut() {
    let mut ex = server(&[(Host, "h")]);
    ex.set(Target, b"/caf\xe9/1?q=\xff", 100);
    ex.set(UserAgent, "bot \u{20ac}".as_bytes(), 6);
    check_server(
        &ex,
        "GET /{token}/{id}",
        false,
        &[
            ("http.route", "/{token}/{id}"),
            ("url.path", "/caf\u{fffd}/1"),
            ("url.query", "q=\u{fffd}"),
            ("user_agent.original", "bot "),
            ("server.address", "h"),
            ("server.port", "#80"),
        ],
    );
    let mut ex = server(&[(Host, "h")]);
    ex.set(Target, b"/users/alice", 9);
    let base = [("server.address", "h"), ("server.port", "#80")];
    check_server(
        &ex,
        "GET",
        false,
        &[&base[..], &[("url.path", "/users/al")]].concat(),
    );
    ex.set(Target, b"/users?q=alice", 11);
    let query = [
        ("url.path", "/users"),
        ("url.query", "q=al"),
        ("http.route", "/users"),
    ];
    check_server(&ex, "GET /users", false, &[&base[..], &query].concat());
}
