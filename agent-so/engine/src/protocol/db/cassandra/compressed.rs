//! Compressed frames of versions 3 and 4: the body is a block of LZ4 behind its size, or of Snappy, which tells its size itself.

use super::Machine;
use super::frame::{self, HEADER, Header, LENGTH_MAX};
use crate::exchange::Fault;
use crate::inflate::Method;
use crate::protocol::Host;
use crate::protocol::db::unpack::unpack;

/// Bytes that tell the size: all of them (LZ4), or at most (Snappy).
const LZ4: usize = 4;
const SNAPPY: usize = 5;

/// Where one direction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Header = 0,
    /// A body that is not compressed.
    Plain,
    /// How long a compressed one will be, and the block.
    Size,
    Packed,
}

/// The frames of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Compressed {
    stage: Stage,
    have: u8,
    header: [u8; HEADER],
    size: [u8; SNAPPY],
    /// Bytes to come of the frame.
    left: u32,
}

impl Compressed {
    /// Whether the next byte begins a frame.
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

    /// Takes bytes of a header. Returns how many, and whether it is complete.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let have = usize::from(self.have);
        let taken = bytes.len().min(HEADER - have);
        self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken as u8;
        let complete = usize::from(self.have) == HEADER;
        if complete {
            self.have = 0;
        }
        (taken, complete)
    }

    /// Takes a byte of the size; the size when it is complete.
    fn take_size(&mut self, method: Method, byte: u8) -> Option<u64> {
        self.size[usize::from(self.have)] = byte;
        self.have += 1;
        self.left -= 1;
        let have = usize::from(self.have);
        let told = &self.size[..have];
        let size = match method {
            Method::Lz4 if have < LZ4 => return None,
            Method::Lz4 => told
                .iter()
                .fold(0, |size, byte| size << 8 | u64::from(*byte)),
            _ if byte & 0x80 != 0 && have < SNAPPY => return None,
            _ => told
                .iter()
                .rev()
                .fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f)),
        };
        Some(size)
    }

    /// What is read is the frame that it was.
    fn rewrite(&mut self, size: u32) {
        self.header[1] &= !frame::COMPRESSED;
        self.header[HEADER - 4..].copy_from_slice(&size.to_be_bytes());
    }
}

impl Machine {
    /// Reads frames, some of which may be compressed.
    pub(super) fn unpack<H: Host>(&mut self, asks: bool, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let method = self.method;
            let side = &mut host.wide_mut(self.wide).frames[usize::from(asks)];
            match side.stage {
                Stage::Header => {
                    let (taken, complete) = side.take(rest);
                    rest = &rest[taken..];
                    if complete {
                        self.frame_begins(asks, now, host);
                    }
                }
                Stage::Plain => {
                    let (part, later) = rest.split_at(rest.len().min(side.left as usize));
                    rest = later;
                    side.left -= part.len() as u32;
                    if side.left == 0 {
                        side.stage = Stage::Header;
                    }
                    self.read(asks, part, now, host);
                }
                Stage::Size => {
                    let size = side.take_size(method, rest[0]);
                    rest = &rest[1..];
                    let cut = side.left == 0;
                    match size.map(u32::try_from) {
                        Some(Ok(size @ 0..=LENGTH_MAX)) => self.block_begins(asks, size, now, host),
                        None if !cut => {}
                        _ => self.conclude(Fault::None, now, host),
                    }
                }
                Stage::Packed => {
                    let (part, later) = rest.split_at(rest.len().min(side.left as usize));
                    rest = later;
                    side.left -= part.len() as u32;
                    let is_last = side.left == 0;
                    if is_last {
                        side.stage = Stage::Header;
                    }
                    if !self.inflate(asks, part, is_last, now, host) {
                        self.conclude(Fault::None, now, host);
                    }
                }
            }
        }
    }

    /// A header is complete.
    fn frame_begins<H: Host>(&mut self, asks: bool, now: u64, host: &mut H) {
        let side = &mut host.wide_mut(self.wide).frames[usize::from(asks)];
        let header = side.header;
        let Some(read) = Header::read(header) else {
            return self.conclude(Fault::None, now, host);
        };
        side.left = read.length;
        side.stage = match read.length {
            0 => Stage::Header,
            _ if read.flags & frame::COMPRESSED != 0 => {
                side.stage = Stage::Size;
                return;
            }
            _ => Stage::Plain,
        };
        self.read(asks, &header, now, host);
    }

    /// The size of a block is known.
    fn block_begins<H: Host>(&mut self, asks: bool, size: u32, now: u64, host: &mut H) {
        self.block(asks, self.method, size, host);
        let side = &mut host.wide_mut(self.wide).frames[usize::from(asks)];
        side.rewrite(size);
        let (header, told) = (side.header, side.size);
        // The size is a part of Snappy's blocks.
        let told = match self.method {
            Method::Snappy => &told[..usize::from(side.have)],
            _ => &[],
        };
        side.have = 0;
        let is_last = side.left == 0;
        side.stage = if is_last {
            Stage::Header
        } else {
            Stage::Packed
        };
        self.read(asks, &header, now, host);
        if !self.session.over && !self.inflate(asks, told, is_last && size > 0, now, host) {
            self.conclude(Fault::None, now, host);
        }
    }

    /// A block begins that will be of this size.
    pub(super) fn block<H: Host>(&self, asks: bool, method: Method, size: u32, host: &mut H) {
        host.wide_mut(self.wide).inflate[usize::from(asks)].begin(method, size);
    }

    /// Reads a part of a block, which may be its last. False: it is not compressed like that.
    pub(super) fn inflate<H: Host>(
        &mut self,
        asks: bool,
        part: &[u8],
        is_last: bool,
        now: u64,
        host: &mut H,
    ) -> bool {
        unpack(self.wide, asks, part, is_last, host, |piece, host| {
            self.read(asks, piece, now, host);
            !self.session.over
        })
    }
}
