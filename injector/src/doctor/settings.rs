//! The settings as the agent would read them: by its own code, so that what is said here is what it does.

use agent_engine::config::exporter::{Exporter, OtlpConfig, Protocol};
use agent_engine::config::traces::{RootSampler, SamplerConfig};
use agent_engine::config::{Config, LogLevel, Warning};
use agent_engine::sampler::Sampler;

use super::endpoint::{self, Destination};
use super::process::Process;
use super::report::Finding;

/// Says what the settings are, and tries the destination. `process` is one that gets spans, if any.
pub(crate) fn findings(
    config: &Config,
    warnings: &[Warning],
    process: Option<&Process>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(process.map(|process| service_name(process, config)));
    findings.push(sampler(config.sampler));
    if !config.disabled {
        match config.exporter {
            Exporter::Otlp => findings.extend(destination(&config.otlp)),
            Exporter::Console => findings.push(Finding::good(
                "OTEL_TRACES_EXPORTER=console: the program itself prints spans on standard error",
            )),
            Exporter::None => findings.push(Finding::blocks(
                "OTEL_TRACES_EXPORTER=none: traces are passed on but not sent anywhere",
                "unset OTEL_TRACES_EXPORTER",
            )),
        }
    }
    findings.extend(warnings.iter().map(|warning| told(config, warning)));
    findings
}

fn service_name(process: &Process, config: &Config) -> Finding {
    let (name, derived) = process.service_name(config);
    let origin = if derived {
        "from the command; set another with --service-name"
    } else if config.service_name.is_some() {
        "OTEL_SERVICE_NAME"
    } else {
        "OTEL_RESOURCE_ATTRIBUTES"
    };
    Finding::good(format!("service name: {name} ({origin})"))
}

fn sampler(config: SamplerConfig) -> Finding {
    let text = format!("sampler: {}", Sampler::from_config(config).description());
    match config.root {
        RootSampler::AlwaysOff | RootSampler::Ratio(0.0) => Finding::attention(
            format!("{text}: starts no traces"),
            "unset OTEL_TRACES_SAMPLER to see all",
        ),
        _ => Finding::good(text),
    }
}

fn destination(config: &OtlpConfig) -> Vec<Finding> {
    let (grpc, protocol) = match config.protocol {
        Protocol::Grpc => (true, "grpc"),
        Protocol::HttpProtobuf => (false, "http/protobuf"),
    };
    let url = &config.endpoint;
    let Some(destination) = endpoint::parse(url) else {
        return vec![Finding::attention(
            format!("endpoint: {url} ({protocol}) cannot be checked here"),
            "usual is http://HOST:4318, or http://HOST:4317 with --protocol grpc",
        )];
    };
    let mut findings = vec![Finding::good(format!("endpoint: {url} ({protocol})"))];
    findings.extend(no_path(grpc, &destination));
    findings.push(endpoint::probe(&destination, grpc));
    findings
}

/// A general endpoint gets its path appended: this one was given for traces, without one.
fn no_path(grpc: bool, destination: &Destination) -> Option<Finding> {
    (!grpc && destination.path == "/").then(|| {
        Finding::attention(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has no path, so traces are posted to /",
            "it is used as it is: add /v1/traces, or set OTEL_EXPORTER_OTLP_ENDPOINT instead",
        )
    })
}

/// What the agent says of a variable, in its own words, and whether it says it.
fn told(config: &Config, warning: &Warning) -> Finding {
    // As the agent prints it.
    let line = format!("otel-run: {warning}");
    if config.log.prints(warning) {
        Finding::attention(
            line,
            "the agent prints this line in each program that it traces; correct or unset the variable",
        )
    } else if warning.level == LogLevel::Warn {
        Finding::attention(
            line,
            "correct or unset the variable (OTEL_LOG_LEVEL keeps the agent from printing this)",
        )
    } else {
        Finding::attention(
            line,
            "is the name misspelt? (the agent prints this with OTEL_LOG_LEVEL=info only)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use crate::environment::Environment;

    fn read(pairs: &[(&str, &str)]) -> (Config, Vec<Warning>) {
        let mut environment = Environment::default();
        for (name, value) in pairs {
            environment.set(name, value);
        }
        environment.config()
    }

    fn all(pairs: &[(&str, &str)]) -> Vec<Finding> {
        let (config, warnings) = read(pairs);
        findings(&config, &warnings, None)
    }

    /// Spares the tests a destination to be tried.
    const CONSOLE: (&str, &str) = ("OTEL_TRACES_EXPORTER", "console");

    #[test]
    fn exporters() {
        let last = |pairs| {
            let findings = all(pairs);
            let (level, text) = findings.last().unwrap().parts();
            (level, text.to_owned())
        };
        let (level, text) = last(&[CONSOLE]);
        assert!(level == Level::Good && text.contains("console"), "{text}");
        let (level, text) = last(&[("OTEL_TRACES_EXPORTER", "none")]);
        assert!(level == Level::Blocks && text.contains("none"), "{text}");
        let (_, text) = last(&[("OTEL_SDK_DISABLED", "TRUE")]);
        assert!(text.starts_with("sampler: "), "{text}");
    }

    #[test]
    fn an_endpoint_for_traces_without_a_path_is_mentioned() {
        let mistake = |grpc, url: &str| no_path(grpc, &endpoint::parse(url).unwrap());
        assert!(mistake(false, "http://c:4318").is_some());
        assert!(mistake(false, "http://c:4318/v1/traces").is_none());
        assert!(mistake(true, "http://c:4317").is_none());
    }

    #[test]
    fn samplers() {
        let shown = |name: &str, argument: &str| {
            let pairs = [
                ("OTEL_TRACES_SAMPLER", name),
                ("OTEL_TRACES_SAMPLER_ARG", argument),
            ];
            let finding = sampler(read(&pairs).0.sampler);
            let (level, text) = finding.parts();
            (level, text.to_owned())
        };
        assert_eq!(
            shown("traceidratio", "0.25"),
            (
                Level::Good,
                "sampler: TraceIdRatioBased{0.250000}".to_owned()
            )
        );
        let rows = [
            ("", "", Level::Good),
            ("always_off", "", Level::Attention),
            ("parentbased_always_off", "", Level::Attention),
            ("traceidratio", "0", Level::Attention),
            ("traceidratio", "7", Level::Good),
            ("bogus", "", Level::Good),
        ];
        for (name, argument, level) in rows {
            assert_eq!(shown(name, argument).0, level, "{name} {argument}");
        }
    }

    #[test]
    fn warnings_are_the_agents_own_lines() {
        let bogus = ("OTEL_TRACES_SAMPLER", "bogus");
        let line = "otel-run: OTEL_TRACES_SAMPLER=\"bogus\": not one of always_on, always_off, traceidratio, \
                    parentbased_always_on, parentbased_always_off, parentbased_traceidratio; \
                    parentbased_always_on is used";
        for (level, hint) in [("", "prints this line"), ("error", "keeps the agent from")] {
            let findings = all(&[CONSOLE, bogus, ("OTEL_LOG_LEVEL", level)]);
            let finding = findings.last().unwrap();
            assert_eq!(finding.parts(), (Level::Attention, line));
            assert!(finding.hint().unwrap().contains(hint), "{level}");
        }
        let findings = all(&[CONSOLE, ("OTEL_RUN_EXLUDE", "x")]);
        let finding = findings.last().unwrap();
        assert!(finding.hint().unwrap().contains("misspelt"), "{finding:?}");
        assert!(finding.parts().1.contains("OTEL_RUN_EXLUDE=\"x\""));
    }
}
