//! The environment that the command will get: what is there, what the flags say, and the agent.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use agent_engine::config::{Config, Warning};

use crate::agent;
use crate::cli::Settings;
use crate::sys;

/// The entries of an environment in their order, which the command gets as it is: what is changed is changed in
/// its place, what is new comes last. As with `getenv`, the first of several entries of one name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<OsString>);

impl Environment {
    /// That of this process.
    pub(crate) fn inherited() -> Self {
        Self(sys::environment())
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &OsStr> {
        self.0.iter().map(OsString::as_os_str)
    }

    /// All variables: names and values.
    pub(crate) fn vars(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().filter_map(|entry| split(entry))
    }

    /// What the agent would make of it.
    pub(crate) fn config(&self) -> (Config, Vec<Warning>) {
        // It names the agent itself and is read here only: the agent would say that there is no such variable.
        let agents = |(name, _): &(&[u8], &[u8])| *name != agent::VARIABLE.as_bytes();
        Config::from_env(self.vars().filter(agents))
    }

    /// A variable as it is.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars()
            .find(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| OsStr::from_bytes(value))
    }

    /// A variable as text, without blanks around it; an empty one counts as unset, as OpenTelemetry
    /// specifies.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.get(name)?.to_string_lossy();
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        let mut entry = OsString::from(name);
        entry.push("=");
        entry.push(value.into());
        match self.0.iter().position(|other| is(other, name)) {
            Some(at) => self.0[at] = entry,
            None => self.0.push(entry),
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|entry| !is(entry, name));
    }

    /// Applies the flags. A flag also removes the signal-specific form of its variable, which would win over
    /// the general one that is set here.
    pub(crate) fn apply(&mut self, settings: &Settings) {
        if let Some(name) = &settings.service_name {
            self.set("OTEL_SERVICE_NAME", name);
        }
        if let Some(endpoint) = &settings.endpoint {
            self.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
            self.remove("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        }
        if let Some(protocol) = settings.protocol {
            self.set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.name());
            self.remove("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
        }
        if let Some(sampler) = &settings.sampler {
            self.set("OTEL_TRACES_SAMPLER", sampler.name);
            match &sampler.argument {
                Some(argument) => self.set("OTEL_TRACES_SAMPLER_ARG", argument),
                None => self.remove("OTEL_TRACES_SAMPLER_ARG"),
            }
        }
        if let Some(level) = settings.log_level {
            self.set("OTEL_LOG_LEVEL", level.name());
        }
    }

    /// Sends the traces to the console's receiver. Only the forms for traces are set: an SDK in the program
    /// keeps sending its metrics and logs where they went before.
    pub(crate) fn send_traces_to(&mut self, port: u16) {
        self.set("OTEL_TRACES_EXPORTER", "otlp");
        self.set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
        self.set(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("http://127.0.0.1:{port}/v1/traces"),
        );
        // A person is waiting: the default of five seconds is for collectors.
        if self.text("OTEL_BSP_SCHEDULE_DELAY").is_none() {
            self.set("OTEL_BSP_SCHEDULE_DELAY", "100");
        }
    }

    /// Makes the dynamic linker load the agent, after whatever it loads already.
    pub(crate) fn preload(&mut self, agent: &Path) {
        let merged = merge_preload(self.get("LD_PRELOAD"), agent);
        self.set("LD_PRELOAD", merged);
    }
}

/// Name and value of an entry.
fn split(entry: &OsStr) -> Option<(&[u8], &[u8])> {
    let entry = entry.as_bytes();
    let at = memchr::memchr(b'=', entry)?;
    Some((&entry[..at], &entry[at + 1..]))
}

fn is(entry: &OsStr, name: &str) -> bool {
    split(entry).is_some_and(|(other, _)| other == name.as_bytes())
}

/// The entries of an `LD_PRELOAD` value: the dynamic linker takes both separators.
pub(crate) fn preload_entries(value: &OsStr) -> impl Iterator<Item = &OsStr> {
    value
        .as_bytes()
        .split(|byte| matches!(byte, b':' | b' '))
        .filter(|entry| !entry.is_empty())
        .map(OsStr::from_bytes)
}

/// Whether two paths name one file.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Appends `agent`; other entries keep their order and their spelling, and the agent is there once.
fn merge_preload(existing: Option<&OsStr>, agent: &Path) -> OsString {
    let mut merged = Vec::new();
    for entry in preload_entries(existing.unwrap_or_default()) {
        if !same_file(Path::new(entry), agent) {
            merged.extend_from_slice(entry.as_bytes());
            merged.push(b':');
        }
    }
    merged.extend_from_slice(agent.as_os_str().as_bytes());
    OsString::from_vec(merged)
}

/// Why the dynamic linker could not be told to load the file at this path.
pub(crate) fn preload_obstacle(agent: &Path) -> Option<&'static str> {
    let path = agent.as_os_str().as_bytes();
    if path.contains(&b' ') {
        Some("a space")
    } else if path.contains(&b':') {
        Some("a colon")
    } else if path.contains(&b'$') {
        Some("a dollar sign")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{LogLevel, Protocol, Sampler};

    #[test]
    fn preload_values() {
        let directory = tempfile::tempdir().unwrap();
        let agent = directory.path().canonicalize().unwrap().join("libagent.so");
        std::fs::write(&agent, "").unwrap();
        let alias = directory.path().join("alias.so");
        std::os::unix::fs::symlink(&agent, &alias).unwrap();
        let (path, alias) = (agent.display().to_string(), alias.display().to_string());
        let table = [
            (None, path.clone()),
            (Some(String::new()), path.clone()),
            (Some(" : ".to_owned()), path.clone()),
            (
                Some("/opt/other.so".to_owned()),
                format!("/opt/other.so:{path}"),
            ),
            (
                Some("libjemalloc.so.2 /opt/b.so".to_owned()),
                format!("libjemalloc.so.2:/opt/b.so:{path}"),
            ),
            (Some(path.clone()), path.clone()),
            (Some(alias.clone()), path.clone()),
            (
                Some(format!("{path}:/opt/b.so:{alias}")),
                format!("/opt/b.so:{path}"),
            ),
            (
                Some(format!("/opt/b.so:{path}")),
                format!("/opt/b.so:{path}"),
            ),
        ];
        for (existing, expected) in table {
            let merged = merge_preload(existing.as_deref().map(OsStr::new), &agent);
            assert_eq!(merged, OsString::from(&expected), "{existing:?}");
            let again = merge_preload(Some(&merged), &agent);
            assert_eq!(again, merged, "merging twice changes nothing");
        }
    }

    #[test]
    fn entries_that_are_not_text_survive() {
        let value = OsString::from_vec(b"/opt/\xff.so".to_vec());
        let merged = merge_preload(Some(&value), Path::new("/a.so"));
        assert_eq!(merged.as_bytes(), b"/opt/\xff.so:/a.so");
    }

    #[test]
    fn paths_that_cannot_be_preloaded() {
        assert_eq!(preload_obstacle(Path::new("/opt/libagent.so")), None);
        assert_eq!(
            preload_obstacle(Path::new("/my files/libagent.so")),
            Some("a space")
        );
        assert_eq!(
            preload_obstacle(Path::new("/a:b/libagent.so")),
            Some("a colon")
        );
        assert_eq!(
            preload_obstacle(Path::new("/$LIB/libagent.so")),
            Some("a dollar sign")
        );
    }

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment(
            pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}").into())
                .collect(),
        )
    }

    #[test]
    fn flags_win_over_the_environment() {
        let mut actual = environment(&[
            ("OTEL_SERVICE_NAME", "old"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://old:1"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("KEPT", "yes"),
        ]);
        actual.apply(&Settings {
            service_name: Some("shop".to_owned()),
            endpoint: Some("http://c:4318".to_owned()),
            protocol: Some(Protocol::HttpProtobuf),
            sampler: Some(Sampler {
                name: "always_on",
                argument: None,
            }),
            log_level: Some(LogLevel::Debug),
        });
        let expected = environment(&[
            ("OTEL_SERVICE_NAME", "shop"),
            ("KEPT", "yes"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("OTEL_LOG_LEVEL", "debug"),
        ]);
        assert_eq!(actual, expected);
    }

    #[test]
    fn entries_keep_their_order_and_the_odd_ones_stay() {
        let entries = |texts: &[&str]| Environment(texts.iter().map(OsString::from).collect());
        let mut actual = entries(&["Z=1", "no equals sign", "B=", "A=2", "B=3", "=4", "Z=5"]);
        assert_eq!(actual.get("Z"), Some(OsStr::new("1")), "the first counts");
        actual.set("A", "new");
        actual.set("C", "last");
        actual.set("Z", "x=y");
        actual.remove("B");
        assert_eq!(
            actual,
            entries(&["Z=x=y", "no equals sign", "A=new", "=4", "Z=5", "C=last"])
        );
        assert_eq!(actual.get("Z"), Some(OsStr::new("x=y")));
    }

    #[test]
    fn the_agents_own_name_is_no_mistake() {
        let named = environment(&[("OTEL_RUN_AGENT", "/a.so"), ("OTEL_RUN_EXLUDE", "x")]);
        let (_, warnings) = named.config();
        let names: Vec<&str> = warnings.iter().map(|w| w.variable.as_str()).collect();
        assert_eq!(names, ["OTEL_RUN_EXLUDE"]);
    }

    #[test]
    fn without_flags_nothing_changes() {
        let before = environment(&[("OTEL_SERVICE_NAME", "old"), ("PATH", "/bin")]);
        let mut after = before.clone();
        after.apply(&Settings::default());
        assert_eq!(after, before);
    }

    #[test]
    fn the_console_redirects_traces_only() {
        let mut actual = environment(&[
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ]);
        actual.send_traces_to(4444);
        let expected = environment(&[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://127.0.0.1:4444/v1/traces",
            ),
        ]);
        assert_eq!(actual, expected);
    }
}
