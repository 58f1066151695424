//! Spans that wait for the rest of their trace, and the decision when a trace is shown.
//!
//! No span says "I am the last one". A trace counts as complete when its root has arrived and nothing
//! more has for a short while; what comes later is shown as a continuation. Everything is bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::span::{Span, SpanId, TraceId};
use super::tree::Tree;

/// Quiet time after which a trace with its root is complete. Several processes report on their own, each
/// within [`crate::environment::Environment::send_traces_to`]'s delay.
const ROOT_QUIET: Duration = Duration::from_millis(300);
/// The same when the topmost span was called by a process that may still report: its own span ends, and
/// is sent, after this one.
const CALLED_QUIET: Duration = Duration::from_secs(2);
/// The same for a trace of which only inner spans have come: a request is still running, or its process
/// was killed.
const ORPHAN_QUIET: Duration = Duration::from_secs(30);

/// Most traces kept; above it the oldest is shown as it is.
const MAX_TRACES: usize = 1_000;
/// Most spans kept over all traces; above it the oldest trace is shown as it is.
const MAX_SPANS: usize = 20_000;
/// Most spans of one trace between two showings; above it they are dropped and counted.
const MAX_SPANS_PER_TRACE: usize = 2_000;
/// Shown traces remembered, so that a late span is recognised as a continuation.
const MAX_REMEMBERED: usize = 500;

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Different traces shown.
    pub(crate) traces: u64,
    /// Spans shown.
    pub(crate) spans: u64,
    /// Spans above the limit of one trace.
    pub(crate) dropped: u64,
}

struct Pending {
    spans: Vec<Span>,
    complete_at: Instant,
    arrival: u64,
}

/// The spans received and not shown.
#[derive(Default)]
pub(crate) struct Store {
    pending: HashMap<TraceId, Pending>,
    held: usize,
    arrivals: u64,
    shown: HashMap<TraceId, HashSet<SpanId>>,
    shown_order: VecDeque<TraceId>,
    counts: Counts,
}

impl Store {
    /// Takes finished spans. Returns traces that must be shown at once to stay within the limits.
    pub(crate) fn add(&mut self, spans: Vec<Span>, now: Instant) -> Vec<Tree> {
        let touched: HashSet<TraceId> = spans.iter().map(|span| span.trace).collect();
        for span in spans {
            self.add_one(span, now);
        }
        for trace in touched {
            if let Some(pending) = self.pending.get_mut(&trace) {
                pending.complete_at = now + quiet_time(&pending.spans, self.shown.get(&trace));
            }
        }
        let mut trees = Vec::new();
        while self.pending.len() > MAX_TRACES || self.held > MAX_SPANS {
            let oldest = self
                .pending
                .iter()
                .min_by_key(|(_, pending)| pending.arrival);
            let Some(trace) = oldest.map(|(trace, _)| *trace) else {
                break;
            };
            trees.extend(self.take(trace));
        }
        trees
    }

    fn add_one(&mut self, span: Span, now: Instant) {
        // An exporter that got no answer in time sends the same spans again.
        if self
            .shown
            .get(&span.trace)
            .is_some_and(|ids| ids.contains(&span.id))
        {
            return;
        }
        let pending = self.pending.entry(span.trace).or_insert_with(|| {
            self.arrivals += 1;
            Pending {
                spans: Vec::new(),
                complete_at: now,
                arrival: self.arrivals,
            }
        });
        if pending.spans.iter().any(|known| known.id == span.id) {
            return;
        }
        if pending.spans.len() >= MAX_SPANS_PER_TRACE {
            self.counts.dropped += 1;
            return;
        }
        pending.spans.push(span);
        self.held += 1;
    }

    /// The traces that are complete by now, in the order in which they started to arrive.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Tree> {
        let mut due: Vec<(u64, TraceId)> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.complete_at <= now)
            .map(|(trace, pending)| (pending.arrival, *trace))
            .collect();
        due.sort_unstable();
        due.into_iter()
            .filter_map(|(_, trace)| self.take(trace))
            .collect()
    }

    /// When [`Store::due`] will next have something, if nothing arrives.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.pending
            .values()
            .map(|pending| pending.complete_at)
            .min()
    }

    /// Everything that is left.
    pub(crate) fn drain(&mut self) -> Vec<Tree> {
        let mut rest: Vec<(u64, TraceId)> = self
            .pending
            .iter()
            .map(|(trace, pending)| (pending.arrival, *trace))
            .collect();
        rest.sort_unstable();
        rest.into_iter()
            .filter_map(|(_, trace)| self.take(trace))
            .collect()
    }

    /// What has been counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn take(&mut self, trace: TraceId) -> Option<Tree> {
        let pending = self.pending.remove(&trace)?;
        self.held -= pending.spans.len();
        self.counts.spans += pending.spans.len() as u64;
        let shown_before = self.shown.get(&trace).cloned().unwrap_or_default();
        if !self.shown.contains_key(&trace) {
            self.counts.traces += 1;
            self.shown_order.push_back(trace);
            if self.shown_order.len() > MAX_REMEMBERED
                && let Some(forgotten) = self.shown_order.pop_front()
            {
                self.shown.remove(&forgotten);
            }
        }
        let ids = self.shown.entry(trace).or_default();
        let room = (2 * MAX_SPANS_PER_TRACE).saturating_sub(ids.len());
        ids.extend(pending.spans.iter().map(|span| span.id).take(room));
        let trace = trace.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Tree {
            trace,
            spans: pending.spans,
            shown_before,
        })
    }
}

/// How long to wait for more spans of a trace of which these have come and `shown` were shown.
fn quiet_time(spans: &[Span], shown: Option<&HashSet<SpanId>>) -> Duration {
    let here: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
    let mut quiet = ORPHAN_QUIET;
    for span in spans {
        match span.parent {
            Some(parent) if here.contains(&parent) => {}
            Some(parent) if !shown.is_some_and(|ids| ids.contains(&parent)) => {
                if span.parent_is_remote {
                    quiet = CALLED_QUIET;
                }
            }
            // A root, or a late child of what is shown.
            _ => return ROOT_QUIET,
        }
    }
    quiet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u16, id: u16, parent: u16, kind: &'static str) -> Span {
        let wide = |number: u16| {
            let mut id = [0; 8];
            id[6..].copy_from_slice(&number.to_be_bytes());
            id
        };
        let mut identity = [7; 16];
        identity[14..].copy_from_slice(&trace.to_be_bytes());
        Span {
            trace: identity,
            id: wide(id),
            parent: (parent != 0).then(|| wide(parent)),
            parent_is_remote: kind == "SERVER",
            kind,
            name: "GET".to_owned(),
            start: u64::from(id),
            duration: 1,
            error: false,
            code: None,
            service: "s".to_owned(),
            details: Vec::new(),
        }
    }

    fn sizes(trees: &[Tree]) -> Vec<usize> {
        trees.iter().map(|tree| tree.spans.len()).collect()
    }

    #[test]
    fn a_trace_waits_for_quiet_after_its_root() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut store = Store::default();
        store.add(vec![span(1, 2, 1, "CLIENT")], at(0));
        assert_eq!(
            store.next_due(),
            Some(at(0) + ORPHAN_QUIET),
            "an inner span alone waits long"
        );
        store.add(vec![span(1, 1, 0, "SERVER")], at(100));
        assert_eq!(store.next_due(), Some(at(400)));
        assert!(store.due(at(399)).is_empty());
        store.add(vec![span(1, 3, 2, "SERVER")], at(399));
        assert!(
            store.due(at(600)).is_empty(),
            "each new span starts the quiet time again"
        );
        assert_eq!(sizes(&store.due(at(699))), [3]);
        assert_eq!(store.next_due(), None);
        assert_eq!(
            store.counts(),
            Counts {
                traces: 1,
                spans: 3,
                dropped: 0
            }
        );
    }

    #[test]
    fn a_called_span_gives_its_caller_time() {
        let start = Instant::now();
        let mut store = Store::default();
        store.add(vec![span(1, 3, 2, "SERVER")], start);
        assert_eq!(store.next_due(), Some(start + CALLED_QUIET));
        assert_eq!(sizes(&store.due(start + CALLED_QUIET)), [1]);
    }

    #[test]
    fn late_spans_continue_a_shown_trace_and_repeated_ones_are_ignored() {
        let start = Instant::now();
        let mut store = Store::default();
        store.add(
            vec![span(1, 1, 0, "SERVER"), span(1, 1, 0, "SERVER")],
            start,
        );
        assert_eq!(sizes(&store.due(start + ROOT_QUIET)), [1]);
        store.add(vec![span(1, 1, 0, "SERVER")], start);
        assert_eq!(store.next_due(), None);
        store.add(vec![span(1, 2, 1, "CLIENT")], start);
        assert_eq!(store.next_due(), Some(start + ROOT_QUIET));
        let trees = store.due(start + ROOT_QUIET);
        assert_eq!(sizes(&trees), [1]);
        assert_eq!(trees[0].shown_before.len(), 1);
        assert_eq!(
            store.counts(),
            Counts {
                traces: 1,
                spans: 2,
                dropped: 0
            }
        );
    }

    #[test]
    fn traces_come_in_order_of_arrival_and_drain_gives_the_rest() {
        let start = Instant::now();
        let mut store = Store::default();
        for trace in [5, 3, 4] {
            store.add(vec![span(trace, 1, 9, "CLIENT")], start);
        }
        let order: Vec<u8> = store
            .drain()
            .iter()
            .map(|tree| tree.spans[0].trace[15])
            .collect();
        assert_eq!(order, [5, 3, 4]);
        assert!(store.drain().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut store = Store::default();
        let over = MAX_SPANS_PER_TRACE as u16 + 5;
        store.add(
            (1..=over).map(|id| span(1, id, 0, "CLIENT")).collect(),
            start,
        );
        assert_eq!(store.counts().dropped, 5);
        let mut evicted = 0;
        for trace in 2..=(MAX_TRACES as u16 + 10) {
            evicted += store.add(vec![span(trace, 1, 9, "CLIENT")], start).len();
        }
        assert_eq!(evicted, 10, "the oldest traces are shown early, not lost");
        assert!(store.held <= MAX_SPANS && store.pending.len() <= MAX_TRACES);
        store.drain();
        assert_eq!(store.shown.len(), MAX_REMEMBERED);
        assert_eq!(store.held, 0);
    }
}
