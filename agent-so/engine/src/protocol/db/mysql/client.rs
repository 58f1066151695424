//! What the client sends: its login, commands, and what goes with these.

use super::command::{self, Attributes, Found, Kind as Command};
use super::login::{self, Login, Name, can};
use super::{Entry, LAST, Machine, PREPARING, Phase, Sending, WAITING};
use crate::exchange::{Field, QUERY_MAX, System, VALUE_MAX};
use crate::protocol::wide::WideId;
use crate::protocol::{ExchangeId, Host};

impl Machine {
    /// A message of the client's begins. False: it cannot stand there.
    pub(super) fn sending_begins(&mut self) -> bool {
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

    pub(super) fn sending<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> bool {
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
    pub(super) fn sending_ends<H: Host>(&mut self, beyond: usize, now: u64, host: &mut H) -> bool {
        match self.sending {
            Sending::Login => self.login_ends(beyond, now, host),
            Sending::Data => {
                // An empty one ends the file.
                self.file &= self.sent.read() > 0;
                true
            }
            Sending::Command => self.command_ends(host),
        }
    }

    fn login_ends<H: Host>(&mut self, beyond: usize, now: u64, host: &mut H) -> bool {
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
        self.session.connect_begins(now, host);
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
}
