//! What can go wrong with an exchange.

/// Why an exchange went wrong, apart from its status code. The value of `error.type`
/// ([`Fault::as_str`]) is predictable and of low cardinality; the list is in docs/coverage.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Fault {
    #[default]
    None = 0,
    ConnectionRefused,
    ConnectionReset,
    ConnectionAborted,
    BrokenPipe,
    TimedOut,
    HostUnreachable,
    NetworkUnreachable,
    NetworkDown,
    AddressNotAvailable,
    AccessDenied,
    HostNotFound,
    /// The TLS handshake failed: a certificate that was not accepted, nothing in common, a peer that hung up.
    TlsHandshake,
    /// A database closed the connection and left the request unanswered.
    ConnectionClosed,
    /// The response ended before its announced end.
    ResponseTruncated,
    /// The stream of the request was reset, by either side but for a client that lost interest.
    StreamReset,
    /// The server did not look at the request (REFUSED_STREAM, GOAWAY).
    StreamRefused,
    /// Bytes that cannot be the announced protocol any more.
    ProtocolError,
    /// Anything else (`_OTHER`).
    Other,
}

impl Fault {
    /// The `error.type` value; empty for [`Fault::None`].
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::None => "",
            Fault::ConnectionRefused => "connection_refused",
            Fault::ConnectionReset => "connection_reset",
            Fault::ConnectionAborted => "connection_aborted",
            Fault::BrokenPipe => "broken_pipe",
            Fault::TimedOut => "timed_out",
            Fault::HostUnreachable => "host_unreachable",
            Fault::NetworkUnreachable => "network_unreachable",
            Fault::NetworkDown => "network_down",
            Fault::AddressNotAvailable => "address_not_available",
            Fault::AccessDenied => "access_denied",
            Fault::HostNotFound => "host_not_found",
            Fault::TlsHandshake => "tls_handshake",
            Fault::ConnectionClosed => "connection_closed",
            Fault::ResponseTruncated => "response_truncated",
            Fault::StreamReset => "stream_reset",
            Fault::StreamRefused => "stream_refused",
            Fault::ProtocolError => "protocol_error",
            Fault::Other => "_OTHER",
        }
    }
}
