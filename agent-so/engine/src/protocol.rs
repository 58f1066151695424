//! Byte streams in both directions of one connection, and the protocol machines that read them.
//!
//! A [`Stream`] is what the agent keeps per connection. It detects the protocol from the first bytes of each
//! direction, hands all bytes to that protocol's machine, and tells when nothing more is to be learned.
//! A new protocol is one file in `protocol/` and one line in the detector.

mod db;
mod detect;
pub(crate) mod fastcgi;
mod fields;
mod host;
pub mod http1;
pub mod http2;
pub mod outgoing;
#[cfg(test)]
mod tests;
mod tls;
mod turns;
pub mod wide;

use crate::exchange::{Fault, Field, Kind, System};
pub use db::comment::{Commented, comment};
use detect::Detector;
pub use host::{ExchangeId, Host};
use http2::arrivals::Arrivals;
use outgoing::{BlockEdit, Head, RequestScan, Syntax};
use wide::{Wide, WideId};

/// Direction of bytes, seen from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The program received them.
    In,
    /// The program sent them.
    Out,
}

/// As many bytes of what is sent first on a connection tell whether it may go to a database ([`may_begin_query`]).
pub const FRONT: usize = 43;

/// Whether what is sent first on a connection to a database can begin with `front`, up to [`FRONT`] bytes.
pub fn may_begin_query(front: &[u8]) -> bool {
    db::may_begin(front)
}

/// How one direction of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed (a read returned 0), or the program shut its sending side down.
    Eof,
    /// The call failed for good (never EAGAIN, EINTR and the like).
    Failed(Fault),
}

/// A place in a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadPart {
    /// Its first byte.
    Start,
    /// Among the field lines, the request line being complete.
    Fields,
}

/// What is known of a stream after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough seen: keep feeding.
    Undecided,
    /// A known protocol: keep feeding.
    Tracked,
    /// Nothing (more) to be learned here: stop feeding. All open exchanges were finished or discarded.
    Opaque,
}

/// The opinion of one protocol about the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is this protocol, and the program has this role.
    Yes(Kind),
    /// It is not, whatever follows.
    No,
    /// It may turn out to be.
    More,
}

impl Probe {
    /// Of a protocol in which the client speaks first: whether what came in and what went out is the beginning of a client's
    /// words. `Some(false)` is a part of one, `None` not even that.
    fn client_begins(incoming: Option<bool>, outgoing: Option<bool>) -> Self {
        match (incoming, outgoing) {
            (Some(true), _) => Probe::Yes(Kind::Server),
            (_, Some(true)) => Probe::Yes(Kind::Client),
            (None, _) | (_, None) => Probe::No,
            _ => Probe::More,
        }
    }
}

/// The opinion of a protocol about the first bytes that came in, and those that went out.
type Judge = fn(&[u8], &[u8]) -> Probe;

/// What the agent keeps of one connection: 736 bytes at most, no pointers, no heap, and all-zero bytes are a fresh
/// one. No call allocates, recurses or blocks. Each machine reads in a frame of its own: together they would be more than
/// a hook may take of a program's stack.
///
/// Times are monotonic nanoseconds of the agent's clock: when the bytes were read, or (for those that may start
/// a request, before; otherwise after) written.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    detector: Detector,
    stage: Stage,
}

/// What is known, and the machine that reads on: the machines share their memory.
#[derive(Clone, Debug, Default)]
#[repr(u8)]
enum Stage {
    #[default]
    Detecting = 0,
    Http1(http1::Machine),
    Http2(http2::Machine),
    FastCgi(fastcgi::Machine),
    Db(db::Machine),
    /// HTTP or a database made way for something else (CONNECT, an upgrade), which is only of interest if it is TLS.
    Tunnel,
    Opaque,
}

impl Stage {
    fn read(&mut self, dir: Direction, bytes: &[u8], now_ns: u64, host: &mut impl Host) {
        match self {
            Stage::Http1(machine) => machine.feed(dir, bytes, now_ns, host),
            Stage::Http2(machine) => machine.feed(dir, bytes, now_ns, host),
            Stage::FastCgi(machine) => machine.feed(dir, bytes, now_ns, host),
            Stage::Db(machine) => machine.feed(dir, bytes, now_ns, host),
            Stage::Detecting | Stage::Tunnel | Stage::Opaque => {}
        }
    }
}

/// A protocol that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    FastCgi,
    Db(System),
}

impl Stream {
    /// Takes bytes that passed in `dir` at `now_ns`, in the order of the byte stream of that direction.
    pub fn feed(
        &mut self,
        dir: Direction,
        bytes: &[u8],
        now_ns: u64,
        host: &mut impl Host,
    ) -> Verdict {
        match &mut self.stage {
            Stage::Detecting => self.detect(dir, bytes, now_ns, host),
            Stage::Http1(machine) => {
                machine.feed(dir, bytes, now_ns, host);
                if let Some(beyond) = machine.tunnel() {
                    let rest = &bytes[bytes.len() - beyond..];
                    self.leave_http1(dir, rest, now_ns, host);
                }
            }
            Stage::Http2(machine) => machine.feed(dir, bytes, now_ns, host),
            Stage::FastCgi(machine) => machine.feed(dir, bytes, now_ns, host),
            Stage::Db(machine) => {
                machine.feed(dir, bytes, now_ns, host);
                self.turn_to_tls(dir, bytes, now_ns, host);
            }
            Stage::Tunnel => self.in_tunnel(dir, bytes, now_ns, host),
            Stage::Opaque => {}
        }
        self.verdict()
    }

    /// Takes note of `n` bytes that passed in `dir` without being visible (`sendfile`, `splice`, `MSG_TRUNC`).
    /// Where they are not certainly part of a body, the stream becomes opaque and the open exchanges are
    /// finished as unobserved: with what is known, without a fault.
    pub fn skip(&mut self, dir: Direction, n: u64, now_ns: u64, host: &mut impl Host) -> Verdict {
        match &mut self.stage {
            _ if n == 0 => {}
            Stage::Detecting | Stage::Tunnel => self.stage = Stage::Opaque,
            Stage::Http1(machine) => machine.skip(dir, n, now_ns, host),
            Stage::Http2(machine) => machine.skip(dir, n, now_ns, host),
            Stage::FastCgi(machine) => machine.skip(dir, n, now_ns, host),
            Stage::Db(machine) => machine.skip(dir, n, now_ns, host),
            Stage::Opaque => {}
        }
        self.verdict()
    }

    /// Nothing more will pass in `dir`: the peer closed or the program shut its side down, or a call failed.
    pub fn ended(
        &mut self,
        dir: Direction,
        how: Ended,
        now_ns: u64,
        host: &mut impl Host,
    ) -> Verdict {
        match &mut self.stage {
            Stage::Http1(machine) => machine.ended(dir, how, now_ns, host),
            Stage::Http2(machine) => machine.ended(dir, how, now_ns, host),
            Stage::FastCgi(machine) => machine.ended(dir, how, now_ns, host),
            Stage::Db(machine) => machine.ended(dir, how, now_ns, host),
            Stage::Detecting | Stage::Tunnel | Stage::Opaque => {}
        }
        self.verdict()
    }

    /// The program closed the connection: finishes whatever is open. The stream is opaque from here on.
    pub fn close(&mut self, now_ns: u64, host: &mut impl Host) {
        match &mut self.stage {
            Stage::Http1(machine) => machine.close(now_ns, host),
            Stage::Http2(machine) => machine.close(now_ns, host),
            Stage::FastCgi(machine) => machine.close(now_ns, host),
            Stage::Db(machine) => machine.close(now_ns, host),
            Stage::Detecting | Stage::Tunnel | Stage::Opaque => {}
        }
        self.stage = Stage::Opaque;
    }

    /// Which side of the connection this program is; `None` while (or since) no protocol is known.
    pub fn role(&self) -> Option<Kind> {
        match &self.stage {
            Stage::Http1(machine) => Some(machine.role()),
            Stage::Http2(machine) => machine.role(),
            Stage::FastCgi(machine) => Some(machine.role()),
            Stage::Db(machine) => Some(machine.role()),
            Stage::Detecting | Stage::Tunnel | Stage::Opaque => None,
        }
    }

    /// Whether the next byte in `dir` would be the first one of a request of this program: nothing has passed in
    /// either direction yet, or this is a client between requests. False for good after `Connection: close`,
    /// an upgrade, CONNECT, and anything that was not understood; false until the response while one of
    /// these is asked for.
    pub fn can_start_request(&self, dir: Direction) -> bool {
        match &self.stage {
            Stage::Detecting => self.detector.is_fresh(),
            Stage::Http1(machine) => machine.can_start_request(dir),
            Stage::Http2(machine) => machine.can_start_request(dir),
            Stage::FastCgi(machine) => machine.can_start_request(dir),
            // Nothing is ever put into what goes to a database.
            Stage::Db(_) | Stage::Tunnel | Stage::Opaque => false,
        }
    }

    /// What is fed next passed in another call of the program's. Only what leaves or comes in one call can belong together.
    pub fn call_begins(&mut self) {
        if let Stage::Db(machine) = &mut self.stage {
            machine.call_begins();
        }
    }

    /// All that passed in that call was fed.
    pub fn call_ends(&mut self, now_ns: u64, host: &mut impl Host) {
        if let Stage::Db(machine) = &mut self.stage {
            machine.call_ends(now_ns, host);
        }
    }

    /// Whether this program's bytes go to a database, or may do where they begin with `front`, which is only asked for if it
    /// matters. They have to be fed before they are sent: the reply may be read by another thread before the call has returned.
    pub fn is_query<'a>(&self, front: impl FnOnce() -> &'a [u8]) -> bool {
        match &self.stage {
            Stage::Detecting => self.detector.is_fresh() && db::may_begin(front()),
            Stage::Db(machine) => machine.role() == Kind::Client,
            _ => false,
        }
    }

    /// Where the next byte that comes in would stand in the head of a request to this program, if it is HTTP/1.
    pub fn request_head(&self) -> Option<HeadPart> {
        match &self.stage {
            Stage::Detecting => self.detector.is_fresh().then_some(HeadPart::Start),
            Stage::Http1(machine) => machine.request_head(),
            Stage::Http2(_) | Stage::FastCgi(_) | Stage::Db(_) | Stage::Tunnel | Stage::Opaque => {
                None
            }
        }
    }

    /// Where the requests of HTTP/2 would be in what is read next, if this connection is one, or may become one with its next byte.
    pub fn arrivals(&self) -> Option<Arrivals> {
        match &self.stage {
            Stage::Detecting => self.detector.is_fresh().then(Arrivals::fresh),
            Stage::Http2(machine) => machine.arrivals(),
            Stage::Http1(_) | Stage::FastCgi(_) | Stage::Db(_) | Stage::Tunnel | Stage::Opaque => {
                None
            }
        }
    }

    /// A reader for what the program is about to send, where that may complete the head of a request: where it could begin
    /// one, inside the parameters of FastCGI, and anywhere in HTTP/2.
    pub fn scan_outgoing(&self) -> Option<RequestScan> {
        match &self.stage {
            Stage::Http2(machine) => machine.scan().map(RequestScan::http2),
            Stage::FastCgi(machine) => machine.scan().map(RequestScan::fastcgi),
            _ if !self.can_start_request(Direction::Out) => None,
            Stage::Http1(_) => Some(RequestScan::http1()),
            _ => Some(RequestScan::unknown()),
        }
    }

    /// After a partial head ([`outgoing::Head::is_partial`]) was fed: it is told of as if it were complete, where enough is
    /// known of the request.
    pub fn settle_head(&mut self, host: &mut impl Host) {
        if let Stage::FastCgi(machine) = &mut self.stage {
            machine.settle_head(host);
        }
    }

    /// After all of a head that [`Stream::scan_outgoing`] led to was fed: what it carries, and how it may be changed, as far as
    /// the fields had to be read for that. `None`: not at all.
    pub fn complete_head(&self, head: Head, host: &mut impl Host) -> Option<Head> {
        let Syntax::HeaderBlock(_) = head.syntax else {
            return Some(head);
        };
        let Stage::Http2(machine) = &self.stage else {
            return None;
        };
        let sent = machine.sent()?;
        let ex = host.exchange(sent.exchange);
        let place = http2::in_frame(sent.place);
        let text = ex.text(Field::Traceparent);
        let replace = machine.replacement(&sent, text);
        Some(Head {
            has_traceparent: text.is_some(),
            has_tracestate: ex.text(Field::Tracestate).is_some(),
            has_baggage: !ex.baggage().is_empty(),
            signed: ex.signed,
            syntax: Syntax::HeaderBlock(BlockEdit {
                keep: place,
                skip: place,
                ..sent.edit()
            }),
            replace: replace.filter(|_| !ex.traceparent_repeated),
            ..head
        })
    }

    /// Where the request that this program is sending ends, so that the caller can tell whether another one follows in the
    /// same write.
    pub fn outgoing_tail(&self) -> http1::Tail {
        match &self.stage {
            Stage::Http1(machine) => machine.outgoing_tail(),
            // Every frame stands for itself.
            Stage::Http2(machine) if machine.role() == Some(Kind::Client) => http1::Tail::Ended,
            _ => http1::Tail::Unknown,
        }
    }

    /// The memory that the stream has beyond its own.
    pub fn wide(&self) -> Option<WideId> {
        match &self.stage {
            Stage::Http2(machine) => machine.wide(),
            _ => None,
        }
    }

    /// Whether the stream has several exchanges at once, each in frames of its own (HTTP/2).
    pub fn is_multiplexed(&self) -> bool {
        matches!(&self.stage, Stage::Http2(_))
    }

    /// How many exchanges are open whose heads are complete, where there may be several at once, each answered on its own
    /// (HTTP/2); otherwise none.
    pub fn streams_open(&self) -> usize {
        match &self.stage {
            Stage::Http2(machine) => machine.open(),
            _ => 0,
        }
    }

    /// The oldest unfinished exchange. In HTTP/2 none is next to be answered: there it is the newest.
    pub fn open_exchange(&self) -> Option<ExchangeId> {
        self.open_exchanges(None).next()
    }

    /// The unfinished exchange of one stream of an HTTP/2 connection, of which `wide` is the memory ([`Stream::wide`]).
    pub fn exchange_on(&self, wide: &Wide, stream: u32) -> Option<ExchangeId> {
        self.wide()?;
        wide.exchange_on(stream)
    }

    /// All unfinished exchanges, oldest first. Those of HTTP/2 are known to `wide`, the memory of [`Stream::wide`]; without it
    /// only the newest is told; of those to a database, the oldest.
    pub fn open_exchanges<'a>(
        &'a self,
        wide: Option<&'a Wide>,
    ) -> impl Iterator<Item = ExchangeId> + 'a {
        let (http1, single) = match &self.stage {
            Stage::Http1(machine) => (Some(machine.open_exchanges()), None),
            Stage::Http2(machine) if wide.is_none() => (None, machine.newest()),
            Stage::FastCgi(machine) => (None, machine.open_exchange()),
            Stage::Db(machine) => (None, machine.open_exchange()),
            Stage::Http2(_) | Stage::Detecting | Stage::Tunnel | Stage::Opaque => (None, None),
        };
        let wide = wide.filter(|_| self.wide().is_some());
        let several = wide.map(Wide::open_exchanges);
        http1
            .into_iter()
            .flatten()
            .chain(single)
            .chain(several.into_iter().flatten())
    }

    fn verdict(&mut self) -> Verdict {
        let over = match &self.stage {
            Stage::Http1(machine) => machine.is_over(),
            Stage::Http2(machine) if !machine.is_over() && !machine.is_proven() => {
                return Verdict::Undecided;
            }
            Stage::Http2(machine) => machine.is_over(),
            Stage::FastCgi(machine) => machine.is_over(),
            Stage::Db(machine) => machine.is_over(),
            Stage::Detecting | Stage::Tunnel => return Verdict::Undecided,
            Stage::Opaque => true,
        };
        if over {
            self.stage = Stage::Opaque;
            return Verdict::Opaque;
        }
        Verdict::Tracked
    }
}
