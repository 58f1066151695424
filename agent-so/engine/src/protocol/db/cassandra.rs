//! Cassandra and what speaks like it (ScyllaDB, DataStax Enterprise): the native protocol, versions 3 to 5.
//!
//! Requests have a stream each, and are answered in any order. One connection is shared by all of a program, and most libraries
//! write on a thread of their own: who writes says nothing of who asked ([`crate::exchange::Db::is_shared`]).
//!
//! What belongs to the making of a connection: OPTIONS, STARTUP and authentication, and what libraries do first on each (a USE, the
//! cluster's name). Where a library has asked for events, it looks after the cluster on that connection: its questions about
//! the system's tables are none of the program's.
//!
//! Of version 5, where whole segments are compressed, such connections are not read.

mod answer;
pub(in crate::protocol) mod compressed;
mod cursor;
pub(in crate::protocol) mod flight;
mod frame;
mod request;
mod segment;
#[cfg(test)]
mod tests;

use super::name::Name;
use super::session::Session;
use crate::exchange::{Fault, Field, Kind, QUERY_MAX, System, VALUE_MAX};
use crate::inflate::Method;
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use answer::{Answer, Said};
use cursor::KEPT;
use flight::{Entry, Purpose};
use frame::{HEADER, Header};
use request::{KEYSPACE_OF, Request, preparing};
use segment::{Part, Segments};

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = HEADER;

/// The error that a server answers to a version that it does not speak.
const PROTOCOL_ERROR: u32 = 0x0a;
/// What the Java driver asks first on each connection.
const CLUSTER_NAME: &[u8] = b"SELECT cluster_name FROM system.local";

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
    pub(super) fn new(role: Kind) -> Self {
        Self {
            session: Session::new(System::Cassandra, role),
            ..Self::default()
        }
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
                    let n = if asks {
                        self.read_request(&rest[..n], now, host)
                    } else {
                        self.read_answer(&rest[..n], now, host)
                    };
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
            let used = if asks {
                self.read_request(rest, now, host)
            } else {
                self.read_answer(rest, now, host)
            };
            rest = &rest[used..];
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

    /// Reads frames of the client up to the end of one at most. Returns how many bytes that took.
    fn read_request<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
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

    /// Reads frames of the server up to the end of one at most. Returns how many bytes that took.
    fn read_answer<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let mut used = 0;
        if !self.answers.inside {
            let (taken, complete) = self.answers.take(bytes);
            used = taken;
            let header = self.answers.frame;
            let version = header.version & !frame::ANSWER;
            let fits = header.is_answer()
                && (version == self.version || header.opcode == frame::ERROR)
                && match self.phase {
                    Phase::Unproven => matches!(header.opcode, frame::SUPPORTED | frame::ERROR),
                    _ => true,
                };
            match complete {
                None => return used,
                Some(true) if fits => self.answer.begin(header),
                Some(_) => {
                    self.conclude(Fault::None, now, host);
                    return used;
                }
            }
        }
        let (taken, next) = self.answer.next(&bytes[used..]);
        match next {
            answer::Next::More => {}
            answer::Next::Done => {
                self.answers.inside = false;
                self.answered(now, host);
            }
            answer::Next::Bad => self.conclude(Fault::None, now, host),
        }
        used + taken
    }

    /// An answer is complete.
    fn answered<H: Host>(&mut self, now: u64, host: &mut H) {
        let opcode = self.answer.opcode;
        if self.phase == Phase::Unproven {
            self.proven(now, host);
        }
        if self.phase == Phase::Opening {
            return self.opens(opcode, now, host);
        }
        let stream = self.answers.frame.stream;
        if opcode == frame::EVENT || self.wide == WideId(0) {
            return;
        }
        let Some(entry) = host.wide_mut(self.wide).flight.remove(stream) else {
            // To what was not followed.
            return;
        };
        match self.answer.said {
            Said::Keyspace => self.keyspace = Name::of(self.answer.keyspace()),
            Said::Prepared(key) => {
                let texts = &mut host.wide_mut(self.wide).texts;
                texts.rename(preparing(stream), key);
                texts.rename(preparing(stream) | KEYSPACE_OF, key | KEYSPACE_OF);
            }
            _ => {}
        }
        if entry.purpose == Purpose::SetUp {
            self.setting_up -= 1;
            self.session.connected_ns = now;
            if let (Said::Error(code), Some(id)) = (self.answer.said, self.session.connecting()) {
                host.exchange(id).set_number(Field::Code, code.into());
            }
            if self.setting_up == 0 && (self.phase == Phase::Open || self.is_watching) {
                self.enter(host);
            }
        }
        if entry.id == ExchangeId(0) {
            return;
        }
        if self.newest == entry.id {
            self.newest = ExchangeId(0);
        }
        let failed = opcode == frame::ERROR;
        if entry.purpose == Purpose::Prepare && !failed {
            return host.discard(entry.id);
        }
        let mut fault = Fault::None;
        match self.answer.said {
            Said::Rows(rows) => {
                let exchange = host.exchange(entry.id);
                exchange.db.rows = rows.into();
                exchange.db.has_rows = true;
            }
            Said::Error(code) => host.exchange(entry.id).set_number(Field::Code, code.into()),
            // Its code is compressed.
            _ if failed => fault = Fault::Other,
            _ => {}
        }
        self.session.finish(entry.id, fault, now, host);
    }

    /// An answer to the client that wants to be let in.
    fn opens<H: Host>(&mut self, opcode: u8, now: u64, host: &mut H) {
        self.session.connected_ns = now;
        match opcode {
            frame::READY | frame::AUTH_SUCCESS => self.phase = Phase::SettingUp,
            frame::ERROR => {
                let other = self.answers.frame.version & !frame::ANSWER != self.version;
                let code = match self.answer.said {
                    Said::Error(code) => code,
                    _ => 0,
                };
                // A version that is not spoken here is no failure: the client asks for a lower one.
                if let Some(id) = self.session.connecting()
                    && !(code == PROTOCOL_ERROR && other)
                {
                    host.exchange(id).set_number(Field::Code, code.into());
                }
                return self.conclude(Fault::None, now, host);
            }
            frame::SUPPORTED | frame::AUTHENTICATE | frame::AUTH_CHALLENGE => {}
            _ => return self.conclude(Fault::None, now, host),
        }
        let begins = matches!(opcode, frame::READY | frame::AUTHENTICATE);
        if begins && self.version == frame::V5 {
            self.segments_begin(now, host);
        } else if begins && !self.requests.inside && self.requests.have == 0 {
            self.blocks_begin(host);
        }
    }

    /// Segments come from here on, compressed where the client has asked for that.
    fn segments_begin<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.requests.segments.on {
            return;
        }
        let packs = self.request.compresses;
        if packs && (self.request.method != Method::Lz4 || !self.has_wide(host)) {
            // Whatever follows cannot be read.
            return self.conclude(Fault::None, now, host);
        }
        for side in [&mut self.requests, &mut self.answers] {
            (side.segments.on, side.segments.packs) = (true, packs);
        }
    }

    /// Bodies may be compressed from here on. Without memory for that they are not read.
    fn blocks_begin<H: Host>(&mut self, host: &mut H) {
        let method = self.request.method;
        if self.method == Method::Plain && method != Method::Plain && self.has_wide(host) {
            host.wide_mut(self.wide).frames = Default::default();
            self.method = method;
        }
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

/// Whether a query is about tables that tell of the cluster.
fn is_about_system(text: &[u8]) -> bool {
    const TABLES: [&[u8]; 3] = [b" system.", b" system_schema.", b" system_virtual_schema."];
    let front = &text[..text.len().min(512)];
    TABLES
        .iter()
        .any(|name| memchr::memmem::find(front, name).is_some())
}
