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

fn line(ex: &Exchange) -> String {
    let mut line = Line::default();
    super::describe(ex, &mut super::Scratch::default(), &mut line);
    line.0
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
    ex.clear(Field::Code);
    ex.fault = Fault::ConnectionReset;
    assert!(line(&ex).ends_with(" error.type=connection_reset ERROR"));
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
