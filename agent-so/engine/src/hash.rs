//! A hash of few bytes, for keys that nobody chooses in bad faith.

/// Of no bytes.
pub const START: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with `bytes` (FNV-1a, 64 bits).
pub fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_values() {
        assert_eq!(fnv1a(START, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(fnv1a(START, b"foo"), b"bar"), 0x8594_4171_f739_67e8);
    }
}
