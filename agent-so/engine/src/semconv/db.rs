//! Spans of databases, by the stable database conventions. Those of Redis and MongoDB are in development there.
//!
//! The making of a connection has no convention of its own: it is called `connect`, as the SDKs' instrumentations of
//! SQLAlchemy and others do.

mod memcached;
mod redis;
mod sql;
#[cfg(test)]
mod tests;

use super::http::{host_header, peer, put};
use super::text::{lossy, push_ip, push_lossy, socket_address};
use super::{
    CASSANDRA_CONSISTENCY_LEVEL, CASSANDRA_PAGE_SIZE, CLIENT_ADDRESS, DB_COLLECTION_NAME,
    DB_NAMESPACE, DB_OPERATION_BATCH_SIZE, DB_OPERATION_NAME, DB_QUERY_SUMMARY, DB_QUERY_TEXT,
    DB_RESPONSE_RETURNED_ROWS, DB_RESPONSE_STATUS_CODE, DB_STORED_PROCEDURE_NAME, DB_SYSTEM_NAME,
    ERROR_TYPE, NETWORK_PEER_ADDRESS, NETWORK_TRANSPORT, SERVER_ADDRESS, SERVER_PORT, SpanSink,
};
use crate::config::db::QueryText;
use crate::exchange::{Endpoint, Exchange, Fault, Field, Kind, QUERY_MAX, System};
use crate::sql::Summary;

/// What [`describe`] keeps between spans: buffers.
#[derive(Clone, Debug)]
pub struct Scratch {
    peer: String,
    buffer: String,
    namespace: String,
    shown: Shown,
    bytes: Box<[u8; QUERY_MAX]>,
    summary: Summary,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            peer: String::new(),
            buffer: String::new(),
            namespace: String::new(),
            shown: Shown::default(),
            bytes: Box::new([0; QUERY_MAX]),
            summary: Summary::default(),
        }
    }
}

/// What is said of a query. Empty texts are not known.
#[derive(Clone, Debug, Default)]
struct Shown {
    summary: String,
    operation: String,
    collection: String,
    procedure: String,
    text: String,
    /// Operations sent as one.
    batch: u32,
}

impl Shown {
    fn clear(&mut self) {
        self.summary.clear();
        self.operation.clear();
        self.collection.clear();
        self.procedure.clear();
        self.text.clear();
        self.batch = 0;
    }
}

impl System {
    /// The value of `db.system.name`; empty for [`System::None`].
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Redis => "redis",
            Self::PostgreSql => "postgresql",
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
            Self::Memcached => "memcached",
            Self::MongoDb => "mongodb",
            Self::Cassandra => "cassandra",
            Self::ClickHouse => "clickhouse",
            Self::SqlServer => "microsoft.sql_server",
            Self::Sqlite => "sqlite",
        }
    }

    /// The port that goes without saying; 0: there is none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::None | Self::Sqlite => 0,
            Self::Redis => 6379,
            Self::PostgreSql => 5432,
            Self::MySql | Self::MariaDb => 3306,
            Self::Memcached => 11211,
            Self::MongoDb => 27017,
            Self::Cassandra => 9042,
            Self::ClickHouse => 9000,
            Self::SqlServer => 1433,
        }
    }
}

/// Describes `ex`, an exchange with a database, to `sink` as one span. `mode`: what is said of the query's text.
pub fn describe(ex: &Exchange, mode: QueryText, scratch: &mut Scratch, sink: &mut impl SpanSink) {
    let Scratch {
        peer: peer_text,
        buffer,
        namespace,
        shown,
        bytes,
        summary,
    } = scratch;
    shown.clear();
    shown.batch = ex.db.batch;
    let system = ex.db.system;
    if ex.db.is_connect {
        shown.operation.push_str("connect");
    } else if let Some(dialect) = ex.db.dialect() {
        sql::show(ex, dialect, mode, &mut bytes[..], summary, shown);
    } else if system == System::Redis {
        redis::show(ex, mode, &mut bytes[..], shown);
    } else if system == System::Memcached {
        memcached::show(ex, mode, &mut bytes[..], shown);
    }
    for (field, text) in [
        (Field::Operation, &mut shown.operation),
        (Field::Collection, &mut shown.collection),
    ] {
        // What the protocol says is certain.
        if let Some(told) = ex.text(field)
            && !(ex.is_cut(field) || ex.db.is_connect)
        {
            text.clear();
            push_lossy(told, false, text);
        }
    }
    namespace.clear();
    push_lossy(
        ex.text(Field::Namespace).unwrap_or_default(),
        false,
        namespace,
    );
    name(system, shown, namespace, buffer);
    sink.name(buffer);
    sink.string(DB_SYSTEM_NAME, system.name());
    put(sink, DB_OPERATION_NAME, &shown.operation);
    put(sink, DB_COLLECTION_NAME, &shown.collection);
    put(sink, DB_STORED_PROCEDURE_NAME, &shown.procedure);
    put(sink, DB_NAMESPACE, namespace);
    put(sink, DB_QUERY_SUMMARY, &shown.summary);
    put(sink, DB_QUERY_TEXT, &shown.text);
    if shown.batch > 1 {
        sink.int(DB_OPERATION_BATCH_SIZE, shown.batch.into());
    }
    if ex.db.has_rows {
        let rows = i64::try_from(ex.db.rows).unwrap_or(i64::MAX);
        sink.int(DB_RESPONSE_RETURNED_ROWS, rows);
    }
    if let Some(level) = consistency(ex.db.consistency) {
        sink.string(CASSANDRA_CONSISTENCY_LEVEL, level);
    }
    if ex.db.page_size > 0 {
        sink.int(CASSANDRA_PAGE_SIZE, ex.db.page_size.into());
    }
    place(ex, peer_text, buffer, sink);
    let code = ex.text(Field::Code).unwrap_or_default();
    let code = lossy(code, false, buffer);
    put(sink, DB_RESPONSE_STATUS_CODE, code);
    if ex.fault != Fault::None {
        sink.string(ERROR_TYPE, ex.fault.as_str());
        sink.error();
    } else if !code.is_empty() {
        sink.string(ERROR_TYPE, code);
        sink.error();
    }
}

/// Says who the other end is, and where the database: there, or in this process.
fn place(ex: &Exchange, peer_text: &mut String, text: &mut String, sink: &mut impl SpanSink) {
    let peer_port = peer(ex, peer_text, sink);
    // The agent left the name that was looked up, if it knows it, or the path of a Unix socket.
    let known = host_header(ex);
    let (host, port) = if ex.kind == Kind::Client {
        (known.unwrap_or(peer_text), peer_port)
    } else {
        put(sink, CLIENT_ADDRESS, peer_text);
        text.clear();
        let own = socket_address(ex.local);
        if let Some((ip, _)) = own {
            push_ip(ip, text);
        }
        (known.unwrap_or(text), own.map(|(_, port)| port))
    };
    if ex.peer == Endpoint::Unix {
        // A client's end of such a socket has no name.
        if ex.kind == Kind::Client {
            put(sink, NETWORK_PEER_ADDRESS, host);
        }
        sink.string(NETWORK_TRANSPORT, "unix");
    }
    put(sink, SERVER_ADDRESS, host);
    if let Some(port) = port.filter(|port| *port != ex.db.system.default_port()) {
        sink.int(SERVER_PORT, port.into());
    }
}

/// The value of `cassandra.consistency.level` for a number of the protocol, plus one.
fn consistency(number: u8) -> Option<&'static str> {
    const LEVELS: [&str; 11] = [
        "any",
        "one",
        "two",
        "three",
        "quorum",
        "all",
        "local_quorum",
        "each_quorum",
        "serial",
        "local_serial",
        "local_one",
    ];
    LEVELS.get(usize::from(number.checked_sub(1)?)).copied()
}

/// The span's name: the summary, or the operation with its target, or the target, or the system. The index of a Redis
/// database is no target, by its own convention.
fn name(system: System, shown: &Shown, namespace: &str, out: &mut String) {
    out.clear();
    if !shown.summary.is_empty() {
        out.push_str(&shown.summary);
        return;
    }
    out.push_str(&shown.operation);
    let target = [&shown.collection, &shown.procedure]
        .into_iter()
        .find(|target| !target.is_empty())
        .map_or(namespace, |target| target);
    if !target.is_empty() && system != System::Redis && shown.operation != "connect" {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(target);
    }
    if out.is_empty() {
        out.push_str(system.name());
    }
}
