//! MySQL and MariaDB, and what speaks like them: the protocol 10 with the capabilities of 4.1 and later.
//!
//! The server begins, with a greeting that says what it is and can. The client answers with its login, or asks for TLS
//! first and logs in inside. Then it sends commands, each of which begins to count packets anew, and gets an answer to
//! each in their order. What a message of an answer is says itself wherever possible: inside of TLS only one side's
//! capabilities are known.
//!
//! Not followed: compressed connections (after their login), replication.

mod answer;
mod command;
mod login;
mod packets;
#[cfg(test)]
mod tests;

pub(in crate::protocol) use login::{PREFIX_MAX, probe};

use super::ring::Ring;
use super::session::Session;
use crate::exchange::{Fault, Field, Kind, QUERY_MAX, System, VALUE_MAX};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, Ended, ExchangeId, Host};
use crate::sql::Backslash;
use answer::{Front, Is, Meaning, Message, Place, is_plain};
use command::{Attributes, Found, Kind as Command};
use login::{Greeting, Login, Name, can};
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
}

impl Machine {
    pub(super) fn new(role: Kind) -> Self {
        Self {
            session: Session::new(System::MySql, role),
            server: u32::MAX,
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

    fn is_clients(&self, dir: Direction) -> bool {
        (dir == Direction::Out) == (self.session.role == Kind::Client)
    }

    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        let clients = self.is_clients(dir);
        let mut rest = bytes;
        while !self.session.over && self.tls.is_none() && !(clients && self.ends) {
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
                (true, Part::Ends) => self.sending_ends(rest.len(), host),
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
        if self.ends && self.waiting.is_empty() {
            self.conclude(Fault::None, now, host);
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let counted = if self.is_clients(dir) {
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
        let unanswered = self.session.connecting().is_some() || !self.waiting.is_empty();
        match how {
            Ended::Failed(fault) => self.conclude(fault, now, host),
            Ended::Eof if self.is_clients(dir) => {}
            // Every command that is waited for has an answer.
            Ended::Eof if unanswered => self.conclude(Fault::ConnectionClosed, now, host),
            Ended::Eof => self.conclude(Fault::None, now, host),
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    /// A message of the client's begins. False: it cannot stand there.
    fn sending_begins(&mut self) -> bool {
        let number = self.sent.first();
        let proves = self.phase == Phase::Login
            || self.waiting.iter().any(|e| e.kind == Command::ChangeUser);
        self.sending = match self.phase {
            _ if self.file => Sending::Data,
            // A request for TLS has a number too.
            Phase::Greeting if number == 2 => Sending::Login,
            Phase::Greeted if number == 1 => Sending::Login,
            Phase::Login | Phase::Commands if number == 0 => Sending::Command,
            Phase::Login | Phase::Commands if proves => Sending::Data,
            _ => return false,
        };
        self.kind = Command::Silent;
        self.numbered = 0;
        match self.sending {
            Sending::Login => self.sent.len() >= login::FIXED,
            Sending::Data => true,
            Sending::Command => self.sent.len() > 0,
        }
    }

    fn sending<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> bool {
        match self.sending {
            Sending::Login => self.login.push(bytes, self.server, &mut self.database),
            Sending::Data => true,
            Sending::Command => match bytes.split_first() {
                Some((first, rest)) if self.sent.read() == 0 => {
                    self.command_begins(Command::of(*first), now, host);
                    self.argument(rest, host)
                }
                _ => self.argument(bytes, host),
            },
        }
    }

    fn command_begins<H: Host>(&mut self, kind: Command, now: u64, host: &mut H) {
        self.kind = kind;
        match kind {
            Command::Other => self.ends = true,
            Command::InitDb => self.propose(),
            Command::ChangeUser => {
                self.propose();
                self.login = Login::change(self.common);
            }
            Command::Query if self.common & can::QUERY_ATTRIBUTES != 0 => {
                self.attributes = Attributes::default()
            }
            Command::Query => self.attributes = Attributes::none(),
            Command::Prepare => {
                self.attributes = Attributes::none();
                self.prepared = self.prepared.wrapping_add(1);
                self.last = PREPARING | u64::from(self.prepared);
                self.wide = self.wide.or_else(|| host.wide());
                if let Some(wide) = self.wide {
                    host.wide_mut(wide).texts.begin(self.last);
                }
            }
            _ => {}
        }
        if !kind.is_told() {
            return;
        }
        self.open = self.session.open(now, host);
        if self.open != ExchangeId(0) {
            let exchange = host.exchange(self.open);
            exchange.db.backslash = self.backslash;
            let database = self.database.text();
            if !database.is_empty() && kind != Command::InitDb {
                exchange.set(Field::Namespace, database, VALUE_MAX);
            }
            match kind {
                // The last text: it may come in pieces.
                Command::Query | Command::Prepare => exchange.begin(Field::Query),
                Command::InitDb => exchange.set(Field::Operation, b"USE", VALUE_MAX),
                Command::ChangeUser => exchange.set(Field::Operation, b"CHANGE USER", VALUE_MAX),
                _ => {}
            }
        }
    }

    /// Another database is asked for. Where that is under way already, it cannot be told which one will be in use.
    fn propose(&mut self) {
        self.proposed = Name::default();
        self.proposals = self.proposals.saturating_add(1);
    }

    /// What follows the first byte of a command.
    fn argument<H: Host>(&mut self, bytes: &[u8], host: &mut H) -> bool {
        match self.kind {
            Command::Query | Command::Prepare => {
                match self.attributes.push(bytes) {
                    Found::More => {}
                    Found::Text(at) => self.text(&bytes[at..], host),
                    Found::TextFrom(first, at) => {
                        self.text(&[first], host);
                        self.text(&bytes[at..], host);
                    }
                    Found::Lost => return false,
                }
                true
            }
            Command::InitDb => {
                self.proposed.push(bytes);
                true
            }
            Command::ChangeUser => self.login.push(bytes, self.server, &mut self.proposed),
            Command::Execute | Command::Fetch | Command::Close => {
                for byte in bytes {
                    let Some(place) = self.statement.get_mut(usize::from(self.numbered)) else {
                        break;
                    };
                    *place = *byte;
                    self.numbered += 1;
                }
                true
            }
            _ => true,
        }
    }

    /// Text of a query, or of a statement that is to be prepared.
    fn text<H: Host>(&mut self, bytes: &[u8], host: &mut H) {
        if self.open != ExchangeId(0) {
            host.exchange(self.open)
                .append(Field::Query, bytes, QUERY_MAX);
        }
        if let Some(wide) = self.wide
            && self.kind == Command::Prepare
        {
            host.wide_mut(wide).texts.append(bytes);
        }
    }

    /// A message of the client's is complete, `beyond` bytes before the end of those fed.
    fn sending_ends<H: Host>(&mut self, beyond: usize, host: &mut H) -> bool {
        match self.sending {
            Sending::Login => self.login_ends(beyond, host),
            Sending::Data => {
                // An empty one ends the file.
                self.file &= self.sent.read() > 0;
                true
            }
            Sending::Command => self.command_ends(host),
        }
    }

    fn login_ends<H: Host>(&mut self, beyond: usize, host: &mut H) -> bool {
        let login = self.login;
        self.common = login.common();
        if self.phase == Phase::Greeted
            && self.sent.len() == login::FIXED
            && login.capabilities & can::SSL != 0
        {
            host.greeted(self.session.system);
            self.tls = Some(beyond.min(u16::MAX.into()) as u16);
            return true;
        }
        // The greeting was outside.
        if self.phase == Phase::Greeting
            && (login.is_mariadb || host.greeted_as() == System::MariaDb)
        {
            self.session.system = System::MariaDb;
        }
        self.phase = Phase::Login;
        self.session.connect_begins(host);
        self.common != 0
    }

    fn command_ends<H: Host>(&mut self, host: &mut H) -> bool {
        let statement = u32::from_le_bytes(self.statement);
        let key = if statement == LAST {
            self.last
        } else {
            statement.into()
        };
        if self.kind.has_statement() && self.numbered < 4 {
            return false;
        }
        match (self.kind, self.wide) {
            (Command::Quit, _) => {
                self.ends = true;
                return true;
            }
            (Command::Other | Command::LongData, _) => return true,
            (Command::Close, Some(wide)) => {
                host.wide_mut(wide).texts.remove(key);
                return true;
            }
            (Command::Close, None) => return true,
            (Command::Reset | Command::ChangeUser, Some(wide)) => host.wide_mut(wide).texts.reset(),
            (Command::Execute | Command::Fetch, Some(wide)) => self.recall(key, wide, host),
            _ => {}
        }
        let id = std::mem::take(&mut self.open);
        if self.kind == Command::Fetch && id != ExchangeId(0) {
            host.exchange(id).set(Field::Operation, b"FETCH", VALUE_MAX);
        }
        if self.kind == Command::InitDb && id != ExchangeId(0) && !self.proposed.text().is_empty() {
            host.exchange(id)
                .set(Field::Namespace, self.proposed.text(), VALUE_MAX);
        }
        let chosen = match self.kind {
            Command::Query if id != ExchangeId(0) => host
                .exchange(id)
                .text(Field::Query)
                .and_then(command::chosen),
            _ => None,
        };
        let proposes = matches!(self.kind, Command::InitDb | Command::ChangeUser);
        if let Some(name) = chosen {
            self.propose();
            self.proposed = name;
        }
        if self.proposals > 1 {
            self.proposed = Name::default();
        }
        let entry = Entry {
            id,
            extra: if self.kind == Command::Prepare {
                self.prepared
            } else {
                0
            },
            kind: self.kind,
            number: self.sent.last().wrapping_add(1),
            chooses: proposes || chosen.is_some(),
        };
        self.wait(entry, host)
    }

    /// The text of a statement that was prepared becomes that of the exchange being read.
    fn recall<H: Host>(&self, key: u64, wide: WideId, host: &mut H) {
        if self.open == ExchangeId(0) {
            return;
        }
        host.exchange(self.open).begin(Field::Query);
        let mut at = 0;
        loop {
            let mut piece = [0; 256];
            let Some(found) = host.wide_mut(wide).texts.find(key) else {
                return host.exchange(self.open).clear(Field::Query);
            };
            let rest = &found.text[at..];
            let take = rest.len().min(piece.len());
            piece[..take].copy_from_slice(&rest[..take]);
            // What is beyond the most that is kept only marks it as cut.
            let beyond = take == rest.len() && found.is_cut;
            let exchange = host.exchange(self.open);
            exchange.append(Field::Query, &piece[..take], QUERY_MAX);
            if beyond {
                exchange.append(Field::Query, b" ", at + take);
            }
            at += take;
            if take < piece.len() {
                return;
            }
        }
    }

    fn wait<H: Host>(&mut self, entry: Entry, host: &mut H) -> bool {
        if self.waiting.len() < WAITING - 1 {
            self.waiting.push(entry);
            if entry.id != ExchangeId(0) {
                host.request_head(entry.id);
            }
            return true;
        }
        // The last place is for all that found none; they must be answered alike.
        if entry.id != ExchangeId(0) {
            host.discard(entry.id);
            host.passed_over();
        }
        let counted = Entry {
            id: ExchangeId(0),
            ..entry
        };
        if self.waiting.push(counted) {
            return true;
        }
        let is_plain =
            |e: &Entry| matches!(e.kind, Command::Query | Command::Execute) && !e.chooses;
        match self.waiting.newest() {
            Some(newest)
                if is_plain(newest) && is_plain(&entry) && newest.number == entry.number =>
            {
                newest.extra = newest.extra.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Bytes of a message of the server's.
    fn receiving(&mut self, bytes: &[u8]) -> bool {
        let begins = self.received.read() == 0;
        if self.phase == Phase::Greeting {
            self.front.push(bytes);
            let greeting = &bytes[usize::from(begins)..];
            return self.front.bytes()[0] != 10 || greeting.iter().all(|b| self.greeting.push(*b));
        }
        // A row is passed over.
        if !begins && self.front.is_empty()
            || self.place == Place::Rows && begins && bytes[0] < 0xfe
        {
            return true;
        }
        self.front.push(bytes);
        true
    }

    /// A message of the server's is complete.
    fn received<H: Host>(&mut self, now: u64, host: &mut H) -> bool {
        if self.place == Place::Rows && self.front.is_empty() {
            self.rows += 1;
            return true;
        }
        let front = self.front;
        let message = Message::new(
            front.bytes(),
            self.received.len(),
            self.received.read(),
            self.common,
        );
        match self.phase {
            Phase::Greeting => self.greeted(&message, now, host),
            // The client's turn.
            Phase::Greeted => false,
            Phase::Login => self.logged_in(&message, now, host),
            Phase::Commands => self.answered(&message, now, host),
        }
    }

    fn greeted<H: Host>(&mut self, message: &Message, now: u64, host: &mut H) -> bool {
        if self.sent.first() != 0 || !self.sent.is_between() {
            return false;
        }
        if message.is() == Is::Error {
            if message.names_mariadb() {
                self.session.system = System::MariaDb;
            }
            self.session.connect_begins(host);
            self.connect_refused(message, now, host);
            return false;
        }
        self.session.system = self.greeting.system();
        self.server = self.greeting.capabilities;
        self.backslash = backslash(is_plain(self.greeting.status));
        self.phase = Phase::Greeted;
        self.greeting.is_whole()
    }

    fn connect_refused<H: Host>(&mut self, message: &Message, now: u64, host: &mut H) {
        if let Some(id) = self.session.connecting() {
            self.fail(id, message, host);
        }
        self.connect_ends(true, Fault::None, now, host);
    }

    fn connect_ends<H: Host>(&mut self, failed: bool, fault: Fault, now: u64, host: &mut H) {
        if let Some(id) = self.session.connecting()
            && !self.database.text().is_empty()
        {
            host.exchange(id)
                .set(Field::Namespace, self.database.text(), VALUE_MAX);
        }
        if failed {
            self.session.connect_failed(fault, now, host);
        } else {
            self.session.connect_done(now, host);
        }
    }

    /// The error's code is the exchange's.
    fn fail<H: Host>(&self, id: ExchangeId, message: &Message, host: &mut H) {
        if let Some(code) = message.code() {
            let mut digits = [0; 5];
            host.exchange(id)
                .set(Field::Code, decimal(code, &mut digits), VALUE_MAX);
        }
    }

    fn logged_in<H: Host>(&mut self, message: &Message, now: u64, host: &mut H) -> bool {
        match message.first() {
            Some(0) => {
                self.connect_ends(false, Fault::None, now, host);
                self.settle(message);
                self.phase = Phase::Commands;
                self.common & (can::COMPRESS | can::ZSTD) == 0
            }
            Some(0xff) => {
                self.connect_refused(message, now, host);
                false
            }
            // More is asked of the client, or told.
            first => matches!(first, Some(1 | 2 | 0xfe)),
        }
    }

    /// What an OK or an end says of the connection.
    fn settle(&mut self, message: &Message) {
        if let Some(plain) = message.plain_backslash() {
            self.backslash = backslash(plain);
        }
        if let Some(database) = message.database() {
            self.database = database;
        }
    }

    fn answered<H: Host>(&mut self, message: &Message, now: u64, host: &mut H) -> bool {
        let number = self.received.first();
        if std::mem::take(&mut self.trailing) && message.is_short_end() {
            return true;
        }
        let Some(entry) = self.waiting.oldest().copied() else {
            // The server says good-bye, or was not understood.
            return false;
        };
        let begins = !std::mem::replace(&mut self.answering, true);
        if begins && number != entry.number && message.is() != Is::Error {
            return false;
        }
        let meaning = self
            .place
            .take(entry.kind, message, self.session.system == System::MariaDb);
        match meaning {
            Meaning::More => true,
            Meaning::Row => {
                self.rows += 1;
                true
            }
            Meaning::RowsEnd => {
                self.has_rows = true;
                self.settle(message);
                true
            }
            Meaning::File => {
                self.file = true;
                true
            }
            Meaning::Bad => false,
            Meaning::Prepared(id) => {
                let from = PREPARING | u64::from(entry.extra);
                if let Some(wide) = self.wide {
                    host.wide_mut(wide).texts.rename(from, id.into());
                }
                if self.last == from {
                    self.last = id.into();
                }
                if self.place == Place::First {
                    self.finish(entry, now, host);
                }
                true
            }
            Meaning::Done(rows) => {
                self.has_rows |= rows;
                self.trailing = entry.kind == Command::Prepare;
                if entry.chooses {
                    self.database = self.proposed;
                }
                if entry.kind != Command::Prepare {
                    self.settle(message);
                }
                self.finish(entry, now, host);
                true
            }
            Meaning::Failed => {
                if entry.id != ExchangeId(0) {
                    self.fail(entry.id, message, host);
                }
                self.finish(entry, now, host);
                true
            }
        }
    }

    /// The oldest command is answered.
    fn finish<H: Host>(&mut self, entry: Entry, now: u64, host: &mut H) {
        let (rows, has_rows) = (
            std::mem::take(&mut self.rows),
            std::mem::take(&mut self.has_rows),
        );
        self.place = Place::First;
        self.answering = false;
        self.proposals -= u8::from(entry.chooses && self.proposals > 0);
        match self.waiting.oldest() {
            Some(oldest) if entry.kind != Command::Prepare && entry.extra > 0 => {
                oldest.extra -= 1;
                oldest.id = ExchangeId(0);
            }
            _ => {
                self.waiting.pop();
            }
        }
        if entry.id == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(entry.id);
        exchange.db.rows = rows;
        exchange.db.has_rows = has_rows;
        if entry.kind.is_query() || exchange.text(Field::Code).is_some() {
            self.session.finish(entry.id, Fault::None, now, host);
        } else {
            host.discard(entry.id);
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

fn backslash(plain: bool) -> Backslash {
    if plain {
        Backslash::Plain
    } else {
        Backslash::Escape
    }
}

fn decimal(number: u16, out: &mut [u8; 5]) -> &[u8] {
    let (mut at, mut rest) = (out.len(), number);
    loop {
        at -= 1;
        out[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &out[at..];
        }
    }
}
