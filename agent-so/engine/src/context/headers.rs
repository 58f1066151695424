//! What an outgoing request gets: header lines in HTTP/1, a record of parameters in FastCGI.

use super::{SpanContext, TRACEPARENT_LEN, baggage, format_traceparent, tracestate};
use crate::config::traces::Propagators;
use crate::protocol::fastcgi::params_header;
use crate::protocol::outgoing::{BlockEdit, Syntax};

/// Room for all of it in every case: less loses `baggage` and `tracestate` members, never correctness.
pub const CONTEXT_HEADERS_MAX: usize = 10 * 1024;

/// What is to be sent, and what the request has already. A request that has a `traceparent` is not to be touched at
/// all: that is for the caller to see to.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// How they are written down.
    pub syntax: Syntax,
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

/// A context header in its spellings.
struct Header {
    name: &'static [u8],
    line: &'static [u8],
    param: &'static [u8],
}

const TRACEPARENT: Header = Header {
    name: b"traceparent",
    line: b"traceparent: ",
    param: b"HTTP_TRACEPARENT",
};
const TRACESTATE: Header = Header {
    name: b"tracestate",
    line: b"tracestate: ",
    param: b"HTTP_TRACESTATE",
};
const BAGGAGE: Header = Header {
    name: b"baggage",
    line: b"baggage: ",
    param: b"HTTP_BAGGAGE",
};

/// Writes `traceparent`, `tracestate` and `baggage`, as lines that end in CR LF, as one whole record, or as the front of a frame
/// (of which `out` has the first [`BlockEdit::keep`] bytes already), and returns how many bytes that took. Headers are whole or not there; zero means that nothing is to be added.
pub fn write_context_headers(outgoing: &Outgoing<'_>, out: &mut [u8]) -> usize {
    match outgoing.syntax {
        Syntax::FieldLines => {
            let mut lines = Lines { out, used: 0 };
            write_headers(outgoing, &mut lines);
            lines.used
        }
        Syntax::Params(id) => {
            let most = out.len().min(PARAMS_HEADER + usize::from(u16::MAX));
            let mut record = Record {
                out: &mut out[..most],
                used: PARAMS_HEADER,
            };
            write_headers(outgoing, &mut record);
            record.finish(id)
        }
        Syntax::HeaderBlock(edit) => {
            // What the peer accepts, or the room for it.
            let gone = edit.skip.saturating_sub(edit.keep);
            let grows = edit.most.saturating_sub(edit.length.saturating_sub(gone));
            let most = out.len().min(edit.keep.saturating_add(grows));
            let mut fields = Fields {
                out: &mut out[..most],
                used: edit.keep,
                unnamed: edit.value_only,
            };
            write_headers(outgoing, &mut fields);
            fields.finish(edit)
        }
    }
}

fn write_headers(outgoing: &Outgoing<'_>, headers: &mut impl Headers) {
    let context = outgoing
        .context
        .filter(|c| outgoing.propagators.trace_context && c.is_valid());
    if let Some(context) = context {
        let mut value = [0; TRACEPARENT_LEN];
        format_traceparent(&mut value, context);
        let written = headers.add(&TRACEPARENT, |room| match room.get_mut(..TRACEPARENT_LEN) {
            Some(room) => {
                room.copy_from_slice(&value);
                TRACEPARENT_LEN
            }
            None => 0,
        });
        // Without its traceparent a tracestate means nothing.
        if written && !outgoing.has_tracestate {
            headers.add(&TRACESTATE, |room| {
                tracestate::write(outgoing.tracestate, room)
            });
        }
    }
    if outgoing.propagators.baggage && !outgoing.has_baggage {
        headers.add(&BAGGAGE, |room| {
            let value = baggage::limited(outgoing.baggage, room.len());
            room[..value.len()].copy_from_slice(value);
            value.len()
        });
    }
}

trait Headers {
    /// Adds a header whose value `write` puts into the room it is given; none for an empty value.
    fn add(&mut self, header: &Header, write: impl FnOnce(&mut [u8]) -> usize) -> bool;
}

struct Lines<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl Headers for Lines<'_> {
    fn add(&mut self, header: &Header, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        const END: &[u8] = b"\r\n";
        let value_at = self.used + header.line.len();
        let Some(value_max) = self.out.len().checked_sub(value_at + END.len()) else {
            return false;
        };
        let len = write(&mut self.out[value_at..value_at + value_max]);
        if len == 0 {
            return false;
        }
        self.out[self.used..value_at].copy_from_slice(header.line);
        let end = value_at + len;
        self.out[end..end + END.len()].copy_from_slice(END);
        self.used = end + END.len();
        true
    }
}

const PARAMS_HEADER: usize = params_header(0, 0).len();

/// A FastCGI record of name-value pairs: lengths up to 127 take one byte, longer ones four.
struct Record<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl Headers for Record<'_> {
    fn add(&mut self, header: &Header, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        /// Bytes by which a four-byte length is longer.
        const LONG: usize = 3;
        let name_at = self.used + 2 + LONG;
        let Some(room) = self.out.get_mut(name_at + header.param.len()..) else {
            return false;
        };
        let len = write(room);
        if len == 0 {
            return false;
        }
        let value_at = name_at + header.param.len();
        let name_at = if len < 0x80 { name_at - LONG } else { name_at };
        let name_end = name_at + header.param.len();
        self.out.copy_within(value_at..value_at + len, name_end);
        self.out[name_at..name_end].copy_from_slice(header.param);
        self.out[self.used] = header.param.len() as u8;
        if len < 0x80 {
            self.out[self.used + 1] = len as u8;
        } else {
            let long = (len as u32 | 1 << 31).to_be_bytes();
            self.out[self.used + 1..name_at].copy_from_slice(&long);
        }
        self.used = name_end + len;
        true
    }
}

impl Record<'_> {
    fn finish(self, id: u16) -> usize {
        let len = self.used - PARAMS_HEADER;
        if len == 0 {
            return 0;
        }
        self.out[..PARAMS_HEADER].copy_from_slice(&params_header(id, len as u16));
        self.used
    }
}

/// Fields of HPACK (RFC 7541 section 6.2.3): literals that are never indexed, with plain names and values. They leave the
/// tables of both sides as they are.
struct Fields<'a> {
    out: &'a mut [u8],
    used: usize,
    /// The name of the `traceparent` is there already.
    unnamed: bool,
}

impl Headers for Fields<'_> {
    fn add(&mut self, header: &Header, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        /// Bytes in front of name and value: the form, two lengths, and what a length above 126 takes more.
        const FRONT: usize = 1 + 1 + 1 + LONG;
        const LONG: usize = 2;
        /// The greatest length with that.
        const MOST: usize = 0x7f + 0x3fff;
        let name = header.name;
        if self.unnamed && name != TRACEPARENT.name {
            return false;
        }
        let room_at = self.used + FRONT + name.len();
        let end = self.out.len().min(room_at.saturating_add(MOST));
        let Some(room) = self.out.get_mut(room_at..end) else {
            return false;
        };
        let len = write(room);
        if len == 0 {
            return false;
        }
        let mut at = self.used;
        if !std::mem::take(&mut self.unnamed) {
            self.out[at..at + 2].copy_from_slice(&[0x10, name.len() as u8]);
            at += 2;
            self.out[at..at + name.len()].copy_from_slice(name);
            at += name.len();
        }
        match len.checked_sub(0x7f) {
            None => self.out[at] = len as u8,
            Some(more) => {
                self.out[at..at + 3].copy_from_slice(&[
                    0x7f,
                    (more & 0x7f) as u8 | 0x80,
                    (more >> 7) as u8,
                ]);
                at += LONG;
            }
        }
        at += 1;
        self.out.copy_within(room_at..room_at + len, at);
        self.used = at + len;
        true
    }
}

impl Fields<'_> {
    fn finish(self, edit: BlockEdit) -> usize {
        let added = self.used - edit.keep;
        let Some(length) = (edit.length + added).checked_sub(edit.skip - edit.keep) else {
            return 0;
        };
        if added == 0 {
            return 0;
        }
        let [_, high, middle, low] = (length as u32).to_be_bytes();
        self.out[..3].copy_from_slice(&[high, middle, low]);
        self.used
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
            syntax: Syntax::FieldLines,
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

    /// Reads a record back.
    fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
        let (header, mut rest) = bytes.split_at(PARAMS_HEADER);
        assert_eq!(header[..4], [1, 4, 0x12, 0x34]);
        assert_eq!(
            usize::from(header[4]) << 8 | usize::from(header[5]),
            rest.len()
        );
        assert_eq!(header[6..], [0, 0]);
        let mut found = Vec::new();
        while let [name, first, ..] = *rest {
            let long = first >= 0x80;
            let (lengths, after) = rest.split_at(if long { 5 } else { 2 });
            let value = lengths[1..].iter().fold(0, |n, b| n << 8 | u32::from(*b)) & 0x7fff_ffff;
            assert_eq!(long, value > 127);
            let (name, after) = after.split_at(name.into());
            let (value, after) = after.split_at(value as usize);
            let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
            found.push((text(name), text(value)));
            rest = after;
        }
        found
    }

    #[test]
    fn a_record_of_parameters() {
        let all = Outgoing {
            syntax: Syntax::Params(0x1234),
            ..outgoing()
        };
        let mut out = [0xee; 1000];
        let len = write_context_headers(&all, &mut out);
        let parent = PARENT["traceparent: ".len()..].trim_end();
        let expected = [
            ("HTTP_TRACEPARENT", parent),
            ("HTTP_TRACESTATE", "a=1"),
            ("HTTP_BAGGAGE", "b=2,c=3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&out[..len]), expected);
        let nothing = Outgoing {
            context: None,
            baggage: b"",
            ..all
        };
        assert_eq!(write_context_headers(&nothing, &mut out), 0);
        // Baggage loses members.
        let whole = [
            &expected[..],
            &[("HTTP_BAGGAGE".to_owned(), "b=2".to_owned())],
        ]
        .concat();
        for room in 0..len {
            let got = write_context_headers(&all, &mut out[..room]);
            assert!(
                got == 0 || pairs(&out[..got]).iter().all(|pair| whole.contains(pair)),
                "{room}"
            );
        }
        for members in [10, 11, 12, 60] {
            let bag = "k12345=v12,".repeat(members) + "end=1";
            let long = Outgoing {
                baggage: bag.as_bytes(),
                ..all
            };
            let mut out = [0; 2000];
            let len = write_context_headers(&long, &mut out);
            assert_eq!(pairs(&out[..len])[2].1, bag);
        }
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
