//! Cassandra and what speaks like it (ScyllaDB, DataStax Enterprise): the native protocol, versions 3 to 5.
//!
//! Requests have a stream each, and are answered in any order. One connection is shared by all of a program, and most libraries
//! write on a thread of their own: who writes says nothing of who asked ([`crate::exchange::Db::is_shared`]).
//!
//! What belongs to the making of a connection: OPTIONS, STARTUP and authentication, and what libraries do first on each (a USE, the
//! cluster's name). Where a library has asked for events, it looks after the cluster on that connection: its questions about
//! the system's tables are none of the program's.
//!
//! What is compressed is read: the bodies of frames, in version 5 whole segments. Without memory for that, what is left of a frame is
//! its opcode, and of segments nothing.

mod answer;
mod client;
pub(in crate::protocol) mod compressed;
mod cursor;
pub(in crate::protocol) mod flight;
mod frame;
mod request;
mod segment;
mod server;
#[cfg(test)]
mod tests;

use super::name::Name;
use super::session::Session;
use crate::exchange::{Fault, Field, Kind, System, VALUE_MAX};
use crate::inflate::Method;
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use answer::Answer;
use cursor::KEPT;
use flight::Purpose;
use frame::{HEADER, Header};
use request::Request;
use segment::{Part, Segments};

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = HEADER;

/// Judges the first bytes of both directions: the client begins, with OPTIONS or STARTUP. That the other end speaks the
/// same is seen before anything is told.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// Whether these are the first bytes of a client; `None`: they are not even their beginning.
fn begins(prefix: &[u8]) -> Option<bool> {
    match prefix.first_chunk() {
        Some(header) => Header::read(*header)?.begins().then_some(true),
        None => match prefix.first() {
            Some(version) if !frame::is_known(*version) => None,
            _ => Some(false),
        },
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// A request was seen that may have been another protocol's.
    #[default]
    Unproven = 0,
    /// The client is not let in yet.
    Opening,
    /// The program has asked nothing yet.
    SettingUp,
    Open,
}

/// Headers of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    segments: Segments,
    header: [u8; HEADER],
    have: u8,
    /// A frame's body is being read.
    inside: bool,
    /// The header of the frame that is read.
    frame: Header,
}

impl Side {
    /// Takes bytes of a header. `Some` when it is complete: whether it is one.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<bool>) {
        let have = usize::from(self.have);
        let taken = bytes.len().min(HEADER - have);
        self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken as u8;
        if usize::from(self.have) < HEADER {
            return (taken, None);
        }
        self.have = 0;
        self.inside = true;
        let header = Header::read(self.header);
        self.frame = header.unwrap_or_default();
        (taken, Some(header.is_some()))
    }
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    phase: Phase,
    /// Of the client's frames.
    version: u8,
    /// The client has asked for events.
    is_watching: bool,
    /// Requests of the making of the connection that are not answered.
    setting_up: u8,
    /// Statements of the frame that is read.
    statements: u16,
    /// The text of one of them is not known.
    is_unknown: bool,
    /// Key of the text of the prepared statement before, in a batch.
    last_key: u64,
    wide: WideId,
    /// How bodies may be compressed from here on.
    method: Method,
    requests: Side,
    answers: Side,
    request: Request,
    answer: Answer,
    keyspace: Name<KEPT>,
    /// The exchange of the request that is read; zero: it is not recorded.
    open: ExchangeId,
    /// The newest exchange that waits, if it does.
    newest: ExchangeId,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::Cassandra, role);
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The newest exchange that waits for its answer: none is next.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let all = [self.newest, self.open];
        let waiting = all.into_iter().find(|id| *id != ExchangeId(0));
        waiting.or(self.session.connecting())
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        let asks = self.session.is_clients(dir);
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let part = self.side(asks).segments.next(rest);
            let used = match part {
                Part::Around(n) => n,
                Part::Bad => return self.conclude(Fault::None, now, host),
                Part::Block(n, size) => {
                    self.block(asks, Method::Lz4, size, host);
                    n
                }
                Part::Packed(n) => {
                    let segments = &mut self.side(asks).segments;
                    segments.read(n);
                    let is_last = segments.is_between();
                    if !self.inflate(asks, &rest[..n], is_last, now, host) {
                        return self.conclude(Fault::None, now, host);
                    }
                    n
                }
                Part::Frames(n) if self.method != Method::Plain => {
                    self.unpack(asks, &rest[..n], now, host);
                    n
                }
                Part::Frames(n) => {
                    let n = self.read_one(asks, &rest[..n], now, host);
                    self.side(asks).segments.read(n);
                    n
                }
            };
            rest = &rest[used..];
        }
    }

    /// Reads frames that are not compressed.
    fn read<H: Host>(&mut self, asks: bool, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let used = self.read_one(asks, rest, now, host);
            rest = &rest[used..];
        }
    }

    /// Reads frames up to the end of one at most. Returns how many bytes that took.
    fn read_one<H: Host>(&mut self, asks: bool, bytes: &[u8], now: u64, host: &mut H) -> usize {
        if asks {
            self.read_request(bytes, now, host)
        } else {
            self.read_answer(bytes, now, host)
        }
    }

    fn side(&mut self, asks: bool) -> &mut Side {
        if asks {
            &mut self.requests
        } else {
            &mut self.answers
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let asks = self.session.is_clients(dir);
        let inside = self.side(asks).inside;
        let counted = inside
            && if asks {
                self.request.skip(n)
            } else {
                self.answer.skip(n)
            }
            && self.side(asks).segments.skip(n)
            && (self.method == Method::Plain
                || host.wide_mut(self.wide).frames[usize::from(asks)].skip(n));
        if !counted {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        let between = !self.answers.inside
            && self.answers.have == 0
            && self.answers.segments.is_between()
            && (self.method == Method::Plain || host.wide_mut(self.wide).frames[0].is_between());
        if let Some(fault) = self.session.fault_of_end(dir, how, between) {
            self.conclude(fault, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    /// Takes memory beside the machine, if there is any.
    fn has_wide<H: Host>(&mut self, host: &mut H) -> bool {
        if self.wide == WideId(0) {
            self.wide = host.wide().unwrap_or_default();
        }
        self.wide != WideId(0)
    }

    /// It is this protocol.
    fn proven<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.phase == Phase::Unproven {
            self.phase = Phase::Opening;
            self.session.connect_begins(now, host);
        }
    }

    /// The connection stands.
    fn enter<H: Host>(&mut self, host: &mut H) {
        let end = self.session.connected_ns;
        if let Some(id) = self.session.connecting() {
            let keyspace = self.keyspace.text();
            if !keyspace.is_empty() {
                host.exchange(id).set(Field::Namespace, keyspace, VALUE_MAX);
            }
        }
        self.session.connect_done(end, host);
    }

    /// Nothing more will be seen: what is open ends here.
    fn conclude<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        if std::mem::replace(&mut self.session.over, true) {
            return;
        }
        let open = std::mem::take(&mut self.open);
        if open != ExchangeId(0) {
            host.discard(open);
        }
        if self.phase == Phase::Opening || self.setting_up > 0 {
            let end = match self.session.connecting() {
                Some(id) if host.exchange(id).text(Field::Code).is_some() => Fault::None,
                _ => fault,
            };
            self.session.connect_failed(end, now, host);
        } else {
            self.enter(host);
        }
        self.newest = ExchangeId(0);
        self.method = Method::Plain;
        if self.wide == WideId(0) {
            return;
        }
        while let Some(entry) = host.wide_mut(self.wide).flight.pop_oldest() {
            if entry.id == ExchangeId(0) {
                continue;
            }
            if entry.purpose == Purpose::Prepare && fault == Fault::None {
                host.discard(entry.id);
            } else {
                self.session.finish(entry.id, fault, now, host);
            }
        }
        host.release_wide(std::mem::take(&mut self.wide));
    }
}
