//! What a descriptor is that did not come from a hooked call: inherited, passed over a UNIX socket, or older than
//! the agent. Asked once, then remembered until it is closed.

use super::table;
use crate::sys::process::State;
use crate::sys::raw::{self, Errno};
use agent_engine::exchange::Endpoint;

/// Looks at an unknown descriptor and remembers the answer, which is returned.
pub(crate) fn classify(state: &State, fd: i32) -> u32 {
    let word = match raw::socket_option(fd, libc::SO_TYPE) {
        Ok(libc::SOCK_STREAM) if is_connection(fd) => table::FRESH,
        // Not open: the number may become anything next, by a call that no hook sees.
        Err(Errno(libc::EBADF)) => return table::IGNORED,
        _ => table::IGNORED,
    };
    state.table.replace(fd, table::UNKNOWN, word);
    word
}

fn is_connection(fd: i32) -> bool {
    let family = raw::socket_option(fd, libc::SO_DOMAIN);
    is_followed(family.unwrap_or(0)) && raw::socket_option(fd, libc::SO_ACCEPTCONN) == Ok(0)
}

/// Whether streams of this address family are followed.
pub(crate) fn is_followed(family: i32) -> bool {
    matches!(family, libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX)
}

/// The other end of a connected socket.
pub(crate) fn peer_of(fd: i32) -> Endpoint {
    let mut address = [0u8; ADDRESS];
    endpoint(address_of(End::Theirs, fd, &mut address))
}

/// Our end of a connected socket.
pub(crate) fn local_of(fd: i32) -> Endpoint {
    let mut address = [0u8; ADDRESS];
    endpoint(address_of(End::Ours, fd, &mut address))
}

/// The path (or, after `@`, the abstract name) of the UNIX socket at this end of `fd`.
pub(crate) fn unix_path(end: End, fd: i32, address: &mut [u8; ADDRESS]) -> Option<&[u8]> {
    let len = address_of(end, fd, address).len();
    let path = address.get_mut(2..len)?;
    if path.len() > 1 && path[0] == 0 {
        path[0] = b'@';
    }
    let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
    (end > 0).then_some(&path[..end])
}

/// Room for a socket address.
pub(crate) const ADDRESS: usize = 128;

/// An end of a connection.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Ours,
    Theirs,
}

/// The address at that end, as the kernel writes it; empty where there is none.
fn address_of(end: End, fd: i32, address: &mut [u8; ADDRESS]) -> &[u8] {
    let call = match end {
        End::Ours => libc::SYS_getsockname,
        End::Theirs => libc::SYS_getpeername,
    };
    let mut len = ADDRESS as u32;
    // SAFETY: buffer and length outlive the call and agree.
    let got = unsafe {
        raw::call(
            call,
            [
                fd as usize,
                address.as_mut_ptr() as usize,
                &raw mut len as usize,
                0,
                0,
                0,
            ],
        )
    };
    match got {
        Ok(_) => &address[..(len as usize).min(ADDRESS)],
        Err(_) => &[],
    }
}

/// Reads a socket address as the kernel writes it.
pub(crate) fn endpoint(address: &[u8]) -> Endpoint {
    let Some((family, rest)) = address.split_first_chunk::<2>() else {
        return Endpoint::Unknown;
    };
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let (Some(port), Some(ip)) = (rest.first_chunk::<2>(), rest.get(2..6)) else {
                return Endpoint::Unknown;
            };
            let mut bytes = [0; 4];
            bytes.copy_from_slice(ip);
            Endpoint::V4 {
                ip: bytes,
                port: u16::from_be_bytes(*port),
            }
        }
        libc::AF_INET6 => {
            let (Some(port), Some(ip)) = (rest.first_chunk::<2>(), rest.get(6..22)) else {
                return Endpoint::Unknown;
            };
            let port = u16::from_be_bytes(*port);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(ip);
            match bytes {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Endpoint::V4 {
                    ip: [a, b, c, d],
                    port,
                },
                ip => Endpoint::V6 { ip, port },
            }
        }
        libc::AF_UNIX => Endpoint::Unix,
        _ => Endpoint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn reads_addresses_of_real_sockets() {
        for (bind, expected) in [("127.0.0.1:0", true), ("[::1]:0", false)] {
            let Ok(listener) = TcpListener::bind(bind) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let peer = peer_of(stream.as_raw_fd());
            assert_eq!(local_of(accepted.as_raw_fd()), peer);
            assert_eq!(local_of(stream.as_raw_fd()), peer_of(accepted.as_raw_fd()));
            match peer {
                Endpoint::V4 { ip, port: p } => {
                    assert!(expected && ip == [127, 0, 0, 1] && p == port)
                }
                Endpoint::V6 { ip, port: p } => assert!(!expected && ip[15] == 1 && p == port),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn paths_of_unix_sockets() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
        let path = std::env::temp_dir().join(format!("unix-path-{}", std::process::id()));
        let name = format!("abstract-{}", std::process::id());
        let shown = [path.to_str().unwrap().to_owned(), format!("@{name}")];
        let addresses = [
            SocketAddr::from_pathname(&path).unwrap(),
            SocketAddr::from_abstract_name(&name).unwrap(),
        ];
        for (address, shown) in addresses.iter().zip(shown) {
            let listener = UnixListener::bind_addr(address).unwrap();
            let stream = UnixStream::connect_addr(address).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let ends = [
                (End::Theirs, &stream, Some(shown.as_bytes())),
                (End::Ours, &stream, None),
                (End::Theirs, &accepted, None),
                (End::Ours, &accepted, Some(shown.as_bytes())),
            ];
            for (end, stream, path) in ends {
                let mut room = [0; ADDRESS];
                assert_eq!(unix_path(end, stream.as_raw_fd(), &mut room), path);
            }
        }
        std::fs::remove_file(path).unwrap();
        let (unnamed, _other) = UnixStream::pair().unwrap();
        assert_eq!(
            unix_path(End::Theirs, unnamed.as_raw_fd(), &mut [0; ADDRESS]),
            None
        );
        assert_eq!(unix_path(End::Theirs, -1, &mut [0; ADDRESS]), None);
    }

    #[test]
    fn mapped_addresses_are_ipv4_and_short_ones_unknown() {
        let mut mapped = vec![10, 0, 0x1f, 0x90, 0, 0, 0, 0];
        mapped.extend([0; 10]);
        mapped.extend([0xff, 0xff, 192, 168, 0, 1]);
        assert_eq!(
            endpoint(&mapped),
            Endpoint::V4 {
                ip: [192, 168, 0, 1],
                port: 8080
            }
        );
        assert_eq!(endpoint(&mapped[..20]), Endpoint::Unknown);
        assert_eq!(endpoint(&[2, 0, 1]), Endpoint::Unknown);
        assert_eq!(endpoint(&[]), Endpoint::Unknown);
    }
}
