//! Is it HTTP/2? The first bytes of both directions tell.

use super::PREFACE;
use super::frames::{HEADER, SETTINGS, number};
use crate::exchange::Kind;
use crate::protocol::Probe;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = PREFACE.len();

/// Judges the first bytes of both directions: the client's preface, or the server's first frame while nothing is known
/// against the preface.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    let (incoming, outgoing) = (side(in_prefix), side(out_prefix));
    match (incoming, outgoing) {
        (Side::Client, Side::Server | Side::Begins { server: true, .. }) => {
            Probe::Yes(Kind::Server)
        }
        (Side::Server | Side::Begins { server: true, .. }, Side::Client) => {
            Probe::Yes(Kind::Client)
        }
        (Side::Begins { client: true, .. }, Side::Server) => Probe::Yes(Kind::Server),
        (Side::Server, Side::Begins { client: true, .. }) => Probe::Yes(Kind::Client),
        (Side::Begins { .. }, Side::Begins { .. }) => Probe::More,
        _ => Probe::No,
    }
}

/// What the first bytes of a direction are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The whole preface.
    Client,
    /// The header of a SETTINGS frame.
    Server,
    /// What one of them, or both, may begin with.
    Begins {
        client: bool,
        server: bool,
    },
    Other,
}

fn side(prefix: &[u8]) -> Side {
    if prefix.starts_with(PREFACE) {
        return Side::Client;
    }
    // The server's settings are few: nothing else begins like this.
    let fits = |(at, byte): (usize, &u8)| match at {
        1 => *byte <= 1,
        2 => true,
        3 => *byte == SETTINGS,
        _ => *byte == 0,
    };
    let client = PREFACE.starts_with(prefix);
    let server = prefix.iter().take(HEADER).enumerate().all(fits)
        && prefix
            .get(1..3)
            .is_none_or(|len| number(len).is_multiple_of(6));
    match (client, server) {
        (false, false) => Side::Other,
        (false, true) if prefix.len() >= HEADER => Side::Server,
        _ => Side::Begins { client, server },
    }
}
