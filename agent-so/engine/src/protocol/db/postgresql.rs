//! PostgreSQL and what speaks its protocol (3.0 and later), from the first message of a client on.
//!
//! A simple query is one exchange, whatever statements are in it; so is each Execute of the extended protocol, with the text
//! that was parsed under the name of its statement. Executes of one statement that follow each other without a
//! synchronisation, each with its own values, are one exchange: a batch. A statement that is only prepared is an exchange
//! if that fails. What is passed over after an error, until the server is ready again, ends with it as `Fault::Other`.
//!
//! Not followed: what is encrypted by GSSAPI, replication once its connection is made, requests to cancel.

mod client;
mod frame;
mod opening;
mod queue;
mod server;
#[cfg(test)]
mod tests;

pub(in crate::protocol) use opening::{PREFIX_MAX, probe};

use super::session::Session;
use crate::exchange::{Fault, Field, Kind, System, VALUE_MAX};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host};
use crate::sql::Backslash;
use client::Asked;
use frame::Frames;
use opening::{Parameters, Request};
use queue::{Entry, Kind as What, Queue};
use server::Answer;

/// Length of the code of an error (SQLSTATE).
const CODE: usize = 5;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The client says a first message, or another one since it was refused encryption.
    #[default]
    Opening,
    /// It has asked for encryption: the answer is one byte.
    Asked(Request),
    /// It proves who it is.
    Entering,
    Ready,
    /// It only has another connection's query cancelled.
    Cancels,
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    phase: Phase,
    /// TLS was asked for and is not to be had.
    refused: bool,
    /// TLS begins, so many bytes before the end of what was fed last.
    tls: Option<usize>,
    /// The server takes data from the client, and looks at nothing else.
    copying: bool,
    /// The server was asked, in this call of the program's already, to say when it is ready.
    has_synced: bool,
    /// What a backslash means in the strings of statements.
    backslash: Backslash,
    parameters: Parameters,
    sent: Frames,
    asked: Asked,
    received: Frames,
    answer: Answer,
    queue: Queue,
    /// The texts of statements; none before the first.
    wide: WideId,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::PostgreSql, role);
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// What passes next does so in another call of the program's.
    pub(super) fn call_begins(&mut self) {
        self.has_synced = false;
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let read = (self.asked.open != ExchangeId(0)).then_some(self.asked.open);
        let waiting = || self.queue.first();
        self.session.connecting().or_else(waiting).or(read)
    }

    pub(super) fn turns_to_tls(&self) -> Option<usize> {
        self.tls
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        if self.session.is_clients(dir) {
            self.feed_client(bytes, now, host);
        } else {
            self.feed_server(bytes, now, host);
        }
    }

    /// Passes over `n` bytes that were not seen: inside of what is not looked at, these are only counted.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let frames = if self.session.is_clients(dir) {
            &mut self.sent
        } else {
            &mut self.received
        };
        if !(matches!(frames.kind, b'd' | b'D') && frames.skip(n)) {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        if let Some(fault) = self
            .session
            .fault_of_end(dir, how, self.received.is_between())
        {
            self.conclude(fault, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    /// An exchange that begins; zero when it is not recorded.
    fn open<H: Host>(&self, now: u64, host: &mut H) -> ExchangeId {
        let id = self.session.open(now, host);
        if id != ExchangeId(0) {
            // A library that gathers what many ask for: nobody knows who asked for more than the first.
            let is_mixed = self.has_synced && !host.same_sender();
            let exchange = host.exchange(id);
            exchange.db.is_mixed = is_mixed;
            exchange.db.backslash = self.backslash;
            exchange.set(Field::Namespace, self.parameters.database(), VALUE_MAX);
        }
        id
    }

    /// The making of the connection is over, in whatever way.
    fn entered<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        let Some(id) = self.session.connecting() else {
            return;
        };
        let database = self.parameters.database();
        if !database.is_empty() {
            host.exchange(id).set(Field::Namespace, database, VALUE_MAX);
        }
        let fault = if host.exchange(id).text(Field::Code).is_some() {
            Fault::None
        } else {
            fault
        };
        self.session.connect_failed(fault, now, host);
    }

    /// A statement is over. What was only prepared leaves nothing, unless something went wrong with it.
    fn finish<H: Host>(&mut self, entry: Entry, fault: Fault, now: u64, host: &mut H) {
        let (rows, has_rows) = self.answer.rows();
        let Entry { id, kind, left, .. } = entry;
        if id == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(id);
        let is_told = exchange.text(Field::Code).is_some() || (kind == What::Execute && left == 0);
        let fault = if is_told { Fault::None } else { fault };
        if kind == What::Prepare && !is_told && matches!(fault, Fault::None | Fault::Other) {
            return host.discard(id);
        }
        // Of what failed, nobody has got them.
        if fault == Fault::None && exchange.text(Field::Code).is_none() {
            exchange.db.rows = rows;
            exchange.db.has_rows = has_rows;
        }
        self.session.finish(id, fault, now, host);
    }

    /// Nothing more will be seen: what is open ends here.
    fn conclude<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        if std::mem::replace(&mut self.session.over, true) {
            return;
        }
        discard(std::mem::take(&mut self.asked.open), host);
        match self.phase {
            Phase::Opening if self.refused && fault == Fault::None => {
                // It does not want to go on without.
                self.session.connect_begins(now, host);
                self.entered(Fault::TlsHandshake, now, host);
            }
            Phase::Opening | Phase::Asked(_) if fault != Fault::None => {
                self.session.connect_begins(now, host);
                self.entered(fault, now, host);
            }
            _ => self.entered(fault, now, host),
        }
        while let Some(entry) = self.queue.pop() {
            self.finish(entry, fault, now, host);
        }
        if self.wide != WideId(0) {
            host.release_wide(std::mem::take(&mut self.wide));
        }
    }
}

/// No exchange; zero is none.
fn discard<H: Host>(id: ExchangeId, host: &mut H) {
    if id != ExchangeId(0) {
        host.discard(id);
    }
}
