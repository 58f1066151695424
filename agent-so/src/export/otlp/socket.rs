//! Descriptors that another part of the process may close or reuse behind our back (lessons 2, 3, 23).
//!
//! A program that closes all descriptors it does not know gets our numbers for its next sockets. Writing to
//! or closing such a number would damage the program, so each is looked at before it is used, and given up
//! without closing when it is not ours any more.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

/// Takes over a new socket; the agent moves it to a high number here. It must stay CLOEXEC.
pub(crate) type Adopt = fn(OwnedFd) -> io::Result<OwnedFd>;

/// Longest wait for one address while others are left to try.
const NEXT_ADDRESS: Duration = Duration::from_secs(3);

/// Tells whether the runtime's own descriptors are still there. They cannot be looked at (tokio does not
/// show its epoll), but a socket made at the same time shares their fate when a program closes everything.
#[derive(Debug)]
pub(super) struct Canary {
    file: File,
    identity: (u64, u64),
}

impl Canary {
    /// Not moved to a high number: it has to stand where the runtime's descriptors stand.
    pub(super) fn new() -> io::Result<Self> {
        let file = File::from(OwnedFd::from(UnixDatagram::unbound()?));
        let metadata = file.metadata()?;
        Ok(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    pub(super) fn lives(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|now| (now.dev(), now.ino()) == self.identity)
    }
}

/// A connected socket, checked before every use.
#[derive(Debug)]
pub(super) struct Socket {
    /// `None` only while dropping.
    stream: Option<TcpStream>,
    local: SocketAddr,
    peer: SocketAddr,
    /// Set, for the client to see, when the number turned out to be someone else's.
    lost: Arc<AtomicBool>,
}

impl Socket {
    /// Connects to the first address that answers.
    pub(super) async fn connect(
        addresses: &[SocketAddr],
        adopt: Adopt,
        lost: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (i, address) in addresses.iter().enumerate() {
            let attempt = Self::connect_one(*address, adopt, lost);
            let result = match i + 1 < addresses.len() {
                true => tokio::time::timeout(NEXT_ADDRESS, attempt)
                    .await
                    .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))),
                false => attempt.await,
            };
            match result {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_one(
        address: SocketAddr,
        adopt: Adopt,
        lost: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Requests are written in few large pieces; the last one should not wait for an ACK.
        socket.set_tcp_nodelay(true)?;
        let adopted = std::net::TcpStream::from(adopt(OwnedFd::from(socket))?);
        let stream = TcpSocket::from_std_stream(adopted).connect(address).await?;
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(Self {
            stream: Some(stream),
            local,
            peer,
            lost: Arc::clone(lost),
        })
    }

    /// The stream, if its number still means our connection.
    fn ours(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let (local, peer) = (self.local, self.peer);
        let same = |stream: &TcpStream| {
            // A connection that the peer reset has no peer address any more, but is still ours.
            stream.local_addr().is_ok_and(|now| now == local)
                && stream
                    .peer_addr()
                    .map_or_else(is_not_connected, |now| now == peer)
        };
        match &mut self.stream {
            Some(stream) if same(stream) => Ok(Pin::new(stream)),
            _ => {
                self.lost.store(true, Ordering::Relaxed);
                Err(io::Error::other("the descriptor is not ours any more"))
            }
        }
    }
}

fn is_not_connected(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotConnected
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.ours().is_err() {
            std::mem::forget(self.stream.take());
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ours()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.ours()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.ours()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is buffered on this side of the kernel.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ours()?.poll_shutdown(cx)
    }
}
