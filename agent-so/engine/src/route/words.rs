//! Tells words from gibberish, in any language that is written with Latin letters.
//!
//! A pair of neighbouring letters (word boundaries included) is *rare* or *very rare* in words. The tables were
//! counted over the 54,000 most frequent words of English, German, Spanish, French, Italian, Portuguese and Dutch
//! and some 200 words of the trade (`graphql`, `https`); accents removed. Measured on those words, 0.4 % are taken
//! for gibberish; of random lower-case strings 26 % of 5 letters, 16 % of 8 and 5 % of 16 are taken for words:
//! enough for clustering, as the number of routes is limited anyway.

/// Row: first letter, `a` to `z`, then the boundary. Bit: second letter, likewise. Set: fewer than 10 words.
const VERY_RARE: [u32; 27] = [
    0x0000000, 0x2e10420, 0x2e00222, 0x2810000, 0x0000000, 0x2e18204, 0x0e18224, 0x0a00244,
    0x1400000, 0x1821a86, 0x0a1126c, 0x0810200, 0x2e20680, 0x0000000, 0x0000000, 0x2610600,
    0x7e3f7ff, 0x0800200, 0x0800200, 0x0810000, 0x0010000, 0x2cd36ee, 0x3e11266, 0x2e72e6a,
    0x1a106c0, 0x1a7b6ee, 0x4000000,
];

/// As [`VERY_RARE`], fewer than 80 words. Holds all bits of [`VERY_RARE`].
const RARE: [u32; 27] = [
    0x0000010, 0x3e1b66c, 0x2e1a26a, 0x2e906e6, 0x0000000, 0x3e5b6ce, 0x3e19626, 0x2e106ee,
    0x1400180, 0x7af3bee, 0x3e196ee, 0x2c3a200, 0x2e326ec, 0x0c39202, 0x2010200, 0x3e1066a,
    0x7eff7ff, 0x0810200, 0x2a02242, 0x0a1262a, 0x1510600, 0x7fdbeee, 0x3fb1eee, 0x3f76eef,
    0x3fb47ee, 0x1efbeee, 0x5000000,
];

const BOUNDARY: usize = 26;
/// Bits of a, e, i, o, u, y.
const VOWELS: u32 = 1 | 1 << 4 | 1 << 8 | 1 << 14 | 1 << 20 | 1 << 24;
/// Longest single word, and longest camelCase compound, that is believed.
const WORD_MAX: usize = 24;
const COMPOUND_MAX: usize = 40;

/// Whether ASCII letters look like a word, an abbreviation of up to three letters, or several words in camelCase.
pub(super) fn is_word(letters: &[u8]) -> bool {
    let count = letters.len();
    if count <= 3 {
        return true;
    }
    if count > COMPOUND_MAX {
        return false;
    }
    let (mut penalty, mut words, mut length, mut vowels) = (0, 1, 0, 0);
    let mut last = BOUNDARY;
    let mut after_lower = false;
    for byte in letters {
        if after_lower && byte.is_ascii_uppercase() {
            penalty += pair(last, BOUNDARY);
            last = BOUNDARY;
            words += 1;
            length = 0;
        }
        after_lower = byte.is_ascii_lowercase();
        let letter = usize::from(byte.to_ascii_lowercase().wrapping_sub(b'a')).min(BOUNDARY);
        penalty += pair(last, letter);
        vowels |= VOWELS & 1 << letter;
        last = letter;
        length += 1;
        if length > WORD_MAX {
            return false;
        }
    }
    penalty += pair(last, BOUNDARY);
    let vowelless = count >= 7 && vowels == 0;
    let shuffled_case = words * 3 > count + 2;
    // On average 2/7 of a point per pair is where words and random letters part.
    !vowelless && !shuffled_case && penalty * 7 < 2 * (count + words)
}

/// 0 for a usual pair, 1 for a rare, 2 for a very rare one.
fn pair(first: usize, second: usize) -> usize {
    ((RARE[first] >> second & 1) + (VERY_RARE[first] >> second & 1)) as usize
}
