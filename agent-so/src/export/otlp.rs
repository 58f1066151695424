//! OTLP: sends encoded requests over gRPC or HTTP and says what became of them.
//!
//! ```text
//! Exporter (blocking face, owns the runtime)
//!   Client            one destination: deadline, retries
//!     retry           when to try again          classify   what an answer means
//!     http | grpc     one attempt                endpoint   where to, with which headers
//!     link            the connection             resolve, tls, socket
//! ```
//!
//! Everything happens on the thread that calls [`Exporter::export`]: the runtime is a `current_thread` one,
//! names are resolved by a plain blocking call, and no other thread ever exists. Nothing is printed; what
//! is worth a line comes back in the [`Outcome`].
//!
//! **Forked children and lost descriptors.** In a forked child, and after [`Outcome::Broken`], an
//! [`Exporter`] must be forgotten (`std::mem::forget`), never dropped and never used: its descriptors are
//! shared with the parent (a TLS goodbye would end the parent's connection) or may belong to the program by
//! now. Building a new one is cheap; give it the same [`Addresses`].

mod classify;
mod endpoint;
mod grpc;
mod http;
mod link;
mod outcome;
mod resolve;
mod retry;
mod socket;
mod tls;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use outcome::Sent;
pub(crate) use outcome::{Cause, Outcome};
pub(crate) use resolve::Addresses;
pub(crate) use socket::Adopt;

use agent_engine::config::exporter::{BatchConfig, OtlpConfig, Protocol};
use bytes::Bytes;
use endpoint::{Headers, Target};
use flate2::Compression;
use flate2::write::GzEncoder;
use link::{Dialer, Link, LinkError, Sender};
use retry::{SystemClock, Verdict};
use socket::Canary;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Largest request, bytes before compression (otlp.md section 2).
pub(crate) const MAX_REQUEST: usize = 64 * 1024 * 1024;

/// `User-Agent` of every request (otlp.md section 7).
pub(crate) const USER_AGENT: &str = concat!(
    "otel-run/",
    env!("CARGO_PKG_VERSION"),
    " OTel-OTLP-Exporter-Rust/",
    env!("CARGO_PKG_VERSION")
);

/// What the exporter needs from the rest of the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    /// Value of the `User-Agent` header, usually [`USER_AGENT`].
    pub(crate) user_agent: &'static str,
    /// Resolved addresses; survives the exporter.
    pub(crate) addresses: &'static Addresses,
    /// Takes over every new connection's descriptor.
    pub(crate) adopt: Adopt,
    /// Waits between two attempts, at most so long; returns early when the process is about to end.
    pub(crate) pause: fn(Duration),
}

/// Why no exporter could be made. The texts fit one log line and hold no header values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetupError {
    /// Not a URL that can be sent to.
    Endpoint(String),
    /// A header, named here, that cannot be sent.
    Header(String),
    /// Certificates or keys.
    Tls(String),
    /// The system gave no descriptors.
    Runtime(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(text) => write!(f, "not a usable OTLP endpoint: {text:?}"),
            Self::Header(name) => write!(f, "not a usable OTLP header: {name:?}"),
            Self::Tls(text) => write!(f, "TLS: {text}"),
            Self::Runtime(text) => write!(f, "no runtime: {text}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// Time that one export may take with its retries: the smaller of the OTLP timeout and the batch
/// processor's export timeout (otlp.md section 6); `None` is no limit.
pub(crate) fn time_limit(otlp: &OtlpConfig, batch: &BatchConfig) -> Option<Duration> {
    [otlp.timeout, batch.export_timeout]
        .into_iter()
        .flatten()
        .min()
}

/// A [`Client`] with the runtime that drives it. See the module about forks and dropping.
pub(crate) struct Exporter {
    client: Client,
    runtime: Runtime,
}

impl Exporter {
    /// Reads certificates and opens the runtime's descriptors; connects to nothing yet.
    pub(crate) fn new(
        config: &OtlpConfig,
        surroundings: &Surroundings,
    ) -> Result<Self, SetupError> {
        let none = |error: io::Error| SetupError::Runtime(error.to_string());
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(none)?;
        let client = Client::new(config, surroundings)?;
        Ok(Self { client, runtime })
    }

    /// [`Client::export`], blocking. A panic underneath (tokio panics when its epoll was closed) comes back
    /// as [`Outcome::Broken`].
    pub(crate) fn export(
        &mut self,
        request: Bytes,
        spans: u64,
        deadline: Option<Instant>,
        aborted: &dyn Fn() -> bool,
    ) -> Outcome {
        let Self { client, runtime } = self;
        let run = || runtime.block_on(client.export(request, spans, deadline, aborted));
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Outcome::Broken {
            spans,
            detail: "the runtime panicked".into(),
        })
    }
}

/// One destination. Exports are serial: one connection, kept alive between them.
pub(crate) struct Client {
    dialer: Dialer,
    transport: Transport,
    gzip: bool,
    link: Option<Link>,
    canary: Canary,
    pause: fn(Duration),
}

enum Transport {
    Http(::http::HeaderMap),
    Grpc {
        origin: ::http::Uri,
        metadata: tonic::metadata::MetadataMap,
    },
}

impl Client {
    /// Reads certificates; connects to nothing yet. To be called right after the runtime was built.
    pub(crate) fn new(
        config: &OtlpConfig,
        surroundings: &Surroundings,
    ) -> Result<Self, SetupError> {
        let target = Target::parse(&config.endpoint)?;
        let transport = match Headers::new(config, &target, surroundings.user_agent)? {
            Headers::Http(headers) => Transport::Http(headers),
            Headers::Grpc(metadata) => Transport::Grpc {
                origin: target.origin()?,
                metadata,
            },
        };
        let tls = if target.tls {
            Some(tls::connector(config)?)
        } else {
            None
        };
        let canary = Canary::new().map_err(|error| SetupError::Runtime(error.to_string()))?;
        Ok(Self {
            dialer: Dialer {
                target,
                tls,
                http2: config.protocol == Protocol::Grpc,
                addresses: surroundings.addresses,
                adopt: surroundings.adopt,
                lost: Arc::new(AtomicBool::new(false)),
            },
            transport,
            gzip: config.gzip,
            link: None,
            canary,
            pause: surroundings.pause,
        })
    }

    /// Sends `request`, an encoded `ExportTraceServiceRequest` of `spans` spans, and retries what is worth
    /// it until `deadline` (`None`: no limit). Returns before the deadline, name resolution apart, and
    /// after one more attempt once `aborted` turns true while it waits to retry.
    ///
    /// `aborted` is polled rather than awaited because waking this runtime from another thread would write
    /// to its eventfd, whose number the program may have closed and reused.
    pub(crate) async fn export(
        &mut self,
        request: Bytes,
        spans: u64,
        deadline: Option<Instant>,
        aborted: &dyn Fn() -> bool,
    ) -> Outcome {
        if let Some(detail) = self.broken() {
            return Outcome::Broken { spans, detail };
        }
        let failed = |cause, detail: &str| Outcome::Failed {
            cause,
            spans,
            detail: detail.into(),
        };
        if request.len() > MAX_REQUEST {
            return failed(Cause::TooLarge, "the request is above 64 MiB");
        }
        let body = match self.gzip {
            true => match gzip(&request) {
                Ok(body) => body,
                Err(error) => return failed(Cause::Refused, &error.to_string()),
            },
            false => request,
        };
        // The connection's tasks have not run since the last export: let them see that the peer hung up.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let mut clock = SystemClock { pause: self.pause };
        let attempt = async || self.attempt(&body, spans, deadline).await;
        retry::run(&mut clock, spans, deadline, aborted, attempt).await
    }

    /// One attempt; on a connection that was kept alive and turns out to be dead, another one at once.
    async fn attempt(&mut self, body: &Bytes, spans: u64, deadline: Option<Instant>) -> Verdict {
        let reused = self.link.as_ref().is_some_and(Link::is_open);
        let mut result = self.in_time(body, spans, deadline).await;
        if reused && matches!(result, Err(LinkError::Lost(_))) && self.broken().is_none() {
            result = self.in_time(body, spans, deadline).await;
        }
        match self.broken() {
            Some(detail) if !matches!(result, Ok(Verdict::Sent(_))) => Verdict::Broken { detail },
            _ => result.unwrap_or_else(LinkError::verdict),
        }
    }

    /// One exchange that ends by the deadline; any failure of the connection ends the connection.
    async fn in_time(
        &mut self,
        body: &Bytes,
        spans: u64,
        deadline: Option<Instant>,
    ) -> Result<Verdict, LinkError> {
        let exchange = self.exchange(body, spans, deadline);
        let result = match deadline {
            None => exchange.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), exchange).await {
                Ok(result) => result,
                Err(_) => {
                    self.link = None;
                    // Aborted tasks end when they are next run, which is now or at the next export.
                    tokio::task::yield_now().await;
                    let detail = format!("no answer in time from {}", self.dialer.target.authority);
                    return Ok(Verdict::Retry {
                        after: None,
                        detail,
                    });
                }
            },
        };
        result.map_err(|error| match self.link.take() {
            Some(link) => link.explain(error),
            None => error,
        })
    }

    async fn exchange(
        &mut self,
        body: &Bytes,
        spans: u64,
        deadline: Option<Instant>,
    ) -> Result<Verdict, LinkError> {
        if !self.link.as_ref().is_some_and(Link::is_open) {
            self.link = None;
            self.link = Some(self.dialer.open().await?);
        }
        let body = body.clone();
        match (
            self.link.as_mut().map(|link| &mut link.sender),
            &self.transport,
        ) {
            (Some(Sender::Http1(sender)), Transport::Http(headers)) => {
                http::exchange(sender, &self.dialer.target, headers, body, spans).await
            }
            (Some(Sender::Http2(sender)), Transport::Grpc { origin, metadata }) => {
                let timeout = deadline.map(|end| end.saturating_duration_since(Instant::now()));
                let call = grpc::Call {
                    origin,
                    metadata,
                    gzip: self.gzip,
                    timeout,
                };
                call.exchange(sender, body, spans).await
            }
            // The dialer opens what the transport speaks.
            _ => Err(LinkError::Lost("no connection".into())),
        }
    }

    /// Says what is wrong when our descriptors are not ours any more.
    fn broken(&self) -> Option<String> {
        if !self.canary.lives() {
            return Some("the program closed the exporter's descriptors".into());
        }
        let lost = self.dialer.lost.load(Ordering::Relaxed);
        lost.then(|| "the connection's descriptor was taken over".into())
    }
}

/// The body in gzip. The fastest level: attribute keys repeat from span to span, so that it already
/// shrinks a batch several times, and the time is taken from the program.
fn gzip(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(Bytes::from)
}
