use crate::config::db::QueryText;
use crate::exchange::{Db, Endpoint, Exchange, Fault, Field, Kind, QUERY_MAX, System, VALUE_MAX};
use crate::semconv::SpanSink;
use std::fmt::Write;

/// A span in one line.
#[derive(Default)]
struct Line(String);

impl SpanSink for Line {
    fn name(&mut self, name: &str) {
        self.0 += name;
    }
    fn string(&mut self, key: &str, value: &str) {
        assert!(!value.is_empty());
        write!(self.0, " {key}={value}").unwrap();
    }
    fn int(&mut self, key: &str, value: i64) {
        write!(self.0, " {key}=#{value}").unwrap();
    }
    fn strings(&mut self, _: &str, _: &[&str]) {
        unreachable!("databases have none");
    }
    fn error(&mut self) {
        self.0 += " ERROR";
    }
}

fn wire(commands: &[&[&str]]) -> Vec<u8> {
    let mut out = Vec::new();
    for command in commands {
        out.extend(format!("*{}\r\n", command.len()).bytes());
        for argument in *command {
            out.extend(format!("${}\r\n{argument}\r\n", argument.len()).bytes());
        }
    }
    out
}

fn redis(commands: &[&[&str]]) -> Exchange {
    let mut ex = Exchange::default();
    ex.kind = Kind::Client;
    ex.peer = Endpoint::V4 {
        ip: [10, 0, 0, 9],
        port: 6379,
    };
    ex.db = Db {
        system: System::Redis,
        batch: commands.len() as u32,
        ..Db::default()
    };
    ex.set(Field::Query, &wire(commands), QUERY_MAX);
    ex.set(Field::Namespace, b"0", VALUE_MAX);
    ex
}

fn line_with(ex: &Exchange, mode: QueryText) -> String {
    let mut line = Line::default();
    super::describe(ex, mode, &mut super::Scratch::default(), &mut line);
    line.0
}

fn line(ex: &Exchange) -> String {
    line_with(ex, QueryText::Off)
}

/// What every one of them ends with.
const PEER: &str = "network.peer.address=10.0.0.9 network.peer.port=#6379 server.address=10.0.0.9";

#[test]
fn commands_pipelines_and_transactions() {
    let cases: [(&[&[&str]], &str, &str); 7] = [
        (&[&["GET", "a"]], "GET", ""),
        (&[&["hset", "a", "b", "c"]], "hset", ""),
        (
            &[&["GET", "a"], &["get", "b"]],
            "PIPELINE GET",
            " db.operation.batch.size=#2",
        ),
        (
            &[&["GET", "a"], &["SET", "b", "c"]],
            "PIPELINE",
            " db.operation.batch.size=#2",
        ),
        (
            &[&["MULTI"], &["INCR", "a"], &["INCR", "b"], &["EXEC"]],
            "MULTI INCR",
            " db.operation.batch.size=#2",
        ),
        (&[&["MULTI"], &["INCR", "a"], &["EXEC"]], "MULTI INCR", ""),
        (
            &[&["MULTI"], &["INCR", "a"], &["GET", "b"], &["EXEC"]],
            "MULTI",
            " db.operation.batch.size=#2",
        ),
    ];
    for (commands, name, size) in cases {
        assert_eq!(
            line(&redis(commands)),
            format!(
                "{name} db.system.name=redis db.operation.name={name} db.namespace=0{size} {PEER}"
            )
        );
    }
}

#[test]
fn a_pipeline_that_was_cut_may_hold_anything() {
    let value = "x".repeat(QUERY_MAX);
    let commands: [&[&str]; 3] = [&["SET", "a", "b"], &["SET", "a", &value], &["GET", "a"]];
    assert!(
        line(&redis(&commands))
            .starts_with("PIPELINE db.system.name=redis db.operation.name=PIPELINE db")
    );
}

#[test]
fn errors_ports_and_names() {
    let mut ex = redis(&[&["GET", "a"]]);
    ex.set(Field::Code, b"WRONGTYPE", VALUE_MAX);
    ex.set(Field::Host, b"cache", VALUE_MAX);
    ex.peer = Endpoint::V4 {
        ip: [10, 0, 0, 9],
        port: 7000,
    };
    assert_eq!(
        line(&ex),
        "GET db.system.name=redis db.operation.name=GET db.namespace=0 network.peer.address=10.0.0.9 \
         network.peer.port=#7000 server.address=cache server.port=#7000 db.response.status_code=WRONGTYPE \
         error.type=WRONGTYPE ERROR"
    );
    ex.peer = Endpoint::Unix;
    ex.set(Field::Host, b"/run/redis.sock", VALUE_MAX);
    assert!(line(&ex).contains(
        " network.peer.address=/run/redis.sock network.transport=unix server.address=/run/redis.sock db.response"
    ));
    ex.clear(Field::Code);
    ex.fault = Fault::ConnectionReset;
    assert!(line(&ex).ends_with(" error.type=connection_reset ERROR"));
}

#[test]
fn the_database_itself() {
    let mut ex = redis(&[&["GET", "a"]]);
    ex.kind = Kind::Server;
    let said = |ex: &Exchange| {
        line(ex)
            .strip_prefix("GET db.system.name=redis db.operation.name=GET db.namespace=0")
            .unwrap()
            .to_owned()
    };
    let client = " network.peer.address=10.0.0.9 network.peer.port=#6379 client.address=10.0.0.9";
    assert_eq!(said(&ex), client);
    for (port, shown) in [(7000, " server.port=#7000"), (6379, "")] {
        ex.local = Endpoint::V4 {
            ip: [10, 0, 0, 1],
            port,
        };
        assert_eq!(
            said(&ex),
            format!("{client} server.address=10.0.0.1{shown}")
        );
    }
    ex.peer = Endpoint::Unix;
    ex.local = Endpoint::Unknown;
    ex.set(Field::Host, b"/run/redis.sock", VALUE_MAX);
    assert_eq!(
        said(&ex),
        " network.transport=unix server.address=/run/redis.sock"
    );
}

#[test]
fn a_connection_that_was_made() {
    let mut ex = redis(&[]);
    ex.db.is_connect = true;
    assert_eq!(
        line(&ex),
        format!("connect db.system.name=redis db.operation.name=connect db.namespace=0 {PEER}")
    );
}

#[test]
fn texts_of_commands() {
    let cases: [(&[&[&str]], &str, &str); 4] = [
        (&[&["SET", "a", "secret"]], "SET a ?", "SET a secret"),
        (
            &[&["GET", "a"], &["SET", "b", "c"]],
            "GET a; SET b ?",
            "GET a; SET b c",
        ),
        (&[&["AUTH", "user", "pass"]], "AUTH ? ?", "AUTH ? ?"),
        (
            &[&["CONFIG", "SET", "requirepass", "p"]],
            "CONFIG SET ? ?",
            "CONFIG SET ? ?",
        ),
    ];
    for (commands, sanitized, raw) in cases {
        for (mode, text) in [(QueryText::Sanitized, sanitized), (QueryText::Raw, raw)] {
            let line = line_with(&redis(commands), mode);
            let text = format!(" db.query.text={text} ");
            let size = format!("db.operation.batch.size=#{} ", commands.len());
            let size = if commands.len() > 1 { &size[..] } else { "" };
            assert!(line.contains(&format!("{text}{size}network")), "{line}");
        }
        assert!(!line(&redis(commands)).contains("db.query.text"));
    }
}

fn statement(system: System, text: &str) -> Exchange {
    let mut ex = Exchange::default();
    ex.kind = Kind::Client;
    ex.db.system = system;
    ex.set(Field::Namespace, b"shop", VALUE_MAX);
    ex.set(Field::Query, text.as_bytes(), QUERY_MAX);
    ex
}

#[test]
fn statements() {
    let ex = statement(
        System::PostgreSql,
        "SELECT a FROM t WHERE b = 'x' AND c = $1",
    );
    let known = "SELECT t db.system.name=postgresql db.operation.name=SELECT db.collection.name=t db.namespace=shop \
                 db.query.summary=SELECT t";
    let texts = [
        (QueryText::Off, ""),
        (
            QueryText::Sanitized,
            " db.query.text=SELECT a FROM t WHERE b = ? AND c = $1",
        ),
        (
            QueryText::Raw,
            " db.query.text=SELECT a FROM t WHERE b = 'x' AND c = $1",
        ),
    ];
    for (mode, text) in texts {
        assert_eq!(line_with(&ex, mode), format!("{known}{text}"));
    }
    let mut ex = statement(System::MySql, "CREATE USER u IDENTIFIED BY 'secret'");
    ex.db.has_rows = true;
    let line = line_with(&ex, QueryText::Raw);
    assert!(
        line.contains("IDENTIFIED BY ?") && line.ends_with(" db.response.returned_rows=#0"),
        "{line}"
    );
}

#[test]
fn statements_with_several_sets_of_values_are_batches() {
    let mut ex = statement(System::PostgreSql, "INSERT INTO t VALUES ($1)");
    ex.db.batch = 3;
    let all = line(&ex);
    assert!(
        all.starts_with(
            "BATCH INSERT t db.system.name=postgresql db.operation.name=BATCH INSERT db.collection.name=t"
        ),
        "{all}"
    );
    assert!(
        all.contains(" db.query.summary=BATCH INSERT t ")
            && all.contains(" db.operation.batch.size=#3")
    );
    ex.db.batch = 1;
    assert!(line(&ex).starts_with("INSERT t "));
}

#[test]
fn what_has_no_statement_is_called_after_its_target() {
    let mut ex = statement(System::PostgreSql, "");
    ex.clear(Field::Query);
    assert_eq!(
        line(&ex),
        "shop db.system.name=postgresql db.namespace=shop"
    );
    ex.set(Field::Operation, b"find", VALUE_MAX);
    ex.db.system = System::MongoDb;
    assert!(line(&ex).starts_with("find shop db.system.name=mongodb db.operation.name=find db"));
    ex.set(Field::Collection, b"users", VALUE_MAX);
    assert!(line(&ex).starts_with("find users db.system.name=mongodb"));
    ex.db.is_connect = true;
    assert!(line(&ex).starts_with("connect db.system.name=mongodb db.operation.name=connect db"));
    assert_eq!(
        line(&statement(System::Sqlite, "-- nothing")),
        "shop db.system.name=sqlite db.namespace=shop"
    );
}

#[test]
fn batches_of_statements() {
    let insert = "INSERT INTO t (a) VALUES (?)";
    let other = format!("{insert}; INSERT INTO t (a) VALUES ('secret')");
    let mixed = format!("{insert}; DELETE FROM t WHERE a = 1");
    for (text, name, operation, collection) in [
        (
            insert,
            "BATCH INSERT t",
            "BATCH INSERT",
            " db.collection.name=t",
        ),
        (&other, "BATCH INSERT t", "BATCH INSERT", ""),
        (&mixed, "BATCH", "BATCH", ""),
    ] {
        let mut ex = statement(System::Cassandra, text);
        ex.db.batch = 2;
        let told = line_with(&ex, QueryText::Off);
        let front = format!(
            "{name} db.system.name=cassandra db.operation.name={operation}{collection} db.namespace=shop db.query.summary={name} db.operation.batch.size=#2"
        );
        assert!(told.starts_with(&front), "{told}");
    }
}

#[test]
fn what_cassandra_was_asked_for() {
    let mut ex = statement(System::Cassandra, "SELECT a FROM t");
    for (number, level) in [
        (1, "any"),
        (2, "one"),
        (7, "local_quorum"),
        (11, "local_one"),
    ] {
        ex.db.consistency = number;
        ex.db.page_size = 100;
        let told = line_with(&ex, QueryText::Off);
        let extra = format!(" cassandra.consistency.level={level} cassandra.page.size=#100");
        assert!(told.contains(&extra), "{told}");
    }
    ex.db.consistency = 12;
    assert!(!line_with(&ex, QueryText::Off).contains("consistency"));
}

#[test]
fn commands_of_memcached() {
    let rows: [(&str, u32, &str, &str, &str); 9] = [
        ("get k\r\n", 1, "get", "get k", "get k"),
        ("get k l\r\n", 1, "get", "get k ?", "get k l"),
        ("set k 0 60 5\r\n", 1, "set", "set k ? ? ?", "set k 0 60 5"),
        ("mn\r\n", 1, "mn", "mn", "mn"),
        (
            "set a 0 0 1\r\nset b 0 0 1\r\n",
            2,
            "BATCH set",
            "set a ? ? ?; set b ? ? ?",
            "set a 0 0 1; set b 0 0 1",
        ),
        (
            "set a 0 0 1\r\nget b\r\n",
            2,
            "BATCH",
            "set a ? ? ?; get b",
            "set a 0 0 1; get b",
        ),
        ("mg a v q\r\nmn\r\n", 1, "mg", "mg a ? ?", "mg a v q"),
        (
            "get a\r\nget b\r\nnoop\r\n",
            2,
            "BATCH get",
            "get a; get b",
            "get a; get b",
        ),
        ("nonsense secret\r\n", 1, "memcached", "", ""),
    ];
    for (raw, batch, name, sanitized, whole) in rows {
        let mut ex = statement(System::Memcached, raw);
        ex.clear(Field::Namespace);
        ex.db.batch = batch;
        for (mode, text) in [
            (QueryText::Off, ""),
            (QueryText::Sanitized, sanitized),
            (QueryText::Raw, whole),
        ] {
            let line = line_with(&ex, mode);
            assert!(
                line.starts_with(&format!("{name} db.system.name=memcached")),
                "{line}"
            );
            let shown = line
                .split_once(" db.query.text=")
                .map_or("", |(_, rest)| rest);
            let shown = shown.split(" db.operation.batch").next();
            assert_eq!(shown, Some(text), "{raw}");
            assert_eq!(line.contains("batch.size=#2"), batch == 2);
        }
    }
    // Half a command, and half a batch.
    let mut ex = statement(System::Memcached, "");
    ex.clear(Field::Namespace);
    ex.set(Field::Query, b"get a\r\nget abc", 13);
    ex.db.batch = 3;
    let line = line_with(&ex, QueryText::Sanitized);
    assert!(
        line.starts_with("BATCH db.") && line.contains("db.query.text=get a; get ? "),
        "{line}"
    );
}
