//! The hard limit on distinct routes.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// How many distinct clustered routes one process makes (the limit SDKs have for metric streams). Configured
/// templates are not counted: the user has limited them already.
pub const MAX_ROUTES: usize = 2000;

/// Requests that were answered with 404 make a new route only while fewer than this are taken, so that a scanner
/// that tries thousands of paths does not use up the routes of the real requests.
pub const MAX_DOUBTFUL_ROUTES: usize = MAX_ROUTES / 4;

/// Remembers the routes made so far. Keep one per process; a forked child starts afresh.
#[derive(Clone, Debug, Default)]
pub struct RouteLimiter {
    // The default hasher with its default keys: no call for random bytes, and no practical flood of collisions.
    seen: HashSet<Box<str>, BuildHasherDefault<DefaultHasher>>,
}

impl RouteLimiter {
    /// Whether `route` may be used: it was admitted before, or there is room for one more.
    pub fn admit(&mut self, route: &str, doubtful: bool) -> bool {
        if self.seen.contains(route) {
            return true;
        }
        let limit = if doubtful {
            MAX_DOUBTFUL_ROUTES
        } else {
            MAX_ROUTES
        };
        let room = self.seen.len() < limit;
        if room {
            self.seen.insert(route.into());
        }
        room
    }

    /// Number of distinct routes admitted.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether no route was admitted yet.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}
