//! `--console`: stays as the parent of the command, receives its spans and prints them as trees.
//!
//! One event loop on one thread: spans, timers and signals. Standard output and input, and the
//! terminal, are the command's; the trees go to standard error.

mod child;
mod duration;
mod receiver;
mod span;
mod store;
mod tree;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::environment::Environment;
use crate::launch::{Failure, Prepared};
use crate::output::{self, Appearance};
use crate::target::refusal::Message;
use child::{Ended, Received, Running};
use receiver::{Batch, Sink};
use store::{Counts, Store};
use tree::Tree;

/// After the command's end: how long nothing must arrive before the console ends too.
const LAST_QUIET: Duration = Duration::from_millis(200);
/// After the command's end: the longest time that is listened on. Children that live on are not waited for.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// Runs the command and prints its traces.
pub(crate) fn run(prepared: Prepared) -> ExitCode {
    match start(prepared) {
        Ok(ended) => ended.repeat(),
        Err(failure) => failure.report(),
    }
}

fn own_failure(what: &str, error: &std::io::Error) -> Failure {
    Failure::own(Message {
        what: format!("--console: {what}: {error}"),
        why: None,
        hint: "run without --console and send the traces to a collector (--endpoint)".to_owned(),
    })
}

fn start(mut prepared: Prepared) -> Result<Ended, Failure> {
    let no_port = |error| own_failure("cannot listen on the loopback interface", &error);
    let (listener, port) = receiver::listen().map_err(no_port)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| own_failure("cannot start the receiver", &error))?;
    let signals =
        child::catch_signals().map_err(|error| own_failure("cannot catch signals", &error))?;
    prepared.environment.send_traces_to(port);
    let silent_because = why_silent(&prepared.environment);
    let child = prepared
        .command()
        .and_then(|mut command| command.spawn())
        .map_err(|error| prepared.failed(&error))?;
    let running = Running::new(&child);
    // From here on the command runs: what fails now must not leave it without its parent.
    let (batches, received) = mpsc::channel(64);
    let open = Arc::new(AtomicUsize::new(0));
    let mut console = Console {
        received,
        open: open.clone(),
        store: Store::default(),
        rejected: 0,
    };
    let ended = runtime.block_on(async {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::spawn(receiver::serve(listener, Sink { batches, open }));
            }
            Err(error) => output::say(&format!("no traces can be received: {error}")),
        }
        match child::read_signals(signals) {
            Ok(signals) => console.until_end(running, signals).await,
            Err(error) => {
                output::say(&format!("signals are not handed on: {error}"));
                running.wait()
            }
        }
    });
    console.summary(silent_because);
    Ok(ended)
}

/// A setting that keeps the agent silent whatever the program does.
fn why_silent(environment: &Environment) -> Option<&'static str> {
    let (config, _) = environment.config();
    if config.disabled {
        Some("OTEL_SDK_DISABLED is true")
    } else if config.instrumentations.none_enabled() {
        Some("every instrumentation is off")
    } else {
        None
    }
}

struct Console {
    received: mpsc::Receiver<Batch>,
    open: Arc<AtomicUsize>,
    store: Store,
    rejected: u64,
}

impl Console {
    /// Prints traces until the command has ended and what it left behind has arrived.
    async fn until_end(
        &mut self,
        mut running: Running,
        mut signals: mpsc::Receiver<Received>,
    ) -> Ended {
        let ended = loop {
            let due = self.store.next_due();
            tokio::select! {
                Some(signal) = signals.recv() => match running.handle(signal) {
                    Some(ended) => break ended,
                    None => continue,
                },
                Some(batch) = self.received.recv() => self.take(batch),
                () = sleep_until(due) => {}
            }
            show(self.store.due(Instant::now()));
        };
        self.last_spans(signals).await;
        show(self.store.drain());
        ended
    }

    async fn last_spans(&mut self, mut signals: mpsc::Receiver<Received>) {
        let limit = Instant::now() + LAST_LIMIT;
        let mut quiet = Instant::now() + LAST_QUIET;
        loop {
            tokio::select! {
                Some(signal) = signals.recv() => {
                    // The user is in a hurry. Late news of children and windows are no such sign.
                    use signal_hook::consts::TERM_SIGNALS;
                    if TERM_SIGNALS.contains(&signal.signal) {
                        return;
                    }
                }
                Some(batch) = self.received.recv() => {
                    self.take(batch);
                    quiet = Instant::now() + LAST_QUIET;
                }
                () = sleep_until(Some(quiet.min(limit))) => {
                    if Instant::now() >= limit || self.open.load(Ordering::Relaxed) == 0 {
                        return;
                    }
                    quiet = Instant::now() + LAST_QUIET;
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        self.rejected += batch.rejected as u64;
        show(self.store.add(batch.spans, Instant::now()));
    }

    fn summary(&self, silent_because: Option<&str>) {
        output::say(&summary(self.store.counts(), self.rejected, silent_because));
    }
}

/// Sleeps for ever when there is nothing to wait for.
async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn show(trees: Vec<Tree>) {
    for tree in trees {
        output::stderr(&tree.render(Appearance::of_stderr()));
    }
}

fn summary(counts: Counts, rejected: u64, silent_because: Option<&str>) -> String {
    let number = |count: u64, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let mut text = format!(
        "{}, {}",
        number(counts.traces, "trace"),
        number(counts.spans, "span")
    );
    if counts.dropped > 0 {
        text.push_str(&format!(
            ", {} dropped (too many in one trace)",
            counts.dropped
        ));
    }
    if rejected > 0 {
        text.push_str(&format!(", {rejected} rejected (invalid)"));
    }
    if counts == Counts::default() && rejected == 0 {
        match silent_because {
            Some(reason) => text.push_str(&format!(": {reason}")),
            None => text.push_str(
                "\n  Nothing was seen. Did the command serve or send requests in plain HTTP? Is it, or what \
                 it starts,\n  static or left out (OTEL_RUN_EXCLUDE)? `otel-run doctor COMMAND` tells.",
            ),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let counts = |traces, spans, dropped| Counts {
            traces,
            spans,
            dropped,
        };
        assert_eq!(summary(counts(1, 1, 0), 0, None), "1 trace, 1 span");
        assert_eq!(
            summary(counts(2, 7, 3), 4, None),
            "2 traces, 7 spans, 3 dropped (too many in one trace), 4 rejected (invalid)"
        );
        let nothing = summary(counts(0, 0, 0), 0, None);
        assert!(nothing.starts_with("0 traces, 0 spans\n") && nothing.contains("otel-run doctor"));
        let disabled = summary(counts(0, 0, 0), 0, Some("OTEL_SDK_DISABLED is true"));
        assert_eq!(disabled, "0 traces, 0 spans: OTEL_SDK_DISABLED is true");
    }
}
