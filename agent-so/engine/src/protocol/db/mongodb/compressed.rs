//! Compressed messages: the header of another message, how it was compressed, and that message without its header.

use super::Machine;
use super::message::{self, LONGEST};
use crate::exchange::Fault;
use crate::inflate::Method;
use crate::protocol::Host;
use crate::protocol::db::unpack::unpack;

/// The header of a message, and of one that is compressed: which message it is, how long that is without its header, and the method.
const HEADER: usize = 16;
const COMPRESSED: usize = 25;

/// Where one direction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Header = 0,
    /// What is not compressed, or cannot be read.
    Plain,
    Packed,
}

/// The messages of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compressed {
    stage: Stage,
    have: u8,
    header: [u8; COMPRESSED],
    /// Bytes to come of the message.
    left: u32,
}

impl Default for Compressed {
    fn default() -> Self {
        Self {
            stage: Stage::Header,
            have: 0,
            header: [0; COMPRESSED],
            left: 0,
        }
    }
}

impl Compressed {
    /// Whether the next byte begins a message.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::Header && self.have == 0
    }

    /// Passes over `n` bytes that were not seen; false where they matter.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.stage == Stage::Plain && n < u64::from(self.left);
        if inside {
            self.left -= n as u32;
        }
        inside
    }

    fn field(&self, at: usize) -> u32 {
        let field = &self.header[at..at + 4];
        u32::from_le_bytes([field[0], field[1], field[2], field[3]])
    }

    fn set_field(&mut self, at: usize, value: u32) {
        self.header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn is_compressed(&self) -> bool {
        self.field(12) == message::COMPRESSED
    }

    /// Takes bytes of a header. Returns how many, and the length of the header where it is complete now.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<usize>) {
        let mut used = 0;
        for byte in bytes {
            self.header[usize::from(self.have)] = *byte;
            self.have += 1;
            used += 1;
            let have = usize::from(self.have);
            if have == COMPRESSED || have == HEADER && !self.is_compressed() {
                self.have = 0;
                return (used, Some(have));
            }
        }
        (used, None)
    }

    /// How the message is compressed, of which the header is complete, and how long it will be. `None`: that cannot be read.
    fn packed(&self) -> Option<(Method, u32)> {
        let size = self.field(20);
        let method = match self.header[COMPRESSED - 1] {
            0 => Method::Plain,
            1 => Method::Snappy,
            2 => Method::Zlib,
            _ => return None,
        };
        let is_known = matches!(
            self.field(16),
            message::MSG | message::QUERY | message::REPLY
        );
        (is_known && (1..=LONGEST - HEADER as u32).contains(&size)).then_some((method, size))
    }
}

impl Machine {
    /// Reads messages, some of which may be compressed.
    pub(super) fn unpack<H: Host>(&mut self, asks: bool, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let side = &mut self.compressed[usize::from(asks)];
            if side.stage == Stage::Header {
                if asks && side.have == 0 {
                    self.begun_ns = now;
                }
                let (used, complete) = side.take(rest);
                rest = &rest[used..];
                if let Some(length) = complete {
                    self.message_begins(asks, length, now, host);
                }
                continue;
            }
            let (part, later) = rest.split_at(rest.len().min(side.left as usize));
            rest = later;
            side.left -= part.len() as u32;
            let is_last = side.left == 0;
            let is_packed = side.stage == Stage::Packed;
            if is_last {
                side.stage = Stage::Header;
            }
            if !is_packed {
                self.read(asks, part, now, host);
            } else if !self.inflate(asks, part, is_last, now, host) {
                self.conclude(Fault::None, now, host);
            }
        }
    }

    /// A header of so many bytes is complete.
    fn message_begins<H: Host>(&mut self, asks: bool, length: usize, now: u64, host: &mut H) {
        let number = usize::from(asks);
        let side = &mut self.compressed[number];
        let Some(left @ 1..=LONGEST) = side.field(0).checked_sub(length as u32) else {
            return self.conclude(Fault::None, now, host);
        };
        side.left = left;
        side.stage = Stage::Plain;
        let packed = if length == COMPRESSED {
            side.packed()
        } else {
            None
        };
        if let Some((method, size)) = packed {
            self.wide = self.wide.or_else(|| host.wide());
            if let Some(wide) = self.wide {
                host.wide_mut(wide).inflate[number].begin(method, size);
                // What is read is the message that it was.
                let opcode = side.field(16);
                side.set_field(0, size + HEADER as u32);
                side.set_field(12, opcode);
                side.stage = Stage::Packed;
                let header = side.header;
                return self.read(asks, &header[..HEADER], now, host);
            }
        }
        let header = side.header;
        self.read(asks, &header[..length], now, host);
    }

    /// Reads a part of a compressed message, which may be its last. False: it is not compressed like that.
    fn inflate<H: Host>(
        &mut self,
        asks: bool,
        part: &[u8],
        is_last: bool,
        now: u64,
        host: &mut H,
    ) -> bool {
        let Some(wide) = self.wide else {
            return true;
        };
        unpack(wide, asks, part, is_last, host, |piece, host| {
            self.read(asks, piece, now, host);
            !self.session.over
        })
    }
}
