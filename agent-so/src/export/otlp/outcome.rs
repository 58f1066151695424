//! What became of an export, for the caller to count and log once.

/// The end of one export, retries included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver took the request. Not to be resent, even when spans were rejected.
    Sent(Sent),
    /// The request was given up; all its spans are lost.
    Failed {
        /// Why, for counters.
        cause: Cause,
        /// Spans in the request.
        spans: u64,
        /// Why, in words fit for one log line: no control characters, bounded, no header values.
        detail: String,
    },
    /// The runtime's or the connection's descriptors are not ours any more, most likely because the program
    /// closed them all. Whether the request arrived is unknown. The exporter must be forgotten
    /// (`std::mem::forget`), not dropped: dropping would close descriptors that may now be the program's.
    Broken {
        /// Spans in the request; it may be sent again by a new exporter.
        spans: u64,
        /// What was noticed.
        detail: String,
    },
}

/// A request that the receiver took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Spans that the receiver rejected (partial success); never more than were sent.
    pub(crate) rejected: u64,
    /// What the receiver had to say about it, bounded; empty when all is well.
    pub(crate) message: String,
}

/// Why a request was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Above the request limit, or its response above the response limit (otlp.md section 2).
    TooLarge,
    /// The receiver answered that it will not take it: authentication, a wrong path, bad data.
    Refused,
    /// No receiver that can be trusted or spoken to: certificates, no HTTP/2.
    Untrusted,
    /// Transient failures until the deadline.
    Exhausted,
    /// Given up while waiting to retry, because the process ends.
    Aborted,
}

/// Characters of a foreign message that are kept.
const MESSAGE_CHARS: usize = 256;

/// A text of unknown origin made fit for one log line.
pub(super) fn tidy(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MESSAGE_CHARS).map(clean).collect()
}
