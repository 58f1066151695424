//! MySQL and MariaDB, and what speaks like them: the protocol 10 with the capabilities of 4.1 and later.
//!
//! The server begins, with a greeting that says what it is and can. The client answers with its login, or asks for TLS
//! first and logs in inside. Then it sends commands, each of which begins to count packets anew, and gets an answer to
//! each in their order. What a message of an answer is says itself wherever possible: inside of TLS only one side's
//! capabilities are known.
//!
//! Not followed: connections compressed with Zstandard (after their login), replication.

mod answer;
mod client;
mod command;
pub(in crate::protocol) mod compressed;
mod login;
mod packets;
mod server;
#[cfg(test)]
mod tests;

pub(in crate::protocol) use login::{PREFIX_MAX, probe};

use super::ring::Ring;
use super::session::Session;
use crate::exchange::{Fault, Kind, System};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host};
use crate::sql::Backslash;
use answer::{Front, Place};
use command::{Attributes, Kind as Command};
use login::{Greeting, Login, Name};
use packets::{Packets, Part};

/// Commands that may wait for their answers. Beyond that they are counted, not recorded.
const WAITING: usize = 14;
/// Names the texts of statements of which the number is not known yet, apart from those of which it is.
const PREPARING: u64 = 1 << 32;
/// Stands for the statement prepared last (MariaDB).
const LAST: u32 = u32::MAX;

/// One command that waits for its answer.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Zero when it is not recorded.
    id: ExchangeId,
    /// As many more like it wait, unrecorded; of [`Command::Prepare`], which one it is.
    extra: u32,
    kind: Command,
    /// Number of the first packet of its answer.
    number: u8,
    /// The database in use is the one proposed, once it is answered.
    chooses: bool,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// The server's greeting is to come, or was inside of another connection.
    #[default]
    Greeting = 0,
    /// It is complete.
    Greeted,
    /// The client has said who it is.
    Login,
    Commands,
}

/// What the message is that the client is sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Sending {
    #[default]
    Login = 0,
    /// Proves who the user is, or is a file.
    Data,
    Command,
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    phase: Phase,
    /// What comes after the answers that are waited for is none of our business.
    ends: bool,
    /// The client sends a file.
    file: bool,
    /// The answer to the oldest command has begun.
    answering: bool,
    /// An end may follow the answer that was complete with the message read last.
    trailing: bool,
    backslash: Backslash,
    /// What the server says it can; what both can.
    server: u32,
    common: u32,
    /// TLS begins so many bytes before the end of those fed last, where that is said.
    tls: Option<u16>,
    sent: Packets,
    sending: Sending,
    kind: Command,
    /// Bytes of the number of the statement that were read, and these.
    numbered: u8,
    statement: [u8; 4],
    attributes: Attributes,
    login: Login,
    greeting: Greeting,
    /// The exchange of the command that is being read; zero when it is not recorded.
    open: ExchangeId,
    waiting: Ring<Entry, WAITING>,
    received: Packets,
    front: Front,
    place: Place,
    /// Rows of the answer, up to here.
    rows: u64,
    has_rows: bool,
    /// The database in use, and the one that will be once the command that asks for it is answered.
    database: Name,
    proposed: Name,
    /// Such commands that wait.
    proposals: u8,
    /// Statements prepared, ever; the key of the last one's text.
    prepared: u32,
    last: u64,
    wide: Option<WideId>,
    /// Both sides compress, since the login.
    compresses: bool,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::MySql, role);
        self.server = u32::MAX;
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let mut waiting = self.waiting.iter().map(|entry| entry.id);
        let read = (self.open != ExchangeId(0)).then_some(self.open);
        let connecting = self.session.connecting();
        connecting
            .or_else(|| waiting.find(|id| *id != ExchangeId(0)))
            .or(read)
    }

    /// The client has asked for TLS, which begins so many bytes before the end of those fed last.
    pub(super) fn turns_to_tls(&self) -> Option<usize> {
        self.tls.map(usize::from)
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        let clients = self.session.is_clients(dir);
        if self.compresses {
            self.unpack(clients, bytes, now, host);
        } else {
            self.read(clients, bytes, now, host);
        }
        if self.ends && self.waiting.is_empty() {
            self.conclude(Fault::None, now, host);
        }
    }

    /// Whether what comes from that side is of any interest.
    fn reads(&self, clients: bool) -> bool {
        !self.session.over && self.tls.is_none() && !(clients && self.ends)
    }

    /// Reads packets as they are.
    fn read<H: Host>(&mut self, clients: bool, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while self.reads(clients) {
            let packets = if clients {
                &mut self.sent
            } else {
                &mut self.received
            };
            let (used, part) = packets.next(rest);
            rest = &rest[used..];
            let understood = match (clients, part) {
                (_, Part::None) => break,
                (true, Part::Begins) => self.sending_begins(),
                (true, Part::Bytes(part)) => {
                    let fits = self.sending(part, now, host);
                    self.sent.advance(part.len());
                    fits
                }
                (true, Part::Ends) => self.sending_ends(rest.len(), now, host),
                (false, Part::Begins) => {
                    self.front.clear();
                    true
                }
                (false, Part::Bytes(part)) => {
                    let fits = self.receiving(part);
                    self.received.advance(part.len());
                    fits
                }
                (false, Part::Ends) => self.received(now, host),
            };
            if !understood {
                self.conclude(Fault::None, now, host);
            }
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let counted = if self.compresses {
            false
        } else if self.session.is_clients(dir) {
            let parameters = self.kind == Command::LongData
                || (self.kind == Command::Execute && self.numbered == 4);
            let known = match self.sending {
                Sending::Login => false,
                Sending::Data => true,
                Sending::Command => parameters && self.sent.read() > 0,
            };
            known && self.sent.skip(n)
        } else {
            // Inside of a row.
            self.received.read() > 0 && self.front.is_empty() && self.received.skip(n)
        };
        if !counted {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        let between = self.received.is_between();
        if let Some(fault) = self.session.fault_of_end(dir, how, between) {
            self.conclude(fault, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
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
        self.connect_ends(true, fault, now, host);
        while let Some(entry) = self.waiting.pop() {
            if entry.id == ExchangeId(0) {
            } else if entry.kind.is_query() || fault != Fault::None {
                self.session.finish(entry.id, fault, now, host);
            } else {
                host.discard(entry.id);
            }
        }
        if let Some(wide) = self.wide.take() {
            host.release_wide(wide);
        }
    }
}
