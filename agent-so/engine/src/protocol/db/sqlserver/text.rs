//! Texts, which come as UTF-16.

/// UTF-16, lowest byte first, made UTF-8 over any split.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf16 {
    low: u8,
    is_half: bool,
    /// The first of two surrogates.
    high: u16,
}

impl Utf16 {
    /// Tells `out` what `bytes` are.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut impl FnMut(&[u8])) {
        let mut piece = [0; 128];
        let mut len = 0;
        for byte in bytes {
            self.is_half = !self.is_half;
            if self.is_half {
                self.low = *byte;
                continue;
            }
            let unit = u16::from_le_bytes([self.low, *byte]);
            let high = std::mem::take(&mut self.high);
            if matches!(unit, 0xd800..=0xdbff) {
                self.high = unit;
                if high == 0 {
                    continue;
                }
            }
            let number = match (high, unit) {
                (0, _) => unit.into(),
                (_, 0xdc00..=0xdfff) => {
                    0x1_0000 + (u32::from(high - 0xd800) << 10) + u32::from(unit - 0xdc00)
                }
                // The first one stood alone.
                _ => 0xd800,
            };
            if len + 8 > piece.len() {
                out(&piece[..len]);
                len = 0;
            }
            let letter = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
            len += letter.encode_utf8(&mut piece[len..]).len();
            if number == 0xd800 && self.high == 0 {
                let letter = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                len += letter.encode_utf8(&mut piece[len..]).len();
            }
        }
        if len > 0 {
            out(&piece[..len]);
        }
    }
}
