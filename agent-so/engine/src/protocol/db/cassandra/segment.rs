//! The segments in which version 5 packs its frames once a connection is set up. A segment holds whole frames, or a part of one; as a
//! frame tells its length, all of them together are read as one stream. Where the client asked for it, each may be a block of LZ4.

/// Bytes of a segment's header: its length in 17 bits, of a compressed one also what it will be, a flag, and a checksum of it all.
const HEADER: usize = 6;
const PACKED_HEADER: usize = 8;
const CHECKSUM: usize = 3;
const LENGTH: u64 = 0x1_ffff;
/// Bytes behind a segment: a checksum of it, which is the peers' affair.
const TRAILER: u8 = 4;

/// What stands in the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Frames, this many bytes.
    Frames(usize),
    /// Frames that are compressed, this many bytes.
    Packed(usize),
    /// So many bytes of what is around them.
    Around(usize),
    /// The last bytes of a header, so many: a block begins that will be so long.
    Block(usize, u32),
    /// A header whose checksum is wrong.
    Bad,
}

/// One direction. All zero: there are no segments (yet).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segments {
    pub(super) on: bool,
    /// They may be compressed.
    pub(super) packs: bool,
    header: [u8; PACKED_HEADER],
    have: u8,
    /// This one is.
    is_packed: bool,
    /// Bytes of the segment to come.
    left: u32,
    /// Bytes behind it to come.
    trailer: u8,
}

impl Segments {
    /// Which part the front of `bytes` is; [`Segments::read`] is told how much of [`Part::Frames`] or [`Part::Packed`] was read.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Part {
        if !self.on {
            return Part::Frames(bytes.len());
        }
        if self.left > 0 {
            let here = bytes.len().min(self.left as usize);
            return match self.is_packed {
                true => Part::Packed(here),
                false => Part::Frames(here),
            };
        }
        if self.trailer > 0 {
            let taken = bytes.len().min(usize::from(self.trailer));
            self.trailer -= taken as u8;
            return Part::Around(taken);
        }
        let header = if self.packs { PACKED_HEADER } else { HEADER };
        let have = usize::from(self.have);
        let taken = bytes.len().min(header - have);
        self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken as u8;
        if usize::from(self.have) < header {
            return Part::Around(taken);
        }
        self.have = 0;
        self.begins(header - CHECKSUM).map_or(Part::Bad, |size| {
            self.is_packed = size > 0;
            self.trailer = TRAILER;
            match size {
                0 => Part::Around(taken),
                size => Part::Block(taken, size),
            }
        })
    }

    /// A header is there, so many bytes and a checksum: how long the segment will be if it is compressed, else 0. `None`: it is wrong.
    fn begins(&mut self, length: usize) -> Option<u32> {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |n, byte| n << 8 | u64::from(*byte))
        };
        let told = &self.header[..length];
        if u64::from(crc24(told)) != number(&self.header[length..length + CHECKSUM]) {
            return None;
        }
        let told = number(told);
        self.left = (told & LENGTH) as u32;
        let size = if self.packs {
            (told >> 17 & LENGTH) as u32
        } else {
            0
        };
        (self.left > 0 || size == 0).then_some(size)
    }

    /// Whether neither a header nor what is in a segment is cut here.
    pub(super) fn is_between(&self) -> bool {
        self.left == 0 && self.have == 0
    }

    /// So many bytes of frames were read.
    pub(super) fn read(&mut self, n: usize) {
        if self.on {
            self.left = self.left.saturating_sub(n as u32);
        }
    }

    /// Passes over `n` bytes of frames that were not seen; false when they are not all of one segment.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        if !self.on {
            return true;
        }
        let inside = !self.is_packed && n < u64::from(self.left);
        if inside {
            self.left -= n as u32;
        }
        inside
    }
}

/// The checksum of a header.
fn crc24(told: &[u8]) -> u32 {
    let mut crc = 0x87_5060;
    for byte in told {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x100_0000 != 0 {
                crc ^= 0x197_4f0b;
            }
        }
    }
    crc
}

/// A segment of `content` with this header, for tests.
#[cfg(test)]
fn around(header: &[u8], content: &[u8]) -> Vec<u8> {
    let checksum = crc24(header).to_le_bytes();
    let trailer = [0; TRAILER as usize];
    [header, &checksum[..CHECKSUM], content, &trailer].concat()
}

/// A segment around `frames`, for tests.
#[cfg(test)]
pub(super) fn segment(frames: &[u8], whole: bool) -> Vec<u8> {
    let told = frames.len() as u32 | u32::from(whole) << 17;
    around(&told.to_le_bytes()[..3], frames)
}

/// The same of a connection that compresses: `packed` is a block of LZ4 that will be of this `size`, or frames as they are (0).
#[cfg(test)]
pub(super) fn packed_segment(packed: &[u8], size: usize, whole: bool) -> Vec<u8> {
    let told = packed.len() as u64 | (size as u64) << 17 | u64::from(whole) << 34;
    around(&told.to_le_bytes()[..5], packed)
}
