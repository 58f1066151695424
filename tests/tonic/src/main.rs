//! `calls serve`: the service `tests.Calls`, and GET /echo. PORT; TLS with TLS_CERT and TLS_KEY; THREADS=1 is the runtime of one
//! thread. `calls call URL CALL...`: all calls at once over one channel; a line of JSON for each (TLS trusts TLS_CA). `calls get
//! URL...`: the same with requests by reqwest on one connection.
//!
//! A call is `KIND?OPTIONS`; the service reads the options from the first message:
//!
//! id=       what its answers begin with
//! code=     the status that it ends with
//! early=1   streams: before the first message
//! delay=    milliseconds before it answers, after `got ID` was printed
//! pause=    the same after the first message of a stream
//! count=    messages of a stream (3)
//! size=     bytes that are added to each message
//! call=     `http` or `grpc`, before it answers: HTTP_UPSTREAM/echo?id=, GRPC_UPSTREAM; `spawn`: by HTTP from a task of its own
//!
//! and the client: `timeout=` milliseconds (`grpc-timeout`); `drop=1` gives the call up at SIGUSR1; `method=` asks for another method.

mod client;
mod codec;
mod server;

use std::collections::HashMap;

/// The options of a call, or of a message.
pub struct Options(HashMap<String, String>);

impl Options {
    pub fn of(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.0
            .get(key)
            .map_or(default, |value| value.parse().expect("a number"))
    }
}

pub fn env(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn main() {
    let mut builder = match env("THREADS", "2").as_str() {
        "1" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let words: Vec<String> = std::env::args().skip(1).collect();
    builder
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["serve"] => server::serve().await,
                ["call", url, ref calls @ ..] => client::call(url, calls).await,
                ["get", ref urls @ ..] => client::get(urls).await,
                _ => panic!("serve, call or get"),
            }
        });
}
