//! When to try again: exponential backoff with jitter, inside one deadline.

use super::outcome::{Cause, Outcome, Sent};
use std::time::{Duration, Instant};

/// Longest sleep between two looks at the abort signal.
const SLICE: Duration = Duration::from_secs(1);

/// Time and chance, so that tests need neither.
pub(super) trait Clock {
    /// The current moment.
    fn now(&self) -> Instant;
    /// Sleeps on the exporter thread's runtime.
    async fn sleep(&mut self, duration: Duration);
    /// A number in `0.0..1.0`.
    fn random(&mut self) -> f64;
}

/// What one attempt came to.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The receiver took the request, perhaps not every span.
    Sent(Sent),
    /// Worth another attempt, not before `after` when the receiver said so.
    Retry {
        after: Option<Duration>,
        detail: String,
    },
    /// Another attempt would fail the same way.
    Fatal { cause: Cause, detail: String },
    /// The runtime or the socket is not ours any more.
    Broken { detail: String },
}

/// The waits between attempts (otlp.md section 6; the figures are those of the Java SDK).
#[derive(Debug)]
pub(super) struct Backoff {
    interval: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(5);
    const FACTOR: f64 = 1.5;
    const JITTER: f64 = 0.2;

    pub(super) fn new() -> Self {
        Self {
            interval: Self::FIRST,
        }
    }

    /// The next wait. `at_least` is the receiver's wish: jitter only lengthens it, and later waits grow
    /// from it. `random` is in `0.0..1.0`.
    pub(super) fn next(&mut self, at_least: Option<Duration>, random: f64) -> Duration {
        let floor = at_least.unwrap_or(Duration::ZERO);
        self.interval = self.interval.max(floor);
        let jittered = scale(
            self.interval,
            1.0 - Self::JITTER + 2.0 * Self::JITTER * random,
        );
        let wished = scale(floor, 1.0 + Self::JITTER * random);
        let wait = if floor.is_zero() {
            jittered
        } else {
            jittered.max(wished)
        };
        self.interval = scale(self.interval, Self::FACTOR).min(Self::MAX.max(floor));
        wait
    }
}

/// `duration * factor`, saturating: receivers may ask for any delay.
fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Runs `attempt` until it settles or the next wait would pass `deadline`. Once `aborted` says to stop waiting, there is
/// one more attempt.
pub(super) async fn run<C: Clock>(
    clock: &mut C,
    spans: u64,
    deadline: Option<Instant>,
    aborted: &dyn Fn() -> bool,
    mut attempt: impl AsyncFnMut() -> Verdict,
) -> Outcome {
    let mut backoff = Backoff::new();
    let mut last = false;
    loop {
        let (after, detail) = match attempt().await {
            Verdict::Sent(sent) => return Outcome::Sent(sent),
            Verdict::Fatal { cause, detail } => {
                return Outcome::Failed {
                    cause,
                    spans,
                    detail,
                };
            }
            Verdict::Broken { detail } => return Outcome::Broken { spans, detail },
            Verdict::Retry { detail, .. } if last => {
                return Outcome::Failed {
                    cause: Cause::Aborted,
                    spans,
                    detail,
                };
            }
            Verdict::Retry { after, detail } => (after, detail),
        };
        let wait = backoff.next(after, clock.random());
        let end = clock.now().checked_add(wait);
        let in_time = match (end, deadline) {
            (Some(end), Some(deadline)) => end < deadline,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !in_time {
            return Outcome::Failed {
                cause: Cause::Exhausted,
                spans,
                detail,
            };
        }
        let mut rest = wait;
        while !rest.is_zero() {
            if aborted() {
                // The process ends: no more waiting, but the receiver may be back by now.
                last = true;
                break;
            }
            let step = rest.min(SLICE);
            clock.sleep(step).await;
            rest -= step;
        }
    }
}

/// The real thing: the agent's own wait and the standard library's per-process random keys.
#[derive(Debug)]
pub(super) struct SystemClock {
    /// Blocks the thread; may return early.
    pub(super) pause: fn(Duration),
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&mut self, duration: Duration) {
        // Not the runtime's timer: nothing else runs on it, and this wait can be cut short from outside.
        (self.pause)(duration);
    }

    fn random(&mut self) -> f64 {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let mut hasher = RandomState::new().build_hasher();
        // A forked child has its parent's keys, and jitter is there to keep the two apart.
        hasher.write_u32(std::process::id());
        (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
    }
}
