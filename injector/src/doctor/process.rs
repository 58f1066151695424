//! The process that the agent would find itself in, and what the agent would decide there by itself.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use agent_engine::config::policy::{self, Decision};
use agent_engine::config::{Coexist, Config, sdk};
use agent_engine::resource::program::base_name;
use agent_engine::resource::{Facts, Resource, Value, service_name};

use super::report::Finding;
use crate::environment::Environment;
use crate::target::Inspection;

/// What the agent is told about its process by the system.
#[derive(Debug)]
pub(crate) struct Process {
    /// The executable, without links: what `/proc/self/exe` names.
    exe: Vec<u8>,
    /// The command line.
    argv: Vec<OsString>,
    /// The file that the user named.
    command: PathBuf,
}

/// How a process that is not left alone gets its spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// No SDK shows: by the agent.
    None,
    /// By this SDK; the agent steps aside.
    Instead(&'static str),
    /// By this SDK and by the agent.
    Beside(&'static str),
}

impl Process {
    /// The process of a command that was found.
    pub(crate) fn new(inspection: &Inspection, typed: &[OsString]) -> Option<Self> {
        let program = inspection.program()?;
        let exe = program
            .canonicalize()
            .unwrap_or_else(|_| program.to_path_buf());
        Some(Self {
            exe: exe.into_os_string().into_vec(),
            argv: inspection.argv(typed).map(OsString::from).collect(),
            command: inspection.path()?.to_path_buf(),
        })
    }

    fn argv(&self) -> impl Iterator<Item = &[u8]> {
        self.argv.iter().map(|word| word.as_bytes())
    }

    /// The `service.name` of its spans, and whether it was derived from the program.
    pub(crate) fn service_name(&self, config: &Config) -> (String, bool) {
        let derived = service_name(&self.exe, self.argv());
        let facts = Facts {
            exe: &self.exe,
            default_service_name: &derived,
            ..Facts::default()
        };
        match Resource::detect(config, &facts).get("service.name") {
            Some(Value::String(name)) if *name != derived => (name.clone(), false),
            _ => (derived, true),
        }
    }

    /// Whether the agent does its work in it or leaves it alone, and why.
    pub(crate) fn decision(&self, config: &Config) -> Finding {
        match policy::should_instrument(&self.exe, self.argv(), config) {
            Decision::Yes if config.processes.include.is_empty() => Finding::good(
                "not left alone: neither OTEL_RUN_EXCLUDE nor the built-in list has it",
            ),
            Decision::Yes => Finding::good("not left alone: OTEL_RUN_INCLUDE matches"),
            // A shell is left alone, what it starts is not: version managers put scripts in front of interpreters.
            Decision::No(why) if self.is_shell() && why.ends_with("built-in list") => {
                Finding::attention(format!("left alone: {why}"), self.way_out(why, config))
            }
            Decision::No(why) => {
                Finding::blocks(format!("left alone: {why}"), self.way_out(why, config))
            }
        }
    }

    /// Whether the program only starts others.
    fn is_shell(&self) -> bool {
        const SHELLS: [&[u8]; 6] = [b"sh", b"bash", b"dash", b"zsh", b"ksh", b"fish"];
        SHELLS.contains(&base_name(&self.exe))
    }

    fn way_out(&self, why: &str, config: &Config) -> String {
        let list = |name: &str, globs: &[String]| {
            let exe = String::from_utf8_lossy(&self.exe);
            let called = self.argv.first().map(|word| word.as_bytes());
            let called = String::from_utf8_lossy(base_name(called.unwrap_or_default()));
            let own = String::from_utf8_lossy(base_name(&self.exe));
            let mut names = vec![exe.as_ref(), own.as_ref()];
            if called != own {
                names.push(&called);
            }
            let globs = globs.join(",");
            format!(
                "correct {name}={globs} (compared with {}; what it starts is compared anew)",
                names.join(", ")
            )
        };
        if config.disabled {
            "unset OTEL_SDK_DISABLED".to_owned()
        } else if config.instrumentations.none_enabled() {
            "unset the OTEL_INSTRUMENTATION_..._ENABLED=false that turn HTTP off".to_owned()
        } else if why.starts_with("OTEL_RUN_EXCLUDE") {
            list("OTEL_RUN_EXCLUDE", &config.processes.exclude)
        } else if why.starts_with("OTEL_RUN_INCLUDE") {
            list("OTEL_RUN_INCLUDE", &config.processes.include)
        } else {
            "what it starts (as a script or a version manager's shim does) is decided anew: run doctor on that; \
             to trace it itself, name it in OTEL_RUN_INCLUDE, with all others to be traced"
                .to_owned()
        }
    }

    /// Whether an SDK is loaded into it by environment or command line.
    pub(crate) fn sdk(&self, environment: &Environment, config: &Config) -> Sdk {
        let marker = sdk::sdk_markers(&self.exe, environment.vars(), self.argv());
        // A script that sets the variables for what it becomes.
        let wrapper = Path::new("opentelemetry-instrument");
        let wrapped = self.command.file_name() == Some(wrapper.as_os_str());
        let found = marker.or(wrapped.then_some("opentelemetry-instrument"));
        match (found, config.coexist) {
            (None, _) => Sdk::None,
            (Some(what), Coexist::Auto) => Sdk::Instead(what),
            (Some(what), Coexist::Always) => Sdk::Beside(what),
        }
    }
}

impl Sdk {
    /// What the user should know of it.
    pub(crate) fn finding(&self) -> Option<Finding> {
        match self {
            Self::None => None,
            Self::Instead(what) => Some(Finding::attention(
                format!("an OpenTelemetry SDK is loaded ({what}): our spans step aside"),
                "its own spans are those to see; OTEL_RUN_COEXIST=always has both",
            )),
            Self::Beside(what) => Some(Finding::attention(
                format!(
                    "an OpenTelemetry SDK is loaded ({what}): requests have its spans and ours"
                ),
                "without OTEL_RUN_COEXIST=always our spans step aside",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn process(exe: &str, line: &str) -> Process {
        let argv: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Process {
            exe: exe.into(),
            command: argv.first().map(PathBuf::from).unwrap_or_default(),
            argv,
        }
    }

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let mut environment = Environment::default();
        for (name, value) in pairs {
            environment.set(name, value);
        }
        environment
    }

    #[test]
    fn names() {
        let python = process("/usr/bin/python3.11", "python3 demo/app.py");
        let name = |pairs: &[(&str, &str)]| python.service_name(&environment(pairs).config().0);
        assert_eq!(name(&[]), ("unknown_service:app.py".to_owned(), true));
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=sh%20op");
        assert_eq!(name(&[attributes]), ("sh op".to_owned(), false));
        let own = ("OTEL_SERVICE_NAME", " shop ");
        assert_eq!(name(&[attributes, own]), ("shop".to_owned(), false));
    }

    #[test]
    fn every_reason_to_leave_a_program_alone_has_its_own_way_out() {
        let python = process("/usr/bin/python3.11", "python3 app.py");
        let shell = process("/usr/bin/dash", "sh -c x");
        type Row<'a> = (&'a Process, &'a str, &'a str, Level, &'a str, &'a str);
        let rows: [Row; 9] = [
            (&python, "A", "", Level::Good, "built-in list", ""),
            (
                &python,
                "OTEL_RUN_INCLUDE",
                "python*",
                Level::Good,
                "OTEL_RUN_INCLUDE matches",
                "",
            ),
            (
                &python,
                "OTEL_RUN_INCLUDE",
                "nginx,node",
                Level::Blocks,
                "left alone: OTEL_RUN_INCLUDE is set and does not match",
                "correct OTEL_RUN_INCLUDE=nginx,node (compared with /usr/bin/python3.11, python3.11, python3; ",
            ),
            (
                &python,
                "OTEL_RUN_EXCLUDE",
                "python3",
                Level::Blocks,
                "left alone: OTEL_RUN_EXCLUDE matches",
                "correct OTEL_RUN_EXCLUDE=python3 (compared with /usr/bin/python3.11, python3.11, python3; ",
            ),
            (
                &python,
                "OTEL_SDK_DISABLED",
                "true",
                Level::Blocks,
                "left alone: OTEL_SDK_DISABLED is true",
                "unset OTEL_SDK_DISABLED",
            ),
            (
                &python,
                "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED",
                "false",
                Level::Blocks,
                "left alone: every instrumentation is off",
                "turn HTTP off",
            ),
            (
                &shell,
                "A",
                "",
                Level::Attention,
                "left alone: the program is on the built-in list",
                "decided anew",
            ),
            (
                &process("/usr/bin/python3.11", "python3 -m pip install x"),
                "A",
                "",
                Level::Blocks,
                "left alone: the script is on the built-in list",
                "decided anew",
            ),
            (&shell, "OTEL_RUN_INCLUDE", "sh", Level::Good, "matches", ""),
        ];
        for (process, name, value, level, text, hint) in rows {
            let config = environment(&[(name, value)]).config().0;
            let finding = process.decision(&config);
            let case = format!("{name}={value}: {finding:?}");
            assert_eq!(finding.parts().0, level, "{case}");
            assert!(finding.parts().1.contains(text), "{case}");
            assert!(finding.hint().unwrap_or_default().contains(hint), "{case}");
        }
    }

    #[test]
    fn sdks() {
        let java = process("/opt/jdk/bin/java", "java -jar x.jar");
        let option = (
            "JAVA_TOOL_OPTIONS",
            "-javaagent:/o/opentelemetry-javaagent.jar",
        );
        let always = ("OTEL_RUN_COEXIST", "always");
        let python = process(
            "/usr/bin/python3.11",
            "/v/bin/opentelemetry-instrument python a.py",
        );
        let ask = |process: &Process, pairs: &[(&str, &str)]| {
            let environment = environment(pairs);
            process.sdk(&environment, &environment.config().0)
        };
        assert_eq!(ask(&java, &[]), Sdk::None);
        assert_eq!(
            ask(&java, &[option]),
            Sdk::Instead("OpenTelemetry Java agent")
        );
        assert_eq!(
            ask(&java, &[option, always]),
            Sdk::Beside("OpenTelemetry Java agent")
        );
        assert_eq!(ask(&python, &[]), Sdk::Instead("opentelemetry-instrument"));
        let level = |sdk: Sdk| sdk.finding().map(|finding| finding.parts().0);
        assert_eq!(level(Sdk::None), None);
        assert_eq!(level(Sdk::Instead("x")), Some(Level::Attention));
        assert_eq!(level(Sdk::Beside("x")), Some(Level::Attention));
    }
}
