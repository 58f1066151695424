//! Huffman codes.

use super::Bits;

/// Longest code, and the longest that is found at once.
const LONGEST: usize = 15;
const QUICK: usize = 9;
/// Symbols of the largest code.
const SYMBOLS: usize = 288;

/// What the next bits are.
pub(super) enum Found {
    Symbol(u16),
    /// Not all of them are there.
    More,
}

#[derive(Clone, Debug)]
pub(super) struct Code {
    /// For the next bits the symbol (times 16) and how long its code is; zero: longer than that.
    quick: [u16; 1 << QUICK],
    /// How many codes there are of each length, and their symbols in order.
    counts: [u16; LONGEST + 1],
    symbols: [u16; SYMBOLS],
}

impl Default for Code {
    fn default() -> Self {
        Self {
            quick: [0; 1 << QUICK],
            counts: [0; LONGEST + 1],
            symbols: [0; SYMBOLS],
        }
    }
}

impl Code {
    /// Sets it to the code of these lengths, [`SYMBOLS`] at most, zero for symbols that are not in it. `None`: there is no such code.
    pub(super) fn set(&mut self, lengths: &[u8]) -> Option<()> {
        self.counts = [0; LONGEST + 1];
        for length in lengths {
            self.counts[usize::from(length & 15)] += 1;
        }
        self.counts[0] = 0;
        // Codes that are free, were all as long as those looked at.
        let mut free = 1_i32;
        let mut codes = 0;
        // The first code of each length, and the place of its symbol.
        let mut next = [0_u16; LONGEST + 2];
        let mut places = [0_u16; LONGEST + 2];
        for length in 1..=LONGEST {
            let count = self.counts[length];
            free = free * 2 - i32::from(count);
            if free < 0 {
                return None;
            }
            codes += count;
            next[length + 1] = next[length].wrapping_add(count) << 1;
            places[length + 1] = places[length] + count;
        }
        // One symbol alone has a bit all the same; of distances there may be none at all.
        let alone = codes == 0 || codes == 1 && self.counts[1] == 1;
        if free > 0 && !alone {
            return None;
        }
        self.quick.fill(0);
        for (symbol, length) in lengths.iter().enumerate().take(SYMBOLS) {
            let length = usize::from(length & 15);
            if length == 0 {
                continue;
            }
            self.symbols[usize::from(places[length])] = symbol as u16;
            places[length] += 1;
            let code = next[length];
            next[length] = code.wrapping_add(1);
            if length <= QUICK {
                // The first bit of a code comes first, and is the lowest.
                let first = usize::from(code.reverse_bits()) >> (16 - length);
                for place in (first..1 << QUICK).step_by(1 << length) {
                    self.quick[place] = (symbol as u16) << 4 | length as u16;
                }
            }
        }
        Some(())
    }

    /// Takes the code of one symbol. `None`: there is none like that.
    pub(super) fn find(&self, bits: &mut Bits) -> Option<Found> {
        let quick = self.quick[bits.bits as usize & ((1 << QUICK) - 1)];
        if quick != 0 {
            let found = bits.take((quick & 15) as u8);
            return Some(found.map_or(Found::More, |_| Found::Symbol(quick >> 4)));
        }
        let (mut code, mut first, mut place) = (0_u32, 0_u32, 0_u32);
        for length in 1..=LONGEST {
            if usize::from(bits.count) < length {
                return Some(Found::More);
            }
            code |= (bits.bits >> (length - 1)) as u32 & 1;
            let count = u32::from(self.counts[length]);
            if code < first + count {
                bits.take(length as u8);
                let symbol = self.symbols.get((place + code - first) as usize)?;
                return Some(Found::Symbol(*symbol));
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}
