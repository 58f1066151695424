//! The segments in which version 5 packs its frames once a connection is set up. A segment holds whole frames, or a part of one; as a
//! frame tells its length, all of them together are read as one stream.

/// Bytes of a segment's header: its length in 17 bits, a flag, and a checksum of both.
const HEADER: usize = 6;
/// Bytes behind a segment: a checksum of it, which is the peers' affair.
const TRAILER: u8 = 4;

/// What stands in the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Frames, this many bytes.
    Frames(usize),
    /// So many bytes of what is around them.
    Around(usize),
    /// A header whose checksum is wrong.
    Bad,
}

/// One direction. All zero: there are no segments (yet).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segments {
    pub(super) on: bool,
    header: [u8; HEADER],
    have: u8,
    /// Bytes of the segment to come.
    left: u32,
    /// Bytes behind it to come.
    trailer: u8,
}

impl Segments {
    /// Which part the front of `bytes` is; [`Segments::read`] is told how much of [`Part::Frames`] was read.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Part {
        if !self.on {
            return Part::Frames(bytes.len());
        }
        if self.left > 0 {
            return Part::Frames(bytes.len().min(self.left as usize));
        }
        if self.trailer > 0 {
            let taken = bytes.len().min(usize::from(self.trailer));
            self.trailer -= taken as u8;
            return Part::Around(taken);
        }
        let have = usize::from(self.have);
        let taken = bytes.len().min(HEADER - have);
        self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken as u8;
        if usize::from(self.have) == HEADER {
            self.have = 0;
            let [a, b, c, x, y, z] = self.header.map(u32::from);
            let told = a | b << 8 | c << 16;
            if crc24(told) != x | y << 8 | z << 16 {
                return Part::Bad;
            }
            self.left = told & 0x1_ffff;
            self.trailer = TRAILER;
        }
        Part::Around(taken)
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
        let inside = n < u64::from(self.left);
        if inside {
            self.left -= n as u32;
        }
        inside
    }
}

/// The checksum of the three bytes in `value`, the lowest first.
fn crc24(value: u32) -> u32 {
    let mut crc = 0x87_5060;
    for byte in [value & 0xff, value >> 8 & 0xff, value >> 16 & 0xff] {
        crc ^= byte << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x100_0000 != 0 {
                crc ^= 0x197_4f0b;
            }
        }
    }
    crc
}

/// A segment around `frames`, for tests.
#[cfg(test)]
pub(super) fn segment(frames: &[u8], whole: bool) -> Vec<u8> {
    let told = frames.len() as u32 | u32::from(whole) << 17;
    let mut out = told.to_le_bytes()[..3].to_vec();
    out.extend(&crc24(told).to_le_bytes()[..3]);
    out.extend(frames);
    out.extend([0; TRAILER as usize]);
    out
}
