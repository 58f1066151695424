//! A host that records everything, and scripts of what passes on a connection.

mod detect;

use super::*;
use crate::exchange::Exchange;
use crate::exchange::Field;

/// One thing that happens on a connection. The time of step n (from 0) is 10 * (n + 1).
#[derive(Clone)]
pub(super) enum Step {
    In(Vec<u8>),
    Out(Vec<u8>),
    Skip(Direction, u64),
    End(Direction, Ended),
    Close,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::In(bytes) => write!(f, "In({})", bytes.escape_ascii()),
            Step::Out(bytes) => write!(f, "Out({})", bytes.escape_ascii()),
            Step::Skip(dir, n) => write!(f, "Skip({dir:?}, {n})"),
            Step::End(dir, how) => write!(f, "End({dir:?}, {how:?})"),
            Step::Close => f.write_str("Close"),
        }
    }
}

/// A host with unlimited room, unless told otherwise.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) exchanges: Vec<Exchange>,
    /// 0 open, 1 head seen, 2 finished, 3 discarded; an index each.
    pub(super) states: Vec<u8>,
    pub(super) finished: Vec<usize>,
    /// Heads and ends in order, ends with all that the exchange says.
    pub(super) events: Vec<String>,
    pub(super) full: bool,
    pub(super) wides: Vec<Box<Wide>>,
    /// Of these in use.
    pub(super) wides_held: Vec<u32>,
    pub(super) no_wides: bool,
    pub(super) passed_over: usize,
    /// Start and end of the connect.
    pub(super) connected: Option<(u64, u64)>,
    pub(super) verdict: Option<Verdict>,
    /// What passes at a database's own end is of no interest.
    pub(super) no_servers: bool,
    /// What greeted at the same peer before.
    pub(super) greeted: System,
    /// One thread sends all.
    pub(super) same_sender: bool,
    /// Places of which it was told whom they are for.
    pub(super) told: Vec<u32>,
}

pub(super) const FIELDS: [Field; 15] = [
    Field::Method,
    Field::Target,
    Field::Host,
    Field::UserAgent,
    Field::Forwarded,
    Field::XForwardedFor,
    Field::XForwardedProto,
    Field::XForwardedHost,
    Field::Traceparent,
    Field::Tracestate,
    Field::Namespace,
    Field::Operation,
    Field::Collection,
    Field::Query,
    Field::Code,
];

pub(super) fn lossy(bytes: Option<&[u8]>) -> String {
    bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned())
}

fn describe(ex: &Exchange) -> String {
    let mut all = format!(
        "{:?} {:?} v{} {} {:?} rpc={}:{} {}-{} {}/{} rep={} signed={} bag={:?}",
        ex.kind,
        ex.db,
        ex.version,
        ex.status,
        ex.fault,
        ex.rpc,
        ex.rpc_status,
        ex.start_ns,
        ex.end_ns,
        ex.request_body,
        ex.response_body,
        ex.traceparent_repeated,
        ex.signed,
        lossy(Some(ex.baggage())),
    );
    for field in FIELDS {
        all += &format!(
            " {field:?}={}{}",
            lossy(ex.text(field)),
            u8::from(ex.is_cut(field))
        );
    }
    for (c, value) in ex.captured() {
        all += &format!(
            " {}:{}={}{}",
            c.response,
            c.index,
            lossy(Some(value)),
            c.value.cut
        );
    }
    all
}

impl Recorder {
    /// `method target status fault request/response-bytes start-end` of every finished exchange.
    pub(super) fn summary(&self) -> Vec<String> {
        let line = |&i: &usize| {
            let ex = &self.exchanges[i];
            format!(
                "{} {} {} {} {}/{} {}-{}",
                lossy(ex.text(Field::Method)),
                lossy(ex.text(Field::Target)),
                ex.status,
                if ex.fault == Fault::None {
                    "ok"
                } else {
                    ex.fault.as_str()
                },
                ex.request_body,
                ex.response_body,
                ex.start_ns,
                ex.end_ns,
            )
        };
        self.finished.iter().map(line).collect()
    }

    pub(super) fn only(&self) -> &Exchange {
        assert_eq!(self.finished.len(), 1);
        &self.exchanges[self.finished[0]]
    }

    fn index(id: ExchangeId) -> usize {
        id.0 as usize - 1
    }

    /// Runs `steps`, each piece of bytes cut further by `cut`, as a caller would: until the stream is opaque.
    pub(super) fn run(
        &mut self,
        steps: &[Step],
        cut: impl Fn(Direction, usize, usize) -> Vec<usize>,
    ) {
        let mut stream = Stream::default();
        let mut passed = [0usize; 2];
        self.verdict = Some(Verdict::Undecided);
        for (n, step) in steps.iter().enumerate() {
            let now = 10 * (n as u64 + 1);
            if self.verdict == Some(Verdict::Opaque) {
                break;
            }
            let (dir, bytes) = match step {
                Step::In(bytes) => (Direction::In, bytes),
                Step::Out(bytes) => (Direction::Out, bytes),
                Step::Skip(dir, n) => {
                    self.verdict = Some(stream.skip(*dir, *n, now, self));
                    continue;
                }
                Step::End(dir, how) => {
                    self.verdict = Some(stream.ended(*dir, *how, now, self));
                    continue;
                }
                Step::Close => {
                    stream.close(now, self);
                    self.verdict = Some(Verdict::Opaque);
                    continue;
                }
            };
            stream.call_begins();
            let from = passed[dir as usize];
            passed[dir as usize] += bytes.len();
            let mut at = 0;
            for end in cut(dir, from, from + bytes.len())
                .into_iter()
                .chain([from + bytes.len()])
            {
                self.verdict = Some(stream.feed(dir, &bytes[at..end - from], now, self));
                at = end - from;
                let wide = stream.wide().map(|id| &*self.wides[id.0 as usize - 1]);
                let open: Vec<usize> = stream.open_exchanges(wide).map(Self::index).collect();
                assert!(
                    open.iter().all(|&i| self.states[i] < 2),
                    "only open ones are told"
                );
                if wide.is_some() {
                    assert_eq!(stream.streams_open(), open.len());
                } else {
                    assert_eq!(
                        stream.open_exchange().map(Self::index),
                        open.first().copied()
                    );
                }
                if self.verdict == Some(Verdict::Opaque) {
                    break;
                }
            }
            stream.call_ends(now, self);
        }
        if self.verdict == Some(Verdict::Opaque) {
            assert_eq!(stream.open_exchange(), None);
            assert_eq!(self.wides_held, [0u32; 0], "all given back");
            assert!(
                self.states.iter().all(|&s| s >= 2),
                "an opaque stream leaves nothing open"
            );
        }
    }
}

impl Host for Recorder {
    fn greeted_as(&mut self) -> System {
        self.greeted
    }

    fn same_sender(&self) -> bool {
        self.same_sender
    }

    fn is_told(&self, place: u32) -> bool {
        self.told.contains(&place)
    }

    fn follows(&self, kind: Kind, _: System) -> bool {
        kind == Kind::Client || !self.no_servers
    }

    fn open(&mut self, _: Kind, _: System) -> Option<ExchangeId> {
        if self.full {
            return None;
        }
        self.exchanges.push(Exchange::default());
        self.states.push(0);
        Some(ExchangeId(self.exchanges.len() as u32))
    }

    fn exchange(&mut self, id: ExchangeId) -> &mut Exchange {
        assert!(self.states[Self::index(id)] < 2, "use after end");
        &mut self.exchanges[Self::index(id)]
    }

    fn request_head(&mut self, id: ExchangeId) {
        let i = Self::index(id);
        assert_eq!(self.states[i], 0, "once per exchange");
        assert_eq!(self.exchanges[i].request_body, 0, "before any body byte");
        self.states[i] = 1;
        self.events.push(format!(
            "head {}",
            lossy(self.exchanges[i].text(Field::Target))
        ));
    }

    fn finished(&mut self, id: ExchangeId) {
        let i = Self::index(id);
        assert_eq!(self.states[i], 1, "head told first");
        let ex = &self.exchanges[i];
        assert!(ex.end_ns >= ex.start_ns);
        if ex.db.system == System::None {
            assert!(ex.version >= 10 || ex.fastcgi);
            assert!(ex.text(Field::Method).is_some() && ex.text(Field::Target).is_some());
        }
        assert!(ex.status == 0 || (100..=999).contains(&ex.status));
        self.states[i] = 2;
        self.finished.push(i);
        self.events.push(describe(ex));
    }

    fn discard(&mut self, id: ExchangeId) {
        let i = Self::index(id);
        let is_query = self.exchanges[i].db.system != System::None;
        assert!(self.states[i] == 0 || is_query, "no head was told");
        assert!(self.states[i] < 2, "once per exchange");
        self.states[i] = 3;
    }

    fn captured_header(&self, _: Kind, response: bool, name: &[u8]) -> Option<u8> {
        let names: &[&[u8]] = match response {
            false => &[
                b"x-request-id",
                b"user-agent",
                b"tracestate",
                b"content-length",
            ],
            true => &[b"content-type", b"x-id"],
        };
        names.iter().position(|n| *n == name).map(|i| i as u8)
    }

    fn passed_over(&mut self) {
        self.passed_over += 1;
    }

    fn wide(&mut self) -> Option<WideId> {
        if self.no_wides {
            return None;
        }
        self.wides.push(Box::default());
        let id = self.wides.len() as u32;
        self.wides_held.push(id);
        Some(WideId(id))
    }

    fn wide_mut(&mut self, id: WideId) -> &mut Wide {
        assert!(self.wides_held.contains(&id.0), "use after release");
        &mut self.wides[id.0 as usize - 1]
    }

    fn release_wide(&mut self, id: WideId) {
        let at = self.wides_held.iter().position(|held| *held == id.0);
        self.wides_held.remove(at.expect("released once"));
    }

    fn tls_begins(&mut self, dir: Direction, random: &[u8; 32]) {
        self.events.push(format!("tls {dir:?} {random:?}"));
    }

    fn connected(&mut self) -> Option<(u64, u64)> {
        self.connected.take()
    }
}

/// No cut.
pub(super) fn whole(_: Direction, _: usize, _: usize) -> Vec<usize> {
    Vec::new()
}

/// Byte by byte.
pub(super) fn bytewise(_: Direction, from: usize, to: usize) -> Vec<usize> {
    (from + 1..to).collect()
}
