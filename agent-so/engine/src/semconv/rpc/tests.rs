//! Calls and the exact spans they make.

use crate::exchange::Field::{Host, Method, Target};
use crate::exchange::{Exchange, Fault, Field, Kind};
use crate::semconv::http::Settings;
use crate::semconv::http::tests::{check, exchange};

fn call(kind: Kind, path: &str, status: u8) -> Exchange {
    let fields: [(Field, &str); 3] = [
        (Method, "POST"),
        (Target, path),
        (Host, "shop.example:50051"),
    ];
    exchange(kind, &fields, |ex| {
        ex.version = 20;
        ex.rpc = true;
        ex.rpc_status = status;
    })
}

/// Attributes of every one of these calls, then `more`; a key given again replaces.
#[track_caller]
fn check_call(ex: &Exchange, name: &str, error: bool, more: &[(&str, &str)]) {
    let mut expected = vec![
        ("rpc.system.name", "grpc"),
        ("rpc.method", name),
        ("server.address", "shop.example"),
        ("server.port", "#50051"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
    ];
    expected.extend(more);
    check(ex, &Settings::default(), name, error, &expected);
}

/// The table of the conventions: for whom which status is an error.
#[test]
fn statuses() {
    let names = [
        ("OK", false),
        ("CANCELLED", false),
        ("UNKNOWN", true),
        ("INVALID_ARGUMENT", false),
        ("DEADLINE_EXCEEDED", true),
        ("NOT_FOUND", false),
        ("ALREADY_EXISTS", false),
        ("PERMISSION_DENIED", false),
        ("RESOURCE_EXHAUSTED", false),
        ("FAILED_PRECONDITION", false),
        ("ABORTED", false),
        ("OUT_OF_RANGE", false),
        ("INTERNAL", true),
        ("UNAVAILABLE", true),
        ("DATA_LOSS", true),
        ("UNAUTHENTICATED", false),
    ];
    for (code, (name, on_server)) in names.into_iter().enumerate() {
        // UNIMPLEMENTED is looked at on its own.
        let plus_one = code as u8 + if code < 12 { 1 } else { 2 };
        for (kind, error) in [(Kind::Client, code != 0), (Kind::Server, on_server)] {
            let mut more = vec![("rpc.response.status_code", name)];
            if error {
                more.push(("error.type", name));
            }
            let ex = call(kind, "/shop.v1.Cart/Add", plus_one);
            check_call(&ex, "shop.v1.Cart/Add", error, &more);
        }
    }
}

#[test]
fn a_method_that_nobody_knows_gives_no_name() {
    let status = [
        ("rpc.method", "_OTHER"),
        ("rpc.response.status_code", "UNIMPLEMENTED"),
        ("error.type", "UNIMPLEMENTED"),
        ("rpc.method_original", "a.B/C"),
    ];
    for kind in [Kind::Client, Kind::Server] {
        check_call(&call(kind, "/a.B/C", 13), "grpc", true, &status);
    }
    for path in ["/a.B", "/a.B/C/D", "/a.B/", "//C", "/a.B/C?x=1"] {
        let more = [
            ("rpc.method", "_OTHER"),
            ("rpc.response.status_code", "OK"),
            ("rpc.method_original", &path[1..]),
        ];
        check_call(&call(Kind::Server, path, 1), "grpc", false, &more);
    }
}

#[test]
fn without_a_status_a_failure_is_told_as_such() {
    let mut ex = call(Kind::Client, "/a.B/C", 0);
    check_call(&ex, "a.B/C", false, &[]);
    ex.fault = Fault::ConnectionReset;
    check_call(&ex, "a.B/C", true, &[("error.type", "connection_reset")]);
    // The status is the better word for it.
    ex.rpc_status = 15;
    let more = [
        ("rpc.response.status_code", "UNAVAILABLE"),
        ("error.type", "UNAVAILABLE"),
    ];
    check_call(&ex, "a.B/C", true, &more);
}

#[test]
fn the_server_of_a_call() {
    let span = |kind, host: &str, expected: &[(&str, &str)]| {
        let mut ex = call(kind, "/a.B/C", 1);
        ex.set(Host, host.as_bytes(), 1024);
        let mut all = vec![
            ("rpc.system.name", "grpc"),
            ("rpc.method", "a.B/C"),
            ("rpc.response.status_code", "OK"),
            ("network.peer.address", "10.0.0.9"),
            ("network.peer.port", "#4711"),
        ];
        all.extend(expected);
        check(&ex, &Settings::default(), "a.B/C", false, &all);
    };
    let named = ("server.address", "grpc.io");
    span(Kind::Client, "grpc.io", &[named, ("server.port", "#4711")]);
    span(Kind::Server, "grpc.io", &[named]);
    let peer = [("server.address", "10.0.0.9"), ("server.port", "#4711")];
    span(Kind::Client, "%2Frun%2Fx.sock/", &peer);
    span(Kind::Server, "%2Frun%2Fx.sock/", &[]);
}

#[test]
fn headers_that_the_user_asked_for_are_metadata() {
    let mut ex = call(Kind::Server, "/a.B/C", 1);
    assert!(ex.begin_captured(0, false));
    ex.append_captured(b"7", 8);
    let settings = Settings {
        server_request_headers: vec!["X-Tenant".into()],
        ..Settings::default()
    };
    let expected = [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "a.B/C"),
        ("server.address", "shop.example"),
        ("server.port", "#50051"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
        ("rpc.response.status_code", "OK"),
        ("rpc.request.metadata.x-tenant", "[\"7\"]"),
    ];
    check(&ex, &settings, "a.B/C", false, &expected);
}
