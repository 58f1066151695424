//! Redis and what speaks like it (Valkey, KeyDB, Dragonfly): RESP2 and RESP3, commands as arrays of bulk strings.
//!
//! Commands that leave in one call, or in several of one thread without an answer in between, are one exchange: a pipeline, or a
//! transaction. Only where the client's library is known to gather what many ask for, each is one of its own.
//! Replies come in order, so each exchange
//! waits for as many as it has commands. What a client sends before its first own command (AUTH, HELLO, SELECT, CLIENT ...)
//! belongs to the making of the connection, which is an exchange of its own.
//!
//! Not followed: inline commands, replication (the stream becomes opaque), `CLIENT REPLY`, MONITOR after its first reply.

mod command;
mod line;
mod pending;
mod reply;
#[cfg(test)]
mod tests;

use super::session::Session;
use crate::exchange::{Fault, Field, Kind, QUERY_MAX, System, VALUE_MAX};
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use command::Commands;
use pending::{Entry, Pending, Purpose, Pushed};
use reply::Replies;

/// Libraries, by the name that they tell the server, whose connections all callers share: what many asked for leaves in one call.
const MIXING: [&[u8]; 9] = [
    b"NODE-REDIS",
    b"LETTUCE",
    b"SE.REDIS",
    b"REDIS-RS",
    b"FRED",
    b"RUEIDIS",
    b"GLIDE",
    b"VALKEY-GLIDE",
    b"REDISSON",
];

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 24;

/// Judges the first bytes of both directions: the client begins, with the front of a command.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// Whether these are the first bytes of a command, up to the first letter of its name; `None`: they are not even its beginning.
fn begins(prefix: &[u8]) -> Option<bool> {
    let mut rest = prefix;
    for mark in [b'*', b'$'] {
        let Some((&first, after)) = rest.split_first() else {
            return Some(false);
        };
        if first != mark {
            return None;
        }
        let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, after) = after.split_at(digits);
        if digits.len() > 7 || digits.first() == Some(&b'0') {
            return None;
        }
        let end = &b"\r\n"[..after.len().min(2)];
        if !after.starts_with(end) || (digits.is_empty() && !after.is_empty()) {
            return None;
        }
        rest = after.get(2..).unwrap_or_default();
    }
    match rest.first() {
        None => Some(false),
        Some(letter) => letter.is_ascii_alphabetic().then_some(true),
    }
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    /// Nothing but the setting up of the connection was seen so far.
    setting_up: bool,
    /// What is sent next may join the newest exchange: it leaves in the same call.
    joins: bool,
    /// Nothing came back since the newest exchange was sent.
    unanswered: bool,
    /// The library gathers what many ask for into one call.
    mixes: bool,
    /// Bytes that the client has sent, modulo 2^32.
    sent: u32,
    /// The connection has subscriptions, or is about to.
    subscribed: bool,
    /// What comes after the pending replies is none of our business.
    ends: bool,
    /// Index of the database in use; the one to come is in the entry of its SELECT.
    database: u16,
    /// The exchange of the command that is being read; zero when it is not recorded.
    open: ExchangeId,
    /// The command being read is the first of its exchange.
    is_first: bool,
    commands: Commands,
    replies: Replies,
    pending: Pending,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::Redis, role);
        self.setting_up = true;
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let read = (self.is_first && self.open != ExchangeId(0)).then_some(self.open);
        let waiting = || self.pending.ids().next();
        self.session.connecting().or_else(waiting).or(read)
    }

    /// What passes next does so in another call of the program's.
    pub(super) fn call_begins(&mut self) {
        self.joins = false;
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        if self.session.is_clients(dir) {
            self.feed_commands(bytes, now, host);
        } else {
            self.feed_replies(bytes, now, host);
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let counted = if self.session.is_clients(dir) {
            self.sent = self.sent.wrapping_add(n as u32);
            self.commands.skip(n)
        } else {
            self.replies.skip(n)
        };
        if !counted {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        if let Some(fault) = self
            .session
            .fault_of_end(dir, how, self.replies.is_between())
        {
            self.conclude(fault, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    fn feed_commands<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over && !self.ends {
            if self.commands.is_between() {
                self.command_begins(now, host);
            }
            let (used, next) = self.commands.next(rest);
            if self.open != ExchangeId(0) {
                let exchange = host.exchange(self.open);
                exchange.append(Field::Query, &rest[..used], QUERY_MAX);
            }
            rest = &rest[used..];
            self.sent = self.sent.wrapping_add(used as u32);
            match next {
                command::Next::More => return,
                command::Next::Done => self.command_done(now, host),
                command::Next::Bad => self.conclude(Fault::None, now, host),
            }
        }
    }

    /// The first byte of a command passes.
    fn command_begins<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.setting_up {
            self.session.connect_begins(now, host);
        }
        // Only where many ask does anybody tell.
        self.mixes |= host.is_told(self.sent);
        let goes_on = self.unanswered && host.same_sender();
        let alone = self.mixes || !self.joins && !goes_on;
        let newest = self
            .pending
            .newest()
            .filter(|e| e.purpose == Purpose::Query);
        self.is_first = alone || newest.is_none_or(|entry| entry.sets_up);
        if !self.is_first {
            // From its first byte on: what was sent before may be answered while this one is still being sent.
            self.pending.join();
            self.open = self.pending.newest().map_or(ExchangeId(0), |e| e.id);
            return;
        }
        self.open = self.session.open(now, host);
        if self.open != ExchangeId(0) {
            self.name_database(self.open, host);
            let db = &mut host.exchange(self.open).db;
            db.is_mixed = self.mixes && self.joins;
            db.place = self.sent;
            // The last text: more commands may follow.
            host.exchange(self.open).begin(Field::Query);
        }
    }

    /// A command is complete: what is it for?
    fn command_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let purpose = purpose(self.commands.words());
        let open = std::mem::take(&mut self.open);
        if purpose == Purpose::Nothing {
            // No reply, or replies without end: nothing that comes later can be understood.
            self.discard(open, host);
            self.ends = true;
            if self.pending.is_empty() || !self.is_first {
                self.conclude(Fault::None, now, host);
            }
            return;
        }
        let sets_up = self.setting_up && purpose.sets_up();
        if sets_up {
            self.discard(open, host);
        } else {
            self.setting_up = false;
            if self.pending.setting_up() == 0 {
                self.connect_done(self.session.connected_ns, host);
            }
        }
        if self.commands.words() == (b"CLIENT", b"SETINFO") {
            self.mixes |= MIXING
                .iter()
                .any(|name| self.commands.third().starts_with(name));
        }
        if purpose == Purpose::Subscribe {
            self.subscribed = true;
        }
        if !self.is_first {
            if open != ExchangeId(0) {
                let db = &mut host.exchange(open).db;
                db.batch = db.batch.max(1).saturating_add(1);
            }
            return;
        }
        let id = if sets_up { ExchangeId(0) } else { open };
        let entry = Entry {
            id,
            replies: 1,
            purpose,
            sets_up,
            database: database(&purpose, self.commands.words().1),
        };
        match self.pending.push(entry) {
            Pushed::Waits if id != ExchangeId(0) => host.request_head(id),
            Pushed::Waits => {}
            Pushed::Counted => self.discard(id, host),
            Pushed::Lost => {
                self.discard(id, host);
                return self.conclude(Fault::None, now, host);
            }
        }
        // What changes the connection stands for itself.
        self.joins = purpose == Purpose::Query && !sets_up;
        self.unanswered = true;
    }

    fn discard<H: Host>(&mut self, id: ExchangeId, host: &mut H) {
        if id != ExchangeId(0) && self.is_first {
            host.discard(id);
        }
    }

    fn name_database<H: Host>(&self, id: ExchangeId, host: &mut H) {
        host.exchange(id)
            .set_number(Field::Namespace, self.database.into());
    }

    fn connect_done<H: Host>(&mut self, end: u64, host: &mut H) {
        if let Some(id) = self.session.connecting() {
            self.name_database(id, host);
        }
        self.session.connect_done(end, host);
    }

    fn feed_replies<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let (used, next) = self.replies.next(rest);
            rest = &rest[used..];
            match next {
                reply::Next::More => return,
                reply::Next::Done => self.reply_done(now, host),
                reply::Next::Bad => self.conclude(Fault::None, now, host),
            }
        }
    }

    fn reply_done<H: Host>(&mut self, now: u64, host: &mut H) {
        self.unanswered = false;
        let oldest = self.pending.oldest();
        if self.is_message() {
            let confirms = oldest.is_some_and(|e| e.purpose == Purpose::Subscribe)
                && !self.replies.text().ends_with(b"message");
            if !confirms {
                return;
            }
        }
        let Some(entry) = oldest else {
            // An answer to nothing: the connection was not understood.
            return self.conclude(Fault::None, now, host);
        };
        if let Some(code) = self.replies.error() {
            let id = if !entry.sets_up {
                entry.id
            } else if entry.purpose.must_succeed(code) {
                self.session.connecting().unwrap_or_default()
            } else {
                ExchangeId(0)
            };
            if id != ExchangeId(0) && host.exchange(id).text(Field::Code).is_none() {
                host.exchange(id).set(Field::Code, code, VALUE_MAX);
            }
        } else if entry.purpose == Purpose::Select {
            self.database = entry.database;
        }
        if entry.replies > 1 {
            self.pending.answered();
            return;
        }
        if self.open == entry.id && self.open != ExchangeId(0) {
            // An answer to what is still being sent: the same.
            return self.conclude(Fault::None, now, host);
        }
        self.pending.pop();
        if entry.sets_up {
            self.session.connected_ns = now;
            if !self.setting_up && self.pending.setting_up() == 0 {
                self.connect_done(now, host);
            }
        }
        self.session.finish(entry.id, Fault::None, now, host);
        if self.ends && self.pending.is_empty() {
            self.conclude(Fault::None, now, host);
        }
    }

    /// Whether the reply read last came by itself, or confirms one of several subscriptions.
    fn is_message(&mut self) -> bool {
        let names = self.replies.text();
        let pushed = self.replies.kind() == b'>';
        let about_subscriptions = names.ends_with(b"message") || names.ends_with(b"subscribe");
        let listed = self.subscribed && self.replies.kind() == b'*' && about_subscriptions;
        if !(pushed || listed) {
            return false;
        }
        if names.ends_with(b"unsubscribe") && self.replies.number() == 0 {
            self.subscribed = false;
        }
        true
    }

    /// Nothing more will be seen: what is open ends here.
    fn conclude<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        if std::mem::replace(&mut self.session.over, true) {
            return;
        }
        let open = std::mem::take(&mut self.open);
        if self.is_first {
            self.discard(open, host);
        }
        if let Some(id) = self.session.connecting() {
            self.name_database(id, host);
        }
        if self.pending.setting_up() > 0 {
            self.session.connect_failed(fault, now, host);
        } else {
            self.session.connect_done(self.session.connected_ns, host);
        }
        while let Some(entry) = self.pending.pop() {
            self.session.finish(entry.id, fault, now, host);
        }
    }
}

/// What a command does to the connection.
fn purpose((name, argument): (&[u8], &[u8])) -> Purpose {
    match (name, argument) {
        (b"AUTH", _) => Purpose::Auth,
        (b"HELLO", _) => Purpose::Hello,
        (b"READONLY" | b"READWRITE", _) => Purpose::SetUp,
        (b"CLIENT", b"REPLY") => Purpose::Nothing,
        (b"CLIENT", b"KILL" | b"LIST" | b"PAUSE" | b"UNPAUSE" | b"UNBLOCK") => Purpose::Query,
        // What a library says of itself, and which features it wants: it goes on where a server knows them not.
        (b"CLIENT", _) => Purpose::SetUp,
        (b"SELECT", _) => Purpose::Select,
        (b"MONITOR" | b"SYNC" | b"PSYNC" | b"REPLCONF", _) => Purpose::Nothing,
        (
            b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE"
            | b"SUNSUBSCRIBE",
            _,
        ) => Purpose::Subscribe,
        _ => Purpose::Query,
    }
}

/// The database that a SELECT is about.
fn database(purpose: &Purpose, argument: &[u8]) -> u16 {
    line::number(argument)
        .filter(|_| *purpose == Purpose::Select)
        .and_then(|index| u16::try_from(index).ok())
        .unwrap_or_default()
}
