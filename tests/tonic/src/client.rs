use crate::codec::Plain;
use crate::{env, Options};
use axum::http::uri::PathAndQuery;
use bytes::Bytes;
use serde_json::{json, Value};
use std::time::Duration;
use tokio::signal::unix::{signal, SignalKind};
use tokio_stream::StreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};

pub fn channel(url: &str) -> Channel {
    let mut endpoint = Endpoint::from_shared(url.to_owned())
        .expect("a URL")
        .user_agent("calls/1")
        .expect("a name");
    if url.starts_with("https") {
        let ca = Certificate::from_pem(std::fs::read(env("TLS_CA", "")).expect("TLS_CA"));
        endpoint = endpoint
            .tls_config(ClientTlsConfig::new().ca_certificate(ca))
            .expect("TLS");
    }
    endpoint.connect_lazy()
}

pub fn http() -> reqwest::Client {
    let builder = reqwest::Client::builder().user_agent("calls/1");
    match env("TLS_CA", "").as_str() {
        "" => builder.http2_prior_knowledge(),
        path => {
            let pem = std::fs::read(path).expect("TLS_CA");
            builder
                .add_root_certificate(reqwest::Certificate::from_pem(&pem).expect("a certificate"))
        }
    }
    .build()
    .expect("a client")
}

pub async fn fetch(client: reqwest::Client, url: String) -> Value {
    let answer = client.get(url).send().await.expect("an answer");
    let (status, version) = (answer.status().as_u16(), format!("{:?}", answer.version()));
    json!({ "status": status, "version": version, "body": answer.text().await.expect("a body") })
}

async fn all(tasks: Vec<tokio::task::JoinHandle<Value>>) {
    for task in tasks {
        println!("{}", task.await.expect("a task"));
    }
}

pub async fn get(urls: &[&str]) {
    let client = http();
    // The first alone: the others find its connection.
    let (first, rest) = urls.split_first().expect("a URL");
    println!("{}", fetch(client.clone(), (*first).to_owned()).await);
    let start = |url: &&str| tokio::spawn(fetch(client.clone(), (*url).to_owned()));
    all(rest.iter().map(start).collect()).await;
}

pub async fn call(url: &str, calls: &[&str]) {
    let channel = channel(url);
    let start = |call: &&str| {
        let (channel, call) = (channel.clone(), (*call).to_owned());
        tokio::spawn(async move { one(channel, &call).await })
    };
    let tasks = calls.iter().map(start).collect();
    drop(channel);
    all(tasks).await;
    // What calls that were given up have left to be said is written by the connection's own task.
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Makes one call: what it was answered.
pub async fn one(channel: Channel, call: &str) -> Value {
    let (kind, text) = call.split_once('?').expect("KIND?OPTIONS");
    let options = Options::of(text);
    let mut answers = Vec::new();
    let ended = if options.number("drop", 0) == 1 {
        let mut given_up = signal(SignalKind::user_defined1()).expect("a signal");
        tokio::select! {
            ended = make(channel, kind, text, &options, &mut answers) => Some(ended),
            _ = given_up.recv() => None,
        }
    } else {
        Some(make(channel, kind, text, &options, &mut answers).await)
    };
    let (code, message) = match ended {
        None => (-1, String::new()),
        Some(Ok(())) => (Code::Ok as i32, String::new()),
        Some(Err(status)) => (status.code() as i32, status.message().to_owned()),
    };
    json!({ "id": options.text("id"), "code": code, "message": message, "answers": answers })
}

async fn make(
    channel: Channel,
    kind: &str,
    text: &str,
    options: &Options,
    answers: &mut Vec<String>,
) -> Result<(), Status> {
    let count = options.number("count", 3);
    let first = Bytes::copy_from_slice(text.as_bytes());
    let padded = format!(
        "{}&pad={}",
        text,
        "p".repeat(options.number("size", 0) as usize)
    );
    let messages =
        std::iter::once(first.clone()).chain((1..count).map(move |_| padded.clone().into()));
    let method = match options.text("method") {
        "" => format!("/tests.Calls/{kind}"),
        other => format!("/{other}"),
    };
    let method: PathAndQuery = method.parse().expect("a path");
    let mut client = tonic::client::Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;

    match kind {
        "Unary" => answers.push(written(
            client
                .unary(asked(first, options), method, Plain)
                .await?
                .into_inner(),
        )),
        "Collect" => {
            let stream = asked(tokio_stream::iter(messages), options);
            answers.push(written(
                client
                    .client_streaming(stream, method, Plain)
                    .await?
                    .into_inner(),
            ));
        }
        "List" => {
            read(
                client
                    .server_streaming(asked(first, options), method, Plain)
                    .await?
                    .into_inner(),
                answers,
            )
            .await?
        }
        "Chat" => {
            let stream = asked(
                tokio_stream::iter(messages).throttle(Duration::from_millis(1)),
                options,
            );
            read(
                client.streaming(stream, method, Plain).await?.into_inner(),
                answers,
            )
            .await?;
        }
        other => panic!("no kind {other}"),
    }
    Ok(())
}

fn asked<T>(message: T, options: &Options) -> Request<T> {
    let mut request = Request::new(message);
    let id = options.text("id").parse().expect("an id");
    request.metadata_mut().insert("x-id", id);
    if let timeout @ 1.. = options.number("timeout", 0) {
        request.set_timeout(Duration::from_millis(timeout));
    }
    request
}

async fn read(mut stream: Streaming<Bytes>, answers: &mut Vec<String>) -> Result<(), Status> {
    while let Some(message) = stream.message().await? {
        answers.push(written(message));
    }
    Ok(())
}

fn written(message: Bytes) -> String {
    String::from_utf8(message.into()).expect("text")
}
