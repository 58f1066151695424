//! The agent's thread: records to spans, spans to batches, batches to the collector.

use super::encode::Encoder;
use super::otlp::{self, Addresses, Exporter, Outcome, Surroundings};
use super::{ASLEEP, NAPPING, WAITING, console, existing, release};
use crate::settings;
use crate::sys::clock::WallClock;
use crate::sys::process::{self, State};
use crate::sys::{clock, log, raw};
use agent_engine::config::LogLevel;
use agent_engine::config::exporter::Exporter as Kind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Longest nap with a batch at hand: bounds how many records wait unencoded.
const NAP_NS: u64 = 50_000_000;

/// Resolved addresses survive forks: they are in ordinary memory.
static ADDRESSES: Addresses = Addresses::new();

enum Destination {
    Otlp(Option<Box<Exporter>>),
    /// Standard error. (Without an exporter nothing is handed over, and this thread never starts.)
    Console,
}

struct Worker {
    state: &'static State,
    encoder: Encoder,
    destination: Destination,
    /// Spans of the batch at hand, encoded.
    spans: Vec<u8>,
    count: u64,
    /// When the first of them came.
    since_ns: u64,
    wall: WallClock,
    said: Said,
}

/// What was logged already: each kind of loss is worth one line.
#[derive(Default)]
struct Said {
    failed: bool,
    rejected: bool,
    dropped: bool,
}

/// Waits between two attempts at an export; a flush ends it, finished spans do not.
fn pause(limit: Duration) {
    let Some(state) = process::peek() else { return };
    let queue = &state.queue;
    queue.sleeping.store(WAITING, Ordering::SeqCst);
    if queue.flush_wanted.load(Ordering::SeqCst) == queue.flush_done.load(Ordering::SeqCst) {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        raw::futex_wait(&queue.sleeping, WAITING, Some(limit));
    }
    queue.sleeping.store(0, Ordering::SeqCst);
}

/// Runs until the process ends. Not inlined into `contain`, which hooks call too: what they take of a stack is looked at by name.
#[inline(never)]
pub(super) fn run(state: &'static State) {
    let settings = settings::get();
    let destination = match settings.config.exporter {
        Kind::Otlp => Destination::Otlp(None),
        Kind::Console | Kind::None => Destination::Console,
    };
    let mut worker = Worker {
        state,
        encoder: Encoder::new(state),
        destination,
        spans: Vec::new(),
        count: 0,
        since_ns: 0,
        wall: WallClock::default(),
        said: Said::default(),
    };
    while process::peek().is_some() {
        worker.turn();
    }
}

impl Worker {
    fn turn(&mut self) {
        let flush = self.state.queue.flush_wanted.load(Ordering::SeqCst);
        self.drain();
        let batch = &settings::get().config.batch;
        let delay = batch.schedule_delay.as_nanos() as u64;
        let due = self.since_ns.saturating_add(delay);
        let flushing = flush != self.state.queue.flush_done.load(Ordering::SeqCst);
        if self.count > 0 && (flushing || clock::monotonic_ns() >= due) {
            self.send();
        }
        if flushing {
            self.state.queue.flush_done.store(flush, Ordering::SeqCst);
            raw::futex_wake(&self.state.queue.flush_done);
            return;
        }
        self.rest(due);
    }

    /// Sleeps until there is something to do.
    fn rest(&mut self, due: u64) {
        let queue = &self.state.queue;
        let (mode, limit) = if self.count == 0 {
            (ASLEEP, None)
        } else {
            let left = due.saturating_sub(clock::monotonic_ns());
            (NAPPING, Some(left.min(NAP_NS)))
        };
        queue.sleeping.store(mode, Ordering::SeqCst);
        let idle = existing(self.state).is_none_or(|c| c.receiver.is_empty());
        let flush =
            queue.flush_wanted.load(Ordering::SeqCst) != queue.flush_done.load(Ordering::SeqCst);
        if !flush && (idle || mode == NAPPING) && limit != Some(0) {
            raw::futex_wait(&queue.sleeping, mode, limit);
        }
        queue.sleeping.store(0, Ordering::SeqCst);
    }

    /// Encodes what waits; sends each batch that is full.
    fn drain(&mut self) {
        let Some(channel) = existing(self.state) else {
            return;
        };
        self.wall.refresh();
        let most = settings::get().config.batch.max_export_batch_size as u64;
        while let Ok(index) = channel.receiver.try_recv() {
            let Some(record) = self.state.records.get(index) else {
                continue;
            };
            if self.count == 0 {
                self.since_ns = clock::monotonic_ns();
            }
            // SAFETY: the record was handed over: this thread owns it until it is released.
            unsafe { self.encoder.span(record, &self.wall, &mut self.spans) };
            release(self.state, index, record);
            self.count += 1;
            if self.count >= most || !self.encoder.has_room(self.spans.len()) {
                self.send();
            }
        }
        self.report_drops();
    }

    fn send(&mut self) {
        let (spans, count) = (
            std::mem::take(&mut self.spans),
            std::mem::take(&mut self.count),
        );
        match &mut self.destination {
            Destination::Console => {
                console::print(&self.encoder.request(&spans));
                self.exported(count);
            }
            Destination::Otlp(_) => self.send_otlp(&spans, count),
        }
        self.spans = spans;
        self.spans.clear();
    }

    fn exported(&self, count: u64) {
        self.state
            .counters
            .exported
            .fetch_add(count, Ordering::Relaxed);
    }

    fn send_otlp(&mut self, spans: &[u8], count: u64) {
        let config = &settings::get().config;
        let request = self.encoder.request(spans);
        let limit = otlp::time_limit(&config.otlp, &config.batch);
        let deadline = limit.map(|limit| Instant::now() + limit);
        // Twice: the program may have closed our descriptors (daemons do), and a new exporter may then do.
        for _ in 0..2 {
            let Some(mut exporter) = self.take_exporter() else {
                break;
            };
            let state = self.state;
            let flushing = move || {
                let queue = &state.queue;
                queue.flush_wanted.load(Ordering::SeqCst) != queue.flush_done.load(Ordering::SeqCst)
            };
            let outcome = exporter.export(request.clone(), count, deadline, &flushing);
            match outcome {
                Outcome::Broken { detail, .. } => {
                    log::line(
                        LogLevel::Debug,
                        format_args!("exporter lost its descriptors: {detail}"),
                    );
                    std::mem::forget(exporter);
                    continue;
                }
                Outcome::Sent(sent) => {
                    self.exported(count - sent.rejected);
                    self.lost(sent.rejected);
                    if (sent.rejected > 0 || !sent.message.is_empty())
                        && !std::mem::replace(&mut self.said.rejected, true)
                    {
                        log::line(
                            LogLevel::Warn,
                            format_args!(
                                "the collector rejected {} of {count} spans: {}",
                                sent.rejected, sent.message
                            ),
                        );
                    }
                }
                Outcome::Failed { detail, .. } => {
                    self.lost(count);
                    if !std::mem::replace(&mut self.said.failed, true) {
                        log::line(
                            LogLevel::Warn,
                            format_args!(
                                "{count} spans were lost: {}: {detail}",
                                config.otlp.endpoint
                            ),
                        );
                    }
                }
            }
            self.destination = Destination::Otlp(Some(exporter));
            return;
        }
        self.lost(count);
    }

    fn take_exporter(&mut self) -> Option<Box<Exporter>> {
        if let Destination::Otlp(known) = &mut self.destination
            && let Some(exporter) = known.take()
        {
            return Some(exporter);
        }
        let surroundings = Surroundings {
            user_agent: otlp::USER_AGENT,
            addresses: &ADDRESSES,
            // The socket hook has lifted and marked it already: see sys::own_fd.
            adopt: Ok,
            pause,
        };
        match Exporter::new(&settings::get().config.otlp, &surroundings) {
            Ok(exporter) => Some(Box::new(exporter)),
            Err(error) => {
                if !std::mem::replace(&mut self.said.failed, true) {
                    log::emit(format_args!("spans cannot be exported: {error}"));
                }
                None
            }
        }
    }

    fn lost(&self, count: u64) {
        self.state
            .counters
            .export_failed
            .fetch_add(count, Ordering::Relaxed);
    }

    fn report_drops(&mut self) {
        let counters = &self.state.counters;
        let dropped = counters.queue_full.load(Ordering::Relaxed)
            + counters.no_record.load(Ordering::Relaxed);
        if dropped > 0 && !std::mem::replace(&mut self.said.dropped, true) {
            log::line(
                LogLevel::Warn,
                format_args!("spans are dropped: the exporter does not keep up ({dropped} so far)"),
            );
        }
    }
}
