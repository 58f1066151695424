//! The settings that the agent would find in its environment.

use crate::environment::Environment;

use super::endpoint::{self, Destination};
use super::report::Finding;

/// Where traces would go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Export {
    /// To a collector.
    Otlp {
        /// Over gRPC.
        grpc: bool,
        /// The full URL.
        url: String,
    },
    /// To the program's standard error.
    Console,
    /// Nowhere.
    Nowhere,
}

/// Reads the exporter's variables.
pub(crate) fn export(environment: &Environment) -> Export {
    let is = |name: &str, value: &str| {
        environment
            .text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case(value))
    };
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Export::Nowhere;
    }
    if is("OTEL_TRACES_EXPORTER", "console") {
        return Export::Console;
    }
    let (grpc, url) = otlp(environment);
    Export::Otlp { grpc, url }
}

fn otlp(environment: &Environment) -> (bool, String) {
    let own = environment.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let general = environment.text("OTEL_EXPORTER_OTLP_ENDPOINT");
    let given = own.as_ref().or(general.as_ref());
    let protocol = environment
        .text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        .or_else(|| environment.text("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let port = given
        .and_then(|url| endpoint::parse(url))
        .map(|destination| destination.port);
    let grpc = match protocol {
        Some(protocol) => protocol.eq_ignore_ascii_case("grpc"),
        // The port says it where nothing else does.
        None => port == Some(4317),
    };
    let url = match (own, general) {
        (Some(url), _) => url,
        (None, Some(url)) if grpc => url,
        // A general endpoint is the base of the signals' own.
        (None, Some(url)) => format!("{}/v1/traces", url.trim_end_matches('/')),
        (None, None) if grpc => "http://localhost:4317".to_owned(),
        (None, None) => "http://localhost:4318/v1/traces".to_owned(),
    };
    (grpc, url)
}

/// Says what the settings are, and tries the destination.
pub(crate) fn findings(environment: &Environment) -> Vec<Finding> {
    let mut findings = vec![service_name(environment), sampler(environment)];
    match export(environment) {
        Export::Otlp { grpc, url } => findings.extend(destination(grpc, &url)),
        Export::Console => findings.push(Finding::good(
            "OTEL_TRACES_EXPORTER=console: spans are printed by the program itself",
        )),
        Export::Nowhere => {
            let disabled = environment.text("OTEL_SDK_DISABLED");
            let reason = match disabled.filter(|value| value.eq_ignore_ascii_case("true")) {
                Some(_) => "OTEL_SDK_DISABLED",
                None => "OTEL_TRACES_EXPORTER",
            };
            findings.push(Finding::blocks(
                format!("{reason} turns the sending of traces off"),
                format!("unset {reason}"),
            ));
        }
    }
    for name in ["OTEL_RUN_INCLUDE", "OTEL_RUN_EXCLUDE"] {
        if let Some(value) = environment.text(name) {
            findings.push(Finding::attention(
                format!("{name}={value} chooses among the processes"),
                "a process that it leaves out is not traced, and says nothing about it",
            ));
        }
    }
    findings
}

fn service_name(environment: &Environment) -> Finding {
    if let Some(name) = environment.text("OTEL_SERVICE_NAME") {
        return Finding::good(format!("service name: {name} (OTEL_SERVICE_NAME)"));
    }
    let attributes = environment
        .text("OTEL_RESOURCE_ATTRIBUTES")
        .unwrap_or_default();
    let named = attributes
        .split(',')
        .filter_map(|pair| pair.split_once('='));
    match named
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| *key == "service.name")
    {
        Some((_, name)) => {
            Finding::good(format!("service name: {name} (OTEL_RESOURCE_ATTRIBUTES)"))
        }
        None => Finding::good("service name: the program's own (set another with --service-name)"),
    }
}

fn sampler(environment: &Environment) -> Finding {
    let Some(name) = environment.text("OTEL_TRACES_SAMPLER") else {
        return Finding::good("sampler: parentbased_always_on (all traces)");
    };
    let text = match environment.text("OTEL_TRACES_SAMPLER_ARG") {
        Some(argument) => format!("{name}={argument}"),
        None => name,
    };
    match crate::cli::parse_sampler(&text) {
        Ok(sampler) if sampler.name.ends_with("always_off") => Finding::attention(
            format!("sampler: {text} (starts no traces)"),
            "unset OTEL_TRACES_SAMPLER to see all",
        ),
        Ok(_) => Finding::good(format!("sampler: {text}")),
        Err(reason) => Finding::attention(
            format!("OTEL_TRACES_SAMPLER: {text}: {reason}"),
            "the agent ignores what it cannot use",
        ),
    }
}

fn destination(grpc: bool, url: &str) -> Vec<Finding> {
    let protocol = if grpc { "grpc" } else { "http/protobuf" };
    let Some(destination) = endpoint::parse(url) else {
        return vec![Finding::attention(
            format!("endpoint: {url} ({protocol}) cannot be checked here"),
            "usual is http://HOST:4318, or http://HOST:4317 with --protocol grpc",
        )];
    };
    let mut findings = vec![Finding::good(format!("endpoint: {url} ({protocol})"))];
    findings.extend(usual_mistake(grpc, &destination));
    findings.push(endpoint::probe(&destination, grpc));
    findings
}

fn usual_mistake(grpc: bool, destination: &Destination) -> Option<Finding> {
    match (grpc, destination.port) {
        (true, 4318) => Some(Finding::attention(
            "port 4318 is usually for http/protobuf, the protocol is grpc",
            "use --protocol http/protobuf, or port 4317",
        )),
        (false, 4317) => Some(Finding::attention(
            "port 4317 is usually for gRPC, the protocol is http/protobuf",
            "use --protocol grpc, or port 4318",
        )),
        (false, _) if destination.path == "/" => Some(Finding::attention(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has no path, so traces are posted to /",
            "it is used as it is: add /v1/traces, or set OTEL_EXPORTER_OTLP_ENDPOINT instead",
        )),
        _ => None,
    }
}

/// Signs that an OpenTelemetry SDK is loaded into the program by other means.
pub(crate) fn sdk_markers(environment: &Environment, arguments: &[String]) -> Vec<Finding> {
    /// A variable, and what of OpenTelemetry's it holds when its SDK is loaded by it.
    const VARIABLES: [(&str, &str); 8] = [
        ("JAVA_TOOL_OPTIONS", "opentelemetry"),
        ("JDK_JAVA_OPTIONS", "opentelemetry"),
        ("NODE_OPTIONS", "opentelemetry"),
        ("PYTHONPATH", "opentelemetry"),
        ("RUBYOPT", "opentelemetry"),
        ("OTEL_PHP_AUTOLOAD_ENABLED", "true"),
        ("OTEL_DOTNET_AUTO_HOME", ""),
        ("LD_PRELOAD", "injector"),
    ];
    let mut signs: Vec<String> = VARIABLES
        .into_iter()
        .filter(|(name, part)| {
            environment
                .text(name)
                .is_some_and(|value| value.to_ascii_lowercase().contains(part))
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    signs.extend(
        arguments
            .iter()
            .find(|argument| {
                argument.ends_with("opentelemetry-instrument")
                    || (argument.starts_with("-javaagent:") && argument.contains("opentelemetry"))
                    || argument.contains("@opentelemetry/")
            })
            .cloned(),
    );
    if signs.is_empty() {
        return Vec::new();
    }
    vec![Finding::attention(
        format!(
            "an OpenTelemetry SDK seems to be loaded already: {}",
            signs.join(", ")
        ),
        "its spans win: the agent steps aside for requests that carry its context",
    )]
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let mut environment = Environment::default();
        for (name, value) in pairs {
            environment.set(name, value);
        }
        environment
    }

    #[test]
    fn destinations() {
        const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let table: [(Pairs, bool, &str); 8] = [
            (&[], false, "http://localhost:4318/v1/traces"),
            (&[(PROTOCOL, "grpc")], true, "http://localhost:4317"),
            (
                &[(GENERAL, "http://c:4318/")],
                false,
                "http://c:4318/v1/traces",
            ),
            (
                &[(GENERAL, "http://c:4318/base")],
                false,
                "http://c:4318/base/v1/traces",
            ),
            (&[(GENERAL, "http://c:4317")], true, "http://c:4317"),
            (
                &[(GENERAL, "http://c:4317"), (PROTOCOL, "http/protobuf")],
                false,
                "http://c:4317/v1/traces",
            ),
            (
                &[(GENERAL, "http://c:1"), (OWN, "http://d:2/x")],
                false,
                "http://d:2/x",
            ),
            (
                &[(GENERAL, ""), (OWN, " ")],
                false,
                "http://localhost:4318/v1/traces",
            ),
        ];
        for (pairs, grpc, url) in table {
            let expected = Export::Otlp {
                grpc,
                url: url.to_owned(),
            };
            assert_eq!(export(&environment(pairs)), expected, "{pairs:?}");
        }
        assert_eq!(
            export(&environment(&[("OTEL_SDK_DISABLED", "TRUE")])),
            Export::Nowhere
        );
        assert_eq!(
            export(&environment(&[("OTEL_TRACES_EXPORTER", "none")])),
            Export::Nowhere
        );
        assert_eq!(
            export(&environment(&[("OTEL_TRACES_EXPORTER", "console")])),
            Export::Console
        );
    }

    #[test]
    fn mistakes_have_a_hint() {
        let mistake = |grpc, url: &str| usual_mistake(grpc, &endpoint::parse(url).unwrap());
        assert!(mistake(true, "http://c:4318").is_some());
        assert!(mistake(false, "http://c:4317/v1/traces").is_some());
        assert!(mistake(false, "http://c:4318").is_some(), "no path");
        assert!(mistake(false, "http://c:4318/v1/traces").is_none());
        assert!(mistake(true, "http://c:4317").is_none());
    }

    #[test]
    fn samplers_and_names() {
        let level = |pairs: &[(&str, &str)]| sampler(&environment(pairs)).parts().0;
        assert_eq!(level(&[]), Level::Good);
        assert_eq!(
            level(&[("OTEL_TRACES_SAMPLER", "always_off")]),
            Level::Attention
        );
        assert_eq!(level(&[("OTEL_TRACES_SAMPLER", "most")]), Level::Attention);
        let ratio = [
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "7"),
        ];
        assert_eq!(level(&ratio), Level::Attention);

        let named = environment(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=shop")]);
        assert!(service_name(&named).parts().1.contains("shop"));
    }

    #[test]
    fn sdks_are_recognised() {
        let none: [String; 0] = [];
        assert!(
            sdk_markers(
                &environment(&[("NODE_OPTIONS", "--max-old-space-size=1")]),
                &none
            )
            .is_empty()
        );
        let java = environment(&[(
            "JAVA_TOOL_OPTIONS",
            "-javaagent:/opt/OpenTelemetry-javaagent.jar",
        )]);
        assert_eq!(sdk_markers(&java, &none).len(), 1);
        let wrapped = ["opentelemetry-instrument".to_owned(), "python".to_owned()];
        assert_eq!(sdk_markers(&Environment::default(), &wrapped).len(), 1);
    }
}
