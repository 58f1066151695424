//! What the user is told about variables that could not be used as given.

use std::borrow::Cow;
use std::fmt;

/// Levels of the agent's own log (`OTEL_LOG_LEVEL`), from nothing to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// `none` or `off`: nothing at all.
    #[default]
    Off,
    /// `error`
    Error,
    /// `warn`
    Warn,
    /// `info`
    Info,
    /// `debug`
    Debug,
    /// `trace`
    Trace,
}

/// Bytes of a variable's value that a warning shows.
const SHOWN: usize = 80;

/// One line about one variable: its name, its value unless that is secret, why it cannot be used, and what is
/// used instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// [`LogLevel::Warn`] for a value that is wrong, [`LogLevel::Info`] for one that merely has no effect.
    pub level: LogLevel,
    /// Name of the variable.
    pub variable: String,
    /// The value as given (cut when long), or `None` where it may hold secrets.
    pub value: Option<String>,
    /// Why it cannot be used.
    pub why: Cow<'static, str>,
    /// What is used instead.
    pub used: Cow<'static, str>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.variable)?;
        if let Some(value) = &self.value {
            // `escape_debug` keeps the message on one line whatever the value holds.
            write!(f, "=\"{}\"", value.escape_debug())?;
        }
        write!(
            f,
            ": {}; {}",
            self.why.escape_debug(),
            self.used.escape_debug()
        )
    }
}

/// The part of `value` that is shown: cut at [`SHOWN`] bytes, user name and password of a URL left out.
pub(super) fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}***{}", &text[..scheme + 3], &text[at..])
        }
        _ => text.into_owned(),
    };
    let mut end = text.len().min(SHOWN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end == text.len() {
        text
    } else {
        format!("{}...", &text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_line_with_all_four_parts() {
        let warning = Warning {
            level: LogLevel::Warn,
            variable: "OTEL_X".into(),
            value: Some(shown(b"a\nb")),
            why: "not a number".into(),
            used: "5 is used".into(),
        };
        assert_eq!(
            warning.to_string(),
            "OTEL_X=\"a\\nb\": not a number; 5 is used"
        );
        let secret = Warning {
            value: None,
            ..warning
        };
        assert_eq!(secret.to_string(), "OTEL_X: not a number; 5 is used");
    }

    #[test]
    fn shown_values_are_short_and_without_passwords() {
        assert_eq!(shown(b"http://me:pw@h:1/x"), "http://***@h:1/x");
        assert_eq!(shown(b"a@b"), "a@b");
        let long = shown("ü".repeat(100).as_bytes());
        assert!(long.ends_with("ü...") && long.len() <= SHOWN + 3);
        assert_eq!(shown(&[0xff]), "\u{fffd}");
    }
}
