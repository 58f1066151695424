//! The header lines that an outgoing HTTP/1 request gets.

use super::{SpanContext, TRACEPARENT_LEN, baggage, format_traceparent, tracestate};
use crate::config::traces::Propagators;

/// Room for the lines in every case: less loses `baggage` and `tracestate` members, never correctness.
pub const CONTEXT_HEADERS_MAX: usize = 10 * 1024;

/// What is to be sent, and what the request has already. A request that has a `traceparent` is not to be touched at
/// all: that is for the caller to see to.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Which headers are wanted at all.
    pub propagators: Propagators,
    /// The span that the request belongs to, or `None` to send no `traceparent` (and no `tracestate`).
    pub context: Option<&'a SpanContext>,
    /// A list that [`tracestate::valid`] gave for the incoming request; empty for none.
    pub tracestate: &'a [u8],
    /// The incoming request's baggage as received; empty for none.
    pub baggage: &'a [u8],
    /// The outgoing request has a `tracestate` of its own: it gets no second one.
    pub has_tracestate: bool,
    /// The outgoing request has a `baggage` of its own: it gets no second one.
    pub has_baggage: bool,
}

/// Writes `traceparent: ...\r\n`, and `tracestate` and `baggage` lines likewise, and returns how many bytes that took. Lines
/// are whole or not there; zero means that nothing is to be added.
pub fn write_context_headers(outgoing: &Outgoing<'_>, out: &mut [u8]) -> usize {
    let mut lines = Lines { out, used: 0 };
    let context = outgoing
        .context
        .filter(|c| outgoing.propagators.trace_context && c.is_valid());
    if let Some(context) = context {
        let mut value = [0; TRACEPARENT_LEN];
        format_traceparent(&mut value, context);
        let written = lines.add(b"traceparent: ", |room| {
            match room.get_mut(..TRACEPARENT_LEN) {
                Some(room) => {
                    room.copy_from_slice(&value);
                    TRACEPARENT_LEN
                }
                None => 0,
            }
        });
        // Without its traceparent a tracestate means nothing.
        if written && !outgoing.has_tracestate {
            lines.add(b"tracestate: ", |room| {
                tracestate::write(outgoing.tracestate, room)
            });
        }
    }
    if outgoing.propagators.baggage && !outgoing.has_baggage {
        lines.add(b"baggage: ", |room| {
            let value = baggage::limited(outgoing.baggage, room.len());
            room[..value.len()].copy_from_slice(value);
            value.len()
        });
    }
    lines.used
}

struct Lines<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl Lines<'_> {
    /// Adds a line whose value `write` puts into the room it is given; no line for an empty value.
    fn add(&mut self, name: &[u8], write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        const END: &[u8] = b"\r\n";
        let value_at = self.used + name.len();
        let Some(value_max) = self.out.len().checked_sub(value_at + END.len()) else {
            return false;
        };
        let len = write(&mut self.out[value_at..value_at + value_max]);
        if len == 0 {
            return false;
        }
        self.out[self.used..value_at].copy_from_slice(name);
        let end = value_at + len;
        self.out[end..end + END.len()].copy_from_slice(END);
        self.used = end + END.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SpanId, TraceFlags, TraceId};
    use super::*;
    use proptest::prelude::*;

    const CONTEXT: SpanContext = SpanContext {
        trace_id: TraceId([0xab; 16]),
        span_id: SpanId([0xcd; 8]),
        flags: TraceFlags::SAMPLED,
        remote: false,
    };
    const PARENT: &str = "traceparent: 00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01\r\n";

    fn outgoing() -> Outgoing<'static> {
        Outgoing {
            propagators: Propagators::default(),
            context: Some(&CONTEXT),
            tracestate: b"a=1",
            baggage: b"b=2,c=3",
            has_tracestate: false,
            has_baggage: false,
        }
    }

    fn text(outgoing: &Outgoing<'_>, room: usize) -> String {
        let mut out = vec![0; room];
        let len = write_context_headers(outgoing, &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn lines() {
        let all = outgoing();
        let (state, bag) = ("tracestate: a=1\r\n", "baggage: b=2,c=3\r\n");
        assert_eq!(text(&all, 1000), format!("{PARENT}{state}{bag}"));
        let own = Outgoing {
            has_tracestate: true,
            has_baggage: true,
            ..all
        };
        assert_eq!(text(&own, 1000), PARENT);
        let none = Propagators {
            trace_context: false,
            baggage: false,
        };
        assert_eq!(
            text(
                &Outgoing {
                    propagators: none,
                    ..all
                },
                1000
            ),
            ""
        );
        let only_baggage = Propagators {
            trace_context: false,
            baggage: true,
        };
        assert_eq!(
            text(
                &Outgoing {
                    propagators: only_baggage,
                    ..all
                },
                1000
            ),
            bag
        );
        let only_trace = Propagators {
            trace_context: true,
            baggage: false,
        };
        assert_eq!(
            text(
                &Outgoing {
                    propagators: only_trace,
                    ..all
                },
                1000
            ),
            format!("{PARENT}{state}")
        );
        assert_eq!(
            text(
                &Outgoing {
                    context: None,
                    ..all
                },
                1000
            ),
            bag
        );
        assert_eq!(
            text(
                &Outgoing {
                    context: Some(&SpanContext::default()),
                    ..all
                },
                1000
            ),
            bag
        );
        assert_eq!(
            text(
                &Outgoing {
                    tracestate: b"",
                    baggage: b"",
                    ..all
                },
                1000
            ),
            PARENT
        );
    }

    #[test]
    fn short_room_gives_whole_lines_only() {
        let all = outgoing();
        assert_eq!(text(&all, PARENT.len()), PARENT);
        assert_eq!(text(&all, PARENT.len() - 1), "baggage: b=2,c=3\r\n");
        assert_eq!(
            text(&all, PARENT.len() + 14),
            format!("{PARENT}baggage: b=2\r\n")
        );
        assert_eq!(text(&all, 5), "");
    }

    proptest! {
        #[test]
        fn every_line_is_complete_and_none_is_smuggled(
            bag in prop::collection::vec(any::<u8>(), 0..40),
            state in prop::collection::vec(any::<u8>(), 0..40),
            room in 0usize..200,
        ) {
            let tracestate = tracestate::valid(&state, false).unwrap_or_default();
            let mut out = vec![0; room];
            let len = write_context_headers(&Outgoing { baggage: &bag, tracestate, ..outgoing() }, &mut out);
            let written = &out[..len];
            prop_assert!(written.is_empty() || written.ends_with(b"\r\n"));
            let lines = written.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
            prop_assert!(lines <= 3);
            prop_assert_eq!(written.iter().filter(|b| **b == b'\r').count(), lines);
        }
    }
}
