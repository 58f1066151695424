//! All printing of the command goes through here, so that who writes where is visible in one place.
//!
//! A closed or broken stream is ignored: losing a message must not change how the program's run ends.

use std::io::{IsTerminal, Write};

use anstyle::Style;

/// Exit status of a failure of `otel-run` itself, as `env`, `nice` and `timeout` have it.
pub(crate) const OWN_FAILURE: u8 = 125;

/// Writes to standard error.
pub(crate) fn stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes to standard output. Only for what the user asked to see, never while a program runs.
pub(crate) fn stdout(text: &str) {
    let mut stream = std::io::stdout().lock();
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
}

/// One line on standard error that says who speaks.
pub(crate) fn say(text: &str) {
    stderr(&format!("otel-run: {text}\n"));
}

/// How a stream can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appearance {
    /// Escape sequences for colour may be used.
    pub(crate) color: bool,
    /// Columns of the terminal; `None` when it is not one.
    pub(crate) width: Option<usize>,
}

impl Appearance {
    /// Plain text of any width.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self {
        color: false,
        width: None,
    };

    /// Of standard error, at this moment: a terminal can be resized.
    pub(crate) fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    /// Of standard output.
    pub(crate) fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    fn of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Self {
        if !stream.is_terminal() {
            return Self {
                color: false,
                width: None,
            };
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let width = rustix::termios::tcgetwinsize(stream)
            .ok()
            .map(|size| usize::from(size.ws_col));
        Self {
            color: set("NO_COLOR").is_none() && !dumb,
            width: width.filter(|columns| *columns >= 20),
        }
    }

    /// `text` in `style`, where colour is allowed.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() && style != Style::new() {
            format!("{}{text}{}", style.render(), style.render_reset())
        } else {
            text.to_owned()
        }
    }
}

/// Makes text from the network or from files fit for a terminal: control characters, which could move the
/// cursor or change the title, are shown as escapes.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(
        String::with_capacity(text.len() + 8),
        |mut out, character| {
            if character.is_control() {
                out.extend(character.escape_default());
            } else {
                out.push(character);
            }
            out
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(printable("/plain?ü=1"), "/plain?ü=1");
        assert_eq!(printable("a\x1b[31mb\r\nc"), "a\\u{1b}[31mb\\r\\nc");
    }

    #[test]
    fn colour_only_where_allowed() {
        let bold = Style::new().bold();
        assert_eq!(Appearance::PLAIN.paint(bold, "x"), "x");
        let color = Appearance {
            color: true,
            width: None,
        };
        assert_eq!(color.paint(bold, "x"), "\x1b[1mx\x1b[0m");
        assert_eq!(color.paint(bold, ""), "");
    }
}
