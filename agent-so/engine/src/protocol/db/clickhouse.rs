//! ClickHouse's native protocol: one query at a time on a connection.
//!
//! Packets have no length. What is in a block of data has one where it is compressed, or where the types of its columns tell it
//! (numbers, dates, strings, and these where they may be null). Where they do not, that side is not read until the other one
//! shows that it goes on with something else: the client with its next query, the server with the end of its answer. So the
//! pairing is certain; but the end of an answer that cannot be read is when its last bytes came, it is told of when the client
//! speaks again, and an error in it is not seen.

mod column;
mod packets;
mod reader;
#[cfg(test)]
mod tests;

use super::name::Name;
use super::session::Session;
use crate::exchange::{Fault, Field, Kind, QUERY_MAX, System, VALUE_MAX};
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use packets::{ADDENDUM, Mark, NEWEST, Packet};
use reader::{KEPT, Next, Reader};

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 2 + NAME.len();
/// What the names of clients begin with, in any case.
const NAME: &[u8] = b"clickhouse";

/// Judges the first bytes of both directions: the client begins, and says its name.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    Probe::client_begins(begins(in_prefix), begins(out_prefix))
}

/// Whether these are the first bytes of a client; `None`: they are not even their beginning.
fn begins(prefix: &[u8]) -> Option<bool> {
    let (front, name) = prefix.split_at(prefix.len().min(2));
    let fits = match front {
        [] => true,
        [0] => true,
        [0, len] => (NAME.len()..128).contains(&usize::from(*len)),
        _ => false,
    };
    let same = name.len().min(NAME.len());
    let fits = fits && name[..same].eq_ignore_ascii_case(&NAME[..same]);
    fits.then_some(name.len() >= NAME.len())
}

/// What the server is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Awaited {
    #[default]
    Nothing = 0,
    Greeting,
    Answer,
    Pong,
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    awaited: Awaited,
    /// Packets of these sides are not read for now.
    client_is_blind: bool,
    server_is_blind: bool,
    /// The code of the exception that is read is known.
    has_code: bool,
    /// The statement chooses the database in `chosen`.
    chooses: bool,
    /// When the server was heard last.
    heard_ns: u64,
    client: Reader,
    server: Reader,
    database: Name<KEPT>,
    chosen: Name<KEPT>,
    /// The exchange of the query; zero: none, or it is not recorded.
    open: ExchangeId,
    /// Its head was told.
    is_told: bool,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::ClickHouse, role);
        self.client = Reader::new(false);
        self.server = Reader::new(true);
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let open = (self.open != ExchangeId(0)).then_some(self.open);
        open.or(self.session.connecting())
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        if self.session.is_clients(dir) {
            self.feed_client(bytes, now, host);
        } else {
            self.feed_server(bytes, now, host);
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let counted = if self.session.is_clients(dir) {
            self.client_is_blind && self.awaited == Awaited::Answer || self.client.skip(n)
        } else {
            self.heard_ns = now;
            self.server_is_blind || self.server.skip(n)
        };
        if !counted {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        let between = self.server_is_blind || self.server.is_between();
        let fault = match self.session.fault_of_end(dir, how, between) {
            // What was not read may well have been the whole answer.
            Some(Fault::ConnectionClosed) if self.server_is_blind => Fault::None,
            Some(fault) => fault,
            None => return,
        };
        self.conclude(fault, now, host);
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    fn feed_client<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        // What is complete with the last byte is told when the next is asked for.
        while !self.session.over {
            if self.client_is_blind {
                if self.awaited == Awaited::Answer {
                    return;
                }
                self.client_is_blind = false;
                self.client.rest();
            }
            let (used, next) = self.client.next(rest);
            rest = &rest[used..];
            match next {
                Next::More => return,
                Next::Begins(packet) => self.client_begins(packet, now, host),
                Next::Mark(mark) => self.client_says(mark, host),
                Next::Statement(piece) => {
                    if self.open != ExchangeId(0) {
                        host.exchange(self.open)
                            .append(Field::Query, piece, QUERY_MAX);
                    }
                }
                Next::Done(packet) => self.client_done(packet, host),
                Next::Blind => {
                    // What data follows is not needed; what a query says must be known to be one.
                    let asks = !self.is_told && self.awaited == Awaited::Answer;
                    if asks {
                        self.tell_query(host);
                    }
                    self.client_is_blind = self.awaited == Awaited::Answer;
                    if !self.client_is_blind || self.server_is_blind {
                        self.conclude(Fault::None, now, host);
                    }
                }
            }
        }
    }

    /// A packet of the client begins.
    fn client_begins<H: Host>(&mut self, packet: Packet, now: u64, host: &mut H) {
        let goes_on = matches!(packet, Packet::Query | Packet::Ping);
        if goes_on && self.server_is_blind {
            self.answered(self.heard_ns, host);
            self.server_is_blind = false;
            self.server.rest();
        }
        let expected = match packet {
            Packet::Hello => self.awaited == Awaited::Nothing && self.client.revision == u64::MAX,
            Packet::Query | Packet::Ping => {
                self.awaited == Awaited::Nothing && self.server.revision != u64::MAX
            }
            _ => self.server.revision != u64::MAX,
        };
        if !expected {
            return self.conclude(Fault::None, now, host);
        }
        match packet {
            Packet::Hello => {
                self.session.connect_begins(now, host);
                self.awaited = Awaited::Greeting;
            }
            Packet::Ping => self.awaited = Awaited::Pong,
            Packet::Query => {
                self.awaited = Awaited::Answer;
                self.heard_ns = now;
                self.chooses = false;
                self.is_told = false;
                self.open = self.session.open(now, host);
                let database = self.database.text();
                if self.open != ExchangeId(0) && !database.is_empty() {
                    host.exchange(self.open)
                        .set(Field::Namespace, database, VALUE_MAX);
                }
            }
            _ => {}
        }
    }

    fn client_says<H: Host>(&mut self, mark: Mark, host: &mut H) {
        let number = self.client.number();
        match mark {
            Mark::Revision => self.client.revision = number,
            Mark::Database => {
                self.database = Name::of(self.client.name());
                if let Some(id) = self.session.connecting()
                    && !self.database.text().is_empty()
                {
                    host.exchange(id)
                        .set(Field::Namespace, self.database.text(), VALUE_MAX);
                }
            }
            Mark::Compression => {
                self.client.compressed = number != 0;
                self.server.compressed = number != 0;
                // The last text: it may come in pieces.
                if self.open != ExchangeId(0) {
                    host.exchange(self.open).begin(Field::Query);
                }
            }
            Mark::Statement => self.tell_query(host),
            _ => {}
        }
        self.client.go_on();
    }

    /// All is known of the query.
    fn tell_query<H: Host>(&mut self, host: &mut H) {
        if std::mem::replace(&mut self.is_told, true) || self.open == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(self.open);
        match exchange.text(Field::Query) {
            Some(text) => {
                if let Some(name) = chosen(text) {
                    self.chooses = true;
                    self.chosen = Name::of(name);
                }
            }
            None => exchange.set(Field::Operation, b"QUERY", VALUE_MAX),
        }
        host.request_head(self.open);
    }

    fn client_done<H: Host>(&mut self, packet: Packet, host: &mut H) {
        if packet == Packet::Query {
            self.tell_query(host);
        }
    }

    fn feed_server<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        self.heard_ns = now;
        let mut rest = bytes;
        while !self.session.over && !self.server_is_blind {
            let (used, next) = self.server.next(rest);
            rest = &rest[used..];
            match next {
                Next::More => return,
                Next::Begins(packet) => {
                    let expected = match self.awaited {
                        Awaited::Nothing => false,
                        Awaited::Greeting => {
                            matches!(packet, Packet::Greeting | Packet::Exception)
                        }
                        Awaited::Answer => !matches!(packet, Packet::Greeting | Packet::Pong),
                        Awaited::Pong => {
                            matches!(packet, Packet::Pong | Packet::Progress | Packet::Exception)
                        }
                    };
                    if !expected {
                        return self.conclude(Fault::None, now, host);
                    }
                    self.has_code = false;
                }
                Next::Mark(mark) => self.server_says(mark, now, host),
                Next::Statement(_) => {}
                Next::Done(packet) => self.server_done(packet, now, host),
                Next::Blind => {
                    self.server_is_blind = self.awaited == Awaited::Answer;
                    if !self.server_is_blind || self.client_is_blind {
                        self.conclude(Fault::None, now, host);
                    }
                }
            }
        }
    }

    fn server_says<H: Host>(&mut self, mark: Mark, now: u64, host: &mut H) {
        let number = self.server.number();
        match mark {
            Mark::Revision => {
                let both = number.min(self.client.revision);
                self.server.revision = both;
                self.client.revision = both;
                if both > NEWEST {
                    // It has packets that are not known here.
                    self.session.connected_ns = now;
                    self.awaited = Awaited::Nothing;
                    return self.conclude(Fault::None, now, host);
                }
            }
            // The first one, of which the others are the cause.
            Mark::Code if !self.has_code => {
                self.has_code = true;
                let id = match self.awaited {
                    Awaited::Greeting => self.session.connecting().unwrap_or_default(),
                    _ => self.open,
                };
                if id != ExchangeId(0) {
                    let code = i64::from(number as u32);
                    host.exchange(id).set_number(Field::Code, code);
                }
            }
            Mark::Rows if self.open != ExchangeId(0) => {
                let db = &mut host.exchange(self.open).db;
                db.rows = number;
                db.has_rows = true;
            }
            _ => {}
        }
        self.server.go_on();
    }

    fn server_done<H: Host>(&mut self, packet: Packet, now: u64, host: &mut H) {
        match packet {
            Packet::Greeting => {
                self.awaited = Awaited::Nothing;
                self.session.connect_done(now, host);
                if self.client.revision >= ADDENDUM {
                    self.client.begin(Packet::Addendum);
                }
            }
            Packet::Exception if self.awaited == Awaited::Answer => {
                // The client may be in the middle of data that it goes on with.
                let lost = self.client_is_blind;
                self.chooses = false;
                self.answered(now, host);
                if lost {
                    self.conclude(Fault::None, now, host);
                }
            }
            Packet::Exception => self.conclude(Fault::None, now, host),
            Packet::End if self.awaited == Awaited::Answer => self.answered(now, host),
            Packet::Pong => self.awaited = Awaited::Nothing,
            _ => {}
        }
    }

    /// The query is answered.
    fn answered<H: Host>(&mut self, end: u64, host: &mut H) {
        self.awaited = Awaited::Nothing;
        if std::mem::take(&mut self.chooses) {
            self.database = self.chosen;
        }
        self.end_query(Fault::None, end, host);
    }

    fn end_query<H: Host>(&mut self, fault: Fault, end: u64, host: &mut H) {
        let open = std::mem::take(&mut self.open);
        if open == ExchangeId(0) {
            return;
        }
        if self.is_told {
            self.session.finish(open, fault, end, host);
        } else {
            host.discard(open);
        }
    }

    /// Nothing more will be seen: what is open ends here.
    fn conclude<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        if std::mem::replace(&mut self.session.over, true) {
            return;
        }
        let failed = match self.session.connecting() {
            Some(id) if host.exchange(id).text(Field::Code).is_some() => Fault::None,
            _ => fault,
        };
        self.session.connect_failed(failed, now, host);
        let end = if self.server_is_blind {
            self.heard_ns
        } else {
            now
        };
        self.end_query(fault, end, host);
    }
}

/// The database that a statement chooses for what follows it; empty where that takes more than a word to say.
fn chosen(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii();
    let name = text.get(4..)?;
    if !text[..4].eq_ignore_ascii_case(b"use ") {
        return None;
    }
    let name = name.trim_ascii();
    let name = name.strip_suffix(b";").unwrap_or(name).trim_ascii_end();
    let is_word = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    Some(if is_word { name } else { &[] })
}
