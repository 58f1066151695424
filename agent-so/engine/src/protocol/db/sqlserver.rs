//! Microsoft SQL Server: TDS 7.1 to 8.0.
//!
//! Both ends first say what they want of encryption. Where all is encrypted, TLS begins inside of messages of this protocol, and
//! the login begins another stream inside of it; where only the login is, its records are passed over here and the answer to it
//! comes in the clear. After the login there is one message to the server at a time, and one message in answer, of which the
//! packets say where it ends.
//!
//! Not followed: several requests at a time (MARS), TDS 7.0.

mod answer;
mod client;
mod opening;
mod packets;
mod request;
mod rows;
mod server;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub(in crate::protocol) use opening::{PREFIX_MAX, begins, probe};

use super::name::Name;
use super::session::Session;
use crate::exchange::{Fault, Field, Kind, System, VALUE_MAX};
use crate::protocol::tls;
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host};
use answer::Answer;
use opening::{DATABASE, INSTANCE, Login, Prelogin, Wish};
use packets::{Packets, Part};
use request::{Call, Request};
use text::Utf16;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    #[default]
    Fresh = 0,
    /// The client said what it wants of encryption.
    Asked,
    /// So did the server.
    Agreed,
    /// TLS begins, for the login alone.
    Handshake,
    /// The client has said who it is.
    Login,
    Ready,
}

/// What the client is sending: the memory of what is read of it is shared.
#[derive(Clone, Copy, Debug, Default)]
#[repr(u8)]
enum Sending {
    /// Nothing of interest.
    #[default]
    Other = 0,
    Prelogin(Prelogin),
    Login(Login),
    /// The beginning of TLS.
    Hello([u8; tls::PREFIX_MAX], u8),
    Request(Request),
}

/// What is known of the calls in the message that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    /// The one that is read.
    call: Call,
    /// All of them, and those that do something.
    all: u32,
    count: u32,
    /// Those of which the statement is remembered.
    prepare: u32,
    /// The text of the one that is read goes into the exchange; it has one.
    is_written: bool,
    has_text: bool,
    /// Hashes of the text, and of that of the first.
    hash: u64,
    first: u64,
    /// They are not all the same.
    differ: bool,
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    phase: Phase,
    wish: Wish,
    /// Only the login is encrypted.
    hides_login: bool,
    /// Both ends want something else of encryption.
    disagree: bool,
    /// The server said something.
    was_heard: bool,
    /// TLS begins so many bytes before the end of those fed last.
    tls: Option<u32>,
    /// An answer is awaited; the request was given up while it was sent.
    is_asked: bool,
    is_ignored: bool,
    /// So is the answer to a request to stop.
    is_stopping: bool,
    /// The answer that is read is looked at.
    is_read: bool,
    /// The login is accepted; there was an error.
    is_accepted: bool,
    has_error: bool,
    /// The request only makes something ready, or tidies up.
    is_quiet: bool,
    /// The exchange of the request was told of.
    is_told: bool,
    calls: Calls,
    open: ExchangeId,
    wide: WideId,
    sent: Packets,
    sending: Sending,
    received: Packets,
    /// What the server says of encryption.
    terms: Prelogin,
    letters: Utf16,
    answer: Answer,
    instance: Name<INSTANCE>,
    database: Name<DATABASE>,
    /// The database in use where the session begins anew.
    home: Name<DATABASE>,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::SqlServer, role);
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let open = (self.open != ExchangeId(0)).then_some(self.open);
        self.session.connecting().or(open)
    }

    /// The client begins TLS for all that follows, so many bytes before the end of those fed last.
    pub(super) fn turns_to_tls(&self) -> Option<usize> {
        self.tls.map(|n| n as usize)
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        let clients = self.session.is_clients(dir);
        self.was_heard |= !clients;
        let mut rest = bytes;
        while !self.session.over && self.tls.is_none() {
            let packets = if clients {
                &mut self.sent
            } else {
                &mut self.received
            };
            let (used, part) = packets.next(rest);
            rest = &rest[used..];
            let understood = match (clients, part) {
                (_, Part::None) => break,
                (_, Part::Lost) => false,
                (true, Part::Begins(kind)) => self.sending_begins(kind, rest.len(), now, host),
                (true, Part::Bytes(part)) => self.sending(part, dir, host),
                (true, Part::Ends) => self.sending_ends(host),
                (true, Part::Record(kind)) => self.record(kind),
                (false, Part::Begins(kind)) => self.receiving_begins(kind),
                (false, Part::Bytes(part)) => {
                    self.receiving(part, host);
                    true
                }
                (false, Part::Ends) => self.received(now, host),
                (false, Part::Record(_)) => {
                    self.hides_login && matches!(self.phase, Phase::Handshake | Phase::Login)
                }
            };
            if !understood {
                self.conclude(Fault::None, now, host);
            }
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let counted = if self.session.is_clients(dir) {
            let is_passed = match &mut self.sending {
                Sending::Request(request) => request.skip(n),
                _ => false,
            };
            is_passed && self.sent.skip(n)
        } else {
            self.is_read && self.received.skip(n) && self.answer.skip(n)
        };
        if !counted {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        let Some(fault) = self
            .session
            .fault_of_end(dir, how, self.received.is_between())
        else {
            return;
        };
        self.conclude(fault, now, host);
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    /// Says of an exchange which database it is about.
    fn name_database<H: Host>(&self, id: ExchangeId, host: &mut H) {
        let (instance, database) = (self.instance.text(), self.database.text());
        if id == ExchangeId(0) || database.is_empty() {
            return;
        }
        let exchange = host.exchange(id);
        exchange.begin(Field::Namespace);
        if !instance.is_empty() && !instance.eq_ignore_ascii_case(b"MSSQLSERVER") {
            exchange.append(Field::Namespace, instance, VALUE_MAX);
            exchange.append(Field::Namespace, b"|", VALUE_MAX);
        }
        exchange.append(Field::Namespace, database, VALUE_MAX);
    }

    /// The request is answered, or will not be.
    fn end_request<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        self.is_asked = false;
        self.is_ignored = false;
        let open = std::mem::take(&mut self.open);
        if open == ExchangeId(0) {
            return;
        }
        let has_code = host.exchange(open).text(Field::Code).is_some();
        let says_nothing = matches!(fault, Fault::None | Fault::Other) && !has_code;
        if !self.is_told || (self.is_quiet && says_nothing) {
            return host.discard(open);
        }
        let fault = if has_code { Fault::None } else { fault };
        self.session.finish(open, fault, now, host);
    }

    /// Nothing more will be seen: what is open ends here.
    fn conclude<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        if std::mem::replace(&mut self.session.over, true) {
            return;
        }
        let refused = self.phase == Phase::Agreed && self.disagree && fault == Fault::None;
        let fault = if refused { Fault::TlsHandshake } else { fault };
        if matches!(self.phase, Phase::Asked | Phase::Agreed) && fault != Fault::None {
            self.session.connect_begins(now, host);
        }
        let is_hidden = self.phase == Phase::Login && !self.was_heard && fault == Fault::None;
        if is_hidden {
            // Only the login is in here: what passes outside tells of the rest.
            self.session.connect_discarded(host);
        }
        if let Some(id) = self.session.connecting() {
            self.name_database(id, host);
            let has_code = host.exchange(id).text(Field::Code).is_some();
            let fault = if has_code { Fault::None } else { fault };
            self.session.connect_failed(fault, now, host);
        }
        let gives_up = self.is_stopping && fault == Fault::None;
        self.end_request(if gives_up { Fault::Other } else { fault }, now, host);
        if self.wide != WideId(0) {
            host.release_wide(std::mem::take(&mut self.wide));
        }
    }
}
