//! One connection to the receiver, opened when needed and kept alive between exports.
//!
//! Exports are serial, so one connection is enough and no pool is needed; owning it also means that a
//! connection that stalled can be torn down with everything queued on it (lesson 111).

use super::endpoint::Target;
use super::outcome::{Cause, tidy};
use super::resolve::Addresses;
use super::retry::Verdict;
use super::socket::{Adopt, Socket};
use super::tls::{Refusal, Session};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::body::Body;

/// Largest response, bytes after decompression (otlp.md section 2).
pub(super) const MAX_RESPONSE: usize = 4 * 1024 * 1024;

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum LinkError {
    /// No connection, or it ended before the response: try again.
    Lost(String),
    /// The other side cannot be trusted or spoken to.
    Untrusted(String),
    /// The response passed [`MAX_RESPONSE`].
    TooLarge,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(text) | Self::Untrusted(text) => f.write_str(text),
            Self::TooLarge => f.write_str("the response is too large"),
        }
    }
}

impl Error for LinkError {}

impl LinkError {
    /// Finds out what `error` was about. The innermost text is the one that tells.
    pub(super) fn from_error(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(link) = error.downcast_ref::<LinkError>() {
                return match link {
                    Self::Lost(text) => Self::Lost(text.clone()),
                    Self::Untrusted(text) => Self::Untrusted(text.clone()),
                    Self::TooLarge => Self::TooLarge,
                };
            }
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::Untrusted(format!("TLS: {tls}"));
            }
            text = error.to_string();
            // An io::Error's source is that of the error inside it, which would skip this one.
            let inside = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = match inside {
                Some(inside) => Some(inside),
                None => error.source(),
            };
        }
        Self::Lost(text)
    }

    pub(super) fn verdict(self) -> Verdict {
        let detail = tidy(&self.to_string());
        match self {
            Self::Lost(_) => Verdict::Retry {
                after: None,
                detail,
            },
            Self::Untrusted(_) => Verdict::Fatal {
                cause: Cause::Untrusted,
                detail,
            },
            Self::TooLarge => Verdict::Fatal {
                cause: Cause::TooLarge,
                detail,
            },
        }
    }
}

/// What it takes to open a [`Link`].
pub(super) struct Dialer {
    pub(super) target: Target,
    pub(super) tls: Option<TlsConnector>,
    /// gRPC speaks HTTP/2 by prior knowledge (plain) or ALPN (TLS).
    pub(super) http2: bool,
    pub(super) addresses: &'static Addresses,
    pub(super) adopt: Adopt,
    /// Set by a socket that finds its number taken.
    pub(super) lost: Arc<AtomicBool>,
}

/// An open connection and the tasks that drive it; dropping it ends both.
pub(super) struct Link {
    pub(super) sender: Sender,
    tasks: Tasks,
    refusal: Refusal,
}

/// How requests enter a [`Link`].
pub(super) enum Sender {
    /// One request at a time.
    Http1(http1::SendRequest<Body>),
    /// Streams.
    Http2(http2::SendRequest<Body>),
}

impl Dialer {
    /// Resolves, connects, and shakes hands.
    pub(super) async fn open(&self) -> Result<Link, LinkError> {
        let Target { host, port, .. } = &self.target;
        let unreachable = |error: &dyn fmt::Display| {
            LinkError::Lost(format!("cannot reach {}: {error}", self.target.authority))
        };
        let addresses = self
            .addresses
            .lookup(host, *port)
            .map_err(|error| unreachable(&error))?;
        let socket = match Socket::connect(&addresses, self.adopt, &self.lost).await {
            Ok(socket) => socket,
            Err(error) => {
                self.addresses.failed();
                return Err(unreachable(&error));
            }
        };
        let refusal = Refusal::default();
        let io: Box<dyn Stream> = match &self.tls {
            None => Box::new(socket),
            Some(connector) => Box::new(self.secure(connector, socket, &refusal).await?),
        };
        Link::open(TokioIo::new(io), self.http2, refusal).await
    }

    async fn secure(
        &self,
        connector: &TlsConnector,
        socket: Socket,
        refusal: &Refusal,
    ) -> Result<Session, LinkError> {
        let name = ServerName::try_from(self.target.host.clone())
            .map_err(|error| LinkError::Untrusted(format!("TLS: {error}")))?;
        let stream = connector.connect(name, socket).await;
        let stream = stream.map_err(|error| LinkError::from_error(&error))?;
        let session = Session::new(stream, Refusal::clone(refusal));
        if self.http2 && !session.is_http2() {
            return Err(LinkError::Untrusted(
                "TLS: the server did not agree to HTTP/2".into(),
            ));
        }
        Ok(session)
    }
}

impl Link {
    async fn open(
        io: TokioIo<Box<dyn Stream>>,
        http2: bool,
        refusal: Refusal,
    ) -> Result<Self, LinkError> {
        let lost = |error: hyper::Error| LinkError::from_error(&error);
        let tasks = Tasks::default();
        let sender = if http2 {
            let (sender, connection) = http2::handshake(tasks.clone(), io).await.map_err(lost)?;
            tasks.spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(lost)?;
            tasks.spawn(connection);
            Sender::Http1(sender)
        };
        Ok(Self {
            sender,
            tasks,
            refusal,
        })
    }

    /// `error`, or the reason behind it when the peer gave one.
    pub(super) fn explain(&self, error: LinkError) -> LinkError {
        match (error, self.refusal.get()) {
            (LinkError::Lost(_), Some(text)) => LinkError::Untrusted(text.clone()),
            (error, _) => error,
        }
    }

    /// Whether the connection can take another request, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// What hyper reads from and writes to: one type, so that hyper is compiled once for plain and TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The tasks of one connection. A peer that never reads would keep hyper's own tasks, and the request
/// bodies in them, alive for many minutes after the request was given up.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl Tasks {
    fn spawn<F>(&self, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = tokio::spawn(future).abort_handle();
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(handle);
    }

    fn abort(&self) {
        let tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(AbortHandle::abort);
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn(future);
    }
}
