//! Headers of frames: version, flags, stream, what it is, length.

/// Bytes of a header.
pub(super) const HEADER: usize = 9;
/// Longest frame that a server takes or sends by default, bytes, with room to spare (`native_transport_max_frame_size`).
pub(super) const LENGTH_MAX: u32 = 256 * 1024 * 1024;
/// The highest bit of the version: from the server.
pub(super) const ANSWER: u8 = 0x80;

pub(super) const ERROR: u8 = 0x00;
pub(super) const STARTUP: u8 = 0x01;
pub(super) const READY: u8 = 0x02;
pub(super) const AUTHENTICATE: u8 = 0x03;
pub(super) const OPTIONS: u8 = 0x05;
pub(super) const SUPPORTED: u8 = 0x06;
pub(super) const QUERY: u8 = 0x07;
pub(super) const RESULT: u8 = 0x08;
pub(super) const PREPARE: u8 = 0x09;
pub(super) const EXECUTE: u8 = 0x0a;
pub(super) const REGISTER: u8 = 0x0b;
pub(super) const EVENT: u8 = 0x0c;
pub(super) const BATCH: u8 = 0x0d;
pub(super) const AUTH_CHALLENGE: u8 = 0x0e;
pub(super) const AUTH_RESPONSE: u8 = 0x0f;
pub(super) const AUTH_SUCCESS: u8 = 0x10;

/// The body is compressed.
pub(super) const COMPRESSED: u8 = 0x01;
/// In an answer: a trace's id comes first.
pub(super) const TRACING: u8 = 0x02;
/// Values of the program's own come first.
pub(super) const PAYLOAD: u8 = 0x04;
/// In an answer: warnings come first.
pub(super) const WARNING: u8 = 0x08;
/// The client is willing to speak a version under development.
const BETA: u8 = 0x10;

/// Version 5 of Cassandra. DataStax's own are above it, and have segments in none.
pub(super) const V5: u8 = 5;
pub(super) const DSE_V1: u8 = 0x41;
pub(super) const DSE_V2: u8 = 0x42;

/// Whether this is the version of a request that is understood here.
pub(super) fn is_known(version: u8) -> bool {
    matches!(version, 3..=V5 | DSE_V1 | DSE_V2)
}

/// One header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u8,
    pub(super) flags: u8,
    pub(super) stream: u16,
    pub(super) opcode: u8,
    pub(super) length: u32,
}

impl Header {
    /// `None`: it is none of this protocol.
    pub(super) fn read(bytes: [u8; HEADER]) -> Option<Self> {
        let [version, mut flags, s1, s2, opcode, length @ ..] = bytes;
        // There only segments are compressed, but Java's driver says it of frames.
        if version & !ANSWER == V5 {
            flags &= !COMPRESSED;
        }
        let header = Self {
            version,
            flags,
            stream: u16::from_be_bytes([s1, s2]),
            opcode,
            length: u32::from_be_bytes(length),
        };
        let known = is_known(version & !ANSWER)
            && flags & !(COMPRESSED | TRACING | PAYLOAD | WARNING | BETA) == 0
            && opcode <= AUTH_SUCCESS
            && header.length <= LENGTH_MAX;
        known.then_some(header)
    }

    pub(super) fn is_answer(&self) -> bool {
        self.version & ANSWER != 0
    }

    /// Whether it can be the first one of a client's.
    pub(super) fn begins(&self) -> bool {
        let first = match self.opcode {
            OPTIONS => self.length == 0,
            STARTUP => (20..2048).contains(&self.length),
            _ => false,
        };
        first && !self.is_answer() && self.flags & !BETA == 0 && self.stream < 0x8000
    }
}
