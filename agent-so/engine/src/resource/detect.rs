//! From facts about the process to resource attributes.

use super::container;
use super::program::{Interpreter, Program, base_name, program, strip_deleted};
use super::{Resource, Value};
use crate::config::Config;
use crate::context::hex_into;

/// This implementation's name. `opentelemetry` is reserved for the official SDKs.
const NAME: &str = "otel-run";
/// Its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Longest default service name, characters: a class or script name, not a command line.
const NAME_MAX: usize = 255;

/// What the caller found out about the process. Empty texts and `None` are unknown: nothing is said of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// `getpid()`.
    pub pid: u32,
    /// Target of `/proc/self/exe`.
    pub exe: &'a [u8],
    /// `argv[0]` as it was at start.
    pub argv0: &'a [u8],
    /// What [`service_name`] made of executable and command line at start.
    pub default_service_name: &'a str,
    /// Start of the process, milliseconds since 1970 UTC.
    pub creation_time_ms: Option<u64>,
    /// Version of the language runtime.
    pub runtime_version: &'a str,
    /// `gethostname()`.
    pub host_name: &'a str,
    /// `uname -m`.
    pub machine: &'a str,
    /// Text of `/etc/os-release` or `/usr/lib/os-release`.
    pub os_release: &'a str,
    /// `/proc/sys/kernel/osrelease`.
    pub kernel_release: &'a str,
    /// Text of `/proc/self/cgroup`.
    pub cgroup: &'a str,
    /// Text of `/proc/self/mountinfo`.
    pub mountinfo: &'a str,
    /// Text of `/etc/machine-id`.
    pub machine_id: &'a str,
    /// 16 random bytes, new for every process, forked ones included.
    pub random: [u8; 16],
}

/// The default `service.name`: `unknown_service:` and the program rather than its interpreter (`app.py`, `x.jar`).
pub fn service_name<'a>(exe: &'a [u8], argv: impl Iterator<Item = &'a [u8]>) -> String {
    let Program { name, .. } = program(exe, argv);
    if name.is_empty() {
        return "unknown_service".to_owned();
    }
    let name = String::from_utf8_lossy(name);
    format!(
        "unknown_service:{}",
        name.chars().take(NAME_MAX).collect::<String>()
    )
}

impl Resource {
    /// Builds the resource: defaults, then what the facts say, then `OTEL_RESOURCE_ATTRIBUTES`, then
    /// `OTEL_SERVICE_NAME`; the later wins.
    pub fn detect(config: &Config, facts: &Facts<'_>) -> Self {
        let mut resource = Self::default();
        let name = facts.default_service_name;
        resource.set(
            "service.name",
            if name.is_empty() {
                "unknown_service"
            } else {
                name
            },
        );
        resource.set("telemetry.sdk.name", NAME);
        resource.set("telemetry.sdk.language", "rust");
        resource.set("telemetry.sdk.version", VERSION);
        resource.set("telemetry.distro.name", NAME);
        resource.set("telemetry.distro.version", VERSION);
        resource.set_process(facts);
        resource.set_machine(facts);
        resource.set_configured(config);
        resource
    }

    /// The resource of a process forked from this one: another process, another instance, all else the same. The child
    /// passes its own pid, creation time and random bytes; what the user configured stays.
    pub fn after_fork(&self, config: &Config, child: &Facts<'_>) -> Self {
        let mut resource = self.clone();
        resource.set_identity(child);
        resource.set_configured(config);
        resource
    }

    fn set_identity(&mut self, facts: &Facts<'_>) {
        self.set("service.instance.id", uuid_v4(facts.random));
        self.set("process.pid", Value::Int(i64::from(facts.pid)));
        if let Some(at) = facts.creation_time_ms {
            self.set("process.creation.time", iso8601(at));
        }
    }

    fn set_process(&mut self, facts: &Facts<'_>) {
        self.set_identity(facts);
        self.set_known(
            "process.executable.name",
            &lossy(base_name(strip_deleted(facts.exe))),
        );
        self.set_known("process.command", &lossy(facts.argv0));
        if let Some(interpreter) = Interpreter::of(facts.exe) {
            self.set("process.runtime.name", interpreter.runtime_name());
            self.set_known("process.runtime.version", facts.runtime_version);
        }
    }

    fn set_machine(&mut self, facts: &Facts<'_>) {
        self.set_known("host.name", facts.host_name);
        self.set_known("host.arch", arch(facts.machine));
        self.set("os.type", "linux");
        for (attribute, key) in [
            ("os.name", "NAME"),
            ("os.version", "VERSION_ID"),
            ("os.description", "PRETTY_NAME"),
        ] {
            self.set_known(
                attribute,
                os_release(facts.os_release, key).unwrap_or_default(),
            );
        }
        let build = os_release(facts.os_release, "BUILD_ID").unwrap_or(facts.kernel_release.trim());
        self.set_known("os.build_id", build);
        match container::id(facts.cgroup, facts.mountinfo) {
            Some(id) => self.set("container.id", id),
            // A machine-id inside a container is the image's: it names no host.
            None if !container::may_be_inside(facts.cgroup) => {
                self.set_known("host.id", facts.machine_id.trim());
            }
            None => {}
        }
    }

    fn set_configured(&mut self, config: &Config) {
        for (key, value) in &config.resource_attributes {
            // An empty name is no name: the default stays.
            if key != "service.name" || !value.is_empty() {
                self.set(key.clone(), value.as_str());
            }
        }
        if let Some(name) = &config.service_name {
            self.set("service.name", name.as_str());
        }
    }

    fn set_known(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.set(key, text);
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The conventions' name of a machine that `uname` names; others stay as they are.
fn arch(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "ppc64le" => "ppc64",
        other if other.starts_with("armv") => "arm32",
        other => other,
    }
}

/// A value of `/etc/os-release`, without the quotes around it.
fn os_release<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let quoted = ['"', '\'']
        .iter()
        .find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    Some(quoted.unwrap_or(value))
}

/// A random UUID (RFC 9562 version 4).
fn uuid_v4(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut digits = [0; 32];
    hex_into(&mut digits, &bytes);
    let mut text = String::with_capacity(36);
    for (index, digit) in digits.iter().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(char::from(*digit));
    }
    text
}

/// Milliseconds since 1970 as `2023-09-21T09:25:34.853Z`.
fn iso8601(ms: u64) -> String {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    // Days to a date of the Gregorian calendar, in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests;
