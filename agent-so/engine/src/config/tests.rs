use super::*;
use crate::config::vars::Var;
use proptest::prelude::*;

fn read(vars: &[(&str, &str)]) -> (Config, Vec<Warning>) {
    Config::from_env(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())))
}

#[test]
fn every_variable_that_is_read_is_documented() {
    let doc = include_str!("../../../../docs/configuration.md");
    for var in vars::ALL {
        assert!(doc.contains(&format!("`{}`", var.name())), "{}", var.name());
    }
}

#[test]
fn an_empty_environment_gives_the_documented_defaults() {
    let (config, warnings) = read(&[("PATH", "/bin"), ("OTELX", "1")]);
    assert_eq!(warnings, []);
    assert_eq!(config, Config::default());
    assert!(!config.disabled);
    assert_eq!(
        (config.service_name, config.resource_attributes),
        (None, vec![])
    );
    assert_eq!(config.log, LogConfig::default());
    assert_eq!(config.sampler, SamplerConfig::default());
    assert_eq!(config.exporter, Exporter::Otlp);
    assert_eq!(config.coexist, Coexist::Auto);
    assert_eq!(config.exit_flush_timeout, Duration::from_millis(200));
    assert_eq!(config.processes, ProcessFilter::default());
    assert!(config.http.route_heuristic && config.http.routes.is_empty());
}

#[test]
fn all_empty_is_all_unset() {
    let empty: Vec<(&str, &str)> = vars::ALL.iter().map(|v| (v.name(), "")).collect();
    let blank: Vec<(&str, &str)> = vars::ALL.iter().map(|v| (v.name(), "  ")).collect();
    assert_eq!(read(&empty), read(&[]));
    assert_eq!(read(&blank), read(&[]));
}

#[test]
fn general_settings() {
    let (config, warnings) = read(&[
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_SERVICE_NAME", " shop "),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=2"),
        ("OTEL_LOG_LEVEL", "Debug"),
        ("OTEL_RUN_LOG_FILE", "/tmp/agent.log"),
        ("OTEL_RUN_COEXIST", "ALWAYS"),
        ("OTEL_RUN_EXIT_FLUSH_TIMEOUT", "0"),
        ("OTEL_RUN_INCLUDE", "python*, nginx"),
        ("OTEL_RUN_EXCLUDE", "/opt/*"),
    ]);
    assert_eq!(warnings, []);
    assert!(config.disabled);
    assert_eq!(config.service_name.as_deref(), Some("shop"));
    assert_eq!(config.resource_attributes.len(), 2);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.file, Some("/tmp/agent.log".into()));
    assert_eq!(config.coexist, Coexist::Always);
    assert_eq!(config.exit_flush_timeout, Duration::ZERO);
    assert_eq!(config.processes.include, ["python*", "nginx"]);
    assert_eq!(config.processes.exclude, ["/opt/*"]);
}

#[test]
fn a_wrong_value_is_one_line_and_the_default() {
    let rows = [
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
        ("OTEL_LOG_LEVEL", "loud"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_RUN_COEXIST", "never"),
        ("OTEL_RUN_EXIT_FLUSH_TIMEOUT", "1s"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:port"),
    ];
    for (name, value) in rows {
        let (config, warnings) = read(&[(name, value)]);
        assert_eq!(config, read(&[]).0, "{name}");
        assert_eq!(warnings.len(), 1, "{name}");
        let line = warnings[0].to_string();
        assert!(
            line.starts_with(&format!("{name}=\"{value}\": ")) && line.contains("; "),
            "{line}"
        );
    }
    let (config, warnings) = read(&[("OTEL_RUN_EXIT_FLUSH_TIMEOUT", "60000")]);
    assert_eq!(
        (config.exit_flush_timeout, warnings.len()),
        (EXIT_FLUSH_LIMIT, 1)
    );
}

#[test]
fn a_misspelt_name_is_mentioned_for_those_who_ask() {
    let (config, warnings) = read(&[
        ("OTEL_RUN_INCLUDES", "x"),
        ("OTEL_METRICS_EXPORTER", "otlp"),
    ]);
    assert_eq!(config, Config::default());
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].level, LogLevel::Info);
}

#[test]
fn mistakes_are_printed_unless_the_log_is_explicitly_quieter() {
    let warning = |level| Warning {
        level,
        variable: String::new(),
        value: None,
        why: "".into(),
        used: "".into(),
    };
    let rows = [
        ("", true, false),
        ("none", false, false),
        ("error", false, false),
        ("warn", true, false),
        ("info", true, true),
    ];
    for (level, warn, info) in rows {
        let log = read(&[("OTEL_LOG_LEVEL", level)]).0.log;
        assert_eq!(log.prints(&warning(LogLevel::Warn)), warn, "{level}");
        assert_eq!(log.prints(&warning(LogLevel::Info)), info, "{level}");
    }
}

/// A value that is plausible for some variable, or none at all.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        "[ -~]{0,24}".prop_map(String::into_bytes),
        "(https?://)?[a-z\\[\\]:@]{0,6}(:[0-9]{0,6})?[/?#a-z]{0,6}".prop_map(String::into_bytes),
        "([a-z]=[a-z%0-9]{0,4},?){0,4}".prop_map(String::into_bytes),
        "(true|false|none|grpc|gzip|[0-9.]{1,10})".prop_map(String::into_bytes),
    ]
}

fn var() -> impl Strategy<Value = Var> {
    prop::sample::select(vars::ALL.to_vec())
}

/// What `var` decides alone, as text: fields that two variables share by design are left to the table tests.
fn own_field(config: &Config, var: Var) -> String {
    match var.name() {
        "OTEL_SERVICE_NAME" => format!("{:?}", config.service_name),
        "OTEL_TRACES_EXPORTER" => format!("{:?}", config.exporter),
        "OTEL_PROPAGATORS" => format!("{:?}", config.propagators),
        "OTEL_LOG_LEVEL" => format!("{:?}", config.log.level),
        "OTEL_RUN_COEXIST" => format!("{:?}", config.coexist),
        "OTEL_BSP_SCHEDULE_DELAY" => format!("{:?}", config.batch.schedule_delay),
        "OTEL_RUN_HTTP_ROUTES" => format!("{:?}", config.http.routes),
        "OTEL_RUN_INCLUDE" => format!("{:?}", config.processes.include),
        "OTEL_RESOURCE_ATTRIBUTES" => format!("{:?}", config.resource_attributes),
        _ => String::new(),
    }
}

proptest! {
    #[test]
    fn no_environment_panics_and_every_warning_is_one_line(
        entries in prop::collection::vec((var(), value()), 0..8),
    ) {
        let vars = entries.iter().map(|(v, bytes)| (v.name().as_bytes(), bytes.as_slice()));
        let (config, warnings) = Config::from_env(vars);
        prop_assert!(config.batch.max_export_batch_size <= config.batch.max_queue_size);
        prop_assert!(config.otlp.endpoint.starts_with("http"));
        for warning in warnings {
            prop_assert!(!warning.to_string().contains('\n'));
        }
    }

    #[test]
    fn one_variable_never_changes_the_meaning_of_another(
        a in var(), a_value in value(), b in var(), b_value in value(),
    ) {
        prop_assume!(a != b);
        let entry = (a.name().as_bytes(), a_value.as_slice());
        let other = (b.name().as_bytes(), b_value.as_slice());
        let alone = Config::from_env([entry].into_iter()).0;
        let both = Config::from_env([entry, other].into_iter()).0;
        prop_assert_eq!(own_field(&alone, a), own_field(&both, a));
    }

    #[test]
    fn header_values_are_never_in_a_warning(junk in "[ -~&&[^,]]{0,12}", secret in "S3[0-9]{6}T") {
        let value = format!("ok=1,{junk}{secret}%,{secret}");
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            for warning in read(&[(name, &value)]).1 {
                prop_assert!(!warning.to_string().contains(&secret));
            }
        }
    }
}
