use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn clustered(path: &str) -> String {
    let mut out = String::new();
    cluster(path, &mut out);
    out
}

/// The vectors of the eBPF instrumentation's classifier, in our placeholders.
#[test]
fn known_vectors() {
    for (path, expected) in [
        ("", "/"),
        ("/", "/"),
        ("/products/", "/products/"),
        ("/user-space/", "/user-space/"),
        ("/user_space/", "/user_space/"),
        ("/attach", "/attach"),
        ("123", "{id}"),
        ("/123", "/{id}"),
        ("123/", "{id}/"),
        ("/**", "/{token}"),
        ("/u/2", "/u/{id}"),
        ("123/ljgdflgjf", "{id}/{token}"),
        ("/v1/products/2", "/v1/products/{id}"),
        ("/v1/products/22", "/v1/products/{id}"),
        ("/v1/products/22j", "/v1/products/{token}"),
        ("/v1/k6-test-runs/1", "/v1/k6-test-runs/{id}"),
        ("/products/1/org/3", "/products/{id}/org/{id}"),
        ("/products//org/3", "/products//org/{id}"),
        (
            "/users/fdklsd/j4elk/23993/job/2",
            "/users/{token}/{token}/{id}/job/{id}",
        ),
        (
            "/Benutzer/fdklsd/j4elk/23993/Arbeit/2",
            "/Benutzer/{token}/{token}/{id}/Arbeit/{id}",
        ),
        (
            "/usuarios/fdklsd/j4elk/23993/trabajo/2",
            "/usuarios/{token}/{token}/{id}/trabajo/{id}",
        ),
        (
            "/utilisateurs/fdklsd/j4elk/23993/tache/2",
            "/utilisateurs/{token}/{token}/{id}/tache/{id}",
        ),
        ("/api/hello.world", "/api/hello.world"),
        ("/api.backup/hello.world", "/api.backup/hello.world"),
        ("/api/hello.world.again", "/api/hello.world.again"),
        ("/a/b/c/d/e/f/g/h/12/j", "/a/b/c/d/e/f/g/h/{id}/j"),
    ] {
        assert_eq!(clustered(path), expected, "{path}");
    }
}

#[test]
fn each_kind_of_segment() {
    for (segment, expected) in [
        ("0", "{id}"),
        ("-5", "{id}"),
        ("10.0.0.1", "{id}"),
        ("12-34_5", "{id}"),
        ("2024-01", "{date}"),
        ("2024-01-31", "{date}"),
        ("2024-01-31T10:00:00.000Z", "{date}"),
        ("2024-01-31T10:00:00+02:00", "{date}"),
        ("2024-01-report", "{token}"),
        ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "{uuid}"),
        ("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "{uuid}"),
        ("12345678-1234-1234-1234-123456789012", "{uuid}"),
        ("507f1f77bcf86cd799439011", "{hex}"),
        ("f81d4fae7dec11d0a76500a0c91e6bf6", "{hex}"),
        ("1234abcd", "{hex}"),
        ("1234abc", "{token}"),
        ("abcdefabcdefabcd", "{hex}"),
        ("0x1f", "{hex}"),
        ("alice@example.com", "{email}"),
        ("a.b+c%40example.co.uk", "{email}"),
        ("@scope", "{token}"),
        ("a@b", "{token}"),
        ("Users(42)", "{token}"),
        ("hello%20world", "{token}"),
        ("größe", "{token}"),
        ("a:b", "{token}"),
        ("~user", "{token}"),
        ("how-to-build-a-house", "{slug}"),
        ("top-10-things-to-do-2024", "{slug}"),
        ("how-to-build", "how-to-build"),
        ("order-123", "{token}"),
        ("dQw4w9WgXcQ", "{token}"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.abc", "{token}"),
        ("cus_NffrFeUfNV2Hib", "{token}"),
        ("aBcDeFgH", "{token}"),
        ("zxcvbnm", "{token}"),
        ("v1", "v1"),
        ("V12", "V12"),
        ("v1.2", "v1.2"),
        ("v2beta1", "v2beta1"),
        ("v1alpha", "v1alpha"),
        ("v1234", "{token}"),
        ("v1x", "{token}"),
        ("oauth2", "oauth2"),
        ("ec2", "ec2"),
        ("i18n", "i18n"),
        ("sha256", "sha256"),
        ("getUserById", "getUserById"),
        ("HTTPServer", "HTTPServer"),
        ("API", "API"),
        (".well-known", ".well-known"),
        ("__debug__", "__debug__"),
        ("openid-configuration", "openid-configuration"),
        ("com.example.Service", "com.example.Service"),
        ("users;role=admin", "users"),
        ("42;v=1", "{id}"),
        (";jsessionid=1F2E", ""),
    ] {
        assert_eq!(
            clustered(&format!("/x/{segment}/y")),
            format!("/x/{expected}/y"),
            "{segment}"
        );
    }
    let long = "a".repeat(65);
    assert_eq!(clustered(&format!("/{long}")), "/{token}");
    assert_eq!(clustered(&format!("/{}", "7".repeat(65))), "/{token}");
}

#[test]
fn files() {
    for (path, expected) in [
        ("/static/js/app.3f2a1c.js", "/static/js/{file}.js"),
        ("/static/js/app.js", "/static/js/{file}.js"),
        ("/main.3f2a1c9b.CSS", "/{file}.css"),
        ("/favicon.ico", "/favicon.ico"),
        ("/apple-touch-icon.png", "/apple-touch-icon.png"),
        ("/robots.txt", "/robots.txt"),
        ("/index.html", "/index.html"),
        ("/docs/guide.html", "/docs/guide.html"),
        ("/docs/12345.html", "/docs/{id}.html"),
        (
            "/orders/f81d4fae-7dec-11d0-a765-00a0c91e6bf6.json",
            "/orders/{uuid}.json",
        ),
        ("/uploads/IMG_1234.jpg", "/uploads/{file}.jpg"),
        ("/index.php;x=1", "/index.php"),
        ("/.env", "/.env"),
        ("/a.js/b", "/a.js/b"),
    ] {
        assert_eq!(clustered(path), expected, "{path}");
    }
}

#[test]
fn long_paths_end_after_ten_segments() {
    assert_eq!(clustered("/a/b/c/d/e/f/g/h/i/j"), "/a/b/c/d/e/f/g/h/i/j");
    assert_eq!(clustered("/a/b/c/d/e/f/g/h/i/j/"), "/a/b/c/d/e/f/g/h/i/j/");
    assert_eq!(
        clustered("/a/b/c/d/e/f/g/h/i/j/k"),
        "/a/b/c/d/e/f/g/h/i/j/**"
    );
    assert_eq!(clustered(&"/ab".repeat(4096)), "/ab".repeat(10) + "/**");
    assert_eq!(clustered(&"/".repeat(8192)), "/".repeat(11) + "**");
    assert_eq!(clustered(&("/".to_owned() + &"x".repeat(8192))), "/{token}");
}

/// Words of the trade stay; a regression here renames the spans of real services.
#[test]
fn common_route_words_are_kept() {
    let words = "users products orders items search login logout callback webhooks health healthz readyz \
        livez metrics status api admin dashboard settings account profile avatar checkout cart payments \
        invoices subscriptions oauth token authorize static assets images scripts styles graphql swagger \
        openapi docs wiki blog posts comments categories feed sitemap manifest home about contact privacy \
        upload downloads attachments export import echo ping bye rolldice traceme jtrace gotracemetoo \
        tracemetoo greeting customers shipping inventory catalogue recommendations sessions namespaces pods \
        deployments configmaps networks json html https grpc smtp aspx sync async nested sequential \
        concurrent thread quotation wishlist newsletter unsubscribe phpmyadmin xmlrpc proxy ajax jquery \
        webpack chunk runtime polyfills actuator prometheus pprof cmdline goroutine mutex Bestellung \
        Rechnungen Warenkorb pedidos clientes commandes produits ordini klanten query-trace basic smoke";
    for word in words.split_whitespace() {
        assert_eq!(clustered(&format!("/{word}")), format!("/{word}"));
    }
}

fn route(router: &Router, path: &str) -> Option<String> {
    let mut buffer = String::new();
    router
        .route(path, None, false, &mut RouteLimiter::default(), &mut buffer)
        .map(str::to_owned)
}

#[test]
fn the_users_template_comes_before_the_frameworks_route_before_the_heuristic() {
    let router = Router::new(&["/users/{id}"], true);
    let find = |path, matched| {
        let mut buffer = String::new();
        router
            .route(
                path,
                matched,
                false,
                &mut RouteLimiter::default(),
                &mut buffer,
            )
            .map(str::to_owned)
    };
    let users = Some("/users/<int:user>");
    assert_eq!(find("/users/7", users).as_deref(), Some("/users/{id}"));
    let orders = Some("/orders/<int:order>");
    assert_eq!(find("/orders/7", orders).as_deref(), orders);
    assert_eq!(find("/a/../orders/7", orders).as_deref(), orders);
    assert_eq!(find("/orders/7", None).as_deref(), Some("/orders/{id}"));
}

#[test]
fn templates_match_like_a_framework() {
    let router = Router::new(
        &[
            "/foo/:id",
            "/foo/{id}/push",
            "/ski/*",
            "/foo/bar/bae/",
            "/foo/bar/{x}/z",
            "/a/*/c",
            "root",
        ],
        false,
    );
    for (path, expected) in [
        ("/foo/1", Some("/foo/:id")),
        ("/foo/1/", Some("/foo/:id")),
        ("/foo/bar", Some("/foo/:id")),
        ("/foo/1;v=2", Some("/foo/:id")),
        ("/foo/1/push", Some("/foo/{id}/push")),
        ("/foo/bar/push", Some("/foo/{id}/push")),
        ("/foo/bar/bae", Some("/foo/bar/bae/")),
        ("/foo/bar/bae/", Some("/foo/bar/bae/")),
        ("/foo/bar/bae/z", Some("/foo/bar/{x}/z")),
        ("/ski", Some("/ski/*")),
        ("/ski/", Some("/ski/*")),
        ("/ski/a/b/c", Some("/ski/*")),
        ("/a/b/c", Some("/a/*/c")),
        ("/root", Some("root")),
        ("/foo/1234/down", None),
        ("/foo/bar/bae/baz", None),
        ("/foo", None),
        ("/foo//", None),
        ("/foo//push", None),
        ("/FOO/1", None),
        ("/a/b", None),
        ("/", None),
        ("", None),
        ("/foo/..", None),
        ("/ski/../etc", None),
        ("/ski/./a", None),
        ("/ski/..;x/a", None),
    ] {
        assert_eq!(route(&router, path).as_deref(), expected, "{path}");
    }
    assert_eq!(
        route(&Router::new(&["/"], false), "/").as_deref(),
        Some("/")
    );
    assert_eq!(
        route(&Router::new(&["/{*all}"], false), "/a/b").as_deref(),
        Some("/{*all}")
    );
    assert_eq!(
        route(&Router::new(&["/x/{a}", "/x/:b"], false), "/x/1").as_deref(),
        Some("/x/{a}")
    );
    assert_eq!(route(&Router::new(&["", "  "], false), "/"), None);
}

#[test]
fn the_heuristic_comes_last_and_can_be_switched_off() {
    let both = Router::new(&["/users/{name}"], true);
    assert_eq!(
        route(&both, "/users/alice").as_deref(),
        Some("/users/{name}")
    );
    assert_eq!(route(&both, "/orders/1").as_deref(), Some("/orders/{id}"));
    assert_eq!(route(&both, "/a/../orders/1"), None);
    assert_eq!(route(&both, "/..."), Some("/...".to_owned()));
    assert_eq!(route(&Router::default(), "/orders/1"), None);
}

#[test]
fn matching_stays_cheap_with_templates_made_to_backtrack() {
    let deep = "/{a}".repeat(40);
    let templates: Vec<String> = (0..40)
        .map(|i| format!("{}/a{}", "/{p}".repeat(i), "/a".repeat(39 - i)))
        .collect();
    let router = Router::new(&[templates, vec![deep.clone()]].concat(), false);
    assert_eq!(route(&router, &"/b".repeat(40)), Some(deep));
    assert_eq!(route(&router, &"/a".repeat(500)), None);
}

#[test]
fn distinct_routes_are_capped() {
    let router = Router::new::<&str>(&[], true);
    let mut limiter = RouteLimiter::default();
    let mut buffer = String::new();
    assert!(
        router
            .route("/orders/1", None, false, &mut limiter, &mut buffer)
            .is_some()
    );
    let mut distinct = BTreeSet::new();
    let mut state = 1u64;
    let mut random = move |limit: u64| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % limit
    };
    for i in 0..100_000 {
        let path: String = (0..1 + random(4))
            .flat_map(|_| {
                let letters = 1 + random(5);
                std::iter::once('/').chain(
                    (0..letters)
                        .map(|_| char::from(b'a' + random(26) as u8))
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        distinct.extend(
            router
                .route(&path, None, i < 5000, &mut limiter, &mut buffer)
                .map(str::to_owned),
        );
        if i < 5000 {
            assert!(
                limiter.len() <= MAX_DOUBTFUL_ROUTES,
                "404s take a quarter at most"
            );
        }
    }
    assert_eq!(limiter.len(), MAX_ROUTES, "the random words do fill it");
    assert!(!limiter.is_empty());
    assert!(distinct.len() <= MAX_ROUTES);
    assert_eq!(
        router.route("/orders/2", None, true, &mut limiter, &mut buffer),
        Some("/orders/{id}")
    );
    assert_eq!(
        router.route("/brand/new/page", None, false, &mut limiter, &mut buffer),
        None
    );
}

proptest! {
    #[test]
    fn any_path_gives_a_short_route(path in "(/[\\PC]{0,12}|/[a-zA-Z0-9._%;-]{0,70}){0,14}") {
        let out = clustered(&path);
        prop_assert!(!out.is_empty());
        prop_assert!(out.len() <= 10 * 65 + 4);
        prop_assert!(out.is_ascii());
        prop_assert!(!out.contains(['%', ';', '?']));
        prop_assert_eq!(&out, &clustered(&path), "deterministic");
    }

    #[test]
    fn random_ids_never_survive(id in "[a-z0-9]{10,40}") {
        prop_assume!(id.bytes().filter(u8::is_ascii_digit).count() > 1);
        let out = clustered(&format!("/users/{id}"));
        prop_assert!(out.starts_with("/users/\u{7b}"), "kept");
    }

    #[test]
    fn templates_never_panic(
        templates in prop::collection::vec("(/(\\{a\\}|:b|\\*|[ab]{0,2})){0,4}/?", 0..6),
        path in "(/[ab.;]{0,2}){0,6}",
    ) {
        let set = Templates::new(&templates);
        if let Some(found) = set.find(&path) {
            prop_assert!(templates.iter().any(|t| t == found));
        }
    }
}
