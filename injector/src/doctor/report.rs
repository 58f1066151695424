//! A report: findings in sections, each with a mark and, for a problem, a hint.

use anstyle::{AnsiColor, Style};

use crate::output::{Appearance, printable};

/// How good or bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// Works, with something to know.
    Attention,
    /// Nothing will be seen because of it.
    Blocks,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    level: Level,
    text: String,
    hint: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self {
            level: Level::Good,
            text: text.into(),
            hint: None,
        }
    }

    /// Works, with something to know.
    pub(crate) fn attention(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            level: Level::Attention,
            text: text.into(),
            hint: Some(hint.into()),
        }
    }

    /// Nothing will be seen because of it.
    pub(crate) fn blocks(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            level: Level::Blocks,
            text: text.into(),
            hint: Some(hint.into()),
        }
    }

    /// For tests of what is found.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (Level, &str) {
        (self.level, &self.text)
    }

    /// For tests of what is advised.
    #[cfg(test)]
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether nothing will be seen because of it.
    pub(crate) fn is_blocking(&self) -> bool {
        self.level == Level::Blocks
    }
}

/// The whole report.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    sections: Vec<(&'static str, Vec<Finding>)>,
    verdict: &'static str,
}

impl Report {
    /// A report without sections.
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            sections: Vec::new(),
            verdict: "It will be traced.",
        }
    }

    /// The last line when nothing blocks.
    pub(crate) fn verdict(&mut self, verdict: &'static str) {
        self.verdict = verdict;
    }

    /// Adds a section; an empty one is left out.
    pub(crate) fn section(&mut self, name: &'static str, findings: Vec<Finding>) {
        if !findings.is_empty() {
            self.sections.push((name, findings));
        }
    }

    /// How many findings block.
    pub(crate) fn blocking(&self) -> usize {
        let all = self.sections.iter().flat_map(|(_, findings)| findings);
        all.filter(|finding| finding.is_blocking()).count()
    }

    /// The text, ending in a line feed.
    pub(crate) fn render(&self, appearance: Appearance) -> String {
        let bold = Style::new().bold();
        let mut text = format!("{}\n", appearance.paint(bold, &printable(&self.title)));
        for (name, findings) in &self.sections {
            text.push_str(&format!("\n{}\n", appearance.paint(bold, name)));
            for finding in findings {
                let (mark, color) = match finding.level {
                    Level::Good => ("✓", AnsiColor::Green),
                    Level::Attention => ("!", AnsiColor::Yellow),
                    Level::Blocks => ("✗", AnsiColor::Red),
                };
                let mark = appearance.paint(color.on_default().bold(), mark);
                text.push_str(&format!("  {mark} {}\n", printable(&finding.text)));
                if let Some(hint) = &finding.hint {
                    let hint = format!("→ {}", printable(hint));
                    let hint = appearance.paint(Style::new().dimmed(), &hint);
                    text.push_str(&format!("    {hint}\n"));
                }
            }
        }
        let verdict = match self.blocking() {
            0 => self.verdict.to_owned(),
            1 => "1 problem is in the way (✗).".to_owned(),
            count => format!("{count} problems are in the way (✗)."),
        };
        text.push_str(&format!("\n{}\n", appearance.paint(bold, &verdict)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        let mut report = Report::new("otel-run doctor: app".to_owned());
        report.section(
            "Program",
            vec![
                Finding::good("/bin/app"),
                Finding::attention("TLS is not seen", "use plain HTTP"),
            ],
        );
        report.section("Empty", Vec::new());
        let expected = "\
otel-run doctor: app

Program
  ✓ /bin/app
  ! TLS is not seen
    → use plain HTTP

It will be traced.
";
        assert_eq!(report.render(Appearance::PLAIN), expected);
        report.section("Agent", vec![Finding::blocks("not found", "install it")]);
        assert!(
            report
                .render(Appearance::PLAIN)
                .ends_with("1 problem is in the way (✗).\n")
        );
    }
}
