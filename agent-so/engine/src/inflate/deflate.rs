//! zlib (RFC 1950) around DEFLATE (RFC 1951).

use super::window::Output;
mod code;

use code::{Code, Found};

/// Symbols of literals and lengths, of distances, and of the lengths of codes.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const LENGTHS: usize = 19;
const END: u16 = 256;
/// Bytes behind the data: a checksum.
const TRAILER: u8 = 4;

/// In which order the lengths of the code of lengths come.
const ORDER: [u8; LENGTHS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_BITS: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCE_BASE: [u16; DISTANCES] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_BITS: [u8; DISTANCES] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Head = 0,
    Block,
    /// The length of a block that is not compressed, and its bytes.
    StoredLength,
    Stored,
    /// How many lengths of codes come, the code they are in, and these.
    Counts,
    CodeLengths,
    Lengths,
    Symbols,
    Copy,
    Trailer,
}

/// Bits that were taken from the input and not used yet, the first lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    bits: u64,
    count: u8,
}

impl Bits {
    /// Takes as many bytes as have room. Returns how many.
    fn fill(&mut self, input: &[u8]) -> usize {
        let room = usize::from((63 - self.count) / 8);
        let used = input.len().min(room);
        for byte in &input[..used] {
            self.bits |= u64::from(*byte) << self.count;
            self.count += 8;
        }
        used
    }

    /// The next `n` bits (32 at most), or none when they are not all there.
    fn take(&mut self, n: u8) -> Option<u32> {
        if self.count < n {
            return None;
        }
        let value = self.bits & ((1 << n) - 1);
        self.bits >>= n;
        self.count -= n;
        Some(value as u32)
    }

    /// What does not belong to a whole byte is passed over.
    fn align(&mut self) {
        self.take(self.count % 8);
    }
}

/// How far a step came.
enum Step {
    On,
    /// It needs more bits, or more room.
    Wait,
}

#[derive(Clone, Debug)]
pub(super) struct Deflate {
    stage: Stage,
    /// The block is the last one.
    last: bool,
    trailer: u8,
    bits: Bits,
    /// Bytes to come that are stored or repeated, and from how far back.
    left: u16,
    distance: u16,
    /// How many lengths of codes are expected: of the code they are in, of literals, of distances; and how many there are.
    code_lengths: u16,
    literal_lengths: u16,
    distance_lengths: u16,
    have: u16,
    lengths: [u8; 320],
    literals: Code,
    /// While lengths are read, the code they are in.
    distances: Code,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            stage: Stage::default(),
            last: false,
            trailer: 0,
            bits: Bits::default(),
            left: 0,
            distance: 0,
            code_lengths: 0,
            literal_lengths: 0,
            distance_lengths: 0,
            have: 0,
            lengths: [0; 320],
            literals: Code::default(),
            distances: Code::default(),
        }
    }
}

impl Deflate {
    /// Another piece begins. What is left in the codes is never used: each block sets its own.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Head;
        self.trailer = 0;
        self.bits = Bits::default();
    }

    pub(super) fn is_whole(&self) -> bool {
        self.stage == Stage::Trailer && self.trailer == TRAILER
    }

    pub(super) fn read(&mut self, input: &[u8], output: &mut Output) -> Option<usize> {
        let mut used = 0;
        loop {
            if !matches!(self.stage, Stage::Stored | Stage::Trailer) {
                used += self.bits.fill(&input[used..]);
            }
            let step = match self.stage {
                Stage::Head => self.head()?,
                Stage::Block => self.block()?,
                Stage::StoredLength => self.stored_length()?,
                Stage::Stored => {
                    let (taken, step) = self.stored(&input[used..], output)?;
                    used += taken;
                    step
                }
                Stage::Counts => self.counts()?,
                Stage::CodeLengths => self.code_lengths()?,
                Stage::Lengths => self.lengths()?,
                Stage::Symbols => self.symbols(output)?,
                Stage::Copy => self.copy(output)?,
                Stage::Trailer => {
                    used += self.trailer(&input[used..])?;
                    Step::Wait
                }
            };
            // Bits may have been used that make room for those needed.
            let needs_input = !matches!(self.stage, Stage::Copy | Stage::Trailer);
            if matches!(step, Step::Wait) && !(needs_input && self.hungry(&input[used..], output)) {
                return Some(used);
            }
        }
    }

    /// It could go on with what is there.
    fn hungry(&self, rest: &[u8], output: &Output) -> bool {
        self.bits.count < 56 && !rest.is_empty() && output.has_room()
    }

    fn head(&mut self) -> Option<Step> {
        let Some(head) = self.bits.take(16) else {
            return Some(Step::Wait);
        };
        let (method, flags) = (head & 0xff, head >> 8);
        let fits = method & 15 == 8 && method >> 4 <= 7 && (method << 8 | flags) % 31 == 0;
        // No dictionary is agreed on.
        if !fits || flags & 0x20 != 0 {
            return None;
        }
        self.stage = Stage::Block;
        Some(Step::On)
    }

    fn block(&mut self) -> Option<Step> {
        let Some(head) = self.bits.take(3) else {
            return Some(Step::Wait);
        };
        self.last = head & 1 != 0;
        self.stage = match head >> 1 {
            0 => {
                self.bits.align();
                Stage::StoredLength
            }
            1 => {
                self.lengths[..144].fill(8);
                self.lengths[144..256].fill(9);
                self.lengths[256..280].fill(7);
                self.lengths[280..288].fill(8);
                self.literals.set(&self.lengths[..288])?;
                self.lengths[..32].fill(5);
                self.distances.set(&self.lengths[..32])?;
                Stage::Symbols
            }
            2 => Stage::Counts,
            _ => return None,
        };
        Some(Step::On)
    }

    fn block_ends(&mut self) {
        if self.last {
            self.bits.align();
            self.stage = Stage::Trailer;
        } else {
            self.stage = Stage::Block;
        }
    }

    fn stored_length(&mut self) -> Option<Step> {
        let Some(lengths) = self.bits.take(32) else {
            return Some(Step::Wait);
        };
        self.left = lengths as u16;
        if self.left != !((lengths >> 16) as u16) {
            return None;
        }
        self.stage = Stage::Stored;
        Some(Step::On)
    }

    /// Bytes as they are: first those among the bits.
    fn stored(&mut self, input: &[u8], output: &mut Output) -> Option<(usize, Step)> {
        if self.left == 0 {
            self.block_ends();
            return Some((0, Step::On));
        }
        if u32::from(self.left) > output.left() {
            return None;
        }
        if !output.has_room() {
            return Some((0, Step::Wait));
        }
        if let Some(byte) = self.bits.take(8) {
            output.push(byte as u8)?;
            self.left -= 1;
            return Some((0, Step::On));
        }
        let here = input.len().min(self.left.into());
        let taken = output.literal(&input[..here])?;
        self.left -= taken as u16;
        Some((taken, if taken > 0 { Step::On } else { Step::Wait }))
    }

    fn counts(&mut self) -> Option<Step> {
        let Some(counts) = self.bits.take(14) else {
            return Some(Step::Wait);
        };
        self.literal_lengths = (counts & 31) as u16 + 257;
        self.distance_lengths = (counts >> 5 & 31) as u16 + 1;
        self.code_lengths = (counts >> 10) as u16 + 4;
        if usize::from(self.literal_lengths) > LITERALS
            || usize::from(self.distance_lengths) > DISTANCES
        {
            return None;
        }
        self.lengths = [0; 320];
        self.have = 0;
        self.stage = Stage::CodeLengths;
        Some(Step::On)
    }

    fn code_lengths(&mut self) -> Option<Step> {
        while self.have < self.code_lengths {
            let Some(length) = self.bits.take(3) else {
                return Some(Step::Wait);
            };
            let place = ORDER[usize::from(self.have)];
            self.lengths[usize::from(place)] = length as u8;
            self.have += 1;
        }
        self.distances.set(&self.lengths[..LENGTHS])?;
        self.lengths[..LENGTHS].fill(0);
        self.have = 0;
        self.stage = Stage::Lengths;
        Some(Step::On)
    }

    fn lengths(&mut self) -> Option<Step> {
        let (literals, all) = (
            usize::from(self.literal_lengths),
            usize::from(self.literal_lengths + self.distance_lengths),
        );
        while usize::from(self.have) < all {
            let mut bits = self.bits;
            let symbol = match self.distances.find(&mut bits)? {
                Found::Symbol(symbol) => symbol,
                Found::More => return Some(Step::Wait),
            };
            let (extra, base) = match symbol {
                0..16 => (0, 1),
                16 => (2, 3),
                17 => (3, 3),
                _ => (7, 11),
            };
            let Some(more) = bits.take(extra) else {
                return Some(Step::Wait);
            };
            let have = usize::from(self.have);
            let length = match symbol {
                0..16 => symbol as u8,
                16 => *self.lengths.get(have.checked_sub(1)?)?,
                _ => 0,
            };
            let end = have + base + more as usize;
            if end > all {
                return None;
            }
            self.lengths[have..end].fill(length);
            self.have = end as u16;
            self.bits = bits;
        }
        if self.lengths[usize::from(END)] == 0 {
            return None;
        }
        self.literals.set(&self.lengths[..literals])?;
        self.distances.set(&self.lengths[literals..all])?;
        self.stage = Stage::Symbols;
        Some(Step::On)
    }

    fn symbols(&mut self, output: &mut Output) -> Option<Step> {
        loop {
            let mut bits = self.bits;
            let symbol = match self.literals.find(&mut bits)? {
                Found::Symbol(symbol) => symbol,
                Found::More => return Some(Step::Wait),
            };
            if symbol < END {
                if !output.push(symbol as u8)? {
                    return Some(Step::Wait);
                }
                self.bits = bits;
                continue;
            }
            if symbol == END {
                self.bits = bits;
                self.block_ends();
                return Some(Step::On);
            }
            let code = usize::from(symbol - END - 1);
            let Some(more) = bits.take(*LENGTH_BITS.get(code)?) else {
                return Some(Step::Wait);
            };
            let left = LENGTH_BASE[code] + more as u16;
            let code = match self.distances.find(&mut bits)? {
                Found::Symbol(symbol) => usize::from(symbol),
                Found::More => return Some(Step::Wait),
            };
            let Some(more) = bits.take(*DISTANCE_BITS.get(code)?) else {
                return Some(Step::Wait);
            };
            self.left = left;
            self.distance = DISTANCE_BASE[code] + more as u16;
            self.bits = bits;
            self.stage = Stage::Copy;
            return Some(Step::On);
        }
    }

    fn copy(&mut self, output: &mut Output) -> Option<Step> {
        let made = output.copy(self.distance.into(), self.left.into())?;
        self.left -= made as u16;
        if self.left > 0 {
            return Some(Step::Wait);
        }
        self.stage = Stage::Symbols;
        Some(Step::On)
    }

    /// Nothing follows the checksum.
    fn trailer(&mut self, input: &[u8]) -> Option<usize> {
        let ahead = usize::from(self.bits.count / 8);
        self.bits = Bits::default();
        let all = usize::from(self.trailer) + ahead + input.len();
        self.trailer = u8::try_from(all).ok().filter(|all| *all <= TRAILER)?;
        Some(input.len())
    }
}
