use super::*;
use crate::config::warning::Warning;

fn read(vars: &[(&str, &str)]) -> (OtlpConfig, Vec<Warning>) {
    let names: Vec<(String, &str)> = vars
        .iter()
        .map(|(n, v)| (format!("OTEL_EXPORTER_OTLP_{n}"), *v))
        .collect();
    let env = Env::new(names.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
    let config = from_env(&env);
    (config, env.into_warnings())
}

#[test]
fn defaults() {
    let (config, warnings) = read(&[]);
    assert_eq!(config.protocol, Protocol::HttpProtobuf);
    assert_eq!(config.endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(config.timeout, Some(Duration::from_secs(10)));
    assert!(!config.gzip && config.headers.is_empty());
    assert_eq!((config.ca_file, config.client_identity), (None, None));
    assert_eq!(warnings, []);
}

#[test]
fn protocol_and_endpoint() {
    use Protocol::{Grpc, HttpProtobuf};
    type Row = (
        &'static [(&'static str, &'static str)],
        Protocol,
        &'static str,
        usize,
    );
    let rows: &[Row] = &[
        (&[("PROTOCOL", "grpc")], Grpc, "http://localhost:4317", 0),
        (&[("PROTOCOL", "GRPC")], Grpc, "http://localhost:4317", 0),
        (
            &[("TRACES_PROTOCOL", "grpc"), ("PROTOCOL", "http/protobuf")],
            Grpc,
            "http://localhost:4317",
            0,
        ),
        (
            &[("TRACES_PROTOCOL", "x"), ("PROTOCOL", "grpc")],
            Grpc,
            "http://localhost:4317",
            1,
        ),
        (
            &[("PROTOCOL", "http/json")],
            HttpProtobuf,
            "http://localhost:4318/v1/traces",
            1,
        ),
        (
            &[("PROTOCOL", "x")],
            HttpProtobuf,
            "http://localhost:4318/v1/traces",
            1,
        ),
        // 4317 without a protocol is gRPC, a protocol that cannot be used is none
        (&[("ENDPOINT", "http://c:4317")], Grpc, "http://c:4317", 0),
        (&[("ENDPOINT", "c:4317")], Grpc, "https://c:4317", 0),
        (
            &[("ENDPOINT", "c:4317"), ("INSECURE", "true")],
            Grpc,
            "http://c:4317",
            0,
        ),
        (
            &[
                ("ENDPOINT", "c:4317"),
                ("INSECURE", "true"),
                ("TRACES_INSECURE", "false"),
            ],
            Grpc,
            "https://c:4317",
            0,
        ),
        (
            &[("ENDPOINT", "c:4317"), ("INSECURE", "1")],
            Grpc,
            "https://c:4317",
            1,
        ),
        (
            &[("ENDPOINT", "http://c:4317"), ("PROTOCOL", "x")],
            Grpc,
            "http://c:4317",
            1,
        ),
        (
            &[("TRACES_ENDPOINT", "http://c:4317")],
            Grpc,
            "http://c:4317",
            0,
        ),
        (
            &[("TRACES_ENDPOINT", "http://c:4317/v1/traces")],
            HttpProtobuf,
            "http://c:4317/v1/traces",
            1,
        ),
        // a protocol against the usual port: used, with a hint
        (
            &[("ENDPOINT", "http://c:4317"), ("PROTOCOL", "http/protobuf")],
            HttpProtobuf,
            "http://c:4317/v1/traces",
            1,
        ),
        (
            &[("ENDPOINT", "http://c:4318"), ("PROTOCOL", "grpc")],
            Grpc,
            "http://c:4318",
            1,
        ),
        // base against signal URL
        (
            &[("ENDPOINT", "http://c:4318/x")],
            HttpProtobuf,
            "http://c:4318/x/v1/traces",
            0,
        ),
        (
            &[("TRACES_ENDPOINT", "http://c:4318")],
            HttpProtobuf,
            "http://c:4318/",
            0,
        ),
        (
            &[
                ("TRACES_ENDPOINT", "http://t:1/a"),
                ("ENDPOINT", "http://g:1"),
            ],
            HttpProtobuf,
            "http://t:1/a",
            0,
        ),
        (
            &[
                ("TRACES_ENDPOINT", "http://t:99999"),
                ("ENDPOINT", "http://g:1"),
            ],
            HttpProtobuf,
            "http://g:1/v1/traces",
            1,
        ),
        (
            &[("TRACES_ENDPOINT", ""), ("ENDPOINT", "http://g:1")],
            HttpProtobuf,
            "http://g:1/v1/traces",
            0,
        ),
        (
            &[("ENDPOINT", "localhost:4318")],
            HttpProtobuf,
            "http://localhost:4318/v1/traces",
            1,
        ),
        (
            &[("ENDPOINT", "ftp://c:1")],
            HttpProtobuf,
            "http://localhost:4318/v1/traces",
            1,
        ),
        (
            &[("ENDPOINT", "http://:1"), ("PROTOCOL", "grpc")],
            Grpc,
            "http://localhost:4317",
            1,
        ),
        (
            &[("ENDPOINT", "https://c/p"), ("PROTOCOL", "grpc")],
            Grpc,
            "https://c:443",
            1,
        ),
        (
            &[("ENDPOINT", "http://u:secret@c:1/?q")],
            HttpProtobuf,
            "http://c:1/v1/traces",
            2,
        ),
    ];
    for (vars, protocol, endpoint, count) in rows {
        let (config, warnings) = read(vars);
        assert_eq!(
            (config.protocol, config.endpoint.as_str()),
            (*protocol, *endpoint),
            "{vars:?}"
        );
        assert_eq!(warnings.len(), *count, "{vars:?}: {warnings:?}");
        assert!(
            warnings.iter().all(|w| !w.to_string().contains("secret")),
            "{warnings:?}"
        );
    }
}

#[test]
fn headers_are_decoded_and_bad_items_told_of_without_their_text() {
    let list = " Authorization=Basic%20xyz%3D%3D , api-key=a=b=c;d,,X=1,x=2";
    let (config, warnings) = read(&[("HEADERS", list)]);
    let expected = [
        ("Authorization", "Basic xyz=="),
        ("api-key", "a=b=c;d"),
        ("x", "2"),
    ];
    assert!(
        config
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .eq(expected)
    );
    assert_eq!(warnings, []);

    let bad = "s3cret,k=s3cret%,s 3=s3cret,n=s3cret%0a,=s3cret,Host=s3cret,u=%C3%A9s3cret,ok=1";
    let (config, warnings) = read(&[("HEADERS", bad)]);
    assert_eq!(config.headers, [("ok".to_owned(), "1".to_owned())]);
    assert_eq!(warnings.len(), 7);
    for (index, warning) in warnings.iter().enumerate() {
        let line = warning.to_string();
        assert!(
            line.starts_with("OTEL_EXPORTER_OTLP_HEADERS: item"),
            "{line}"
        );
        assert!(
            line.contains(&format!("item {}:", index + 1)) && !line.contains("s3cret"),
            "{line}"
        );
    }
}

#[test]
fn the_signals_own_headers_replace_the_general_ones() {
    let (config, _) = read(&[("TRACES_HEADERS", "a=1"), ("HEADERS", "b=2")]);
    assert_eq!(config.headers, [("a".to_owned(), "1".to_owned())]);
    let (config, warnings) = read(&[("TRACES_HEADERS", "a"), ("HEADERS", "b=2")]);
    assert_eq!(config.headers, [("b".to_owned(), "2".to_owned())]);
    assert_eq!(warnings.len(), 1);
    let (config, warnings) = read(&[("PROTOCOL", "grpc"), ("HEADERS", "Api-Key=K,x-bin=AA")]);
    assert_eq!(config.headers, [("api-key".to_owned(), "K".to_owned())]);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn timeout_and_compression_fall_back() {
    let timeout = |vars: &[(&str, &str)]| read(vars).0.timeout.map(|t| t.as_millis());
    assert_eq!(timeout(&[("TIMEOUT", "5")]), Some(5));
    assert_eq!(timeout(&[("TIMEOUT", "0")]), None);
    assert_eq!(
        timeout(&[("TRACES_TIMEOUT", "7"), ("TIMEOUT", "5")]),
        Some(7)
    );
    assert_eq!(
        timeout(&[("TRACES_TIMEOUT", "-7"), ("TIMEOUT", "5")]),
        Some(5)
    );
    assert_eq!(
        timeout(&[("TRACES_TIMEOUT", "10s"), ("TIMEOUT", "x")]),
        Some(10_000)
    );
    let gzip = |vars: &[(&str, &str)]| (read(vars).0.gzip, read(vars).1.len());
    assert_eq!(gzip(&[("COMPRESSION", "GZIP")]), (true, 0));
    assert_eq!(
        gzip(&[("TRACES_COMPRESSION", "none"), ("COMPRESSION", "gzip")]),
        (false, 0)
    );
    assert_eq!(
        gzip(&[("TRACES_COMPRESSION", "zstd"), ("COMPRESSION", "gzip")]),
        (true, 1)
    );
}

#[test]
fn certificates() {
    let (config, warnings) = read(&[
        ("CERTIFICATE", "/ca.pem"),
        ("TRACES_CERTIFICATE", "/own.pem"),
        ("CLIENT_CERTIFICATE", "/c.pem"),
        ("TRACES_CLIENT_KEY", "/k.pem"),
    ]);
    assert_eq!(config.ca_file, Some("/own.pem".into()));
    assert_eq!(
        config.client_identity,
        Some(("/c.pem".into(), "/k.pem".into()))
    );
    assert_eq!(warnings, []);
    for alone in ["CLIENT_KEY", "CLIENT_CERTIFICATE"] {
        let (config, warnings) = read(&[(alone, "/x.pem")]);
        assert_eq!((config.client_identity, warnings.len()), (None, 1));
    }
}
