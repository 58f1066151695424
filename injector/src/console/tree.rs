//! One trace as an indented tree.

use std::collections::{HashMap, HashSet};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

use super::duration;
use super::span::{Span, SpanId};
use crate::output::{Appearance, printable};

/// Deepest level that is still indented; a trace can be deeper than a screen is wide.
const MAX_INDENT: usize = 24;
/// Widest first column; a longer label pushes its own line only.
const MAX_LABEL: usize = 56;

/// Spans of one trace that are shown together.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The trace's identity, in hexadecimal.
    pub(crate) trace: String,
    /// The spans, in any order.
    pub(crate) spans: Vec<Span>,
    /// Spans of this trace that were shown earlier.
    pub(crate) shown_before: HashSet<SpanId>,
}

/// A span and where it stands.
struct Line<'a> {
    prefix: String,
    span: &'a Span,
    remark: Option<&'static str>,
}

/// Pieces of one output line.
type Pieces = Vec<(Style, String)>;

impl Tree {
    /// The text, ending in a line feed.
    pub(crate) fn render(&self, appearance: Appearance) -> String {
        let lines = self.lines();
        let dim = Style::new().dimmed();
        let mut text = String::new();
        let mut put = |pieces: Pieces| {
            for (style, piece) in fit(pieces, appearance.width) {
                text.push_str(&appearance.paint(style, &piece));
            }
            text.push('\n');
        };
        put(vec![(dim, self.heading())]);
        let width_of = |cell: fn(&Span) -> String| {
            lines
                .iter()
                .map(|line| width(&cell(line.span)))
                .max()
                .unwrap_or(0)
        };
        let label = |line: &Line| width(&line.prefix) + width(&title(line.span));
        let label_width = lines
            .iter()
            .map(label)
            .filter(|w| *w <= MAX_LABEL)
            .max()
            .unwrap_or(0);
        let (outcome_width, took_width) = (width_of(outcome), width_of(took));
        let service_width = width_of(service);
        for line in &lines {
            let span = line.span;
            let mut pieces = vec![
                (dim, line.prefix.clone()),
                (kind_style(span), span.kind.to_owned()),
                (Style::new().bold(), format!(" {}", printable(&span.name))),
                (
                    Style::new(),
                    " ".repeat(label_width.saturating_sub(label(line)) + 2),
                ),
                (outcome_style(span), pad(&outcome(span), outcome_width)),
                (Style::new(), format!("  {:>took_width$}  ", took(span))),
                (dim, pad(&service(span), service_width)),
            ];
            for detail in &span.details {
                pieces.push((Style::new(), format!("  {}", printable(detail))));
            }
            if let Some(remark) = line.remark {
                pieces.push((dim, format!("  ({remark})")));
            }
            trim_end(&mut pieces);
            put(pieces);
        }
        text
    }

    fn heading(&self) -> String {
        let count = match self.spans.len() {
            1 => "1 span".to_owned(),
            count => format!("{count} spans"),
        };
        if !self.shown_before.is_empty() {
            return format!("trace {} · continued · {count}", self.trace);
        }
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or(0);
        let end = self
            .spans
            .iter()
            .map(|span| span.start.saturating_add(span.duration))
            .max();
        let took = duration::human(end.unwrap_or(0).saturating_sub(start));
        format!("trace {} · {count} · {took}", self.trace)
    }

    /// The spans in the order of the tree. Every span appears once, whatever the parents say: identities
    /// come from other programs and may form a circle.
    fn lines(&self) -> Vec<Line<'_>> {
        let mut spans: Vec<&Span> = self.spans.iter().collect();
        spans.sort_by_key(|span| (span.start, span.id));
        let known: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
        let mut children: HashMap<SpanId, Vec<&Span>> = HashMap::new();
        let mut tops = Vec::new();
        for span in spans.iter().copied() {
            match span.parent.filter(|parent| known.contains(parent)) {
                Some(parent) => children.entry(parent).or_default().push(span),
                None => tops.push(span),
            }
        }
        let mut lines = Vec::with_capacity(spans.len());
        let mut placed = HashSet::new();
        // What is only reachable through a circle comes last, its earliest span on top.
        for top in tops.into_iter().chain(spans.iter().copied()) {
            let mut waiting = vec![(top, String::new(), String::new(), self.remark(top))];
            while let Some((span, prefix, below, remark)) = waiting.pop() {
                if !placed.insert(span.id) {
                    continue;
                }
                let under = children
                    .get(&span.id)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let indented = width(&below) < MAX_INDENT * 3;
                for (position, child) in under.iter().enumerate().rev() {
                    let last = position + 1 == under.len();
                    let (branch, rest) = if last {
                        ("└─ ", "   ")
                    } else {
                        ("├─ ", "│  ")
                    };
                    let rest = if indented { rest } else { "" };
                    waiting.push((
                        child,
                        format!("{below}{branch}"),
                        format!("{below}{rest}"),
                        None,
                    ));
                }
                lines.push(Line {
                    prefix,
                    span,
                    remark,
                });
            }
        }
        lines
    }

    /// Why a span stands at the left edge although it has a parent.
    fn remark(&self, span: &Span) -> Option<&'static str> {
        let parent = span.parent?;
        Some(if self.shown_before.contains(&parent) {
            "its parent is shown above"
        } else if span.parent_is_remote {
            "called from outside"
        } else {
            "its parent was not received"
        })
    }
}

fn title(span: &Span) -> String {
    format!("{} {}", span.kind, printable(&span.name))
}

fn outcome(span: &Span) -> String {
    match (&span.code, span.error) {
        (Some(code), true) => format!("{} ERROR", printable(code)),
        (Some(code), false) => printable(code),
        (None, true) => "ERROR".to_owned(),
        (None, false) => "-".to_owned(),
    }
}

fn took(span: &Span) -> String {
    duration::human(span.duration)
}

fn service(span: &Span) -> String {
    printable(&span.service)
}

fn kind_style(span: &Span) -> Style {
    match span.kind {
        "SERVER" | "CONSUMER" => AnsiColor::Green.on_default(),
        "CLIENT" | "PRODUCER" => AnsiColor::Cyan.on_default(),
        _ => Style::new(),
    }
}

fn outcome_style(span: &Span) -> Style {
    if span.error {
        AnsiColor::Red.on_default().bold()
    } else {
        Style::new()
    }
}

fn width(text: &str) -> usize {
    text.chars()
        .map(|character| character.width().unwrap_or(0))
        .sum()
}

fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// Cuts a line to the terminal's width: a wrapped tree cannot be read.
fn fit(pieces: Pieces, limit: Option<usize>) -> Pieces {
    let Some(limit) = limit else { return pieces };
    if pieces.iter().map(|(_, text)| width(text)).sum::<usize>() <= limit {
        return pieces;
    }
    let mut room = limit.saturating_sub(1);
    let mut kept = Pieces::new();
    'pieces: for (style, text) in pieces {
        let mut part = String::new();
        for character in text.chars() {
            let columns = character.width().unwrap_or(0);
            if columns > room {
                part.push('…');
                kept.push((style, part));
                break 'pieces;
            }
            room -= columns;
            part.push(character);
        }
        kept.push((style, part));
    }
    kept
}

fn trim_end(pieces: &mut Pieces) {
    if let Some((_, text)) = pieces.last_mut() {
        text.truncate(text.trim_end().len());
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
