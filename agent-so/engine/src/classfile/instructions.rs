//! Walking over the instructions of a method.

/// Where each instruction begins and which it is. `None` as the last item: what follows is not understood.
pub(super) fn each(code: &[u8]) -> impl Iterator<Item = Option<(usize, u8)>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let opcode = *code.get(at)?;
        let start = at;
        match length(code, at).filter(|len| start + len <= code.len()) {
            Some(len) => {
                at += len;
                Some(Some((start, opcode)))
            }
            None => {
                at = code.len();
                Some(None)
            }
        }
    })
}

fn length(code: &[u8], at: usize) -> Option<usize> {
    const IINC: u8 = 0x84;
    let word = |from: usize| -> Option<i32> {
        Some(i32::from_be_bytes(
            code.get(from..from + 4)?.try_into().ok()?,
        ))
    };
    Some(match *code.get(at)? {
        0x10 | 0x12 | 0x15..=0x19 | 0x36..=0x3a | 0xa9 | 0xbc => 2,
        0x11
        | 0x13
        | 0x14
        | IINC
        | 0x99..=0xa8
        | 0xb2..=0xb8
        | 0xbb
        | 0xbd
        | 0xc0
        | 0xc1
        | 0xc6
        | 0xc7 => 3,
        0xc5 => 4,
        0xb9 | 0xba | 0xc8 | 0xc9 => 5,
        0xc4 if *code.get(at + 1)? == IINC => 6,
        0xc4 => 4,
        0xaa => {
            let table = (at + 4) & !3;
            let (low, high) = (word(table + 4)?, word(table + 8)?);
            let count = usize::try_from(i64::from(high) - i64::from(low) + 1).ok()?;
            table + 12 + count.checked_mul(4)? - at
        }
        0xab => {
            let table = (at + 4) & !3;
            let count = usize::try_from(word(table + 4)?).ok()?;
            table + 8 + count.checked_mul(8)? - at
        }
        0x00..=0xc9 => 1,
        _ => return None,
    })
}
