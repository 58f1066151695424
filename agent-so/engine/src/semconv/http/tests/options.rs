use super::*;
use crate::exchange::Field::*;

const BASE: [(&str, &str); 9] = [
    ("http.request.method", "GET"),
    ("http.response.status_code", "#200"),
    ("url.scheme", "http"),
    ("url.path", "/users/42"),
    ("server.address", "h"),
    ("server.port", "#80"),
    ("client.address", "10.0.0.9"),
    ("network.peer.address", "10.0.0.9"),
    ("network.peer.port", "#4711"),
];

fn server() -> Exchange {
    let fields = [(Method, "GET"), (Target, "/users/42"), (Host, "h")];
    exchange(Kind::Server, &fields, |ex| ex.version = 0)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&n| n.to_owned()).collect()
}

#[test]
fn routes_by_template_by_heuristic_or_not_at_all() {
    let template = Settings {
        route_templates: names(&["/users/:user"]),
        ..Settings::default()
    };
    let route = [("http.route", "/users/:user")];
    check(
        &server(),
        &template,
        "GET /users/:user",
        false,
        &[&BASE[..], &route].concat(),
    );
    let none = Settings {
        route_heuristic: false,
        ..Settings::default()
    };
    check(&server(), &none, "GET", false, &BASE);
    let route = [("http.route", "/users/{id}")];
    check(
        &server(),
        &Settings::default(),
        "GET /users/{id}",
        false,
        &[&BASE[..], &route].concat(),
    );
}

#[test]
fn the_frameworks_route_names_the_span_of_a_path_without_template() {
    let mut span = Span::default();
    let options = Options::new(&Settings::default());
    let matched = Some("/users/<name>");
    describe(
        &server(),
        matched,
        &options,
        &mut Scratch::default(),
        &mut span,
    );
    assert_eq!(span.name.as_deref(), Some("GET /users/<name>"));
}

#[test]
fn known_methods_are_replaced_as_a_whole() {
    let settings = Settings {
        known_methods: names(&["PURGE", ""]),
        route_heuristic: false,
        ..Settings::default()
    };
    let original = [
        ("http.request.method", "_OTHER"),
        ("http.request.method_original", "GET"),
    ];
    check(
        &server(),
        &settings,
        "HTTP",
        false,
        &[&BASE[..], &original].concat(),
    );
    let mut ex = server();
    ex.set(Method, b"PURGE", 20);
    let purge = [("http.request.method", "PURGE")];
    check(
        &ex,
        &settings,
        "PURGE",
        false,
        &[&BASE[..], &purge].concat(),
    );
    ex.clear(Method);
    let missing = [("http.request.method", "_OTHER")];
    check(
        &ex,
        &settings,
        "HTTP",
        false,
        &[&BASE[..], &missing].concat(),
    );
}

#[test]
fn redaction_can_be_switched_off() {
    let settings = Settings {
        sensitive_query_parameters: Vec::new(),
        route_heuristic: false,
        ..Settings::default()
    };
    let mut ex = server();
    ex.set(Target, b"/users/42?sig=1", 100);
    check(
        &ex,
        &settings,
        "GET",
        false,
        &[&BASE[..], &[("url.query", "sig=1")]].concat(),
    );
}

fn capture(ex: &mut Exchange, index: u8, response: bool, value: &[u8], cap: usize) {
    assert!(ex.begin_captured(index, response));
    ex.append_captured(value, cap);
}

#[test]
fn captured_headers() {
    let settings = Settings {
        route_heuristic: false,
        server_request_headers: names(&["x-custom-foo", "Authorization", "accept", "x-empty"]),
        server_response_headers: names(&["x-dice-roll", "set-cookie"]),
        client_request_headers: names(&["x-client"]),
        client_response_headers: names(&["x-answer"]),
        ..Settings::default()
    };
    let mut ex = server();
    capture(&mut ex, 0, false, b"custom-value", 99);
    capture(&mut ex, 1, false, b"Bearer secret", 99);
    capture(&mut ex, 0, true, b"6", 99);
    capture(&mut ex, 0, false, b"", 99);
    capture(&mut ex, 0, false, b"a\xffb", 99);
    capture(&mut ex, 0, false, "\u{20ac}\u{20ac}".as_bytes(), 4);
    capture(&mut ex, 1, true, b"a=1", 99);
    capture(&mut ex, 1, true, b"b=2", 99);
    capture(&mut ex, 3, false, b"", 99);
    capture(&mut ex, 9, false, b"no such index", 99);
    let more = [
        (
            "http.request.header.x-custom-foo",
            "[\"custom-value\", \"a\u{fffd}b\", \"\u{20ac}\"]",
        ),
        ("http.request.header.authorization", "[\"[REDACTED]\"]"),
        ("http.response.header.x-dice-roll", "[\"6\"]"),
        (
            "http.response.header.set-cookie",
            "[\"[REDACTED]\", \"[REDACTED]\"]",
        ),
    ];
    check(&ex, &settings, "GET", false, &[&BASE[..], &more].concat());

    let mut ex = exchange(
        Kind::Client,
        &[(Method, "GET"), (Target, "/"), (Host, "h")],
        |_| (),
    );
    capture(&mut ex, 0, false, b"1", 99);
    capture(&mut ex, 0, true, b"2", 99);
    capture(&mut ex, 1, true, b"only servers have two", 99);
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "#200"),
        ("server.address", "h"),
        ("server.port", "#80"),
        ("url.full", "http://h/"),
        ("network.peer.address", "10.0.0.9"),
        ("network.peer.port", "#4711"),
        ("network.protocol.version", "1.1"),
        ("http.request.header.x-client", "[\"1\"]"),
        ("http.response.header.x-answer", "[\"2\"]"),
    ];
    check(&ex, &settings, "GET", false, &expected);
}

#[test]
fn the_users_list_of_sanitized_headers_counts() {
    let settings = Settings {
        route_heuristic: false,
        server_request_headers: names(&["authorization", "x-key"]),
        sanitized_headers: names(&["X-Key"]),
        ..Settings::default()
    };
    let mut ex = server();
    capture(&mut ex, 0, false, b"shown", 99);
    capture(&mut ex, 1, false, b"hidden", 99);
    let more = [
        ("http.request.header.authorization", "[\"shown\"]"),
        ("http.request.header.x-key", "[\"[REDACTED]\"]"),
    ];
    check(&ex, &settings, "GET", false, &[&BASE[..], &more].concat());
}

/// A flood of made-up paths: the name falls back to the method, known routes live on.
#[test]
fn routes_are_limited_per_scratch() {
    let options = Options::default();
    let mut scratch = Scratch::default();
    let mut name_of = |target: &str, status| {
        let fields = [(Method, "GET"), (Target, target)];
        let mut span = Span::default();
        let ex = exchange(Kind::Server, &fields, |ex| ex.status = status);
        describe(&ex, None, &options, &mut scratch, &mut span);
        (
            span.name.unwrap_or_default(),
            span.attributes.contains_key("http.route"),
        )
    };
    let word = |i: usize| -> String {
        (0..3)
            .map(|d| char::from(b'a' + (i / 26usize.pow(d) % 26) as u8))
            .collect()
    };
    for i in 0..3000 {
        name_of(&format!("/{}", word(i)), 404);
    }
    assert_eq!(
        name_of(&format!("/{}", word(2999)), 404),
        ("GET".to_owned(), false)
    );
    assert_eq!(
        name_of("/orders/1", 200),
        ("GET /orders/{id}".to_owned(), true)
    );
    for i in 0..3000 {
        name_of(&format!("/{}", word(i)), 200);
    }
    assert_eq!(name_of("/late/comer", 200), ("GET".to_owned(), false));
    assert_eq!(
        name_of("/orders/2", 404),
        ("GET /orders/{id}".to_owned(), true)
    );
}
