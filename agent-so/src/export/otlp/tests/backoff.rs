//! Waits, deadlines and aborts, in virtual time.

use crate::export::otlp::outcome::{Cause, Outcome, Sent};
use crate::export::otlp::retry::{Backoff, Clock, SystemClock, Verdict, run};
use std::time::{Duration, Instant};

/// A clock that jumps and a coin that always falls the same way.
struct Virtual {
    start: Instant,
    slept: Duration,
    random: f64,
}

impl Clock for Virtual {
    fn now(&self) -> Instant {
        self.start + self.slept
    }

    async fn sleep(&mut self, duration: Duration) {
        self.slept += duration;
    }

    fn random(&mut self) -> f64 {
        self.random
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn retry(after: Option<u64>) -> Verdict {
    Verdict::Retry {
        after: after.map(Duration::from_secs),
        detail: "busy".into(),
    }
}

/// Runs until the verdicts are used up (then: sent). Returns the outcome, attempts and time slept.
fn play(
    verdicts: Vec<Verdict>,
    deadline: Option<u64>,
    aborted: &dyn Fn() -> bool,
) -> (Outcome, usize, Duration) {
    let start = Instant::now();
    let mut clock = Virtual {
        start,
        slept: Duration::ZERO,
        random: 0.5,
    };
    let deadline = deadline.map(|seconds| start + Duration::from_secs(seconds));
    let mut attempts = 0;
    let mut verdicts = verdicts.into_iter();
    let outcome = block_on(run(&mut clock, 7, deadline, aborted, async || {
        attempts += 1;
        verdicts.next().unwrap_or(Verdict::Sent(Sent::default()))
    }));
    (outcome, attempts, clock.slept)
}

fn failed(cause: Cause) -> Outcome {
    Outcome::Failed {
        cause,
        spans: 7,
        detail: "busy".into(),
    }
}

#[test]
fn waits_grow_by_half_up_to_five_seconds() {
    let mut backoff = Backoff::new();
    let waits: Vec<u128> = (0..6)
        .map(|_| backoff.next(None, 0.5).as_millis())
        .collect();
    assert_eq!(waits, [1000, 1500, 2250, 3375, 5000, 5000]);
}

#[test]
fn jitter_is_a_fifth_either_way() {
    assert_eq!(Backoff::new().next(None, 0.0), Duration::from_millis(800));
    let longest = Backoff::new().next(None, 0.999_999);
    assert!(longest > Duration::from_millis(1199) && longest <= Duration::from_millis(1200));
}

#[test]
fn a_wish_of_the_receiver_is_never_undercut_and_grows() {
    let mut backoff = Backoff::new();
    assert_eq!(
        backoff.next(Some(Duration::from_secs(8)), 0.0),
        Duration::from_secs(8)
    );
    assert_eq!(
        backoff.next(None, 0.5),
        Duration::from_secs(8),
        "not above the wish by itself"
    );
    let mut backoff = Backoff::new();
    assert_eq!(
        backoff.next(Some(Duration::from_secs(2)), 0.0),
        Duration::from_secs(2)
    );
    assert_eq!(backoff.next(None, 0.5), Duration::from_secs(3));
    let mut backoff = Backoff::new();
    assert_eq!(backoff.next(Some(Duration::MAX), 0.9), Duration::MAX);
    assert!(backoff.next(Some(Duration::ZERO), 0.5) >= Duration::from_secs(1));
}

#[test]
fn transient_failures_are_retried_until_they_pass() {
    let (outcome, attempts, slept) = play(vec![retry(None), retry(Some(3))], Some(10), &|| false);
    assert_eq!((outcome, attempts), (Outcome::Sent(Sent::default()), 3));
    assert_eq!(
        slept,
        Duration::from_millis(1000 + 3300),
        "1 s, then 3 s and a tenth of jitter"
    );
}

#[test]
fn no_wait_passes_the_deadline() {
    let endless = || (0..100).map(|_| retry(None)).collect::<Vec<_>>();
    let (outcome, attempts, slept) = play(endless(), Some(10), &|| false);
    assert_eq!(outcome, failed(Cause::Exhausted));
    assert_eq!(attempts, 5);
    assert!(slept <= Duration::from_secs(10));
    let (outcome, attempts, slept) = play(vec![retry(Some(60))], Some(10), &|| false);
    assert_eq!((outcome, attempts), (failed(Cause::Exhausted), 1));
    assert_eq!(slept, Duration::ZERO, "a hopeless wait is not begun");
    let (outcome, attempts, _) = play(endless(), None, &|| false);
    assert_eq!((outcome, attempts), (Outcome::Sent(Sent::default()), 101));
}

#[test]
fn a_final_answer_is_final() {
    let fatal = Verdict::Fatal {
        cause: Cause::Refused,
        detail: "busy".into(),
    };
    let (outcome, attempts, _) = play(vec![fatal], Some(10), &|| false);
    assert_eq!((outcome, attempts), (failed(Cause::Refused), 1));
    let broken = Verdict::Broken {
        detail: "gone".into(),
    };
    let (outcome, attempts, _) = play(vec![broken], None, &|| false);
    assert_eq!(
        (outcome, attempts),
        (
            Outcome::Broken {
                spans: 7,
                detail: "gone".into()
            },
            1
        )
    );
}

#[test]
fn a_wait_ends_with_one_more_attempt_when_the_process_does() {
    let (outcome, attempts, slept) = play(vec![retry(None), retry(None)], Some(10), &|| true);
    assert_eq!((outcome, attempts), (failed(Cause::Aborted), 2));
    assert_eq!(slept, Duration::ZERO);
}

#[test]
fn the_real_coin_is_fair_enough() {
    let throws: Vec<f64> = (0..1000)
        .map(|_| {
            SystemClock {
                pause: std::thread::sleep,
            }
            .random()
        })
        .collect();
    assert!(throws.iter().all(|x| (0.0..1.0).contains(x)));
    let mean = throws.iter().sum::<f64>() / 1000.0;
    assert!((0.4..0.6).contains(&mean), "{mean}");
}
