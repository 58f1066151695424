use crate::codec::Plain;
use crate::{client, env, Options};
use axum::extract::{RawQuery, Request as HttpRequest};
use axum::http::HeaderMap;
use axum::routing::{any, get};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::server::Grpc;
use tonic::service::Routes;
use tonic::transport::{Channel, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};

/// What handlers call upstream with.
struct Upstream {
    http: reqwest::Client,
    grpc: Option<Channel>,
}

type Shared = Arc<Upstream>;
type Answers = ReceiverStream<Result<Bytes, Status>>;

pub async fn serve() {
    let shared = Arc::new(Upstream {
        http: client::http(),
        grpc: match env("GRPC_UPSTREAM", "").as_str() {
            "" => None,
            url => Some(client::channel(url)),
        },
    });
    let (first, second, third, fourth) = (shared.clone(), shared.clone(), shared.clone(), shared);
    let app = axum::Router::new()
        .route(
            "/tests.Calls/Unary",
            any(|request: HttpRequest| async {
                Grpc::new(Plain)
                    .unary(
                        tower::service_fn(move |request| unary(request, first.clone())),
                        request,
                    )
                    .await
            }),
        )
        .route(
            "/tests.Calls/Collect",
            any(|request: HttpRequest| async {
                Grpc::new(Plain)
                    .client_streaming(
                        tower::service_fn(move |request| collect(request, second.clone())),
                        request,
                    )
                    .await
            }),
        )
        .route(
            "/tests.Calls/List",
            any(|request: HttpRequest| async {
                Grpc::new(Plain)
                    .server_streaming(
                        tower::service_fn(move |request| list(request, third.clone())),
                        request,
                    )
                    .await
            }),
        )
        .route(
            "/tests.Calls/Chat",
            any(|request: HttpRequest| async {
                Grpc::new(Plain)
                    .streaming(
                        tower::service_fn(move |request| chat(request, fourth.clone())),
                        request,
                    )
                    .await
            }),
        )
        .route("/echo", get(echo))
        .fallback(|| async {
            Status::unimplemented("no such method").into_http::<axum::body::Body>()
        });
    let mut builder = Server::builder();
    let cert = env("TLS_CERT", "");
    if !cert.is_empty() {
        let read = |path| std::fs::read(path).expect("a PEM file");
        let identity = Identity::from_pem(read(cert), read(env("TLS_KEY", "")));
        builder = builder
            .tls_config(ServerTlsConfig::new().identity(identity))
            .expect("TLS");
    }
    let address = format!("127.0.0.1:{}", env("PORT", "8080"))
        .parse()
        .expect("a port");
    builder
        .add_routes(Routes::from(app))
        .serve(address)
        .await
        .expect("serving");
}

async fn echo(RawQuery(query): RawQuery, headers: HeaderMap) -> String {
    let options = Options::of(query.as_deref().unwrap_or_default());
    tokio::time::sleep(Duration::from_millis(options.number("delay", 0))).await;
    let context = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    format!(
        "id={}&traceparent={}",
        options.text("id"),
        context.unwrap_or_default()
    )
}

/// Does what a call asks for before it is answered, and gives what its messages begin with.
async fn work<T>(request: &Request<T>, options: &Options, upstream: &Shared) -> String {
    let id = options.text("id");
    wait(options, "delay").await;
    match options.text("call") {
        "" => {}
        "grpc" => {
            let channel = upstream.grpc.clone().expect("GRPC_UPSTREAM");
            client::one(channel, &format!("Unary?id={id}")).await;
        }
        how => {
            let url = format!("{}/echo?id={id}", env("HTTP_UPSTREAM", ""));
            let call = client::fetch(upstream.http.clone(), url);
            match how {
                "spawn" => tokio::spawn(call).await.expect("a task"),
                _ => call.await,
            };
        }
    }
    let values: Vec<_> = request
        .metadata()
        .get_all("traceparent")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    format!("id={id}&traceparent={}", values.join(","))
}

async fn wait(options: &Options, key: &str) {
    if let time @ 1.. = options.number(key, 0) {
        println!("got {}", options.text("id"));
        tokio::time::sleep(Duration::from_millis(time)).await;
    }
}

fn end(options: &Options) -> Result<(), Status> {
    match options.number("code", 0) {
        0 => Ok(()),
        code => Err(Status::new(Code::from_i32(code as i32), "as asked: 100 %")),
    }
}

fn message(text: &str, options: &Options, number: u64) -> Bytes {
    let size = options.number("size", 0) as usize;
    format!("{text}&n={number}&pad={}", "p".repeat(size)).into()
}

fn options(message: &Bytes) -> Options {
    Options::of(std::str::from_utf8(message).expect("text"))
}

async fn unary(request: Request<Bytes>, upstream: Shared) -> Result<Response<Bytes>, Status> {
    let options = options(request.get_ref());
    let text = work(&request, &options, &upstream).await;
    end(&options)?;
    Ok(Response::new(message(&text, &options, 0)))
}

async fn collect(
    mut request: Request<Streaming<Bytes>>,
    upstream: Shared,
) -> Result<Response<Bytes>, Status> {
    let first = request.get_mut().message().await?.expect("a message");
    let options = options(&first);
    let text = work(&request, &options, &upstream).await;
    let mut count = 1;
    while let Some(_next) = request.get_mut().message().await? {
        count += 1;
    }
    end(&options)?;
    Ok(Response::new(message(&text, &options, count)))
}

async fn list(request: Request<Bytes>, upstream: Shared) -> Result<Response<Answers>, Status> {
    let options = options(request.get_ref());
    let text = work(&request, &options, &upstream).await;
    stream(text, options, None)
}

async fn chat(
    mut request: Request<Streaming<Bytes>>,
    upstream: Shared,
) -> Result<Response<Answers>, Status> {
    let first = request.get_mut().message().await?.expect("a message");
    let options = options(&first);
    let text = work(&request, &options, &upstream).await;
    stream(text, options, Some(request.into_inner()))
}

/// One answer for the first message, and for each that follows, or for as many as are asked for.
fn stream(
    text: String,
    options: Options,
    mut messages: Option<Streaming<Bytes>>,
) -> Result<Response<Answers>, Status> {
    if options.number("early", 0) == 1 {
        end(&options)?;
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for number in 0.. {
            let answer = message(&text, &options, number);
            if sender.send(Ok(answer)).await.is_err() {
                return;
            }
            if number == 0 {
                wait(&options, "pause").await;
            }
            let more = match &mut messages {
                Some(messages) => matches!(messages.message().await, Ok(Some(_))),
                None => number + 1 < options.number("count", 3),
            };
            if !more {
                break;
            }
        }
        if let Err(status) = end(&options) {
            let _ = sender.send(Err(status)).await;
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}
