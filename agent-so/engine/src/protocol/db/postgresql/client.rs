//! What clients send, once they have introduced themselves.

use super::frame::Part;
use super::opening::Request;
use super::queue::{Entry, Kind as What};
use super::{CODE, Machine, Phase, discard, opening};
use crate::exchange::{Fault, Field, QUERY_MAX, VALUE_MAX};
use crate::protocol::db::texts::{key_begins, key_goes_on, recall};
use crate::protocol::wide::WideId;
use crate::protocol::{ExchangeId, Host};

/// What [`Field::Operation`] says of a call of a function by its number (large objects are read and written so).
const CALL: &[u8] = b"CALL";
/// Spaces of the keys of texts.
const STATEMENT: u8 = 1;
const PORTAL: u8 = 2;

/// The message under way, and what the ones before it have led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// The number at the beginning of a first message; what is to be closed.
    code: u32,
    /// Bytes of it that were read.
    code_len: u8,
    /// Strings of this message that are complete.
    strings: u8,
    /// The portal bound last is executed for the first time.
    is_bound: bool,
    /// Data to be copied has ended since the newest entry.
    pub(super) has_copied: bool,
    /// The key of the string under way, and of the one before it in this message.
    key: u64,
    first: u64,
    /// The exchange of the simple query under way; zero when it is not recorded.
    pub(super) open: ExchangeId,
    /// When the first of the messages for the next Execute passed; 0: none has.
    since: u64,
    /// The statement that was parsed and that nobody has executed; 0: none.
    parsed: u64,
    /// The portal bound last, its statement, and that of the portal without a name; 0: not known (any more).
    portal: u64,
    bound: u64,
    unnamed: u64,
    /// The statement of the newest entry, if another Execute of it is part of the same batch.
    batch: u64,
    /// The error that was told before anything was sent that it could belong to.
    pub(super) early: [u8; CODE],
}

impl Asked {
    /// Something was sent after which the server was not yet asked whether it is ready.
    pub(super) fn is_under_way(&self) -> bool {
        self.since != 0
    }
}

impl Machine {
    pub(super) fn feed_client<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over && self.tls.is_none() {
            if matches!(self.phase, Phase::Asked(_)) {
                // Nothing may be said before the server's answer.
                return self.conclude(Fault::None, now, host);
            }
            let typed = self.phase != Phase::Opening;
            let (used, part) = self.sent.next(rest, typed);
            let piece = &rest[..used];
            rest = &rest[used..];
            match part {
                Part::More => return,
                Part::Bad => return self.conclude(Fault::None, now, host),
                Part::Head => self.message_begins(now, host),
                Part::Body => self.message_goes_on(piece, host),
            }
            if self.sent.is_done() && !self.session.over {
                self.message_done(now, host);
            }
        }
    }

    fn message_begins<H: Host>(&mut self, now: u64, host: &mut H) {
        let (kind, left) = (self.sent.kind, self.sent.left());
        let fits = match kind {
            0 => true,
            b'Q' | b'P' | b'B' | b'E' | b'C' | b'D' | b'F' => left > 0,
            b'S' | b'H' | b'X' | b'c' => left == 0,
            b'd' | b'f' => true,
            // Who it is: of that only the length is looked at.
            b'p' => self.phase == Phase::Entering,
            _ => false,
        };
        if !fits {
            return self.conclude(Fault::None, now, host);
        }
        if kind == b'P' {
            // What was prepared before stays so, and its text may give way now.
            self.prepared(now, host);
        }
        let space = match kind {
            b'B' | b'E' => PORTAL,
            _ => STATEMENT,
        };
        let asked = &mut self.asked;
        asked.strings = 0;
        asked.code_len = 0;
        asked.key = key_begins(space);
        match kind {
            b'P' | b'B' if asked.since == 0 => asked.since = now,
            b'Q' | b'F' => {
                let id = self.open(now, host);
                self.asked.open = id;
                if id == ExchangeId(0) {
                    return;
                }
                let exchange = host.exchange(id);
                match kind {
                    b'Q' => exchange.begin(Field::Query),
                    _ => exchange.set(Field::Operation, CALL, VALUE_MAX),
                }
            }
            _ => {}
        }
    }

    /// Part of the body of a message passes.
    fn message_goes_on<H: Host>(&mut self, piece: &[u8], host: &mut H) {
        let (number, strings) = match self.sent.kind {
            0 => (4, u8::MAX),
            b'P' | b'B' => (0, 2),
            b'Q' | b'E' => (0, 1),
            b'C' => (1, 1),
            _ => return,
        };
        let mut rest = piece;
        while self.asked.code_len < number {
            let Some((first, after)) = rest.split_first() else {
                return;
            };
            self.asked.code = self.asked.code << 8 | u32::from(*first);
            self.asked.code_len += 1;
            rest = after;
            if self.sent.kind == b'C' && *first == b'P' {
                self.asked.key = key_begins(PORTAL);
            }
        }
        if self.sent.kind == 0 && opening::request(self.asked.code) != Some(Request::Startup) {
            return;
        }
        while !rest.is_empty() && self.asked.strings < strings {
            let end = memchr::memchr(0, rest);
            self.string(&rest[..end.unwrap_or(rest.len())], host);
            let Some(end) = end else { return };
            self.string_done(host);
            rest = &rest[end + 1..];
        }
    }

    /// (Part of) a string of a message.
    fn string<H: Host>(&mut self, bytes: &[u8], host: &mut H) {
        match (self.sent.kind, self.asked.strings) {
            (0, _) => self.parameters.push(bytes),
            (b'Q', _) => {
                if self.asked.open != ExchangeId(0) {
                    let exchange = host.exchange(self.asked.open);
                    exchange.append(Field::Query, bytes, QUERY_MAX);
                }
            }
            (b'P', 1) => {
                if self.wide != WideId(0) {
                    host.wide_mut(self.wide).texts.append(bytes);
                }
            }
            _ => self.asked.key = key_goes_on(self.asked.key, bytes),
        }
    }

    fn string_done<H: Host>(&mut self, host: &mut H) {
        match (self.sent.kind, self.asked.strings) {
            // Of these there may be any number.
            (0, _) => return self.parameters.done(),
            (b'P', 0) => {
                self.asked.first = self.asked.key;
                if self.wide == WideId(0) {
                    self.wide = host.wide().unwrap_or_default();
                }
                if self.wide != WideId(0) {
                    host.wide_mut(self.wide).texts.begin(self.asked.key);
                }
            }
            (b'B', 0) => {
                self.asked.first = self.asked.key;
                self.asked.key = key_begins(STATEMENT);
            }
            _ => {}
        }
        self.asked.strings += 1;
    }

    fn message_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let strings = match self.sent.kind {
            b'P' | b'B' => 2,
            b'Q' | b'E' | b'C' => 1,
            _ => 0,
        };
        if self.asked.strings < strings {
            return self.conclude(Fault::None, now, host);
        }
        let asked = &mut self.asked;
        match self.sent.kind {
            0 => self.opened(now, host),
            b'Q' | b'F' => {
                let id = std::mem::take(&mut asked.open);
                self.wait_for(id, What::Simple, true, host);
                self.has_synced = true;
            }
            b'P' => {
                asked.parsed = asked.first;
                if asked.unnamed == asked.first {
                    // That portal keeps the statement that had the name before.
                    asked.unnamed = 0;
                }
                asked.batch = 0;
            }
            b'B' => {
                (asked.portal, asked.bound) = (asked.first, asked.key);
                asked.is_bound = true;
                if asked.portal == key_begins(PORTAL) {
                    asked.unnamed = asked.bound;
                }
                if self.wide != WideId(0) {
                    let texts = &mut host.wide_mut(self.wide).texts;
                    texts.renew(asked.bound);
                    if asked.portal != key_begins(PORTAL) {
                        texts.copy(asked.bound, asked.portal);
                    }
                }
            }
            b'C' if self.wide != WideId(0) => {
                host.wide_mut(self.wide).texts.remove(asked.key);
            }
            b'E' => self.execute(now, host),
            b'H' => self.prepared(now, host),
            // While it takes data, the server does not look at these.
            b'S' if !self.copying => {
                self.prepared(now, host);
                self.asked.since = 0;
                self.asked.batch = 0;
                self.asked.early = [0; CODE];
                self.queue.sync();
                self.has_synced = true;
            }
            b'c' | b'f' => {
                asked.has_copied = !self.copying;
                self.copying = false;
            }
            _ => {}
        }
    }

    /// The client has said what it wants of the connection.
    fn opened<H: Host>(&mut self, now: u64, host: &mut H) {
        match opening::request(self.asked.code) {
            Some(Request::Startup) => {
                self.session.connect_begins(now, host);
                self.phase = Phase::Entering;
            }
            Some(request @ (Request::Tls | Request::Gss)) => {
                // Should TLS fail, it is known that this is a database.
                let id = self.session.open(now, host);
                discard(id, host);
                self.phase = Phase::Asked(request);
            }
            Some(Request::Cancel) | None => {
                self.phase = Phase::Cancels;
                self.conclude(Fault::None, now, host);
            }
        }
    }

    /// A portal is to be executed.
    fn execute<H: Host>(&mut self, now: u64, host: &mut H) {
        let portal = self.asked.key;
        let is_last = portal == self.asked.portal;
        let statement = if is_last { self.asked.bound } else { 0 };
        if self.asked.parsed == statement {
            self.asked.parsed = 0;
        } else {
            self.prepared(now, host);
        }
        let since = std::mem::take(&mut self.asked.since);
        let again = std::mem::take(&mut self.asked.is_bound) && statement == self.asked.batch;
        if again
            && statement != 0
            && let Some(newest) = self.queue.newest()
            && newest.kind == What::Execute
            && !newest.synced
            && newest.left > 0
            && newest.left < u16::MAX
        {
            newest.left += 1;
            if newest.id != ExchangeId(0) {
                let db = &mut host.exchange(newest.id).db;
                db.batch = db.batch.max(1).saturating_add(1);
            }
            return;
        }
        let id = self.open(if since == 0 { now } else { since }, host);
        let text = match portal {
            _ if portal != key_begins(PORTAL) => portal,
            _ => self.asked.unnamed,
        };
        self.recall(text, id, host);
        self.asked.batch = statement;
        self.asked.has_copied = false;
        self.wait_for(id, What::Execute, false, host);
    }

    /// What was parsed is not executed for now. That makes no span, unless it fails.
    fn prepared<H: Host>(&mut self, now: u64, host: &mut H) {
        let statement = std::mem::take(&mut self.asked.parsed);
        if statement == 0 {
            return;
        }
        let since = std::mem::take(&mut self.asked.since);
        let id = self.open(if since == 0 { now } else { since }, host);
        self.recall(statement, id, host);
        self.asked.batch = 0;
        self.wait_for(id, What::Prepare, false, host);
    }

    fn recall<H: Host>(&mut self, text: u64, id: ExchangeId, host: &mut H) {
        if id != ExchangeId(0) && self.wide != WideId(0) {
            let found = host.wide_mut(self.wide).texts.find(text).is_some();
            if found {
                host.exchange(id).begin(Field::Query);
                recall(self.wide, text, id, host);
            }
        }
    }

    /// All is known of a statement, and it waits for its answer.
    fn wait_for<H: Host>(&mut self, id: ExchangeId, kind: What, synced: bool, host: &mut H) {
        let entry = Entry {
            id,
            left: u16::from(kind == What::Execute),
            kind,
            synced,
        };
        if !self.queue.push(entry) {
            host.passed_over();
            return discard(id, host);
        }
        if id == ExchangeId(0) {
            return;
        }
        host.request_head(id);
        let early = std::mem::take(&mut self.asked.early);
        if early != [0; CODE] && !synced {
            host.exchange(id).set(Field::Code, &early, VALUE_MAX);
        }
    }
}
