//! The route of a request: a name of low cardinality for its path.
//!
//! The user's templates come first ([`Templates`]), then the route that the framework's own router matched, where a
//! bridge could read it. A socket does not show the framework's route table: for other paths a fixed set of rules replaces what looks variable ([`cluster`]), unless switched off. Whatever the
//! rules let through, a process never makes more than [`MAX_ROUTES`] distinct routes of its own
//! ([`RouteLimiter`]); beyond that a request has no route and its span is named after the method alone.

mod heuristic;
mod limiter;
mod template;
#[cfg(test)]
mod tests;
mod words;

pub use heuristic::cluster;
pub use limiter::{MAX_DOUBTFUL_ROUTES, MAX_ROUTES, RouteLimiter};
pub use template::Templates;

/// Finds routes: configured templates first, then the heuristic.
#[derive(Clone, Debug, Default)]
pub struct Router {
    templates: Templates,
    heuristic: bool,
}

impl Router {
    /// Compiles `templates`; `heuristic` says whether paths that match none of them are clustered.
    pub fn new<S: AsRef<str>>(templates: &[S], heuristic: bool) -> Self {
        Self {
            templates: Templates::new(templates),
            heuristic,
        }
    }

    /// The route of `path`, or `None` when none of low cardinality is known. `matched` is what the framework says,
    /// whose routes are limited by its table. `doubtful` says that the request
    /// probably met no route at all (it was answered with 404). `buffer` is scratch space.
    pub fn route<'a>(
        &'a self,
        path: &str,
        matched: Option<&'a str>,
        doubtful: bool,
        limiter: &mut RouteLimiter,
        buffer: &'a mut String,
    ) -> Option<&'a str> {
        if has_dot_segment(path) {
            return matched;
        }
        if let Some(route) = self.templates.find(path).or(matched) {
            return Some(route);
        }
        if !self.heuristic {
            return None;
        }
        buffer.clear();
        cluster(path, buffer);
        limiter.admit(buffer, doubtful).then_some(buffer.as_str())
    }
}

/// Whether a segment is `.` or `..`. Servers resolve or refuse such paths, so their text says nothing about the
/// route; most are attacks.
fn has_dot_segment(path: &str) -> bool {
    // Nearly no path has a segment that starts with a dot: one fast scan, then the exact answer.
    (path.starts_with('.') || path.contains("/."))
        && path
            .split('/')
            .map(without_parameters)
            .any(|s| matches!(s, "." | ".."))
}

/// A segment without its `;name=value` parameters (RFC 3986, section 3.3), which are never part of a route.
fn without_parameters(segment: &str) -> &str {
    match memchr::memchr(b';', segment.as_bytes()) {
        Some(at) => &segment[..at],
        None => segment,
    }
}
