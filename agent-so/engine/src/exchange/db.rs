//! What an exchange with a database has beyond its texts.

use crate::sql::Backslash;

/// The systems whose exchanges are queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum System {
    /// No database.
    #[default]
    None = 0,
    Redis,
    PostgreSql,
    MySql,
    MariaDb,
    Memcached,
    MongoDb,
    Cassandra,
    ClickHouse,
    SqlServer,
    Sqlite,
}

impl System {
    /// All databases.
    pub const ALL: [Self; 10] = [
        Self::Redis,
        Self::PostgreSql,
        Self::MySql,
        Self::MariaDb,
        Self::Memcached,
        Self::MongoDb,
        Self::Cassandra,
        Self::ClickHouse,
        Self::SqlServer,
        Self::Sqlite,
    ];
}

/// What is said of an exchange with a database. All zero: it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Db {
    /// Which one.
    pub system: System,
    /// The exchange is the making of a connection: TCP, TLS, authentication.
    pub is_connect: bool,
    /// Operations that were sent together; 0 and 1 are no batch.
    pub batch: u32,
    /// It left together with what others asked for: under whom it is cannot be told.
    pub is_mixed: bool,
    /// All of the program share the connection, each request has a stream of its own: who writes need not be who asks.
    pub is_shared: bool,
    /// Which stream it is, on such a connection.
    pub stream: u16,
    /// How many bytes were sent on the connection before it, modulo 2^32, where many may ask for what leaves together.
    pub place: u32,
    /// The level of consistency that was asked for: its number in Cassandra's protocol plus one; 0: none is known.
    pub consistency: u8,
    /// Rows that were asked for at a time; 0: not said.
    pub page_size: u32,
    /// Rows that came back, where [`Db::has_rows`].
    pub rows: u64,
    /// Whether the protocol said how many rows came back.
    pub has_rows: bool,
    /// What a backslash means in the strings of the query.
    pub backslash: Backslash,
}
