//! What the blocks of Snappy and LZ4 have in common: bytes as they are, and what is repeated.

use super::window::Output;

/// What is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// Bytes to come that stand for themselves.
    pub(super) literal: u32,
    /// Bytes to come that are repeated, from so far back.
    pub(super) copy: u32,
    pub(super) distance: u32,
}

impl Run {
    /// Makes what is under way, first what stands for itself. How many bytes of `input` that took, and whether all of it was made.
    pub(super) fn read(&mut self, input: &[u8], output: &mut Output) -> Option<(usize, bool)> {
        if self.literal.max(self.copy) > output.left() {
            return None;
        }
        if self.literal > 0 {
            let here = input.len().min(self.literal as usize);
            let used = output.literal(&input[..here])?;
            self.literal -= used as u32;
            return Some((used, self.literal == 0));
        }
        if self.copy > 0 {
            self.copy -= output.copy(self.distance, self.copy)?;
        }
        Some((0, self.copy == 0))
    }
}

/// A number of some bytes, the lowest first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number {
    value: u32,
    have: u8,
}

impl Number {
    /// Takes the next byte; the number when `wanted` (4 at most) are there.
    pub(super) fn push(&mut self, byte: u8, wanted: u8) -> Option<u32> {
        self.value |= u32::from(byte).wrapping_shl(8 * u32::from(self.have));
        self.have += 1;
        (self.have >= wanted).then(|| std::mem::take(self).value)
    }

    pub(super) fn is_empty(self) -> bool {
        self.have == 0
    }
}
