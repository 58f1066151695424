//! Is there somebody where the traces go?

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use super::report::Finding;

/// Limit of a connection, and of the answer to a request.
const LIMIT: Duration = Duration::from_secs(1);
/// Limit of a name's resolution, which the system does not let one set.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

/// A destination, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Over TLS.
    pub(crate) tls: bool,
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// Path, with its slash.
    pub(crate) path: String,
}

/// Reads `http(s)://host[:port][/path]`; a port that is missing is the scheme's.
pub(crate) fn parse(url: &str) -> Option<Destination> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if tls => 443,
        None => 80,
    };
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    (!host.is_empty()).then(|| Destination {
        tls,
        host: host.to_owned(),
        port,
        path,
    })
}

/// Connects, and for plain `http/protobuf` also sends an empty export, which every receiver accepts.
pub(crate) fn probe(destination: &Destination, grpc: bool) -> Finding {
    let name = format!("{}:{}", destination.host, destination.port);
    let elsewhere = "start a collector there, set --endpoint, or print traces here with --console";
    let addresses = match resolve(&destination.host, destination.port) {
        Ok(addresses) => addresses,
        Err(reason) => {
            return Finding::blocks(format!("{} {reason}", destination.host), elsewhere);
        }
    };
    let mut refusal = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, LIMIT) {
            Ok(stream) if !grpc && !destination.tls => return ask(stream, destination),
            Ok(_) => {
                return Finding::good(format!("{name} accepts connections"));
            }
            Err(error) => refusal = plain(&error),
        }
    }
    Finding::blocks(format!("nobody answers at {name}: {refusal}"), elsewhere)
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::TimedOut => "no answer within a second".to_owned(),
        _ => error.to_string(),
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (sender, receiver) = mpsc::channel();
    let host = host.to_owned();
    let lookup = move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // Nobody listens any more when it took too long.
        let _ = sender.send(addresses.map(Iterator::collect));
    };
    let started = std::thread::Builder::new().spawn(lookup);
    match started.map(|_| receiver.recv_timeout(RESOLVE_LIMIT)) {
        Ok(Ok(Ok(addresses))) => Ok(addresses),
        Ok(Ok(Err(error))) => Err(format!("cannot be resolved: {error}")),
        Ok(Err(_)) => Err("is not resolved within two seconds".to_owned()),
        Err(error) => Err(format!("cannot be resolved: {error}")),
    }
}

fn ask(mut stream: TcpStream, destination: &Destination) -> Finding {
    let Destination {
        host, port, path, ..
    } = destination;
    let url = format!("http://{host}:{port}{path}");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-protobuf\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut start = [0; 12];
    let answer = stream
        .set_read_timeout(Some(LIMIT))
        .and_then(|()| stream.set_write_timeout(Some(LIMIT)))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| stream.read_exact(&mut start));
    let status = match answer {
        Ok(()) => std::str::from_utf8(&start)
            .ok()
            .filter(|line| line.starts_with("HTTP/1."))
            .and_then(|line| line.get(9..12)?.parse::<u16>().ok()),
        Err(_) => None,
    };
    match status {
        Some(status @ 200..=299) => Finding::good(format!("{url} accepts traces ({status})")),
        Some(status @ (401 | 403)) => Finding::attention(
            format!("{url} asks for credentials ({status})"),
            "they belong in OTEL_EXPORTER_OTLP_HEADERS; doctor does not send them",
        ),
        Some(status @ (404 | 405)) => Finding::blocks(
            format!("{url} is not a receiver of traces ({status})"),
            "check port and path; a collector has it at http://HOST:4318/v1/traces",
        ),
        Some(status) => Finding::attention(
            format!("{url} answers {status}"),
            "see the receiver's own log",
        ),
        None => Finding::blocks(
            format!("{host}:{port} accepts connections but does not answer HTTP"),
            "if it is a gRPC port (usually 4317) use --protocol grpc",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn urls() {
        let table = [
            (
                "http://c:4318/v1/traces",
                Some((false, "c", 4318, "/v1/traces")),
            ),
            ("https://c.example", Some((true, "c.example", 443, "/"))),
            ("HTTP://c", Some((false, "c", 80, "/"))),
            ("http://[::1]:4317", Some((false, "::1", 4317, "/"))),
            ("http://user:secret@c:1/x?y", Some((false, "c", 1, "/x?y"))),
            ("http://c?x", Some((false, "c", 80, "/?x"))),
            ("c:4317", None),
            ("ftp://c", None),
            ("http://", None),
            ("http://:4318", None),
            ("http://c:0", None),
            ("http://c:99999", None),
            ("http://c:port", None),
            ("http://[::1", None),
        ];
        for (url, expected) in table {
            let expected = expected.map(|(tls, host, port, path)| Destination {
                tls,
                host: host.to_owned(),
                port,
                path: path.to_owned(),
            });
            assert_eq!(parse(url), expected, "{url}");
        }
    }

    fn probe_with(answer: &'static [u8]) -> (Level, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
        });
        let url = format!("http://127.0.0.1:{port}/v1/traces");
        let finding = probe(&parse(&url).unwrap(), false);
        server.join().unwrap();
        let (level, text) = finding.parts();
        (level, text.to_owned())
    }

    #[test]
    fn answers() {
        assert_eq!(probe_with(b"HTTP/1.1 200 OK\r\n\r\n").0, Level::Good);
        assert_eq!(
            probe_with(b"HTTP/1.1 401 Unauthorized\r\n\r\n").0,
            Level::Attention
        );
        assert_eq!(
            probe_with(b"HTTP/1.1 404 Not Found\r\n\r\n").0,
            Level::Blocks
        );
        let (level, text) = probe_with(b"\0\0\x12\x04\0\0\0\0\0\0\0\0\0");
        assert!(
            level == Level::Blocks && text.contains("does not answer HTTP"),
            "{text}"
        );
    }

    #[test]
    fn nobody_there() {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let finding = probe(&parse(&format!("http://127.0.0.1:{free}")).unwrap(), true);
        let (level, text) = finding.parts();
        assert!(
            level == Level::Blocks && text.ends_with("connection refused"),
            "{text}"
        );
    }
}
