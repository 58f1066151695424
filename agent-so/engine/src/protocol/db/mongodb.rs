//! MongoDB and what speaks like it: commands are documents, of which the first field is the name.
//!
//! Answers name the request that they belong to. What sets a connection up (hello, SASL) belongs to its making, which is an
//! exchange of its own once the connection is used for something: those on which drivers only watch their servers make none.
//!
//! Not read: what is inside messages compressed with Zstandard (they are exchanges without a name), and messages of the time
//! before OP_MSG.

mod bson;
mod client;
mod compressed;
mod message;
mod server;
#[cfg(test)]
mod tests;

use super::ring::Ring;
use super::session::Session;
use crate::exchange::{Fault, Field, Kind, System};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use compressed::Compressed;
use message::Messages;
pub(in crate::protocol) use message::begins;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 32;
/// How many exchanges may wait for an answer; more are not recorded.
const PENDING: usize = 12;

/// Judges the first bytes of both directions: the client begins.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// What a command is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Purpose {
    #[default]
    Query = 0,
    /// To learn about the server.
    Greets,
    /// To prove who one is.
    Proves,
    /// To tidy up behind the program.
    Tidies,
}

/// One request that waits.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Zero when it is not recorded, or answered.
    id: ExchangeId,
    request: u32,
    purpose: Purpose,
    waits: bool,
}

/// What is read of the document under way.
#[derive(Clone, Copy, Debug, Default)]
struct Body {
    /// Its first element has been seen.
    named: bool,
    purpose: Purpose,
    /// `getMore` names its collection in a field of its own.
    is_more: bool,
    /// Which field the text under way is for.
    field: Option<Field>,
    /// Which element of an answer is read inside.
    inside: Inside,
    /// Elements counted: of what a command works on, or of what came back.
    count: u32,
    /// An answer's `ok` is known, and is none.
    failed: bool,
    code: Option<i64>,
    has_rows: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Inside {
    #[default]
    Nothing = 0,
    Errors,
    Concern,
    Cursor,
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    /// The connection was used for something, or is about to be.
    used: bool,
    /// When the last answer came that belongs to its making.
    set_up_ns: u64,
    /// What the server sends, and the client; and where that is made readable.
    compressed: [Compressed; 2],
    wide: Option<WideId>,
    requests: Messages,
    answers: Messages,
    asked: Body,
    answered: Body,
    /// When the first byte of the request under way passed, and its exchange; zero when it is not recorded.
    begun_ns: u64,
    open: ExchangeId,
    pending: Ring<Entry, PENDING>,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::MongoDb, role);
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let some = |id: &ExchangeId| *id != ExchangeId(0);
        let waiting = || self.pending.iter().map(|entry| entry.id).find(some);
        let read = Some(self.open).filter(some);
        self.session.connecting().or_else(waiting).or(read)
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        self.unpack(self.session.is_clients(dir), bytes, now, host);
    }

    /// Reads messages that are not compressed.
    fn read<H: Host>(&mut self, asks: bool, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let used = if asks {
                self.read_request(rest, now, host)
            } else {
                self.read_answer(rest, now, host)
            };
            rest = &rest[used..];
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let asks = self.session.is_clients(dir);
        let messages = if asks {
            &mut self.requests
        } else {
            &mut self.answers
        };
        if !messages.skip(n) || !self.compressed[usize::from(asks)].skip(n) {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        let between = self.compressed[0].is_between();
        if let Some(fault) = self.session.fault_of_end(dir, how, between) {
            self.conclude(fault, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    /// Requests that are answered make room.
    fn drop_answered(&mut self) {
        while self.pending.oldest().is_some_and(|oldest| !oldest.waits) {
            self.pending.pop();
        }
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
        if self.pending.iter().any(|e| e.purpose == Purpose::Proves) {
            self.session.connect_failed(fault, now, host);
        } else {
            self.session.connect_done(self.session.connected_ns, host);
        }
        while let Some(entry) = self.pending.pop() {
            self.session.finish(entry.id, fault, now, host);
        }
        if let Some(wide) = self.wide.take() {
            host.release_wide(wide);
        }
    }
}
