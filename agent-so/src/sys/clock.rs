//! Time. Hooks take monotonic nanoseconds; the exporter turns them into wall-clock time.

/// Monotonic nanoseconds (`CLOCK_MONOTONIC`, vDSO: no system call). 0 if the clock cannot be read.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn wall_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` outlives the call.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Maps monotonic times to wall-clock times. Both clocks are slewed alike, so the offset changes only when somebody
/// sets the clock; jitter of the measurement itself must not show in spans.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    offset_ns: u64,
}

/// Differences below this are measurement jitter, not a clock that was set.
const STEP_NS: u64 = 1_000_000;

impl WallClock {
    /// Looks at both clocks again.
    pub(crate) fn refresh(&mut self) {
        let before = monotonic_ns();
        let wall = wall_ns();
        let after = monotonic_ns();
        let offset = wall.wrapping_sub(before + (after - before) / 2);
        if self.offset_ns == 0 || offset.abs_diff(self.offset_ns) > STEP_NS {
            self.offset_ns = offset;
        }
    }

    /// Nanoseconds since the epoch for a monotonic time.
    pub(crate) fn wall(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.wrapping_add(self.offset_ns)
    }
}
