//! The environment as the configuration sees it, and the value types of the specification
//! (spec/config.md section 1): empty is unset, a value that cannot be used acts as unset and is told of.

use super::vars::Var;
use super::warning::{LogLevel, Warning, shown};
use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

/// Largest integer that is accepted: the specification asks for 0..=2^31-1.
const INTEGER_MAX: u64 = i32::MAX as u64;

/// The `OTEL_*` entries of an environment and the warnings met while reading them.
///
/// Every process of the machine builds one at load, most of them from an environment without any such entry:
/// then nothing is allocated and every lookup ends at once.
pub(super) struct Env<'a> {
    entries: Vec<(&'a [u8], &'a [u8])>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Env<'a> {
    /// Keeps the `OTEL_*` entries of `vars`. As with `getenv`, the first of several entries
    /// of one name counts.
    pub(super) fn new(vars: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let entries = vars
            .filter(|(name, _)| name.starts_with(b"OTEL_"))
            .collect();
        Self {
            entries,
            warnings: RefCell::new(Vec::new()),
        }
    }

    /// The warnings in the order in which they arose.
    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings.into_inner()
    }

    /// All entries, for the one family of variables with an open set of names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + '_ {
        self.entries.iter().copied()
    }

    /// Notes that `var` could not be used as given; its value is shown.
    pub(super) fn warn(
        &self,
        var: Var,
        why: impl Into<Cow<'static, str>>,
        used: impl Into<Cow<'static, str>>,
    ) {
        let value = self.raw(var).map(shown);
        self.push(
            LogLevel::Warn,
            var.name().to_owned(),
            value,
            why.into(),
            used.into(),
        );
    }

    /// The same for a variable whose value may hold secrets.
    pub(super) fn warn_secret(
        &self,
        var: Var,
        why: impl Into<Cow<'static, str>>,
        used: impl Into<Cow<'static, str>>,
    ) {
        self.push(
            LogLevel::Warn,
            var.name().to_owned(),
            None,
            why.into(),
            used.into(),
        );
    }

    /// The same for a variable that the table of names does not have.
    pub(super) fn warn_named(
        &self,
        name: &[u8],
        value: &[u8],
        why: &'static str,
        used: &'static str,
    ) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.push(
            LogLevel::Warn,
            name,
            Some(shown(value)),
            why.into(),
            used.into(),
        );
    }

    /// Notes that a variable has no effect.
    pub(super) fn info(&self, name: &[u8], value: &[u8], why: &'static str, used: &'static str) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.push(
            LogLevel::Info,
            name,
            Some(shown(value)),
            why.into(),
            used.into(),
        );
    }

    fn push(
        &self,
        level: LogLevel,
        variable: String,
        value: Option<String>,
        why: Cow<'static, str>,
        used: Cow<'static, str>,
    ) {
        self.warnings.borrow_mut().push(Warning {
            level,
            variable,
            value,
            why,
            used,
        });
    }

    fn raw(&self, var: Var) -> Option<&'a [u8]> {
        let (_, value) = self
            .entries
            .iter()
            .find(|(name, _)| *name == var.name().as_bytes())?;
        (!value.is_empty()).then_some(*value)
    }

    /// The value without white space around it. White space only, or bytes that are not UTF-8, act as unset
    /// (the latter with a warning).
    pub(super) fn text(&self, var: Var) -> Option<&'a str> {
        let raw = self.raw(var)?;
        match std::str::from_utf8(raw) {
            Ok(text) => Some(text.trim()).filter(|t| !t.is_empty()),
            Err(_) => {
                self.warn_secret(
                    var,
                    "the value is not valid UTF-8",
                    "the variable is ignored",
                );
                None
            }
        }
    }

    /// A boolean with default false: only `true` (any case) is true.
    pub(super) fn flag(&self, var: Var) -> Option<bool> {
        let text = self.text(var)?;
        let value = boolean(text);
        if value.is_none() {
            self.warn(var, "neither true nor false", "the variable is ignored");
        }
        value
    }

    /// A whole number of 0..=2^31-1, at least `least`. `default` is only named in the warning.
    fn integer(&self, var: Var, least: u64, default: &str) -> Option<u64> {
        let text = self.text(var)?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|_| digits);
        match number {
            Some(n) if (least..=INTEGER_MAX).contains(&n) => Some(n),
            _ => {
                let why = format!("not a whole number from {least} to {INTEGER_MAX}");
                self.warn(var, why, format!("{default} is used"));
                None
            }
        }
    }

    /// A count of at least `least`.
    pub(super) fn count(&self, var: Var, least: u64, default: &str) -> Option<usize> {
        self.integer(var, least, default)
            .and_then(|n| usize::try_from(n).ok())
    }

    /// A duration in milliseconds.
    pub(super) fn duration(&self, var: Var, default: &str) -> Option<Duration> {
        self.integer(var, 0, default).map(Duration::from_millis)
    }

    /// A timeout in milliseconds: 0 means no limit, which is `Some(None)`.
    pub(super) fn timeout(&self, var: Var, default: &str) -> Option<Option<Duration>> {
        let limit = self.duration(var, default)?;
        Some((!limit.is_zero()).then_some(limit))
    }

    /// One of `values`, case-insensitively.
    pub(super) fn choice<T: Copy>(
        &self,
        var: Var,
        values: &[(&str, T)],
        default: &str,
    ) -> Option<T> {
        let text = self.text(var)?;
        let found = values
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name));
        if found.is_none() {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            let why = format!("not one of {}", names.join(", "));
            self.warn(var, why, format!("{default} is used"));
        }
        found.map(|(_, value)| *value)
    }

    /// The items of a comma-separated list, trimmed, empty ones left out. `None` when unset or without items.
    pub(super) fn list(&self, var: Var) -> Option<Vec<&'a str>> {
        let items: Vec<&str> = list_items(self.text(var)?).collect();
        (!items.is_empty()).then_some(items)
    }
}

/// `true` or `false`, case-insensitively; nothing else is a boolean (`1`, `yes` and `on` are not).
pub(super) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The trimmed, non-empty items of a comma-separated list.
pub(super) fn list_items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::vars;
    use super::*;

    fn env(value: &[u8]) -> Env<'_> {
        Env::new([(&b"OTEL_SDK_DISABLED"[..], value), (b"PATH", b"x")].into_iter())
    }

    const V: Var = vars::SDK_DISABLED;

    #[test]
    fn booleans() {
        let rows: [(&[u8], Option<bool>, usize); 9] = [
            (b"true", Some(true), 0),
            (b"TRUE", Some(true), 0),
            (b" tRue ", Some(true), 0),
            (b"False", Some(false), 0),
            (b"", None, 0),
            (b"  ", None, 0),
            (b"1", None, 1),
            (b"yes", None, 1),
            (b"\xff", None, 1),
        ];
        for (value, expected, warnings) in rows {
            let env = env(value);
            assert_eq!(env.flag(V), expected, "{value:?}");
            assert_eq!(env.into_warnings().len(), warnings, "{value:?}");
        }
    }

    #[test]
    fn integers_durations_and_timeouts() {
        let rows: [(&[u8], Option<usize>); 11] = [
            (b"0", Some(0)),
            (b"2147483647", Some(2147483647)),
            (b" 12 ", Some(12)),
            (b"007", Some(7)),
            (b"2147483648", None),
            (b"99999999999999999999", None),
            (b"-1", None),
            (b"+1", None),
            (b"1.5", None),
            (b"10s", None),
            (b"", None),
        ];
        for (value, expected) in rows {
            assert_eq!(env(value).count(V, 0, "5"), expected, "{value:?}");
        }
        assert_eq!(env(b"0").count(V, 1, "5"), None);
        assert_eq!(
            env(b"250").duration(V, "5"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            env(b"250").timeout(V, "5"),
            Some(Some(Duration::from_millis(250)))
        );
        assert_eq!(env(b"0").timeout(V, "5"), Some(None));
        assert_eq!(env(b"-5").timeout(V, "5"), None);
        let bad = env(b"abc");
        bad.duration(V, "5");
        assert_eq!(
            bad.into_warnings()[0].to_string(),
            "OTEL_SDK_DISABLED=\"abc\": not a whole number from 0 to 2147483647; 5 is used"
        );
    }

    #[test]
    fn choices_and_lists() {
        let values = [("one", 1), ("two", 2)];
        assert_eq!(env(b"TWO").choice(V, &values, "one"), Some(2));
        let bad = env(b"three");
        assert_eq!(bad.choice(V, &values, "one"), None);
        assert_eq!(
            bad.into_warnings()[0].to_string(),
            "OTEL_SDK_DISABLED=\"three\": not one of one, two; one is used"
        );
        assert_eq!(env(b" a, ,b,").list(V), Some(vec!["a", "b"]));
        assert_eq!(env(b" , ").list(V), None);
    }

    #[test]
    fn the_first_of_several_entries_counts() {
        let twice = [
            (&b"OTEL_SDK_DISABLED"[..], &b"true"[..]),
            (b"OTEL_SDK_DISABLED", b"false"),
        ];
        assert_eq!(Env::new(twice.into_iter()).flag(V), Some(true));
    }
}
