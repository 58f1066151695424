//! MongoDB and what speaks like it: commands are documents, of which the first field is the name.
//!
//! Answers name the request that they belong to. What sets a connection up (hello, SASL) belongs to its making, which is an
//! exchange of its own once the connection is used for something: those on which drivers only watch their servers make none.
//!
//! Not read: what is inside messages compressed with Zstandard (they are exchanges without a name), and messages of the time
//! before OP_MSG.

mod bson;
mod compressed;
mod message;
#[cfg(test)]
mod tests;

use super::ring::Ring;
use super::session::Session;
use crate::db::mongodb::{is_command, names_collection};
use crate::exchange::{Fault, Field, Kind, System, VALUE_MAX};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use bson::{Event, Want};
use compressed::Compressed;
pub(in crate::protocol) use message::begins;
use message::{Messages, Next};

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

fn purpose(name: &[u8]) -> Purpose {
    match name {
        b"hello" | b"isMaster" | b"ismaster" => Purpose::Greets,
        b"saslStart" | b"saslContinue" | b"authenticate" | b"getnonce" => Purpose::Proves,
        b"endSessions" => Purpose::Tidies,
        _ => Purpose::Query,
    }
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
    pub(super) fn new(role: Kind) -> Self {
        Self {
            session: Session::new(System::MongoDb, role),
            ..Self::default()
        }
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

    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        self.unpack(self.session.is_clients(dir), bytes, now, host);
    }

    /// Reads messages that are not compressed.
    fn read<H: Host>(&mut self, asks: bool, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let used = if asks {
                self.feed_request(rest, now, host)
            } else {
                self.feed_answer(rest, now, host)
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

    fn feed_request<H: Host>(&mut self, rest: &[u8], now: u64, host: &mut H) -> usize {
        if self.requests.is_between() {
            self.asked = Body::default();
        }
        let (used, next) = self.requests.next(rest);
        match next {
            Next::More => {}
            Next::Body(Event::Element) => {
                if !self.asked_for(host) {
                    self.conclude(Fault::None, now, host);
                }
            }
            Next::Body(Event::Text(len)) => {
                if let Some(field) = self.asked.field
                    && self.open != ExchangeId(0)
                {
                    host.exchange(self.open)
                        .append(field, &rest[used - len..used], VALUE_MAX);
                }
            }
            Next::Body(_) => {}
            Next::Done => self.request_done(now, host),
            Next::Bad => self.conclude(Fault::None, now, host),
        }
        used
    }

    /// An element of a command begins. False: there is none like it.
    fn asked_for<H: Host>(&mut self, host: &mut H) -> bool {
        let body = self.requests.body;
        let name = body.name();
        self.asked.field = None;
        if body.level() > 0 {
            self.asked.count = self.asked.count.saturating_add(1);
            return true;
        }
        if !self.asked.named {
            self.asked.named = true;
            // Of the old form only what sets a connection up is still in use.
            let is_old = self.requests.opcode != message::MSG;
            if !is_old && !is_command(name) {
                return false;
            }
            self.asked.purpose = match purpose(name) {
                Purpose::Query if is_old => Purpose::Tidies,
                purpose => purpose,
            };
            self.asked.is_more = name == b"getMore";
            if self.asked.purpose == Purpose::Query {
                self.begin(host);
                if self.open != ExchangeId(0) {
                    host.exchange(self.open)
                        .set(Field::Operation, name, VALUE_MAX);
                }
            }
            if names_collection(name) {
                self.text_for(Field::Collection, host);
            }
            return true;
        }
        match name {
            b"$db" => self.text_for(Field::Namespace, host),
            b"collection" if self.asked.is_more => self.text_for(Field::Collection, host),
            _ if message::is_work(name) => self.requests.body.want(Want::Inside),
            _ => {}
        }
        true
    }

    /// The text that comes is for `field`.
    fn text_for<H: Host>(&mut self, field: Field, host: &mut H) {
        if self.open != ExchangeId(0) && self.requests.body.is_text() {
            self.requests.body.want(Want::Text);
            self.asked.field = Some(field);
            host.exchange(self.open).begin(field);
        }
    }

    /// The connection is used for something: what made it is an exchange, and so is this request.
    fn begin<H: Host>(&mut self, host: &mut H) {
        self.connect_begins(host);
        self.session.connect_done(self.session.connected_ns, host);
        self.open = self.session.open(self.begun_ns, host);
    }

    fn connect_begins<H: Host>(&mut self, host: &mut H) {
        if std::mem::replace(&mut self.used, true) {
            return;
        }
        self.session.connect_begins(self.begun_ns, host);
        if self.set_up_ns > 0 {
            self.session.connected_ns = self.set_up_ns;
        }
    }

    fn request_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let requests = &self.requests;
        let (request, silent) = (requests.id, requests.more_to_come());
        if requests.opcode == message::COMPRESSED {
            self.begin(host);
        } else if !self.asked.named {
            // Messages of old, or what was not seen.
            return;
        }
        if self.asked.purpose == Purpose::Proves {
            self.connect_begins(host);
        }
        let id = std::mem::take(&mut self.open);
        let batch = self.asked.count.max(self.requests.documents);
        if silent {
            if id != ExchangeId(0) {
                host.exchange(id).db.batch = batch;
                host.request_head(id);
            }
            return self.session.finish(id, Fault::None, now, host);
        }
        let entry = Entry {
            id,
            request,
            purpose: self.asked.purpose,
            waits: true,
        };
        self.drop_answered();
        let waits = self.pending.push(entry);
        if id == ExchangeId(0) {
            return;
        }
        if waits {
            host.exchange(id).db.batch = batch;
            host.request_head(id);
        } else {
            host.discard(id);
        }
    }

    fn feed_answer<H: Host>(&mut self, rest: &[u8], now: u64, host: &mut H) -> usize {
        if self.answers.is_between() {
            self.answered = Body::default();
        }
        let (used, next) = self.answers.next(rest);
        match next {
            Next::More => {}
            Next::Body(Event::Element) => self.told(),
            Next::Body(Event::Number(number)) => self.counted(number),
            Next::Body(_) => {}
            Next::Done => self.answer_done(now, host),
            Next::Bad => self.conclude(Fault::None, now, host),
        }
        used
    }

    /// An element of an answer begins.
    fn told(&mut self) {
        let answered = &mut self.answered;
        let body = &mut self.answers.body;
        let inside = match body.name() {
            b"writeErrors" => Inside::Errors,
            b"writeConcernError" => Inside::Concern,
            b"cursor" => Inside::Cursor,
            _ => Inside::Nothing,
        };
        let want = match (body.level(), answered.inside) {
            (0, _) => {
                answered.inside = inside;
                match body.name() {
                    b"ok" | b"code" => Want::Number,
                    _ if inside != Inside::Nothing => Want::Inside,
                    _ => Want::Nothing,
                }
            }
            (1, Inside::Errors) if answered.code.is_none() => Want::Inside,
            (1, Inside::Concern) | (2, Inside::Errors) if body.name() == b"code" => Want::Number,
            (1, Inside::Cursor) if matches!(body.name(), b"firstBatch" | b"nextBatch") => {
                answered.has_rows = true;
                Want::Inside
            }
            (2, Inside::Cursor) => {
                answered.count = answered.count.saturating_add(1);
                Want::Nothing
            }
            _ => Want::Nothing,
        };
        body.want(want);
    }

    /// A number of an answer's.
    fn counted(&mut self, number: i64) {
        let body = &self.answers.body;
        match body.name() {
            b"ok" if body.level() == 0 => self.answered.failed = number == 0,
            b"code" => {
                // What went wrong with all of it comes first.
                let first = body.level() == 0 || self.answered.code.is_none();
                if first {
                    self.answered.code = Some(number);
                }
            }
            _ => {}
        }
    }

    fn answer_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let (answers, next) = (self.answers.answers, self.answers.id);
        let more = self.answers.more_to_come();
        let Some(entry) = self.pending.find(|e| e.waits && e.request == answers) else {
            return;
        };
        let Entry { id, purpose, .. } = *entry;
        if more {
            // The next one answers this one.
            entry.request = next;
        } else {
            *entry = Entry::default();
        }
        self.drop_answered();
        let answered = self.answered;
        let failed = match purpose {
            Purpose::Proves => {
                self.set_up_ns = now;
                self.session.connected_ns = now;
                self.session.connecting().unwrap_or_default()
            }
            Purpose::Greets => {
                if !self.used {
                    self.set_up_ns = now;
                }
                return;
            }
            Purpose::Query | Purpose::Tidies => id,
        };
        if failed == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(failed);
        if answered.has_rows {
            let rows = exchange.db.rows.saturating_add(answered.count.into());
            (exchange.db.rows, exchange.db.has_rows) = (rows, true);
        }
        let mut fault = Fault::None;
        if let Some(code) = answered.code {
            exchange.set_number(Field::Code, code);
        } else if answered.failed {
            fault = Fault::Other;
        }
        if purpose == Purpose::Proves {
            if answered.failed {
                self.session.connect_failed(fault, now, host);
            }
        } else if !more {
            self.session.finish(id, fault, now, host);
        }
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
