//! What the environment variables say, read once and immutable. The user's view is docs/configuration.md.
//!
//! Everything here runs once when the agent is loaded, in every process of a machine. It takes the environment as
//! pairs of bytes, does no I/O, and never fails: what cannot be used is told of and replaced by its default.

pub mod db;
mod endpoint;
mod env;
pub mod exporter;
pub mod glob;
pub mod http;
pub mod instrumentation;
mod otlp;
pub(crate) mod percent;
pub mod policy;
pub mod sdk;
pub mod traces;
pub mod vars;
pub mod warning;

use env::Env;
use exporter::{BatchConfig, Exporter, OtlpConfig};
use http::HttpConfig;
use instrumentation::Instrumentations;
use policy::ProcessFilter;
use std::path::PathBuf;
use std::time::Duration;
use traces::{AttributeLimits, Propagators, SamplerConfig};
pub use warning::{LogLevel, Warning};

/// Longest wait at exit that is accepted: the agent never holds a program up for longer.
const EXIT_FLUSH_LIMIT: Duration = Duration::from_secs(10);
/// Wait at exit unless configured.
const EXIT_FLUSH_DEFAULT: Duration = Duration::from_millis(200);

/// What to do beside another OpenTelemetry SDK (`OTEL_RUN_COEXIST`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Coexist {
    /// Stand aside where an SDK exports, or a request to be sent already carries a context.
    #[default]
    Auto,
    /// Trace regardless.
    Always,
}

/// The agent's own log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// `OTEL_LOG_LEVEL`; silent by default.
    pub level: LogLevel,
    /// Whether the level was asked for.
    pub explicit: bool,
    /// `OTEL_RUN_LOG_FILE`: appended to instead of standard error.
    pub file: Option<PathBuf>,
}

impl LogConfig {
    /// Whether to print `warning`. Mistakes in the configuration are printed although the log is silent by default;
    /// `OTEL_LOG_LEVEL=none` silences these too.
    pub fn prints(&self, warning: &Warning) -> bool {
        let level = if self.explicit {
            self.level
        } else {
            LogLevel::Warn
        };
        warning.level <= level
    }
}

/// The whole configuration, every default and precedence applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `OTEL_SDK_DISABLED`: no spans; contexts pass through the program as they would without the agent.
    pub disabled: bool,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, decoded, each key once.
    pub resource_attributes: Vec<(String, String)>,
    /// The agent's own log.
    pub log: LogConfig,
    /// `OTEL_PROPAGATORS`.
    pub propagators: Propagators,
    /// `OTEL_TRACES_SAMPLER`.
    pub sampler: SamplerConfig,
    /// `OTEL_TRACES_EXPORTER`.
    pub exporter: Exporter,
    /// `OTEL_EXPORTER_OTLP_*`.
    pub otlp: OtlpConfig,
    /// `OTEL_BSP_*`.
    pub batch: BatchConfig,
    /// `OTEL_SPAN_ATTRIBUTE_*_LIMIT`, `OTEL_ATTRIBUTE_*_LIMIT`.
    pub limits: AttributeLimits,
    /// Settings of the HTTP instrumentation.
    pub http: HttpConfig,
    /// What is said of the texts of queries.
    pub query_text: db::QueryText,
    /// Whether the context of its span is written into a statement, as a comment.
    pub sqlcommenter: bool,
    /// `OTEL_INSTRUMENTATION_*_ENABLED`.
    pub instrumentations: Instrumentations,
    /// `OTEL_RUN_INCLUDE`, `OTEL_RUN_EXCLUDE`; see [`policy::should_instrument`].
    pub processes: ProcessFilter,
    /// `OTEL_RUN_COEXIST`.
    pub coexist: Coexist,
    /// `OTEL_RUN_EXIT_FLUSH_TIMEOUT`: longest wait for the exporter when the process ends; zero is no wait.
    pub exit_flush_timeout: Duration,
}

impl Config {
    /// Reads the configuration. `vars` is the whole environment, names without `=`; only `OTEL_*` is looked at. The
    /// warnings are in the order of reading; print them only in a process that is traced
    /// ([`policy::should_instrument`]), and as [`LogConfig::prints`] says.
    pub fn from_env<'a>(vars: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> (Self, Vec<Warning>) {
        let env = Env::new(vars);
        let config = Self::read(&env);
        unknown(&env);
        (config, env.into_warnings())
    }

    fn read(env: &Env) -> Self {
        Self {
            disabled: env.flag(vars::SDK_DISABLED).unwrap_or(false),
            service_name: env.text(vars::SERVICE_NAME).map(str::to_owned),
            resource_attributes: resource_attributes(env),
            log: log(env),
            propagators: traces::propagators(env),
            sampler: traces::sampler(env),
            exporter: traces::exporter(env),
            otlp: otlp::from_env(env),
            batch: traces::batch(env),
            limits: traces::limits(env),
            http: http::from_env(env),
            query_text: db::query_text(env),
            sqlcommenter: db::sqlcommenter(env),
            instrumentations: instrumentation::from_env(env),
            processes: ProcessFilter {
                include: globs(env, vars::INCLUDE),
                exclude: globs(env, vars::EXCLUDE),
            },
            coexist: env
                .choice(
                    vars::COEXIST,
                    &[("auto", Coexist::Auto), ("always", Coexist::Always)],
                    "auto",
                )
                .unwrap_or_default(),
            exit_flush_timeout: exit_flush_timeout(env),
        }
    }
}

impl Default for Config {
    /// What an empty environment gives.
    fn default() -> Self {
        Self::read(&Env::new(std::iter::empty()))
    }
}

/// Our own prefix has a closed set of names: others are probably misspelt.
fn unknown(env: &Env) {
    for (name, value) in env.entries() {
        let known = vars::ALL.iter().any(|var| var.name().as_bytes() == name);
        if name.starts_with(b"OTEL_RUN_") && !known {
            env.info(name, value, "no such variable", "it has no effect");
        }
    }
}

/// One bad pair discards the whole variable, as the specification asks.
fn resource_attributes(env: &Env) -> Vec<(String, String)> {
    let Some(text) = env.text(vars::RESOURCE_ATTRIBUTES) else {
        return Vec::new();
    };
    crate::resource::parse_attributes(text).unwrap_or_else(|why| {
        env.warn(
            vars::RESOURCE_ATTRIBUTES,
            why,
            "the whole variable is ignored",
        );
        Vec::new()
    })
}

fn log(env: &Env) -> LogConfig {
    let levels = [
        ("none", LogLevel::Off),
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let level = env.choice(vars::LOG_LEVEL, &levels, "no log");
    LogConfig {
        level: level.unwrap_or_default(),
        explicit: level.is_some(),
        file: env.text(vars::LOG_FILE).map(PathBuf::from),
    }
}

fn globs(env: &Env, var: vars::Var) -> Vec<String> {
    env.list(var)
        .unwrap_or_default()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn exit_flush_timeout(env: &Env) -> Duration {
    let wait = env
        .duration(vars::EXIT_FLUSH_TIMEOUT, "200")
        .unwrap_or(EXIT_FLUSH_DEFAULT);
    if wait > EXIT_FLUSH_LIMIT {
        env.warn(
            vars::EXIT_FLUSH_TIMEOUT,
            "a program is held up for at most 10000 ms",
            "10000 is used",
        );
    }
    wait.min(EXIT_FLUSH_LIMIT)
}

#[cfg(test)]
mod tests;
