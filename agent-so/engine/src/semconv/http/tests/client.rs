use super::*;
use crate::exchange::Field::*;

fn client(fields: &[(Field, &str)]) -> Exchange {
    let mut all = vec![(Method, "GET")];
    all.extend(fields);
    exchange(Kind::Client, &all, |_| ())
}

#[track_caller]
fn check_client(ex: &Exchange, name: &str, error: bool, more: &[(&str, &str)]) {
    let mut expected = vec![
        ("http.request.method", "GET"),
        ("http.response.status_code", "#200"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
        ("network.protocol.version", "1.1"),
    ];
    expected.extend(more);
    check(ex, &Settings::default(), name, error, &expected);
}

#[test]
fn a_usual_request() {
    let mut ex = client(&[
        (Target, "/users/42?q=1&sig=x&X-Amz-Signature=y"),
        (Host, "example.com:8080"),
        (UserAgent, "curl"),
        (XForwardedFor, "1.2.3.4"),
    ]);
    let server = [("server.address", "example.com"), ("server.port", "#8080")];
    let url = "http://example.com:8080/users/42?q=1&sig=REDACTED&X-Amz-Signature=REDACTED";
    check_client(
        &ex,
        "GET",
        false,
        &[&server[..], &[("url.full", url)]].concat(),
    );
    ex.tls = true;
    let url = url.replacen("http", "https", 1);
    check_client(
        &ex,
        "GET",
        false,
        &[&server[..], &[("url.full", &url)]].concat(),
    );
    ex.status = 404;
    let error = [
        ("http.response.status_code", "#404"),
        ("error.type", "404"),
        ("url.full", &url),
    ];
    check_client(&ex, "GET", true, &[&server[..], &error].concat());
}

#[test]
fn a_broken_response_keeps_its_code() {
    let mut ex = client(&[(Target, "/"), (Host, "h")]);
    ex.fault = Fault::ResponseTruncated;
    let more = [
        ("error.type", "response_truncated"),
        ("server.address", "h"),
        ("server.port", "#80"),
        ("url.full", "http://h/"),
    ];
    check_client(&ex, "GET", true, &more);
}

#[test]
fn no_response_and_no_fault_is_no_error() {
    let mut ex = client(&[(Target, "/"), (Host, "h")]);
    ex.status = 0;
    ex.version = 0;
    check(
        &ex,
        &Settings::default(),
        "GET",
        false,
        &[
            ("http.request.method", "GET"),
            ("network.peer.address", "10.0.0.9"),
            ("network.peer.port", "#4711"),
            ("server.address", "h"),
            ("server.port", "#80"),
            ("url.full", "http://h/"),
        ],
    );
}

/// Target, Host: url.full, server.address, server.port.
#[test]
fn urls() {
    for (method, target, host, url, address, port) in [
        ("GET", "/a", "h", "http://h/a", "h", Some("#80")),
        ("GET", "/a", "h:80", "http://h:80/a", "h", Some("#80")),
        ("GET", "/a?", "h", "http://h/a?", "h", Some("#80")),
        (
            "GET",
            "/a?q#sig=1",
            "h",
            "http://h/a?q#sig=REDACTED",
            "h",
            Some("#80"),
        ),
        ("GET", "//b/c", "h", "http://h//b/c", "h", Some("#80")),
        ("GET", "a", "h", "http://h/a", "h", Some("#80")),
        ("GET", "", "h", "http://h/", "h", Some("#80")),
        (
            "GET",
            "/",
            "[::1]:8080",
            "http://[::1]:8080/",
            "::1",
            Some("#8080"),
        ),
        ("GET", "/", "h:bad", "http://h:bad/", "h", Some("#4711")),
        (
            "GET",
            "/",
            "u:p@h",
            "http://REDACTED:REDACTED@h/",
            "h",
            Some("#80"),
        ),
        (
            "GET",
            "/",
            "",
            "http://10.0.0.9:4711/",
            "10.0.0.9",
            Some("#4711"),
        ),
        (
            "GET",
            "/",
            "a b",
            "http://10.0.0.9:4711/",
            "10.0.0.9",
            Some("#4711"),
        ),
        ("GET", "*", "h:81", "http://h:81", "h", Some("#81")),
        (
            "GET",
            "https://user:pw@up.example/p?Signature=1",
            "h",
            "https://REDACTED:REDACTED@up.example/p?Signature=REDACTED",
            "up.example",
            Some("#443"),
        ),
        (
            "GET",
            "http://me@up:8/p",
            "h",
            "http://REDACTED@up:8/p",
            "up",
            Some("#8"),
        ),
        ("GET", "http:///p", "h", "http:///p", "h", Some("#80")),
        ("GET", "ftp://up/p", "h", "ftp://up/p", "up", None),
        ("CONNECT", "up:443", "h", "up:443", "up", Some("#443")),
        (
            "CONNECT",
            "[2001:DB8::1]:443",
            "h",
            "[2001:DB8::1]:443",
            "2001:db8::1",
            Some("#443"),
        ),
        ("CONNECT", "up", "h", "up", "up", None),
    ] {
        let ex = client(&[(Method, method), (Target, target), (Host, host)]);
        let mut more = vec![
            ("http.request.method", method),
            ("url.full", url),
            ("server.address", address),
        ];
        more.extend(port.map(|p| ("server.port", p)));
        check_client(&ex, method, false, &more);
    }
}

#[test]
fn without_host_the_peer_stands_in() {
    let mut ex = client(&[(Target, "/p")]);
    let mut ip = [0; 16];
    ip[15] = 1;
    ex.peer = Endpoint::V6 { ip, port: 80 };
    let common = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "#200"),
        ("network.protocol.version", "1.1"),
    ];
    let peer = [
        ("network.peer.address", "::1"),
        ("network.peer.port", "#80"),
        ("server.address", "::1"),
        ("server.port", "#80"),
        ("url.full", "http://[::1]/p"),
    ];
    check(
        &ex,
        &Settings::default(),
        "GET",
        false,
        &[&common[..], &peer].concat(),
    );
    for unknown in [
        Endpoint::Unix,
        Endpoint::Unknown,
        Endpoint::V4 {
            ip: [0; 4],
            port: 80,
        },
    ] {
        ex.peer = unknown;
        check(&ex, &Settings::default(), "GET", false, &common);
    }
}

#[test]
fn an_unknown_method() {
    let ex = client(&[(Method, "GeT"), (Target, "/"), (Host, "h")]);
    let more = [
        ("http.request.method", "_OTHER"),
        ("http.request.method_original", "GeT"),
        ("server.address", "h"),
        ("server.port", "#80"),
        ("url.full", "http://h/"),
    ];
    check_client(&ex, "HTTP", false, &more);
}

#[test]
fn a_failed_connect() {
    let failed = |host: &str, fault, peer| {
        let fields = [(Host, host)];
        exchange(
            Kind::Client,
            if host.is_empty() { &[] } else { &fields },
            |ex| {
                ex.connect_failed = true;
                (ex.status, ex.version) = (0, 0);
                (ex.fault, ex.peer) = (fault, peer);
            },
        )
    };
    let peer = [
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
    ];
    let base = [("http.request.method", "_OTHER")];
    for (host, fault, endpoint, more) in [
        (
            "db.example:5432",
            Fault::ConnectionRefused,
            PEER,
            vec![
                ("server.address", "db.example"),
                ("server.port", "#5432"),
                ("error.type", "connection_refused"),
            ],
        ),
        (
            "db.example",
            Fault::TimedOut,
            PEER,
            vec![
                ("server.address", "db.example"),
                ("server.port", "#4711"),
                ("error.type", "timed_out"),
            ],
        ),
        (
            "",
            Fault::HostUnreachable,
            PEER,
            vec![
                ("server.address", "10.0.0.9"),
                ("server.port", "#4711"),
                ("error.type", "host_unreachable"),
            ],
        ),
        (
            "h:1",
            Fault::HostNotFound,
            Endpoint::Unknown,
            vec![
                ("server.address", "h"),
                ("server.port", "#1"),
                ("error.type", "host_not_found"),
            ],
        ),
        (
            "",
            Fault::None,
            Endpoint::Unix,
            vec![("error.type", "_OTHER")],
        ),
    ] {
        let ex = failed(host, fault, endpoint);
        let peer = if endpoint == PEER { &peer[..] } else { &[] };
        check(
            &ex,
            &Settings::default(),
            "HTTP",
            true,
            &[&base[..], peer, &more].concat(),
        );
    }
}

#[test]
fn through_fastcgi_the_protocol_is_named() {
    let ex = exchange(
        Kind::Client,
        &[(Method, "GET"), (Target, "/a"), (Host, "h")],
        |ex| {
            ex.fastcgi = true;
            ex.version = 20;
        },
    );
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "#200"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
        ("network.protocol.name", "fastcgi"),
        ("server.address", "h"),
        ("server.port", "#80"),
        ("url.full", "http://h/a"),
    ];
    check(&ex, &Settings::default(), "GET", false, &expected);
}
