//! What parameters become.

use super::super::super::tests::{Recorder, lossy, whole};
use super::*;
use crate::exchange::{Endpoint, Exchange, Field, TARGET_MAX};

/// The exchange that a program with this role makes of a GET with more parameters.
fn exchange(as_server: bool, more: &[(&str, &str)]) -> Exchange {
    let params = [&GET[..], more].concat();
    let (request, answer) = (request(1, false, &params, b""), answer(1, OK));
    let mut host = Recorder::default();
    if as_server {
        host.run(&[i(request), o(answer)], whole);
    } else {
        host.run(&[o(request), i(answer)], whole);
    }
    host.only().clone()
}

#[test]
fn texts() {
    let ex = exchange(
        true,
        &[
            ("HTTP_HOST", "h:81"),
            ("HTTP_USER_AGENT", "curl/8 "),
            ("HTTP_FORWARDED", "for=1.2.3.4"),
            ("HTTP_X_FORWARDED_FOR", "1.1.1.1"),
            ("HTTP_X_FORWARDED_PROTO", "https"),
            ("HTTP_X_FORWARDED_HOST", "outer"),
            ("HTTP_TRACEPARENT", "00-aa-bb-01"),
            ("HTTP_TRACESTATE", "a=1,b=2"),
            ("HTTP_BAGGAGE", "k=v"),
            ("SCRIPT_NAME", "/index.php"),
        ],
    );
    let texts = [
        (Field::Method, "GET"),
        (Field::Target, "/a"),
        (Field::Host, "h:81"),
        (Field::UserAgent, "curl/8"),
        (Field::Forwarded, "for=1.2.3.4"),
        (Field::XForwardedFor, "1.1.1.1"),
        (Field::XForwardedProto, "https"),
        (Field::XForwardedHost, "outer"),
        (Field::Traceparent, "00-aa-bb-01"),
        (Field::Tracestate, "a=1,b=2"),
    ];
    for (field, expected) in texts {
        assert_eq!(lossy(ex.text(field)), expected, "{field:?}");
    }
    assert_eq!(ex.baggage(), b"k=v");
    assert!(ex.fastcgi && !ex.tls && !ex.signed && !ex.traceparent_repeated);
}

#[test]
fn the_host_is_the_header_s_or_else_the_server_s() {
    let rows: [(&[(&str, &str)], &str); 7] = [
        (
            &[
                ("SERVER_NAME", "s"),
                ("SERVER_PORT", "8080"),
                ("HTTP_HOST", "h"),
            ],
            "h",
        ),
        (
            &[
                ("HTTP_HOST", "h"),
                ("SERVER_PORT", "8080"),
                ("SERVER_NAME", "s"),
            ],
            "h",
        ),
        (&[("SERVER_PORT", "8080"), ("SERVER_NAME", "s")], "s:8080"),
        (
            &[
                ("SERVER_NAME", "s"),
                ("HTTP_USER_AGENT", "u"),
                ("SERVER_PORT", "8"),
            ],
            "s:8",
        ),
        (&[("SERVER_NAME", "s"), ("SERVER_PORT", "x")], "s"),
        (&[("SERVER_NAME", "_"), ("SERVER_PORT", "80")], "-"),
        (
            &[
                ("HTTP_HOST", ""),
                ("SERVER_NAME", "s"),
                ("SERVER_PORT", "80"),
            ],
            "s:80",
        ),
    ];
    for (params, expected) in rows {
        assert_eq!(
            lossy(exchange(true, params).text(Field::Host)),
            expected,
            "{params:?}"
        );
    }
}

#[test]
fn versions_and_schemes() {
    for (protocol, expected) in [
        ("HTTP/1.0", 10),
        ("HTTP/1.1", 11),
        ("HTTP/2.0", 20),
        ("HTTP/3.0", 30),
        ("INCLUDED", 0),
    ] {
        let params = [GET[0], GET[1], ("SERVER_PROTOCOL", protocol)];
        let mut host = Recorder::default();
        host.run(
            &[i(request(1, false, &params, b"")), o(answer(1, OK))],
            whole,
        );
        assert_eq!(host.only().version, expected, "{protocol}");
    }
    let rows = [
        ("HTTPS", "on", true),
        ("HTTPS", "1", true),
        ("HTTPS", "", false),
        ("HTTPS", "off", false),
        ("REQUEST_SCHEME", "https", true),
        ("REQUEST_SCHEME", "http", false),
    ];
    for (name, value, tls) in rows {
        assert_eq!(exchange(true, &[(name, value)]).tls, tls, "{name} {value}");
    }
}

#[test]
fn the_peer_of_a_server_is_the_web_server_s_client() {
    let rows: [(&[(&str, &str)], Endpoint); 4] = [
        (
            &[("REMOTE_PORT", "9"), ("REMOTE_ADDR", "10.0.0.1")],
            Endpoint::V4 {
                ip: [10, 0, 0, 1],
                port: 9,
            },
        ),
        (
            &[("REMOTE_ADDR", "::ffff:10.0.0.1"), ("REMOTE_PORT", "9")],
            Endpoint::V4 {
                ip: [10, 0, 0, 1],
                port: 9,
            },
        ),
        (
            &[("REMOTE_ADDR", "::1")],
            Endpoint::V6 {
                ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
                port: 0,
            },
        ),
        (
            &[("REMOTE_ADDR", "unix:"), ("REMOTE_PORT", "9")],
            Endpoint::Unknown,
        ),
    ];
    for (params, expected) in rows {
        assert_eq!(exchange(true, params).peer, expected, "{params:?}");
        assert_eq!(
            exchange(false, params).peer,
            Endpoint::Unknown,
            "{params:?}"
        );
    }
}

#[test]
fn signatures_and_repetitions() {
    assert!(exchange(false, &[("HTTP_AUTHORIZATION", "AWS4-HMAC-SHA256 x")]).signed);
    assert!(exchange(false, &[("HTTP_SIGNATURE_INPUT", "x")]).signed);
    assert!(!exchange(false, &[("HTTP_AUTHORIZATION", "Basic x")]).signed);
    let twice = exchange(
        true,
        &[("HTTP_TRACEPARENT", "a"), ("HTTP_TRACEPARENT", "b")],
    );
    assert!(twice.traceparent_repeated);
    assert_eq!(lossy(twice.text(Field::Traceparent)), "a");
}

#[test]
fn headers_are_captured_by_their_own_names() {
    let ex = exchange(
        true,
        &[
            ("HTTP_X_REQUEST_ID", "r1"),
            ("HTTP_USER_AGENT", "u"),
            ("CONTENT_LENGTH", "3"),
            ("HTTP_CONTENT_LENGTH", "3"),
            ("X_REQUEST_ID", "no header"),
        ],
    );
    let captured: Vec<(u8, bool, String)> = ex
        .captured()
        .map(|(c, v)| (c.index, c.response, lossy(Some(v))))
        .collect();
    let expected = [
        (0, false, "r1"),
        (1, false, "u"),
        (3, false, "3"),
        (0, true, "text/html"),
    ];
    assert_eq!(captured, expected.map(|(i, r, v)| (i, r, v.to_owned())));
}

#[test]
fn long_values_are_cut_and_long_names_passed_over() {
    let cookie = "c".repeat(20_000);
    let target = "/".repeat(TARGET_MAX + 1);
    let name = format!("HTTP_{}", "X".repeat(60));
    let params = [
        GET[0],
        ("REQUEST_URI", target.as_str()),
        ("HTTP_COOKIE", &cookie),
        (&name, "x"),
        ("HTTP_HOST", "h"),
    ];
    let mut host = Recorder::default();
    host.run(
        &[i(request(1, false, &params, b"")), o(answer(1, OK))],
        whole,
    );
    let ex = host.only();
    assert!(ex.is_cut(Field::Target) && ex.text(Field::Target).unwrap().len() == TARGET_MAX);
    assert_eq!(lossy(ex.text(Field::Host)), "h");
}
