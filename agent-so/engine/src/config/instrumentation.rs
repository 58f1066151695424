//! Which protocols are observed on which side: `OTEL_INSTRUMENTATION_<NAME>_ENABLED`.
//!
//! The names are those of sides (`HTTP_SERVER`) and, as aliases, of the libraries whose instrumentations users
//! know from other agents. A library's name speaks for the whole side: the bytes do not tell which library sent them.

mod rows;

use super::env::{Env, boolean};
use super::vars;
use rows::ROWS;

/// One protocol on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrumentation {
    /// HTTP requests received.
    HttpServer,
    /// HTTP requests sent.
    HttpClient,
    /// Commands sent to Redis and what speaks like it.
    Redis,
    /// Statements sent to PostgreSQL and what speaks like it.
    PostgreSql,
    /// Statements sent to MySQL and MariaDB.
    MySql,
    /// Commands sent to memcached.
    Memcached,
    /// Commands sent to MongoDB and what speaks like it.
    MongoDb,
    /// Statements sent to Cassandra and what speaks like it.
    Cassandra,
    /// Statements sent to ClickHouse in its own protocol.
    ClickHouse,
    /// Statements sent to Microsoft SQL Server.
    SqlServer,
    /// Statements that SQLite runs in the process.
    Sqlite,
    /// What databases themselves are asked. Off unless asked for.
    DbServer,
    /// What passes through OpenSSL, LibreSSL and BoringSSL.
    OpenSsl,
    /// What passes through GnuTLS.
    GnuTls,
    /// Which request Ruby code works for.
    Ruby,
    /// The tasks and contexts of CPython.
    Asyncio,
    /// Threads, pools and greenlets that Python code starts.
    Threading,
    /// Which request JavaScript works for, in Node.
    Node,
    /// Tasks of Java programs.
    Java,
    /// What passes through Java's own TLS.
    Jsse,
    /// Contexts that proxies are given to pass on.
    Proxy,
    /// Routes that Express has matched.
    Express,
    /// Routes that Fastify has matched.
    Fastify,
    /// Routes that a router of Koa's has matched.
    Koa,
    /// Routes that Sinatra has matched.
    Sinatra,
    /// Routes that Rails has matched.
    Rails,
    /// Routes that Flask has matched.
    Flask,
    /// Routes that Django has matched.
    Django,
    /// Routes that Starlette and FastAPI have matched.
    Starlette,
    /// Routes that aiohttp has matched.
    AiohttpServer,
    /// Calls of gRPC received.
    GrpcServer,
    /// Calls of gRPC made.
    GrpcClient,
}

/// Which instrumentations are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instrumentations([bool; ROWS.len()]);

impl Instrumentations {
    /// Whether `which` is on.
    pub fn is_enabled(self, which: Instrumentation) -> bool {
        self.0[which as usize]
    }

    /// Whether all that makes spans is off: then there is nothing to do in this process.
    pub fn none_enabled(self) -> bool {
        self.0.iter().zip(&ROWS).all(|(on, row)| !on || row.carrier)
    }
}

/// The `<NAME>` of `OTEL_INSTRUMENTATION_<NAME>_ENABLED`.
fn name_of(variable: &[u8]) -> Option<&[u8]> {
    if variable == vars::COMMON_DEFAULT_ENABLED.name().as_bytes() {
        return None;
    }
    variable
        .strip_prefix(b"OTEL_INSTRUMENTATION_")?
        .strip_suffix(b"_ENABLED")
}

/// What one side was told, from the strongest to the weakest.
#[derive(Clone, Copy, Default)]
struct Told {
    own: Option<bool>,
    any_alias_off: bool,
    any_alias_on: bool,
}

/// Reads the switches. For each side: its own name decides; else any alias that says `false` turns it off; else
/// any alias that says `true` turns it on; else the common default, which is not that of [`Instrumentation::DbServer`].
pub(super) fn from_env(env: &Env) -> Instrumentations {
    let default = env.flag(vars::COMMON_DEFAULT_ENABLED).unwrap_or(true);
    let mut told = [Told::default(); ROWS.len()];
    for (variable, value) in env.entries() {
        let Some(name) = name_of(variable) else {
            continue;
        };
        let Some(text) = std::str::from_utf8(value).ok().map(str::trim) else {
            continue;
        };
        if text.is_empty() {
            continue;
        }
        let switch = boolean(text);
        let mut known = false;
        for (row, told) in ROWS.iter().zip(&mut told) {
            if row.name.as_bytes() == name {
                known = true;
                told.own = told.own.or(switch);
            } else if row.aliases.iter().any(|alias| alias.as_bytes() == name) {
                known = true;
                told.any_alias_off |= switch == Some(false);
                told.any_alias_on |= switch == Some(true);
            }
        }
        if !known {
            env.info(
                variable,
                value,
                "no such instrumentation in otel-run",
                "it has no effect",
            );
        } else if switch.is_none() {
            env.warn_named(
                variable,
                value,
                "neither true nor false",
                "the variable is ignored",
            );
        }
    }
    Instrumentations(std::array::from_fn(|row| match told[row] {
        Told { own: Some(own), .. } => own,
        Told {
            any_alias_off: true,
            ..
        } => false,
        Told {
            any_alias_on: true, ..
        } => true,
        _ if row == Instrumentation::DbServer as usize => false,
        _ => default || ROWS[row].carrier,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::warning::LogLevel;

    /// With these variables, written without what all have in common.
    fn switched(text: &str) -> (Instrumentations, Vec<LogLevel>) {
        let vars: Vec<(String, &str)> = text
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(n, v)| (format!("OTEL_INSTRUMENTATION_{n}_ENABLED"), v))
            .collect();
        let env = Env::new(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
        let on = from_env(&env);
        (on, env.into_warnings().iter().map(|w| w.level).collect())
    }

    fn read(text: &str) -> (bool, bool, Vec<LogLevel>) {
        let (on, levels) = switched(text);
        assert_eq!(
            on.none_enabled(),
            ![
                Instrumentation::HttpServer,
                Instrumentation::HttpClient,
                Instrumentation::GrpcServer,
                Instrumentation::GrpcClient,
                Instrumentation::Redis,
                Instrumentation::PostgreSql,
                Instrumentation::MySql,
                Instrumentation::Memcached,
                Instrumentation::MongoDb,
                Instrumentation::Cassandra,
                Instrumentation::ClickHouse,
                Instrumentation::SqlServer,
                Instrumentation::Sqlite,
                Instrumentation::DbServer,
            ]
            .into_iter()
            .any(|which| on.is_enabled(which))
        );
        (
            on.is_enabled(Instrumentation::HttpServer),
            on.is_enabled(Instrumentation::HttpClient),
            levels,
        )
    }

    #[test]
    fn switches() {
        let rows: [(&str, bool, bool, &[LogLevel]); 16] = [
            ("", true, true, &[]),
            ("COMMON_DEFAULT=false", false, false, &[]),
            ("COMMON_DEFAULT=no", true, true, &[LogLevel::Warn]),
            ("HTTP_SERVER=false", false, true, &[]),
            ("HTTP_CLIENT=FALSE", true, false, &[]),
            ("HTTP=false", false, false, &[]),
            ("HTTP=false HTTP_CLIENT=true", false, true, &[]),
            ("FLASK=false", false, true, &[]),
            ("REQUESTS=false URLLIB3=true", true, false, &[]),
            ("FLASK=false HTTP_SERVER=true", true, true, &[]),
            ("COMMON_DEFAULT=false HTTPX=true", false, true, &[]),
            ("COMMON_DEFAULT=false HTTP_SERVER=true", true, false, &[]),
            ("FLASK=0", true, true, &[LogLevel::Warn]),
            ("SPRING_RABBIT=false", true, true, &[LogLevel::Info]),
            ("HTTP_SERVER=", true, true, &[]),
            (
                "HTTP_SERVER=off HTTP=false",
                false,
                false,
                &[LogLevel::Warn],
            ),
        ];
        for (text, server, client, levels) in rows {
            assert_eq!(read(text), (server, client, levels.to_vec()), "{text}");
        }
    }

    #[test]
    fn the_common_default_leaves_tls_on() {
        let rows = [
            ("", true, true),
            ("COMMON_DEFAULT=false", true, true),
            ("TLS=false", false, false),
            ("TLS=false GNUTLS=true", false, true),
            ("OPENSSL=false", false, true),
            ("BORINGSSL=false", false, true),
        ];
        for (text, openssl, gnutls) in rows {
            let (on, _) = switched(text);
            assert_eq!(on.is_enabled(Instrumentation::OpenSsl), openssl, "{text}");
            assert_eq!(on.is_enabled(Instrumentation::GnuTls), gnutls, "{text}");
        }
    }

    #[test]
    fn a_frameworks_routes_are_off_with_its_side_or_alone() {
        let rows = [
            ("", true, true),
            ("COMMON_DEFAULT=false", false, true),
            ("EXPRESS=false", false, false),
            ("EXPRESS=false HTTP_SERVER=true", true, false),
            ("COMMON_DEFAULT=false EXPRESS=true", true, true),
        ];
        for (text, server, express) in rows {
            let (on, _) = switched(text);
            assert_eq!(on.is_enabled(Instrumentation::HttpServer), server, "{text}");
            assert_eq!(on.is_enabled(Instrumentation::Express), express, "{text}");
            assert!(on.is_enabled(Instrumentation::Koa), "{text}");
        }
    }

    #[test]
    fn grpc_is_neither_side_of_http() {
        let rows = [
            ("", true, true, true),
            ("COMMON_DEFAULT=false", false, false, false),
            ("GRPC=false", false, false, true),
            ("GRPC_CLIENT=false", true, false, true),
            ("GRPC_AIO_SERVER=false", false, true, true),
            ("HTTP=false", true, true, false),
        ];
        for (text, server, client, http) in rows {
            let (on, _) = switched(text);
            assert_eq!(on.is_enabled(Instrumentation::GrpcServer), server, "{text}");
            assert_eq!(on.is_enabled(Instrumentation::GrpcClient), client, "{text}");
            assert_eq!(on.is_enabled(Instrumentation::HttpServer), http, "{text}");
            assert!(
                !on.none_enabled() || text == "COMMON_DEFAULT=false",
                "{text}"
            );
        }
    }

    #[test]
    fn every_name_is_documented() {
        let doc = include_str!("../../../../docs/configuration.md");
        for row in &ROWS {
            for name in row.aliases.iter().chain([&row.name]) {
                assert!(doc.contains(&format!("`{name}`")), "{name}");
            }
        }
    }
}
