//! The command line.

use std::ffi::OsString;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  otel-run ./server                         traces go to http://localhost:4318 (OTLP)
  otel-run --console python app.py          traces are printed here, as trees
  otel-run --service-name shop --endpoint http://collector:4317 --protocol grpc node shop.js
  otel-run --sampler parentbased_traceidratio=0.1 gunicorn shop:app
  otel-run doctor ./server                  what will be seen, and why something is not

Seen in this version:
  HTTP/1.x, served and sent, in programs that use libc's sockets: Python, Node.js, Java, Ruby, PHP,
  C, C++, Rust and others; over TLS where that is OpenSSL's or GnuTLS's. Not yet seen: TLS of Java
  and rustls, HTTP/2 and gRPC, databases. Not seen at all: Go (it makes its system calls itself),
  statically linked programs, programs built against musl.

Environment:
  The flags set OpenTelemetry's own variables for the command and its children, and win over them:
    --service-name  OTEL_SERVICE_NAME             --endpoint   OTEL_EXPORTER_OTLP_ENDPOINT
    --protocol      OTEL_EXPORTER_OTLP_PROTOCOL   --log-level  OTEL_LOG_LEVEL
    --sampler       OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG
  All other OTEL_* variables reach the agent as they are, for example
    OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED
  OTEL_RUN_INCLUDE, OTEL_RUN_EXCLUDE  which of the started processes are traced (globs); shells,
                                      compilers and small tools are not, unless included
  OTEL_RUN_COEXIST=always             trace beside an OpenTelemetry SDK, where otherwise our spans
                                      step aside
  OTEL_RUN_AGENT                      the agent to load, instead of the installed libagent.so
  LD_PRELOAD                          kept; the agent is appended to it

Containers:
  ENTRYPOINT [\"otel-run\", \"--\"]
  CMD [\"python\", \"app.py\"]
  otel-run becomes the command (exec), which therefore stays PID 1 and gets every signal itself.

Exit status:
  The command's own. Before it starts: 125 otel-run failed, 126 the command cannot be run or
  traced, 127 it is not found, 2 wrong usage. With --console a command that a signal ends, ends
  otel-run by the same signal.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "otel-run",
    version,
    about = "Run any program with OpenTelemetry traces, without changing it.\n\n\
        Loads an agent into the program and its children: it sees the HTTP requests on their\n\
        sockets, makes spans of them, and carries the trace context along.",
    after_help = EXAMPLES,
    override_usage = "otel-run [OPTIONS] [--] COMMAND [ARGS]...\n       otel-run doctor [OPTIONS] [--] COMMAND [ARGS]...",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,

    /// Print finished traces as trees on standard error instead of sending them
    #[arg(long, conflicts_with_all = ["endpoint", "protocol"])]
    pub(crate) console: bool,

    #[command(flatten)]
    pub(crate) settings: Settings,

    /// The program to run; everything after it belongs to it
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Say what will be seen of COMMAND, and what is in the way; runs nothing
    #[command(
        after_help = "It looks at the environment that it runs in itself: run it as COMMAND will run (same user, same\n\
            container). A systemd unit with MemoryDenyWriteExecute=yes keeps the agent from seeing HTTPS.\n\n\
            Exit status: 0 when COMMAND will be traced, 1 when something blocks that."
    )]
    Doctor {
        #[command(flatten)]
        settings: Settings,

        /// The command to look at
        #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
}

/// The settings that stand for environment variables.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Settings {
    /// Name of the service in its traces [default: unknown_service: and the program's name]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) service_name: Option<String>,

    /// Where the collector listens, for example http://collector:4318
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    pub(crate) endpoint: Option<String>,

    /// How to speak to the collector: grpc (usually port 4317) or http/protobuf (4318)
    #[arg(long, value_enum, hide_possible_values = true)]
    pub(crate) protocol: Option<Protocol>,

    /// Which traces to record: always_on, always_off, traceidratio=RATIO, or one of these after
    /// parentbased_
    #[arg(long, value_name = "SAMPLER[=ARG]", value_parser = parse_sampler)]
    pub(crate) sampler: Option<Sampler>,

    /// The agent's own log: none, error, warn, info, debug or trace
    #[arg(long, value_enum, value_name = "LEVEL", hide_possible_values = true)]
    pub(crate) log_level: Option<LogLevel>,
}

/// OTLP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    #[value(name = "grpc")]
    Grpc,
    #[value(name = "http/protobuf")]
    HttpProtobuf,
}

impl Protocol {
    /// The value of the variable.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

/// How much the agent logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    None,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The value of the variable.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A sampler and its argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sampler {
    /// The value of `OTEL_TRACES_SAMPLER`.
    pub(crate) name: &'static str,
    /// The value of `OTEL_TRACES_SAMPLER_ARG`.
    pub(crate) argument: Option<String>,
}

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Reads `NAME[=ARGUMENT]`.
pub(crate) fn parse_sampler(text: &str) -> Result<Sampler, String> {
    let (name, argument) = match text.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None => (text, None),
    };
    let Some(name) = SAMPLERS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))
    else {
        return Err(format!(
            "unknown sampler; there are {}",
            SAMPLERS.join(", ")
        ));
    };
    let Some(argument) = argument else {
        return Ok(Sampler {
            name,
            argument: None,
        });
    };
    if !name.ends_with("traceidratio") {
        return Err(format!("{name} takes no argument"));
    }
    match argument.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Sampler {
            name,
            argument: Some(argument.to_owned()),
        }),
        _ => Err(format!(
            "{argument:?} is not a ratio between 0 and 1, for example {name}=0.1"
        )),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        Err("the name is empty".to_owned())
    } else {
        Ok(name.to_owned())
    }
}

/// A flag is typed by a person who can still correct it: what the agent would have to guess (is
/// `collector:4317` TLS or not) is refused here.
fn parse_endpoint(text: &str) -> Result<String, String> {
    let text = text.trim();
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        None if text.contains("://") => Err("the scheme must be http or https".to_owned()),
        None => Err(format!("write http://{text}, or https://{text} for TLS")),
        Some(rest) if rest.is_empty() || rest.starts_with([':', '/']) => {
            Err("the host is missing, for example http://collector:4318".to_owned())
        }
        Some(rest) if rest.contains(char::is_whitespace) => {
            Err("a URL has no blanks in it".to_owned())
        }
        Some(_) => Ok(text.to_owned()),
    }
}

/// The help, for a person who typed the bare command.
pub(crate) fn short_help() -> String {
    Cli::command().render_help().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"otel-run").chain(arguments))
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_after_the_command_is_the_commands() {
        let table: [(&[&str], &[&str]); 6] = [
            (
                &["python", "-c", "x", "--help"],
                &["python", "-c", "x", "--help"],
            ),
            (&["--", "python", "--version"], &["python", "--version"]),
            (
                &["--console", "prog", "--console", "--", "x"],
                &["prog", "--console", "--", "x"],
            ),
            (&["--", "doctor", "x"], &["doctor", "x"]),
            (&["--", "--odd-name"], &["--odd-name"]),
            (&["prog", "doctor"], &["prog", "doctor"]),
        ];
        for (arguments, command) in table {
            let cli = parse(arguments).unwrap();
            assert_eq!(cli.command, command, "{arguments:?}");
            assert!(cli.action.is_none());
        }
    }

    #[test]
    fn doctor_takes_settings_and_a_command() {
        let cli = parse(&["doctor", "--service-name", "s", "prog", "--flag"]).unwrap();
        let Some(Action::Doctor { settings, command }) = cli.action else {
            panic!("no doctor")
        };
        assert_eq!(settings.service_name.as_deref(), Some("s"));
        assert_eq!(command, ["prog", "--flag"]);
        assert!(parse(&["doctor"]).is_err());
    }

    #[test]
    fn wrong_usage_is_an_error() {
        for arguments in [
            ["--unknown", "prog"].as_slice(),
            &["--console", "--endpoint", "http://c:1", "prog"],
            &["--protocol", "http/json", "prog"],
            &["--log-level", "loud", "prog"],
            &["--service-name", " ", "prog"],
        ] {
            let error = parse(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn samplers() {
        let ok = |name, argument: Option<&str>| {
            Ok(Sampler {
                name,
                argument: argument.map(str::to_owned),
            })
        };
        assert_eq!(parse_sampler("always_on"), ok("always_on", None));
        assert_eq!(
            parse_sampler("TraceIdRatio=0.25"),
            ok("traceidratio", Some("0.25"))
        );
        assert_eq!(
            parse_sampler("parentbased_traceidratio"),
            ok("parentbased_traceidratio", None)
        );
        for wrong in [
            "",
            "sometimes",
            "always_on=1",
            "traceidratio=7",
            "traceidratio=",
            "traceidratio=NaN",
        ] {
            assert!(parse_sampler(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoints() {
        for right in [
            "http://c:4318",
            "https://c.example/v1",
            "http://[::1]:4317",
            " http://c ",
        ] {
            assert_eq!(parse_endpoint(right).as_deref(), Ok(right.trim()));
        }
        let hint = parse_endpoint("collector:4317").unwrap_err();
        assert_eq!(
            hint,
            "write http://collector:4317, or https://collector:4317 for TLS"
        );
        for wrong in [
            "ftp://c",
            "http://",
            "http://:4318",
            "http:///x",
            "http://a b",
        ] {
            assert!(parse_endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
