//! TLS by rustls with the ring provider, configured per client: the process-wide default provider belongs
//! to the program, which may be a Rust program itself.

use super::SetupError;
use super::link::LinkError;
use super::socket::Socket;
use agent_engine::config::exporter::{OtlpConfig, Protocol};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connector with the configured trust, identity and ALPN.
pub(super) fn connector(config: &OtlpConfig) -> Result<TlsConnector, SetupError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(error.to_string()))?
        .with_root_certificates(roots(config.ca_file.as_deref())?);
    let mut tls = match &config.client_identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, error))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| at(key, error))?
        }
    };
    tls.alpn_protocols = match config.protocol {
        Protocol::Grpc => vec![b"h2".to_vec()],
        Protocol::HttpProtobuf => vec![b"http/1.1".to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// The CAs of `file`, all of which must be usable; without a file the system's, as many as are.
fn roots(file: Option<&Path>) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| at(file, error))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if roots.is_empty() {
                return Err(SetupError::Tls("the system has no CA certificates".into()));
            }
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| at(file, error))?;
    match certificates.is_empty() {
        true => Err(at(file, "no certificate in the file")),
        false => Ok(certificates),
    }
}

fn at(file: &Path, error: impl std::fmt::Display) -> SetupError {
    SetupError::Tls(format!("{}: {error}", file.display()))
}

/// Why the peer ended a session, if it said so.
pub(super) type Refusal = Arc<OnceLock<String>>;

/// A TLS session that remembers an alert. With TLS 1.3 a server refuses our certificate after the
/// handshake, and hyper reports only that the connection was closed.
pub(super) struct Session {
    stream: TlsStream<Socket>,
    refusal: Refusal,
}

impl Session {
    pub(super) fn new(stream: TlsStream<Socket>, refusal: Refusal) -> Self {
        Self { stream, refusal }
    }

    /// Whether the peer agreed to speak HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }
}

impl AsyncRead for Session {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &result
            && let LinkError::Untrusted(text) = LinkError::from_error(error)
        {
            self.refusal.get_or_init(|| text);
        }
        result
    }
}

impl AsyncWrite for Session {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
