//! Receivers for the tests: each on a thread of its own, each answering from a script.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use otlp_proto::collector::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use otlp_proto::service::server::{TraceService, TraceServiceServer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, sink};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a receiver has seen.
#[derive(Default)]
pub(super) struct Log {
    pub(super) connections: usize,
    /// Headers and body of every request; for gRPC the body is the decoded message, encoded again.
    pub(super) requests: Vec<(HeaderMap, Bytes)>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl Server {
    pub(super) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Answers HTTP requests with `answers` in turn.
    pub(super) fn http(answers: Vec<Response<&'static [u8]>>, tls: Option<TlsAcceptor>) -> Self {
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        Self::start(tls, async move |io, log: Arc<Mutex<Log>>| {
            let service = service_fn(|request: Request<Incoming>| {
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                async move {
                    let (head, body) = request.into_parts();
                    assert_eq!(
                        (head.method.as_str(), head.uri.path()),
                        ("POST", "/v1/traces")
                    );
                    let body = body.collect().await.unwrap().to_bytes();
                    log.lock().unwrap().requests.push((head.headers, body));
                    let answer = answers.lock().unwrap().pop_front();
                    let answer = answer.unwrap_or_else(|| Response::new(&b""[..]));
                    Ok::<_, Infallible>(answer.map(|body| Full::new(Bytes::from_static(body))))
                }
            });
            // An error is the client hanging up.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        })
    }

    /// Answers exports with `answers` in turn.
    pub(super) fn grpc(answers: Vec<Answer>, tls: Option<TlsAcceptor>) -> Self {
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        Self::start(tls, async move |io, log| {
            let receiver = Receiver {
                answers: Arc::clone(&answers),
                log,
            };
            let server = TraceServiceServer::new(receiver);
            let service =
                service_fn(|request: Request<Incoming>| tower_call(server.clone(), request));
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(io, service)
                .await;
        })
    }

    /// Accepts connections and hands them to `connection`, one at a time each on its own task.
    fn start<F>(tls: Option<TlsAcceptor>, connection: F) -> Self
    where
        F: AsyncFn(TokioIo<Box<dyn Io>>, Arc<Mutex<Log>>) + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let server = Self {
            address,
            log: Arc::clone(&log),
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime.unwrap(), async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let connection = std::rc::Rc::new(connection);
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    log.lock().unwrap().connections += 1;
                    let (log, tls) = (Arc::clone(&log), tls.clone());
                    let connection = std::rc::Rc::clone(&connection);
                    tokio::task::spawn_local(async move {
                        let io: Box<dyn Io> = match tls {
                            None => Box::new(stream),
                            Some(tls) => match tls.accept(stream).into_fallible().await {
                                Ok(stream) => Box::new(stream),
                                Err((_, mut stream)) => {
                                    // Closing with bytes unread would reset the connection and could
                                    // take the alert along that the test wants to see.
                                    let _ = tokio::io::copy(&mut stream, &mut sink()).await;
                                    return;
                                }
                            },
                        };
                        connection(TokioIo::new(io), log).await;
                    });
                }
            });
        });
        server
    }
}

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Answer = Result<ExportTraceServiceResponse, tonic::Status>;

struct Receiver {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    log: Arc<Mutex<Log>>,
}

impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        let body = prost::Message::encode_to_vec(&message).into();
        self.log
            .lock()
            .unwrap()
            .requests
            .push((metadata.into_headers(), body));
        let answer = self.answers.lock().unwrap().pop_front();
        answer
            .unwrap_or_else(|| Ok(ExportTraceServiceResponse::default()))
            .map(tonic::Response::new)
    }
}

async fn tower_call<S>(
    mut service: S,
    request: Request<Incoming>,
) -> Result<Response<tonic::body::Body>, Infallible>
where
    S: tonic::client::GrpcService<Incoming, ResponseBody = tonic::body::Body, Error = Infallible>,
{
    service.call(request).await
}
