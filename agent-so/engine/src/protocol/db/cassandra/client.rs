//! What the client asks: its statements, and what belongs to the making of the connection.

use super::cursor::KEPT;
use super::flight::{Entry, Purpose};
use super::frame;
use super::request::{self, KEYSPACE_OF, preparing};
use super::{Machine, Phase};
use crate::exchange::{Fault, Field, QUERY_MAX, VALUE_MAX};
use crate::protocol::db::name::Name;
use crate::protocol::{ExchangeId, Host};

/// What the Java driver asks first on each connection.
const CLUSTER_NAME: &[u8] = b"SELECT cluster_name FROM system.local";

impl Machine {
    /// Reads frames of the client up to the end of one at most. Returns how many bytes that took.
    pub(super) fn read_request<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let mut used = 0;
        if !self.requests.inside {
            let (taken, complete) = self.requests.take(bytes);
            used = taken;
            match complete {
                None => return used,
                Some(true) if self.request_begins(now, host) => {}
                Some(_) => {
                    self.conclude(Fault::None, now, host);
                    return used;
                }
            }
        }
        loop {
            let (taken, next) = self.request.next(&bytes[used..]);
            used += taken;
            match next {
                request::Next::More => return used,
                request::Next::Statement => self.statement(host),
                request::Next::Text(piece) => self.text(piece, host),
                request::Next::Prepared(key) => self.prepared(key, host),
                request::Next::Keyspace => self.keyspace_named(host),
                request::Next::Done => {
                    self.requests.inside = false;
                    self.request_done(now, host);
                    return used;
                }
                request::Next::Bad => {
                    self.conclude(Fault::None, now, host);
                    return used;
                }
            }
        }
    }

    /// The header of a request is there; false: it cannot be one.
    fn request_begins<H: Host>(&mut self, now: u64, host: &mut H) -> bool {
        let header = self.requests.frame;
        if self.version == 0 {
            self.version = header.version;
        }
        if header.is_answer() || header.version != self.version || header.stream >= 0x8000 {
            return false;
        }
        let asks = matches!(
            header.opcode,
            frame::QUERY | frame::PREPARE | frame::EXECUTE | frame::BATCH
        );
        let expected = match header.opcode {
            frame::OPTIONS | frame::STARTUP | frame::AUTH_RESPONSE | frame::REGISTER => true,
            _ => asks && matches!(self.phase, Phase::SettingUp | Phase::Open),
        };
        if !expected {
            return false;
        }
        self.request.begin(header);
        self.statements = 0;
        self.is_unknown = false;
        self.last_key = 0;
        if asks {
            if !self.has_wide(host) {
                return false;
            }
            if host.wide_mut(self.wide).flight.holds(header.stream) {
                return false;
            }
            self.open = self.session.open(now, host);
            if self.open != ExchangeId(0) {
                let exchange = host.exchange(self.open);
                exchange.db.is_shared = true;
                exchange.db.stream = header.stream;
                let keyspace = self.keyspace.text();
                if !keyspace.is_empty() {
                    exchange.set(Field::Namespace, keyspace, VALUE_MAX);
                }
            }
            if header.opcode == frame::PREPARE {
                let key = preparing(header.stream);
                host.wide_mut(self.wide).texts.remove(key | KEYSPACE_OF);
                host.wide_mut(self.wide).texts.begin(key);
            }
        }
        true
    }

    /// The text of a statement begins.
    fn statement<H: Host>(&mut self, host: &mut H) {
        self.last_key = 0;
        self.join(host);
    }

    /// Makes ready for the text of one statement more.
    fn join<H: Host>(&mut self, host: &mut H) {
        self.statements = self.statements.saturating_add(1);
        if self.open == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(self.open);
        if exchange.text(Field::Query).is_some() {
            exchange.append(Field::Query, b"; ", QUERY_MAX);
        } else {
            exchange.begin(Field::Query);
        }
    }

    fn text<H: Host>(&mut self, piece: &[u8], host: &mut H) {
        if self.open != ExchangeId(0) {
            let exchange = host.exchange(self.open);
            exchange.append(Field::Query, piece, QUERY_MAX);
        }
        if self.request.opcode == frame::PREPARE {
            host.wide_mut(self.wide).texts.append(piece);
        }
    }

    /// A statement that was prepared before is to be executed.
    fn prepared<H: Host>(&mut self, key: u64, host: &mut H) {
        if key == self.last_key {
            // The same again, with other values.
            self.statements = self.statements.saturating_add(1);
            return;
        }
        self.last_key = key;
        let is_known = host.wide_mut(self.wide).texts.find(key).is_some();
        if !is_known {
            self.statements = self.statements.saturating_add(1);
            self.is_unknown = true;
            return;
        }
        self.join(host);
        let mut at = 0;
        while self.open != ExchangeId(0) {
            let mut piece = [0; 256];
            let Some(found) = host.wide_mut(self.wide).texts.find(key) else {
                return;
            };
            let rest = &found.text[at..];
            let taken = rest.len().min(piece.len());
            let (is_last, is_cut) = (taken == rest.len(), found.is_cut);
            piece[..taken].copy_from_slice(&rest[..taken]);
            at += taken;
            let exchange = host.exchange(self.open);
            exchange.append(Field::Query, &piece[..taken], QUERY_MAX);
            if is_last && is_cut {
                // No room for more: it is marked as cut.
                exchange.append(Field::Query, b" ", at);
            }
            if is_last {
                break;
            }
        }
        if self.request.opcode == frame::EXECUTE && self.open != ExchangeId(0) {
            let wide = host.wide_mut(self.wide);
            if let Some(found) = wide.texts.find(key | KEYSPACE_OF) {
                let keyspace = Name::<KEPT>::of(found.text);
                host.exchange(self.open)
                    .set(Field::Namespace, keyspace.text(), VALUE_MAX);
            }
        }
    }

    /// A request says which keyspace it is about.
    fn keyspace_named<H: Host>(&mut self, host: &mut H) {
        let name = self.request.kept();
        if self.open != ExchangeId(0) {
            host.exchange(self.open)
                .set(Field::Namespace, name, VALUE_MAX);
        }
        if self.request.opcode == frame::PREPARE {
            let key = preparing(self.requests.frame.stream) | KEYSPACE_OF;
            host.wide_mut(self.wide).texts.set(key, name);
        }
        self.request.go_on();
    }

    /// A request is complete.
    fn request_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let opcode = self.request.opcode;
        match opcode {
            frame::STARTUP if !self.request.is_cql => {
                return self.conclude(Fault::None, now, host);
            }
            frame::STARTUP => return self.proven(now, host),
            frame::REGISTER => {
                self.is_watching = true;
                if self.setting_up == 0 {
                    self.enter(host);
                }
                return;
            }
            frame::OPTIONS | frame::AUTH_RESPONSE => return,
            _ => {}
        }
        let open = std::mem::take(&mut self.open);
        let purpose = self.purpose(open, host);
        if purpose != Purpose::SetUp && self.phase == Phase::SettingUp {
            self.phase = Phase::Open;
            if self.setting_up == 0 {
                self.enter(host);
            }
        }
        let is_told = matches!(purpose, Purpose::Query | Purpose::Prepare);
        if open != ExchangeId(0) {
            if is_told {
                self.complete(open, host);
            } else {
                host.discard(open);
            }
        }
        let entry = Entry {
            id: if is_told { open } else { ExchangeId(0) },
            stream: self.requests.frame.stream,
            purpose,
        };
        if !host.wide_mut(self.wide).flight.push(entry) {
            if is_told && open != ExchangeId(0) {
                host.discard(open);
            }
            host.passed_over();
            // Nobody would know of it any more that it changes the connection.
            if purpose == Purpose::SetUp {
                self.conclude(Fault::None, now, host);
            }
            return;
        }
        self.setting_up += u8::from(purpose == Purpose::SetUp);
        if entry.id != ExchangeId(0) {
            self.newest = entry.id;
            host.request_head(entry.id);
        }
    }

    /// What a request is for. Without an exchange nobody is to be told of it anyway.
    fn purpose<H: Host>(&self, open: ExchangeId, host: &mut H) -> Purpose {
        if self.request.opcode == frame::PREPARE {
            return Purpose::Prepare;
        }
        if self.request.opcode != frame::QUERY || open == ExchangeId(0) {
            return Purpose::Query;
        }
        let text = host.exchange(open).text(Field::Query).unwrap_or_default();
        let uses = text.len() > 4 && text[..4].eq_ignore_ascii_case(b"USE ");
        if self.phase == Phase::SettingUp && self.setting_up < 8 && (uses || text == CLUSTER_NAME) {
            return Purpose::SetUp;
        }
        if self.is_watching && is_about_system(text) {
            return Purpose::Inner;
        }
        Purpose::Query
    }

    /// Says what is left to say of a request.
    fn complete<H: Host>(&self, id: ExchangeId, host: &mut H) {
        let request = &self.request;
        let exchange = host.exchange(id);
        exchange.db.consistency = request.consistency;
        exchange.db.page_size = request.page_size;
        if request.opcode == frame::BATCH {
            exchange.db.batch = self.statements.into();
        }
        if self.is_unknown {
            exchange.clear(Field::Query);
        }
        if exchange.text(Field::Query).is_none() {
            let operation: &[u8] = match request.opcode {
                frame::QUERY => b"QUERY",
                frame::EXECUTE => b"EXECUTE",
                frame::BATCH => b"BATCH",
                _ => b"PREPARE",
            };
            exchange.set(Field::Operation, operation, VALUE_MAX);
        }
    }
}

/// Whether a query is about tables that tell of the cluster.
fn is_about_system(text: &[u8]) -> bool {
    const TABLES: [&[u8]; 3] = [b" system.", b" system_schema.", b" system_virtual_schema."];
    let front = &text[..text.len().min(512)];
    TABLES
        .iter()
        .any(|name| memchr::memmem::find(front, name).is_some())
}
