//! What the server says: its greeting, and the answers.

use super::answer::{Is, Meaning, Message, Place, is_plain};
use super::command::Kind as Command;
use super::login::can;
use super::{Entry, Machine, PREPARING, Phase};
use crate::exchange::{Fault, Field, System, VALUE_MAX};
use crate::protocol::{ExchangeId, Host};
use crate::sql::Backslash;

impl Machine {
    /// Bytes of a message of the server's.
    pub(super) fn receiving(&mut self, bytes: &[u8]) -> bool {
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
    pub(super) fn received<H: Host>(&mut self, now: u64, host: &mut H) -> bool {
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
            self.session.connect_begins(now, host);
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

    pub(super) fn connect_ends<H: Host>(
        &mut self,
        failed: bool,
        fault: Fault,
        now: u64,
        host: &mut H,
    ) {
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
            host.exchange(id).set_number(Field::Code, code.into());
        }
    }

    fn logged_in<H: Host>(&mut self, message: &Message, now: u64, host: &mut H) -> bool {
        match message.first() {
            Some(0) => {
                self.connect_ends(false, Fault::None, now, host);
                self.settle(message);
                self.phase = Phase::Commands;
                self.compresses = self.common & can::COMPRESS != 0;
                if !self.compresses {
                    return self.common & can::ZSTD == 0;
                }
                self.wide = self.wide.or_else(|| host.wide());
                if let Some(wide) = self.wide {
                    host.wide_mut(wide).packets = Default::default();
                }
                self.wide.is_some()
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
        // Where it is compressed, servers go on with the numbers of what that is in.
        let fits = number == entry.number || self.compresses;
        if begins && !fits && message.is() != Is::Error {
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
}

fn backslash(plain: bool) -> Backslash {
    if plain {
        Backslash::Plain
    } else {
        Backslash::Escape
    }
}
