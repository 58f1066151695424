//! Databases: the machines that read what is asked of them, and what these share.
//!
//! A new one is a file here, a variant of [`Machine`] and a line in [`PROBES`].

pub(super) mod cassandra;
mod clickhouse;
pub(super) mod comment;
mod memcached;
mod mongodb;
pub(super) mod mysql;
mod name;
mod postgresql;
mod redis;
mod ring;
mod session;
mod sqlserver;
#[cfg(test)]
mod tests;
pub(super) mod texts;
mod unpack;

pub(super) use memcached::text_begins as memcached_begins;

use super::{Direction, Ended, ExchangeId, Host, Judge};
use crate::exchange::{Kind, System};

/// How many first bytes of a direction each wants to see, and its opinion of them.
pub(super) const PROBES: [(System, usize, Judge); 8] = [
    (System::Redis, redis::PREFIX_MAX, redis::probe),
    (
        System::PostgreSql,
        postgresql::PREFIX_MAX,
        postgresql::probe,
    ),
    (System::MySql, mysql::PREFIX_MAX, mysql::probe),
    (System::Memcached, memcached::PREFIX_MAX, memcached::probe),
    (System::MongoDb, mongodb::PREFIX_MAX, mongodb::probe),
    (System::Cassandra, cassandra::PREFIX_MAX, cassandra::probe),
    (
        System::ClickHouse,
        clickhouse::PREFIX_MAX,
        clickhouse::probe,
    ),
    (System::SqlServer, sqlserver::PREFIX_MAX, sqlserver::probe),
];

/// The machine of one connection.
#[derive(Clone, Debug)]
#[repr(u8)]
pub(in crate::protocol) enum Machine {
    Redis(redis::Machine),
    PostgreSql(postgresql::Machine),
    MySql(mysql::Machine),
    Memcached(memcached::Machine),
    MongoDb(mongodb::Machine),
    Cassandra(cassandra::Machine),
    ClickHouse(clickhouse::Machine),
    SqlServer(sqlserver::Machine),
}

/// Does the same with whichever machine it is.
macro_rules! each {
    ($machine:expr, $it:ident => $do:expr) => {
        match $machine {
            Machine::Redis($it) => $do,
            Machine::PostgreSql($it) => $do,
            Machine::MySql($it) => $do,
            Machine::Memcached($it) => $do,
            Machine::MongoDb($it) => $do,
            Machine::Cassandra($it) => $do,
            Machine::ClickHouse($it) => $do,
            Machine::SqlServer($it) => $do,
        }
    };
}

impl Machine {
    /// For a new connection to (or at) a `system`: handed to `put`, unless the system's bytes are not read. Moving one about would
    /// take its size of the stack each time.
    pub(super) fn make(system: System, role: Kind, put: impl FnOnce(Self)) {
        // Each in a frame of its own: those of all of them would be more than a hook may take.
        macro_rules! made {
            ($name:ident, $module:ident) => {
                apart(|| {
                    let mut machine = $module::Machine::default();
                    machine.take_on(role);
                    put(Self::$name(machine));
                })
            };
        }
        match system {
            System::Redis => made!(Redis, redis),
            System::ClickHouse => made!(ClickHouse, clickhouse),
            System::PostgreSql => made!(PostgreSql, postgresql),
            System::MySql => made!(MySql, mysql),
            System::Memcached => made!(Memcached, memcached),
            System::MongoDb => made!(MongoDb, mongodb),
            System::Cassandra => made!(Cassandra, cassandra),
            System::SqlServer => made!(SqlServer, sqlserver),
            _ => {}
        }
    }

    pub(super) fn feed(&mut self, dir: Direction, bytes: &[u8], now_ns: u64, host: &mut impl Host) {
        each!(self, machine => machine.feed(dir, bytes, now_ns, host));
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip(&mut self, dir: Direction, n: u64, now_ns: u64, host: &mut impl Host) {
        each!(self, machine => machine.skip(dir, n, now_ns, host));
    }

    pub(super) fn ended(&mut self, dir: Direction, how: Ended, now_ns: u64, host: &mut impl Host) {
        each!(self, machine => machine.ended(dir, how, now_ns, host));
    }

    /// The connection is closed: finishes whatever is open.
    pub(super) fn close(&mut self, now_ns: u64, host: &mut impl Host) {
        each!(self, machine => machine.close(now_ns, host));
    }

    /// What passes next does so in another call of the program's.
    pub(super) fn call_begins(&mut self) {
        match self {
            Self::Redis(machine) => machine.call_begins(),
            Self::PostgreSql(machine) => machine.call_begins(),
            Self::Memcached(machine) => machine.call_begins(),
            Self::MySql(_)
            | Self::MongoDb(_)
            | Self::Cassandra(_)
            | Self::ClickHouse(_)
            | Self::SqlServer(_) => {}
        }
    }

    /// All of such a call has passed.
    pub(super) fn call_ends(&mut self, now_ns: u64, host: &mut impl Host) {
        if let Self::Memcached(machine) = self {
            machine.call_ends(now_ns, host);
        }
    }

    pub(super) fn role(&self) -> Kind {
        each!(self, machine => machine.role())
    }

    /// Nothing more is to be learned, and no exchange is open.
    pub(super) fn is_over(&self) -> bool {
        each!(self, machine => machine.is_over())
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        each!(self, machine => machine.open_exchange())
    }

    /// After [`Machine::feed`]: the client's TLS begins in the direction to the server, as both have agreed to. So many of the bytes
    /// fed last are beyond that point.
    pub(super) fn turns_to_tls(&self) -> Option<usize> {
        match self {
            Self::PostgreSql(machine) => machine.turns_to_tls(),
            Self::MySql(machine) => machine.turns_to_tls(),
            Self::SqlServer(machine) => machine.turns_to_tls(),
            _ => None,
        }
    }
}

#[inline(never)]
fn apart(make: impl FnOnce()) {
    make();
}

/// Whether what a client says to one of these can begin with `front`, where it can be no request of HTTP.
pub(super) fn may_begin(front: &[u8]) -> bool {
    matches!(front.first(), Some(b'*' | 0 | 3..=5))
        || memcached::begins(front) == Some(true)
        || mongodb::begins(front) == Some(true)
        || sqlserver::begins(front) == Some(true)
}
