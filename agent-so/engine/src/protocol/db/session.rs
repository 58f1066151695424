//! What the machines of all databases do alike: exchanges are opened and finished, and so is the making of the connection.

use crate::exchange::{Db, Fault, Kind, System};
use crate::protocol::{Direction, Ended, ExchangeId, Host};

/// One connection to a database, or at one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Session {
    pub(super) system: System,
    pub(super) role: Kind,
    /// Nothing more is to be learned, and no exchange is open.
    pub(super) over: bool,
    /// The making of the connection was begun to be told of, or was not seen.
    asked: bool,
    /// That exchange, while it is under way.
    connect: ExchangeId,
    /// When it was over, as far as is known.
    pub(super) connected_ns: u64,
}

impl Session {
    pub(super) fn new(system: System, role: Kind) -> Self {
        Self {
            system,
            role,
            ..Self::default()
        }
    }

    /// Whether what passes in `dir` is the client's.
    pub(super) fn is_clients(&self, dir: Direction) -> bool {
        (dir == Direction::Out) == (self.role == Kind::Client)
    }

    /// What the end of a direction makes of the exchanges that wait. `between`: no answer is half read. `None`: nothing, the
    /// client has merely said its last word.
    pub(super) fn fault_of_end(&self, dir: Direction, how: Ended, between: bool) -> Option<Fault> {
        match how {
            Ended::Failed(fault) => Some(fault),
            Ended::Eof if self.is_clients(dir) => None,
            Ended::Eof if !between => Some(Fault::ResponseTruncated),
            Ended::Eof if self.role == Kind::Client => Some(Fault::ConnectionClosed),
            Ended::Eof => Some(Fault::None),
        }
    }

    /// The first bytes of the client pass at `now`: the making of the connection is an exchange if this program made it and that
    /// was seen. Only the first call does anything.
    pub(super) fn connect_begins(&mut self, now: u64, host: &mut impl Host) {
        if std::mem::replace(&mut self.asked, true) || self.role != Kind::Client {
            return;
        }
        let Some((start, end)) = host.connected() else {
            return;
        };
        let Some(id) = host.open(Kind::Client, self.system) else {
            return;
        };
        let exchange = host.exchange(id);
        exchange.db = Db {
            system: self.system,
            is_connect: true,
            ..Db::default()
        };
        exchange.start_ns = start;
        // What was not seen of it cannot have taken longer than until now.
        self.connected_ns = end.min(now).max(start);
        self.connect = id;
        host.request_head(id);
    }

    /// The exchange of the making of the connection, while it is under way.
    pub(super) fn connecting(&self) -> Option<ExchangeId> {
        (self.connect != ExchangeId(0)).then_some(self.connect)
    }

    /// The connection stands since `end`: authentication, and whatever the client's library does first, is over.
    pub(super) fn connect_done(&mut self, end: u64, host: &mut impl Host) {
        self.finish(self.connect, Fault::None, end, host);
        self.connect = ExchangeId(0);
    }

    /// The making of the connection ends at `end` by `fault`.
    pub(super) fn connect_failed(&mut self, fault: Fault, end: u64, host: &mut impl Host) {
        self.finish(self.connect, fault, end, host);
        self.connect = ExchangeId(0);
    }

    /// It was no such connection.
    pub(super) fn connect_discarded(&mut self, host: &mut impl Host) {
        if let Some(id) = self.connecting() {
            host.discard(id);
        }
        self.connect = ExchangeId(0);
    }

    /// A new exchange that begins at `now`; zero when there is no room, or it is not wanted. The caller tells of its head
    /// when all is known of it ([`Host::request_head`]).
    pub(super) fn open(&self, now: u64, host: &mut impl Host) -> ExchangeId {
        let id = host.open(self.role, self.system).unwrap_or_default();
        if id != ExchangeId(0) {
            let exchange = host.exchange(id);
            exchange.db = Db {
                system: self.system,
                ..Db::default()
            };
            exchange.start_ns = now;
        }
        id
    }

    /// An exchange is over; zero is none.
    pub(super) fn finish(&self, id: ExchangeId, fault: Fault, now: u64, host: &mut impl Host) {
        if id != ExchangeId(0) {
            let exchange = host.exchange(id);
            exchange.fault = fault;
            exchange.end_ns = now;
            host.finished(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_and_what_waits() {
        use Direction::{In, Out};
        let rows = [
            (Kind::Client, Out, Ended::Eof, true, None),
            (
                Kind::Client,
                In,
                Ended::Eof,
                true,
                Some(Fault::ConnectionClosed),
            ),
            (
                Kind::Client,
                In,
                Ended::Eof,
                false,
                Some(Fault::ResponseTruncated),
            ),
            (Kind::Server, In, Ended::Eof, true, None),
            (Kind::Server, Out, Ended::Eof, true, Some(Fault::None)),
            (
                Kind::Server,
                Out,
                Ended::Eof,
                false,
                Some(Fault::ResponseTruncated),
            ),
            (
                Kind::Client,
                Out,
                Ended::Failed(Fault::BrokenPipe),
                true,
                Some(Fault::BrokenPipe),
            ),
        ];
        for (role, dir, how, between, fault) in rows {
            let session = Session::new(System::Redis, role);
            let told = session.fault_of_end(dir, how, between);
            assert_eq!(told, fault, "{role:?} {dir:?} {how:?} {between}");
        }
    }
}
